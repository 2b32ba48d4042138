//! An encoded body and what it is made of.

use std::{fmt, iter};

/// What is being stored: lets a codec choose its model.
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

/// A stored number that is no [`Encoding`] of this release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("encoding {0} is unknown")]
pub struct UnknownEncoding(
    /// The number found.
    pub u8,
);

/// How exactly a blob is written, for counters and reports.
///
/// [`Encoding`] says who can read a blob, this says what came of it: whether its body was too small
/// to try, and otherwise which way of writing was the cheapest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum BlobFormat {
    /// The body alone, without any header.
    Plain,
    /// A frame with this format in its first byte, 0 to 31; 0 is the body kept as it is.
    Frame(u8),
    /// A frame that has not even its first byte. No codec writes it.
    Missing,
}

impl BlobFormat {
    /// How many there are.
    pub(super) const COUNT: usize = 34;

    /// All, in the order of their indexes.
    pub(super) fn all() -> impl Iterator<Item = BlobFormat> {
        iter::once(BlobFormat::Plain).chain((0..32).map(BlobFormat::Frame)).chain([BlobFormat::Missing])
    }

    /// The place in an array with one item for each, below [`Self::COUNT`].
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
/// `Debug` shows the encoding and the length, never content, so that a blob in a log line or in a
/// failed assertion tells nobody what was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// How to read `bytes`.
    pub encoding: Encoding,
    /// The body in that encoding.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// How exactly this is written.
    pub fn format(&self) -> BlobFormat {
        BlobRef::from(self).format()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BlobRef::from(self).fmt(f)
    }
}

/// A [`Blob`] whose bytes belong to someone else, such as a row being read.
///
/// `Debug` shows the encoding and the length, never content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlobRef<'a> {
    /// How to read `bytes`.
    pub encoding: Encoding,
    /// The body in that encoding.
    pub bytes: &'a [u8],
}

impl BlobRef<'_> {
    /// How exactly this is written.
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
