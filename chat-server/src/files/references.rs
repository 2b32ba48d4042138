//! The messages that refer to a file. They decide who may read the file, and whether it is kept.

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
    /// The conversation of the message.
    pub conversation: ConversationId,
    /// The message.
    pub message: MessageId,
}

/// Finds the messages that refer to a file.
///
/// # Guarantees
/// - A message counts only if its sender could read the file when it was sent: as its owner, or through an earlier
///   message that referred to it. Otherwise any user who knows an id could give themselves access by sending it.
/// - Every message that was committed before the call counts.
#[async_trait]
pub trait FileReferences: Send + Sync {
    /// All messages that refer to a file, including deleted ones that can be restored.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when the references are unknown at the moment.
    async fn of(&self, file: FileId) -> Result<Vec<Reference>, FileError>;

    /// Files that were stored before this time may be referred to by messages that are no longer known. For them, the
    /// absence of references means nothing.
    ///
    /// # Errors
    /// [`FileError::Unavailable`] when the time is unknown at the moment.
    async fn known_since(&self) -> Result<Timestamp, FileError>;
}

/// References in memory, which the caller adds.
#[derive(Default)]
pub struct MemoryReferences(Mutex<HashMap<FileId, Vec<Reference>>>);

impl MemoryReferences {
    /// Adds a message that refers to a file.
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
