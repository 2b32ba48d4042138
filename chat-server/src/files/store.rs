//! A place that keeps files.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::FileError;
use super::id::FileId;
use super::record::FileRecord;
use super::staging::Staged;

/// The bytes of a file, in pieces of at most 64 KiB or of what the store's network gives.
pub type ByteStream = BoxStream<'static, Result<Bytes, FileError>>;

/// What a store has of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which one.
    pub id: FileId,
    /// Whether record and bytes are there; otherwise it is being written, or was left behind by a crash.
    pub is_complete: bool,
}

/// A place that keeps files with their records.
///
/// # Guarantees
/// - When `put` has answered, record and bytes are durable. When it fails, neither stays, as far as the store can be reached;
///   what stays nevertheless is [listed](Self::list) as incomplete or unreferenced, and swept.
/// - The record is there before the bytes are.
/// - What is behind an id never changes.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Keeps a file that was received, hashed and counted ([`Staged`]). A store on the same disk moves it; others read it as
    /// a stream.
    ///
    /// # Errors
    /// [`FileError::Full`] and [`FileError::Unavailable`].
    async fn put(&self, record: &FileRecord, file: Staged) -> Result<(), FileError>;

    /// What is known of a file, if there is one.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn record(&self, id: FileId) -> Result<Option<FileRecord>, FileError>;

    /// These bytes of a file, if there is one; the range is within its length. Nothing else of it is read.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn read(&self, id: FileId, range: Range<u64>) -> Result<Option<ByteStream>, FileError>;

    /// Removes a file: bytes first, then the record. There being none is fine.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when it may still be there.
    async fn remove(&self, id: FileId) -> Result<(), FileError>;

    /// All files of a [shard](FileId::shard), in no order.
    ///
    /// # Errors
    /// [`FileError::Unavailable`].
    async fn list(&self, shard: u8) -> Result<Vec<Listed>, FileError>;
}

/// What a store has, of the ids with the parts that were found of them: two are a whole file.
pub(super) fn listed(mut found: Vec<(FileId, u8)>) -> Vec<Listed> {
    found.sort_unstable();
    let of_one = found.chunk_by(|(a, _), (b, _)| a == b);
    of_one.map(|parts| Listed { id: parts[0].0, is_complete: parts.len() == 2 }).collect()
}
