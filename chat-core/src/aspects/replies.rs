//! Replies: what a message answers, and what clients see of that.
//!
//! A message stores the id of the message that it answers, and no text of it. The text is read when the answer is shown. So
//! a client never sees what the other message said before it was edited or deleted.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::context::Notes;
use crate::chat::{Budget, Chat};
use crate::damage;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Message, Seq};
use crate::store::{Row, StoredMessage, Table};

/// The maximum number of characters of a [`Quote`]'s text.
pub const MAX_QUOTED: usize = 200;
/// The number of messages that are read at once.
const READ: usize = 64;

/// The message that another message answers, in its current state.
#[derive(Clone, PartialEq, Eq)]
pub struct Quote {
    /// Its id.
    pub message: MessageId,
    /// Its place in the conversation.
    pub seq: Seq,
    /// Its sender.
    pub sender: UserId,
    /// The beginning of its text, at most [`MAX_QUOTED`] characters. None if the message is deleted, if it is a text file,
    /// and for the last messages of a page whose quoted texts have more than
    /// [`Limits::answer_bytes`](crate::policy::Limits::answer_bytes) in total.
    pub text: Option<Arc<str>>,
    /// The name of the file, if it is a text file that is not deleted.
    pub file_name: Option<String>,
    /// Whether it has an image and is not deleted.
    pub has_image: bool,
    /// Whether it is deleted, or cannot be read.
    pub deleted: bool,
}

// Texts of messages never reach a log.
impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.text.as_ref().map(|text| text.len());
        f.debug_struct("Quote")
            .field("message", &self.message)
            .field("text_bytes", &bytes)
            .field("deleted", &self.deleted)
            .finish()
    }
}

impl Quote {
    /// The quote of a message in this state.
    pub fn of(message: &Message) -> Self {
        if message.deleted.is_some() {
            return Self::deleted(message.id, message.seq, message.sender);
        }
        let content = &message.content;
        let text = content.file_name.is_none().then(|| beginning(&content.text));
        Self {
            message: message.id,
            seq: message.seq,
            sender: message.sender,
            text,
            file_name: content.file_name.clone(),
            has_image: content.image.is_some(),
            deleted: false,
        }
    }

    /// The same quote after the deletion of the message.
    pub fn into_deleted(self) -> Self {
        Self::deleted(self.message, self.seq, self.sender)
    }

    fn deleted(message: MessageId, seq: Seq, sender: UserId) -> Self {
        Self { message, seq, sender, text: None, file_name: None, has_image: false, deleted: true }
    }
}

fn beginning(text: &Arc<str>) -> Arc<str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => text[..end].into(),
        None => text.clone(),
    }
}

/// The identity of an answered message, which never changes: the value of a row of [`Table::Replies`].
#[derive(Clone, Copy)]
struct Answered {
    id: MessageId,
    seq: Seq,
    sender: UserId,
}

impl Answered {
    fn of(message: &StoredMessage) -> Self {
        Self { id: message.id, seq: message.seq, sender: message.sender }
    }

    fn to_value(self) -> Vec<u8> {
        [&self.id.as_bytes()[..], self.sender.as_bytes(), &self.seq.0.to_be_bytes()].concat()
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_first_chunk()?;
        let (sender, seq) = rest.split_first_chunk()?;
        let seq = Seq(u32::from_be_bytes(seq.try_into().ok()?));
        Some(Self { id: MessageId::from_bytes(*id), seq, sender: UserId::from_bytes(*sender) })
    }
}

/// The quote of what each of these messages answers.
pub(crate) async fn of_all(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Option<Quote>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows = chat.store.rows_of(Table::Replies, &prefixes, 1).await?;
    let answered = |rows: &Vec<Row>| Answered::from_value(&rows.first()?.value);
    let answered: Vec<Option<Answered>> = rows.iter().map(answered).collect();
    let mut ids: Vec<_> = answered.iter().flatten().map(|answered| answered.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut quotes = HashMap::with_capacity(ids.len());
    let mut budget = Budget::new(chat.limits().answer_bytes);
    for ids in ids.chunks(READ) {
        for stored in chat.store.messages(ids).await? {
            quotes.insert(stored.id, chat.quote(stored, &mut budget).await?);
        }
    }
    let quote = |answered: Answered| {
        // A message that cannot be read is shown like a deleted one.
        let deleted = || Quote::deleted(answered.id, answered.seq, answered.sender);
        quotes.get(&answered.id).cloned().unwrap_or_else(deleted)
    };
    Ok(answered.into_iter().map(|answered| answered.map(quote)).collect())
}

impl Chat {
    /// Adds to a new message that it answers another one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is no message of this conversation. It may be deleted, so that a client can repeat a send
    /// at any time.
    pub(crate) async fn note_reply(
        &self,
        id: MessageId,
        conversation: ConversationId,
        to: MessageId,
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let stored = self.store.message(to).await?.filter(|stored| stored.conversation == conversation);
        let unknown = Error::Invalid { field: "reply_to", problem: "is no message of this conversation" };
        let stored = stored.ok_or(unknown)?;
        let value = Answered::of(&stored).to_value();
        notes.rows.push((Table::Replies, Row { key: id.as_bytes().to_vec(), value }));
        let quote = self.quote(stored, &mut Budget::new(self.limits().answer_bytes)).await?;
        notes.annexes.reply_to = Some(quote);
        Ok(())
    }

    /// The quote of a message. Its text is missing if the budget has no room for it.
    async fn quote(&self, stored: StoredMessage, budget: &mut Budget) -> Result<Quote, Error> {
        let answered = Answered::of(&stored);
        let (is_file, has_image) = (stored.file_name.is_some(), stored.image.is_some());
        if stored.deleted.is_some() {
            return Ok(Quote::deleted(answered.id, answered.seq, answered.sender));
        }
        let Answered { id, seq, sender } = answered;
        let cut = Quote {
            message: id,
            seq,
            sender,
            text: None,
            file_name: stored.file_name.clone(),
            has_image,
            deleted: false,
        };
        if is_file {
            return Ok(cut);
        }
        let decoded = self.decode_within(stored, budget).await.map_err(Error::from);
        Ok(match damage::sound(&*self.store, decoded, "messages", &id)? {
            Some(Some(message)) => Quote::of(&message),
            Some(None) => cut,
            None => Quote::deleted(id, seq, sender),
        })
    }
}

#[cfg(test)]
mod tests;
