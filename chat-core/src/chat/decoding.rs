//! Encodes and decodes bodies, with limits that count decoded bytes. A stored body may be a thousand times smaller than
//! its decoded text, so neither the number of messages nor their stored size limits a response.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Chat;
use super::hidden::may_be_hidden;
use crate::aspects::Annexes;
use crate::codec::{Blob, DecodeError, Encoding, Kind};
use crate::damage::WITHOUT_TABLES;
use crate::model::{Content, Message};
use crate::store::{StoreError, StoredMessage};

/// An accepted text can be decoded up to this size, even if the limits were lowered since.
pub(super) const MAX_DECODED_BYTES: usize = 256 << 20;
/// A stored body larger than this takes long to decode. Any compressed file may take long too.
const LONG_BYTES: usize = 64 << 10;
/// After this many decoded bytes the task yields to others.
const TURN_BYTES: usize = 64 << 10;

/// A long computation.
pub type Work = Box<dyn FnOnce() + Send>;

/// Where long computations run, so that they do not block a thread that serves other requests; see
/// [`Chat::with_background`]. By default they run on the calling thread.
#[derive(Clone, Default)]
pub(super) struct Background(Option<Arc<dyn Fn(Work) + Send + Sync>>);

impl Background {
    pub(super) fn new(run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(run)))
    }

    /// Runs `work` there. Returns `None` when it was dropped or has panicked.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(run) = &self.0 else { return Some(work()) };
        let (reply, answer) = oneshot::channel();
        run(Box::new(move || drop(reply.send(work()))));
        answer.await.ok()
    }
}

/// How many more decoded bytes a response may contain. The first message always has room.
pub(crate) struct Budget {
    left: usize,
    is_untouched: bool,
    since_turn: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: bytes, is_untouched: true, since_turn: 0 }
    }

    /// The maximum size of the next body; `None` when there is no room left.
    fn room(&self) -> Option<usize> {
        match self.is_untouched {
            true => Some(MAX_DECODED_BYTES),
            false => (self.left > 0).then_some(self.left),
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.is_untouched = false;
        self.left = self.left.saturating_sub(bytes);
        self.since_turn += bytes;
    }
}

impl Chat {
    /// Decodes a message, without its annexes. Returns `None` when the budget has no room for it; then no more than the
    /// rest of the budget was decoded.
    pub(crate) async fn decode_within(
        &self,
        stored: StoredMessage,
        budget: &mut Budget,
    ) -> Result<Option<Message>, StoreError> {
        // Includes the reason, so that an operator who forgot to load a compression table learns which one.
        let corrupt = |reason: &dyn fmt::Display| StoreError::Corrupt {
            what: "message body",
            id: format!("{}: {reason}", stored.id),
        };
        let Some(room) = budget.room() else { return Ok(None) };
        let text = match self.decode_body(&stored.body, stored.file_name.is_some(), room).await {
            Ok(text) => text,
            Err(DecodeError::TooLarge { .. }) if !budget.is_untouched => return Ok(None),
            Err(error @ DecodeError::UnknownTables { .. }) => {
                let id = format!("{}: {error}", stored.id);
                return Err(StoreError::Corrupt { what: WITHOUT_TABLES, id });
            }
            Err(error) => return Err(corrupt(&error)),
        };
        budget.spend(text.len());
        if budget.since_turn >= TURN_BYTES {
            budget.since_turn = 0;
            take_turns().await;
        }
        let text = String::from_utf8(text).map_err(|_| corrupt(&"it is not UTF-8"))?;
        let is_hidden = may_be_hidden(&stored);
        Ok(Some(Message {
            id: stored.id,
            conversation: stored.conversation,
            seq: stored.seq,
            sender: stored.sender,
            content: Content { text: text.into(), file_name: stored.file_name, image: stored.image },
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            deleted: stored.deleted,
            annexes: Annexes::default(),
            is_hidden,
        }))
    }

    /// Decodes a single message.
    pub(crate) async fn decode(&self, stored: StoredMessage) -> Result<Message, StoreError> {
        let id = stored.id;
        // The first message always has room.
        let decoded = self.decode_within(stored, &mut Budget::new(0)).await?;
        decoded.ok_or_else(|| StoreError::Corrupt { what: "message body", id: id.to_string() })
    }

    /// Encodes a text for storage, in the background if that may take long.
    pub(crate) async fn encode_body(&self, kind: Kind, text: &Arc<str>) -> Blob {
        if text.len() <= LONG_BYTES || self.background.0.is_none() {
            return self.codec.encode(kind, text.as_bytes());
        }
        let (codec, for_background) = (self.codec.clone(), text.clone());
        let encoded = self.background.run(move || codec.encode(kind, for_background.as_bytes())).await;
        // The background dropped the work, because the program ends.
        encoded.unwrap_or_else(|| self.codec.encode(kind, text.as_bytes()))
    }

    /// Decodes the bytes of a body, in the background if that may take long.
    pub(super) async fn decode_body(
        &self,
        body: &Blob,
        is_file: bool,
        limit: usize,
    ) -> Result<Vec<u8>, DecodeError> {
        let is_long = body.bytes.len() > LONG_BYTES || (is_file && body.encoding != Encoding::Stored);
        if !is_long || self.background.0.is_none() {
            return self.codec.decode(body.into(), limit);
        }
        let (codec, body) = (self.codec.clone(), body.clone());
        let decoded = self.background.run(move || codec.decode((&body).into(), limit)).await;
        decoded.unwrap_or(Err(DecodeError::Corrupt))
    }
}

/// Yields to other tasks of the same executor.
pub(super) async fn take_turns() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
