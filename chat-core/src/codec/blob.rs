//! An encoded body and what it is made of.

use std::fmt;

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
