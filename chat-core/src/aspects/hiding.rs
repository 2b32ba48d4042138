//! Hiding: a person removes a message for themselves, on all their devices, and everybody else keeps it.
//!
//! Each hidden message of a person is a row of [`Table::Hidden`], by which it is left out wherever the person would be shown
//! it, and one of [`Table::HiddenBy`], by which the person's unread messages are counted. `chat/hidden.rs` reads both.

use crate::aspects::OfMessage;
use crate::change::{Change, Detail};
use crate::chat::{Chat, hidden};
use crate::clock::Timestamp;
use crate::command::Outcome;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{MessageView, Role, Seq};
use crate::policy::Refusal;
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;
use crate::store::{StoredMessage, Table};

/// Hides a message from the person who asks, or shows it to that person again. If it already is so, this succeeds and changes
/// nothing.
#[derive(Debug, Clone)]
pub struct HideMessage {
    /// The message.
    pub message: MessageId,
    /// Whether it is hidden afterwards.
    pub hidden: bool,
}

/// A person has hidden a message for themselves, or sees it again. Only that person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HidingChange {
    /// Whether it is hidden after the change.
    pub hidden: bool,
}

impl OfMessage for HidingChange {
    const IS_PERSONAL: bool = true;

    fn detail(&self) -> Option<Detail> {
        Detail::new(&[u8::from(self.hidden)])
    }

    fn from_detail(detail: &[u8]) -> Option<Self> {
        let [hidden] = detail else { return None };
        Some(Self { hidden: *hidden != 0 })
    }
}

/// Checks whether a person may hide a message: every member may, also a deleted one. `role` is the person's role at that
/// moment; none if the person is not a member.
///
/// # Errors
/// [`Refusal::MessageNotFound`] if the person is not a member.
pub fn may_hide(role: Option<Role>) -> Result<(), Refusal> {
    role.map(drop).ok_or(Refusal::MessageNotFound)
}

/// Hides a message from a person or shows it again, and logs [`HidingChange`]. The result has no position if nothing changed.
/// [`may_hide`] decides whether it is allowed, from the role at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hide {
    /// The message.
    pub message: MessageId,
    /// Its place. It never changes, so the caller that has looked the message up knows it.
    pub seq: Seq,
    /// Its conversation. Messages never move.
    pub conversation: ConversationId,
    /// The person.
    pub by: UserId,
    /// Whether the message is hidden afterwards.
    pub hidden: bool,
    /// The time of the change.
    pub at: Timestamp,
}

impl Hide {
    fn key(&self) -> Vec<u8> {
        hidden::key(self.message, self.by)
    }

    fn own_key(&self) -> Vec<u8> {
        hidden::own_key(self.by, self.conversation, self.seq)
    }
}

impl Effect for Hide {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
        reads.rows.insert((Table::Hidden, self.key()));
        reads.rows.insert((Table::HiddenBy, self.own_key()));
        reads.ranges.push((Table::Hidden, self.message.as_bytes().to_vec(), 2));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { message: id, seq, conversation, by, hidden, at } = *self;
        let is_it = |message: &StoredMessage| message.conversation == conversation && message.seq == seq;
        let Some(mut message) = tx.message(id)?.filter(is_it) else {
            return Ok(Err(Refusal::MessageNotFound));
        };
        if let Err(refusal) = may_hide(tx.role(conversation, by)?) {
            return Ok(Err(refusal));
        }
        if tx.row(Table::Hidden, &self.key())?.is_some() == hidden {
            return Ok(Ok((None, message)));
        }
        let others = tx.rows(Table::Hidden, id.as_bytes(), 2)?.iter().any(|row| row.key != self.key());
        if hidden {
            tx.put_row(Table::Hidden, &self.key(), &[])?;
            tx.put_row(Table::HiddenBy, &self.own_key(), id.as_bytes())?;
        } else {
            tx.delete_row(Table::Hidden, &self.key())?;
            tx.delete_row(Table::HiddenBy, &self.own_key())?;
        }
        let facets = message.facets.with(Table::Hidden, hidden || others);
        if facets != message.facets {
            message.facets = facets;
            tx.set_facets(&message)?;
        }
        let what = HidingChange { hidden }.into();
        let change = Change::MessageChanged { message: message.reference(), by, what };
        let position = tx.log(at, change)?;
        Ok(Ok((Some(position), message)))
    }
}

impl Chat {
    pub(crate) async fn hide_message(
        &self,
        actor: UserId,
        command: HideMessage,
    ) -> Result<Outcome<MessageView>, Error> {
        let HideMessage { message: id, hidden } = command;
        let (stored, conversation) = self.message_for(actor, id).await?;
        let (seq, at) = (stored.seq, self.now());
        let hide = Hide { message: id, seq, conversation: conversation.id, by: actor, hidden, at };
        let (position, stored) = self.change_message(actor, conversation.id, hide).await?;
        let view = self.view(stored, &conversation).await?;
        let change =
            Change::MessageChanged { message: view.clone(), by: actor, what: HidingChange { hidden }.into() };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: view, deliveries })
    }
}

#[cfg(test)]
mod tests;
