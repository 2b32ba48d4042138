//! An encoded body and its format.

use std::{fmt, iter};

/// The kind of a body. A codec can choose its model by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A chat message: short text in a natural language.
    Message,
    /// A file sent in a chat: any bytes, often larger.
    File,
}

/// The codec family a blob was written by.
///
/// The numbers are stored next to the bytes and never change their meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Encoding {
    /// The body itself.
    Stored = 0,
    /// A frame of [`HuffmanCodec`](super::HuffmanCodec), whose first byte names its table.
    Huffman = 1,
}

impl From<Encoding> for u8 {
    fn from(encoding: Encoding) -> u8 {
        match encoding {
            Encoding::Stored => 0,
            Encoding::Huffman => 1,
        }
    }
}

impl TryFrom<u8> for Encoding {
    type Error = UnknownEncoding;

    fn try_from(number: u8) -> Result<Encoding, UnknownEncoding> {
        match number {
            0 => Ok(Encoding::Stored),
            1 => Ok(Encoding::Huffman),
            _ => Err(UnknownEncoding(number)),
        }
    }
}

/// A stored number that this release does not know as an [`Encoding`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("encoding {0} is unknown")]
pub struct UnknownEncoding(
    /// The number found.
    pub u8,
);

/// The exact format of a blob, for counters and reports.
///
/// [`Encoding`] says which decoder a blob needs. This says which format was chosen for the body: none if it was too
/// small for compression, otherwise the smallest one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum BlobFormat {
    /// The plain body, without a header.
    Plain,
    /// A frame with this format in its first byte, 0 to 31. 0 is an uncompressed body.
    Frame(u8),
    /// A frame without its first byte. No codec writes it.
    Missing,
}

impl BlobFormat {
    /// The number of formats.
    pub(super) const COUNT: usize = 34;

    /// All formats, ordered by index.
    pub(super) fn all() -> impl Iterator<Item = BlobFormat> {
        iter::once(BlobFormat::Plain).chain((0..32).map(BlobFormat::Frame)).chain([BlobFormat::Missing])
    }

    /// The index in an array with one item for each format, below [`Self::COUNT`].
    pub(super) fn index(self) -> usize {
        match self {
            BlobFormat::Plain => 0,
            BlobFormat::Frame(id) => 1 + usize::from(id & 31),
            BlobFormat::Missing => 33,
        }
    }
}

/// `plain`, the number of the frame's format, or `missing`.
impl fmt::Display for BlobFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlobFormat::Plain => f.pad("plain"),
            BlobFormat::Frame(id) => id.fmt(f),
            BlobFormat::Missing => f.pad("missing"),
        }
    }
}

/// An encoded body.
///
/// `Debug` prints the encoding and the length, never the content, so that neither a log line nor a failed assertion
/// reveals a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The encoding of `bytes`.
    pub encoding: Encoding,
    /// The encoded body.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// The exact format.
    pub fn format(&self) -> BlobFormat {
        BlobRef::from(self).format()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BlobRef::from(self).fmt(f)
    }
}

/// A [`Blob`] with borrowed bytes, such as those of a row that is being read.
///
/// `Debug` prints the encoding and the length, never the content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlobRef<'a> {
    /// The encoding of `bytes`.
    pub encoding: Encoding,
    /// The encoded body.
    pub bytes: &'a [u8],
}

impl BlobRef<'_> {
    /// The exact format.
    pub fn format(&self) -> BlobFormat {
        match (self.encoding, self.bytes.first()) {
            (Encoding::Stored, _) => BlobFormat::Plain,
            (Encoding::Huffman, Some(first)) => BlobFormat::Frame(first >> 3),
            (Encoding::Huffman, None) => BlobFormat::Missing,
        }
    }
}

impl<'a> From<&'a Blob> for BlobRef<'a> {
    fn from(blob: &'a Blob) -> BlobRef<'a> {
        BlobRef { encoding: blob.encoding, bytes: &blob.bytes }
    }
}

impl fmt::Debug for BlobRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("encoding", &self.encoding).field("len", &self.bytes.len()).finish()
    }
}
