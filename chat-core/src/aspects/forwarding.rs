//! Forwarding: a copy of a message, in the name of the person who forwards it.
//!
//! The copy has the content of the message at that moment, and says that it is a copy. It does not say of what: those who read
//! it may have no right to know where and by whom that was said. A facet says so, and its row of [`Table::Forwarded`] is empty.

use super::context::Notes;
use crate::chat::Chat;
use crate::codec::Blob;
use crate::error::Error;
use crate::id::{MessageId, UserId};
use crate::model::Content;
use crate::store::{Row, Table};

/// Whether each of these messages is a copy: those that are asked about are.
pub(crate) async fn of_all(_: &Chat, messages: &[MessageId]) -> Result<Vec<bool>, Error> {
    Ok(vec![true; messages.len()])
}

/// Adds to a new message that it is a copy.
pub(crate) fn note(id: MessageId, notes: &mut Notes) {
    notes.rows.push((Table::Forwarded, Row { key: id.as_bytes().to_vec(), value: Vec::new() }));
    notes.annexes.forwarded = true;
}

impl Chat {
    /// The content of a message that a person forwards, and how it is stored: what the person can read.
    ///
    /// # Errors
    /// [`Error::MessageNotFound`] for those who are not in its conversation, [`Error::Forbidden`] if it is deleted.
    pub(crate) async fn forwarded(&self, actor: UserId, id: MessageId) -> Result<(Content, Blob), Error> {
        let (stored, _) = self.message_for(actor, id).await?;
        if stored.deleted.is_some() {
            return Err(Error::Forbidden("You cannot forward a deleted message"));
        }
        let body = stored.body.clone();
        Ok((self.decode(stored).await?.content, body))
    }
}

#[cfg(test)]
mod tests;
