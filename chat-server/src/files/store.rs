//! The trait of file stores.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::FileError;
use super::id::FileId;
use super::record::FileRecord;
use super::staging::Staged;

/// The bytes of a file, in pieces of at most 64 KiB, or as the network of the store delivers them.
pub type ByteStream = BoxStream<'static, Result<Bytes, FileError>>;

/// What a store has of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub id: FileId,
    /// Whether both record and bytes exist. Otherwise the file is being written, or a crash has left a part of it.
    pub is_complete: bool,
}

/// A place that stores files with their records.
///
/// # Guarantees
/// - When `put` returns, record and bytes are durable. When it fails, neither remains, as far as the store is
///   reachable. What remains nevertheless is [listed](Self::list) as incomplete or unreferenced, and the sweep removes
///   it.
/// - The record is created before the bytes.
/// - The content of an id never changes.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Stores a file that was received, hashed and counted ([`Staged`]). A store on the same disk moves it; others read
    /// it as a stream.
    ///
    /// # Errors
    /// [`FileError::Full`] and [`FileError::Unavailable`].
    async fn put(&self, record: &FileRecord, file: Staged) -> Result<(), FileError>;

    /// The record of a file, if it exists.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn record(&self, id: FileId) -> Result<Option<FileRecord>, FileError>;

    /// These bytes of a file, if it exists. The range must be within its length. Only these bytes are read.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn read(&self, id: FileId, range: Range<u64>) -> Result<Option<ByteStream>, FileError>;

    /// Removes a file: first the bytes, then the record. It is not an error if there is none.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when the file may still exist.
    async fn remove(&self, id: FileId) -> Result<(), FileError>;

    /// All files of a [shard](FileId::shard), in no particular order.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn list(&self, shard: u8) -> Result<Vec<Listed>, FileError>;
}

/// Groups the parts that a store has found by id. A complete file has two parts.
pub(super) fn listed(mut found: Vec<(FileId, u8)>) -> Vec<Listed> {
    found.sort_unstable();
    let of_one = found.chunk_by(|(a, _), (b, _)| a == b);
    of_one.map(|parts| Listed { id: parts[0].0, is_complete: parts.len() == 2 }).collect()
}
