//! The stored form of message and file bodies.
//!
//! A [`Codec`] encodes a body as a [`Blob`], and [`decode`] decodes any blob of any codec. How bodies are written may
//! change from release to release, but all blobs stay readable: the [`Encoding`] of a blob says how to read it,
//! whichever codec is in use now. [`Metered`] wraps a codec and counts its work.
//!
//! Only the formats for files have a checksum, because in a message it would cost a part of the savings. Damage to a
//! message that leaves a well-formed frame decodes to other bytes, so integrity at rest is the task of the store. The
//! guarantee here is that no input panics or uses more memory than the caller allows.

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

/// The largest message that is stored unencoded, in bytes.
pub const MAX_PLAIN_MESSAGE: usize = 50;

/// The largest file that is stored unencoded, in bytes.
pub const MAX_PLAIN_FILE: usize = 1024;

/// Encodes bodies for storage, and decodes what any codec has stored.
///
/// # Guarantees
///
/// - [`Codec::decode`] with a limit of at least `body.len()` returns exactly `body`.
/// - The blob is at most one byte longer than the body, for every body.
/// - Equal arguments give equal blobs.
pub trait Codec: Send + Sync {
    /// Encodes `body`, which may be any bytes of any length.
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob;

    /// Decodes a blob of this or any built-in codec into at most `limit` bytes.
    ///
    /// This is [`decode`](decode()), unless the codec has custom tables.
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

/// Stores every body unencoded.
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
/// Clients see this as "compressed". It depends only on the size, not on whether the body was compressible, so that it
/// is the same with every codec.
pub fn is_compressible_size(kind: Kind, len: usize) -> bool {
    match kind {
        Kind::Message => len > MAX_PLAIN_MESSAGE,
        Kind::File => len > MAX_PLAIN_FILE,
    }
}

/// Decodes a [`Blob`] or [`BlobRef`] of any encoding into at most `limit` bytes.
///
/// The memory for the body never exceeds `limit` bytes, whatever the blob claims. In addition there are at most 100 KB
/// of working tables, and the shipped sets, which stay in memory: 0.3 to 0.6 MB for each set that was ever used, and 3
/// MB while one is unpacked.
///
/// # Errors
///
/// Every variant of [`DecodeError`]. An unchanged blob from a [`Codec`] causes only [`DecodeError::TooLarge`], if its
/// body is longer than `limit`.
pub fn decode<'a>(blob: impl Into<BlobRef<'a>>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    static NONE: LazyLock<OwnTables> = LazyLock::new(OwnTables::default);
    decode_with(blob, &NONE, limit)
}

/// As [`decode`], for blobs that may need an operator's tables.
///
/// # Errors
///
/// As [`decode`]; [`DecodeError::UnknownTables`] for blobs of tables that are not in `own`.
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

/// Why a blob could not be decoded. It never contains content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The blob ends within its header, its table or its codes.
    #[error("the blob is cut short")]
    Truncated,
    /// The blob is inconsistent: an impossible table, a bit pattern without meaning, or padding that is missing or not
    /// zero.
    #[error("the blob is corrupt")]
    Corrupt,
    /// The body is longer than the caller allows.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The body was written with an operator's tables that are not loaded.
    #[error("the tables with the fingerprint {fingerprint:#06x} are not loaded")]
    UnknownTables {
        /// The fingerprint of the tables.
        fingerprint: u16,
    },
    /// The format of the frame is unknown to this release, and is most likely from a later one.
    #[error("frame format {id} is unknown")]
    UnknownFrame {
        /// The format of the frame, 0 to 31.
        id: u8,
    },
}

/// The body of an unencoded blob.
fn copy_within(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    Ok(bytes.to_vec())
}
