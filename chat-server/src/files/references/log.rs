//! Finds references in the log of changes: a message refers to a file by its link (`/api/v1/files/ID`), in its text or
//! as its image.
//!
//! Sending a message does no work here. Each query first reads the log from the last position to its end, so that the
//! answer includes everything that was committed before. The references are stored in a folder, one small file for each
//! referenced file, because the log is truncated after a while. Every node does this for itself.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chat_core::change::Change;
use chat_core::clock::Timestamp;
use chat_core::codec::Codec;
use chat_core::id::UserId;
use chat_core::model::Position;
use chat_core::prelude::Chat;
use chat_core::store::{StoreError, StoredMessage};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::super::error::FileError;
use super::super::id::FileId;
use super::super::staging::blocking;
use super::super::store::FileStore;
use super::{FileReferences, Reference};

/// The beginning of a link to a file.
const LINK: &str = "/api/v1/files/";
/// The maximum number of files that one message can refer to. Further links do not count.
const MAX_PER_MESSAGE: usize = 32;
/// Longer texts are the content of files.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// The maximum number of changes that are read at once.
const MAX_CHANGES: usize = 256;

/// References that are found in the log.
pub struct LogReferences {
    dir: Arc<Path>,
    chat: Arc<Chat>,
    codec: Arc<dyn Codec>,
    files: Arc<dyn FileStore>,
    read: Mutex<Read>,
}

/// The state of reading the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    position: u64,
    /// See [`FileReferences::known_since`], in milliseconds.
    known_since: i64,
}

impl LogReferences {
    /// Opens the references, which are stored in this folder. `begin` is where the log is first read from: the position
    /// before the first file was stored, or 0 if it is unknown. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(
        dir: PathBuf,
        begin: Position,
        chat: Arc<Chat>,
        codec: Arc<dyn Codec>,
        files: Arc<dyn FileStore>,
    ) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let read = match fs::read(dir.join("read.json")) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let read = Read { position: begin.0, known_since: 0 };
                keep(&dir, read)?;
                read
            }
            Err(error) => return Err(error),
        };
        Ok(Self { dir: dir.into(), chat, codec, files, read: Mutex::new(read) })
    }

    /// Reads the log to its end.
    async fn catch_up(&self) -> Result<Read, FileError> {
        let mut read = self.read.lock().await;
        let store = self.chat.store();
        // A backup was restored, so the log continues differently.
        if store.last_position().await.map_err(unreadable)?.0 < read.position {
            read.position = 0;
        }
        let before = *read;
        loop {
            let changes = match store.changes_after(Position(read.position), MAX_CHANGES).await {
                Ok(Some(changes)) => changes,
                Ok(None) => {
                    read.position = store.log_begin().await.map_err(unreadable)?.0.max(read.position + 1);
                    read.known_since = self.chat.now().as_millis();
                    continue;
                }
                Err(error @ StoreError::Unavailable(_)) => return Err(unreadable(error)),
                Err(error) => {
                    chat_core::log_throttled!(warn, %error, "a change was passed over that may refer to a file");
                    read.position += 1;
                    read.known_since = self.chat.now().as_millis();
                    continue;
                }
            };
            let Some(last) = changes.last() else { break };
            let position = last.position.0;
            for logged in &changes {
                match &logged.change {
                    Change::MessageSent(message) | Change::MessageRestored(message) => {
                        self.note(message).await?;
                    }
                    Change::MessageChanged { message, what, .. } if what.is_of_content() => {
                        self.note(message).await?;
                    }
                    _ => {}
                }
            }
            read.position = position;
            tokio::task::yield_now().await;
        }
        if *read != before {
            let (dir, read) = (self.dir.clone(), *read);
            blocking(move || keep(&dir, read)).await?;
        }
        Ok(*read)
    }

    async fn note(&self, message: &StoredMessage) -> Result<(), FileError> {
        let reference = Reference { conversation: message.conversation, message: message.id };
        for file in self.files_of(message) {
            let known = self.kept(file).await?;
            if known.contains(&reference) || !self.may_pass_on(message.sender, file, &known).await? {
                continue;
            }
            let path = self.path(file);
            blocking(move || {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let mut kept = fs::File::options().create(true).append(true).open(path)?;
                kept.write_all(format!("{} {}\n", reference.conversation, reference.message).as_bytes())
            })
            .await?;
        }
        Ok(())
    }

    /// Whether the sender may refer to this file; see the guarantees of [`FileReferences`].
    async fn may_pass_on(
        &self,
        sender: UserId,
        file: FileId,
        known: &[Reference],
    ) -> Result<bool, FileError> {
        let Some(record) = self.files.record(file).await? else { return Ok(false) };
        if record.owner == sender {
            return Ok(true);
        }
        for reference in known {
            let conversation = self.chat.store().conversation(reference.conversation).await;
            if conversation.map_err(unreadable)?.is_some_and(|found| found.member(sender).is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn files_of(&self, message: &StoredMessage) -> Vec<FileId> {
        let text = match &message.file_name {
            // The text is the content of a file.
            Some(_) => Vec::new(),
            None => self.codec.decode((&message.body).into(), MAX_TEXT_BYTES).unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&text);
        let mut found = Vec::new();
        for part in [message.image.as_deref().unwrap_or_default(), &text] {
            for (at, link) in part.match_indices(LINK) {
                let id = part.get(at + link.len()..at + link.len() + 24).and_then(|id| id.parse().ok());
                if let Some(id) = id.filter(|id| !found.contains(id) && found.len() < MAX_PER_MESSAGE) {
                    found.push(id);
                }
            }
        }
        found
    }

    async fn kept(&self, file: FileId) -> Result<Vec<Reference>, FileError> {
        let path = self.path(file);
        let text = blocking(move || match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        });
        // A line that a crash has cut off is skipped. It is written again, because the log is read again from before
        // it.
        Ok(text.await?.lines().filter_map(parse).collect())
    }

    fn path(&self, file: FileId) -> PathBuf {
        self.dir.join(hex::encode([file.shard()])).join(file.to_string())
    }
}

fn keep(dir: &Path, read: Read) -> io::Result<()> {
    fs::write(dir.join("read.new"), serde_json::to_vec(&read)?)?;
    fs::rename(dir.join("read.new"), dir.join("read.json"))
}

fn parse(line: &str) -> Option<Reference> {
    let (conversation, message) = line.split_once(' ')?;
    Some(Reference { conversation: conversation.parse().ok()?, message: message.parse().ok()? })
}

fn unreadable(error: StoreError) -> FileError {
    FileError::caused("who refers to a file could not be read", error)
}

#[async_trait]
impl FileReferences for LogReferences {
    async fn of(&self, file: FileId) -> Result<Vec<Reference>, FileError> {
        self.catch_up().await?;
        self.kept(file).await
    }

    async fn known_since(&self) -> Result<Timestamp, FileError> {
        Ok(Timestamp::from_millis(self.catch_up().await?.known_since))
    }
}

#[cfg(test)]
mod tests;
