//! How message and file bodies are stored.
//!
//! A [`Codec`] turns a body into a [`Blob`]; [`decode`] turns any blob of any codec back. Writing
//! is a choice that may change from release to release, reading is a promise: a blob says by its
//! [`Encoding`] how to read it, so old ones stay readable whatever codec is in use now. What a
//! codec does all day is counted by wrapping it in [`Metered`].
//!
//! Only the formats for files carry a checksum: in a message it would take back a part of what is saved.
//! Damage that still is a well-formed frame decodes to other bytes then, so integrity at rest is the
//! store's concern; what is promised here is that no input whatever panics or takes more memory than
//! the caller allows.

mod blob;
mod blocks;
mod files;
mod foreign;
mod frame;
mod huffman;
mod metered;
mod reading;
#[cfg(test)]
mod tests;
#[cfg(feature = "train")]
pub mod train;
mod zstd;

use std::sync::{Arc, LazyLock};

pub use self::{
    blob::{Blob, BlobFormat, BlobRef, Encoding, Kind, UnknownEncoding},
    huffman::{HuffmanCodec, OwnTables, TableError},
    metered::{CodecCounts, Decoded, Encoded, Metered},
    reading::Reading,
    zstd::ZstdCodec,
};

/// Largest message in bytes that is stored as it is.
pub const MAX_PLAIN_MESSAGE: usize = 50;

/// Largest file in bytes that is stored as it is.
pub const MAX_PLAIN_FILE: usize = 1024;

/// Encodes bodies for storage, and decodes what any codec has stored.
///
/// # Guarantees
///
/// - [`Codec::decode`] with a limit of at least `body.len()` gives back exactly `body`.
/// - The blob is at most one byte longer than the body, for every body.
/// - Equal arguments give equal blobs.
pub trait Codec: Send + Sync {
    /// Encodes `body`, which may be any bytes of any length; `kind` says what they are.
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob;

    /// Decodes a blob of this or any built-in codec into at most `limit` bytes.
    ///
    /// This is [`decode`](decode()), unless the codec has tables of its own that only it can read
    /// by.
    ///
    /// # Errors
    ///
    /// As [`decode`](decode()).
    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        decode(blob, limit)
    }
}

impl<C: Codec + ?Sized> Codec for Arc<C> {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        (**self).encode(kind, body)
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        (**self).decode(blob, limit)
    }
}

/// Keeps every body as it is.
#[derive(Clone, Copy, Default, Debug)]
pub struct StoredCodec;

impl Codec for StoredCodec {
    fn encode(&self, _kind: Kind, body: &[u8]) -> Blob {
        Blob { encoding: Encoding::Stored, bytes: body.to_vec() }
    }
}

/// Whether a body of `len` bytes is large enough for compression: a message over
/// [`MAX_PLAIN_MESSAGE`], a file over [`MAX_PLAIN_FILE`].
///
/// This is what clients are shown as "compressed". It depends on the size alone, not on whether
/// the body turned out to be compressible, so that it is the same with every codec.
pub fn is_compressible_size(kind: Kind, len: usize) -> bool {
    match kind {
        Kind::Message => len > MAX_PLAIN_MESSAGE,
        Kind::File => len > MAX_PLAIN_FILE,
    }
}

/// Decodes a [`Blob`] or [`BlobRef`] of any encoding into at most `limit` bytes.
///
/// The memory taken for the body never exceeds `limit` bytes, whatever the blob claims; on top of
/// it come at most 100 KB of working tables, and those of the shipped sets, which stay for good:
/// 0.3 to 0.6 MB for each that was ever used, and 3 MB while one is unpacked.
///
/// # Errors
///
/// Every variant of [`DecodeError`]; a blob made by a [`Codec`] and kept unchanged gives only
/// [`DecodeError::TooLarge`], if its body is longer than `limit`.
pub fn decode<'a>(blob: impl Into<BlobRef<'a>>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    static NONE: LazyLock<OwnTables> = LazyLock::new(OwnTables::default);
    decode_with(blob, &NONE, limit)
}

/// As [`decode`], for blobs that may have been written with an operator's tables.
///
/// # Errors
///
/// As [`decode`]; [`DecodeError::UnknownTables`] is for blobs of tables that are not among `own`.
pub fn decode_with<'a>(
    blob: impl Into<BlobRef<'a>>,
    own: &OwnTables,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    let blob = blob.into();
    match blob.encoding {
        Encoding::Stored => copy_within(blob.bytes, limit),
        Encoding::Huffman => frame::decode(blob.bytes, own, limit),
    }
}

/// Why a blob could not be decoded. Never contains content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The blob ends before its header, its table or its last symbol does.
    #[error("the blob is cut short")]
    Truncated,
    /// The blob contradicts itself: an impossible table, a bit pattern without meaning, padding
    /// that is not zero or not there.
    #[error("the blob is corrupt")]
    Corrupt,
    /// The body is longer than the caller allows.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The body was written with tables of an operator's that are not loaded.
    #[error("the tables with the fingerprint {fingerprint:#06x} are not loaded")]
    UnknownTables {
        /// Tells which tables they are.
        fingerprint: u16,
    },
    /// The frame names a format this release does not know, most likely a later one.
    #[error("frame format {id} is unknown")]
    UnknownFrame {
        /// The frame's format, 0 to 31.
        id: u8,
    },
}

/// The body of a blob that holds it as it is.
fn copy_within(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    Ok(bytes.to_vec())
}
