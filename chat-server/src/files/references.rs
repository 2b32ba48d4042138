//! Which messages refer to a file: they decide who may read it, and whether it is kept.

mod log;

use std::collections::HashMap;

use async_trait::async_trait;
use chat_core::clock::Timestamp;
use chat_core::id::{ConversationId, MessageId};
use parking_lot::Mutex;

pub use self::log::LogReferences;
use super::error::FileError;
use super::id::FileId;

/// A message that refers to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Where.
    pub conversation: ConversationId,
    /// Which one.
    pub message: MessageId,
}

/// Which messages refer to a file.
///
/// # Guarantees
/// - A message counts only if its sender could read the file when it was sent: as its owner, or by a message that referred to
///   it before. Otherwise anybody who knows an id could let themselves in by writing it down.
/// - What was committed before the question counts.
#[async_trait]
pub trait FileReferences: Send + Sync {
    /// All messages that refer to a file, those that are deleted and can be restored included.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when that cannot be said.
    async fn of(&self, file: FileId) -> Result<Vec<Reference>, FileError>;

    /// Files that were stored before this moment may be referred to by messages that are not known any more, so that having
    /// no reference means nothing for them.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when that cannot be said.
    async fn known_since(&self) -> Result<Timestamp, FileError>;
}

/// References in memory, which somebody adds.
#[derive(Default)]
pub struct MemoryReferences(Mutex<HashMap<FileId, Vec<Reference>>>);

impl MemoryReferences {
    /// A message refers to a file from now on.
    pub fn add(&self, file: FileId, reference: Reference) {
        self.0.lock().entry(file).or_default().push(reference);
    }
}

#[async_trait]
impl FileReferences for MemoryReferences {
    async fn of(&self, file: FileId) -> Result<Vec<Reference>, FileError> {
        Ok(self.0.lock().get(&file).cloned().unwrap_or_default())
    }

    async fn known_since(&self) -> Result<Timestamp, FileError> {
        Ok(Timestamp::default())
    }
}
