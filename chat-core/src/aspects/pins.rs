//! Pins: messages that a conversation keeps at hand for all its members.
//!
//! A pinned message has a row of [`Table::Pins`], by which the conversation lists it, and one of [`Table::Pinned`], by which
//! the message shows it. Both say who has pinned it and when, and change in one transaction.

use crate::aspects::OfMessage;
use crate::change::{Change, Detail};
use crate::chat::{Budget, Chat};
use crate::clock::Timestamp;
use crate::command::{Destination, History, Outcome};
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{ConversationKind, MessageView, Position, Role, Tombstone};
use crate::policy::room::{self, Act};
use crate::policy::{self, Refusal};
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;
use crate::store::{Row, Table};

/// The maximum number of pinned messages in a conversation. Deleted ones count until they are unpinned.
pub const MAX_PINS: usize = 50;

/// Pins a message for all members of its conversation, or unpins it. If it already is so, this succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct PinMessage {
    /// The message.
    pub message: MessageId,
    /// Whether it is pinned afterwards.
    pub pinned: bool,
}

/// Lists the pinned messages of a conversation, the one that was pinned last first. Those that this person has hidden are left
/// out. There may be more ([`History::has_more`]) when their texts are long; the others are then those that were pinned first.
#[derive(Debug, Clone)]
pub struct ListPins {
    /// The conversation. For a direct conversation that does not exist yet the answer is empty.
    pub of: Destination,
}

/// Who has pinned a message, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// The person.
    pub by: UserId,
    /// The time.
    pub at: Timestamp,
}

/// A message was pinned or unpinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinChange {
    /// Whether it is pinned after the change.
    pub pinned: bool,
}

impl OfMessage for PinChange {
    fn detail(&self) -> Option<Detail> {
        Detail::new(&[u8::from(self.pinned)])
    }

    fn from_detail(detail: &[u8]) -> Option<Self> {
        let [pinned] = detail else { return None };
        Some(Self { pinned: *pinned != 0 })
    }
}

/// Checks whether a person may pin a message or unpin it: in a room those whose role allows it ([`Act::Pin`]), in a direct
/// conversation both. A deleted message can only be unpinned. `role` is the person's role at that moment; none if the person is
/// not a member.
///
/// # Errors
/// [`Refusal::MessageNotFound`] if the person is not a member, else [`Refusal::Forbidden`].
pub fn may_pin(
    kind: &ConversationKind,
    role: Option<Role>,
    pinned: bool,
    deleted: Option<Tombstone>,
) -> Result<(), Refusal> {
    role.ok_or(Refusal::MessageNotFound)?;
    if matches!(kind, ConversationKind::Room(_)) {
        room::may(Act::Pin, role)?;
    }
    match deleted {
        Some(_) if pinned => Err(Refusal::Forbidden("You cannot pin a deleted message")),
        _ => Ok(()),
    }
}

/// Pins a message or unpins it, and logs [`PinChange`]. [`may_pin`] decides whether it is allowed, from the message and the role
/// at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The message.
    pub message: MessageId,
    /// Its conversation. Messages never move, so the caller that has looked the message up knows it.
    pub conversation: ConversationId,
    /// The person.
    pub by: UserId,
    /// Whether the message is pinned afterwards.
    pub pinned: bool,
    /// The time of the change.
    pub at: Timestamp,
}

/// The result of [`Pin`]: the position of the change in the log, none if nothing changed, and who has pinned the message then.
pub type PinDone = (Option<Position>, Option<Pinned>);

impl Pin {
    fn key(&self) -> Vec<u8> {
        [self.conversation.as_bytes(), &self.message.as_bytes()[..]].concat()
    }
}

impl Effect for Pin {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.rooms.insert(self.conversation);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
        reads.rows.insert((Table::Pins, self.key()));
        reads.rows.insert((Table::Pinned, self.message.as_bytes().to_vec()));
        reads.ranges.push((Table::Pins, self.conversation.as_bytes().to_vec(), MAX_PINS));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { message: id, conversation, by, pinned, at } = *self;
        let message = tx.message(id)?.filter(|message| message.conversation == conversation);
        let (Some(mut message), Some(kind)) = (message, tx.kind(conversation)?) else {
            return Ok(Err(Refusal::MessageNotFound));
        };
        if let Err(refusal) = may_pin(&kind, tx.role(conversation, by)?, pinned, message.deleted) {
            return Ok(Err(refusal));
        }
        let before = tx.row(Table::Pins, &self.key())?;
        if before.is_some() == pinned {
            return Ok(Ok((None, before.as_deref().and_then(Pinned::from_value))));
        }
        if pinned {
            if let Err(refusal) = policy::may_be_heard(by, &tx.blockers(conversation)?) {
                return Ok(Err(refusal));
            }
            if tx.rows(Table::Pins, conversation.as_bytes(), MAX_PINS)?.len() >= MAX_PINS {
                return Ok(Err(Refusal::Forbidden("A conversation has at most 50 pinned messages")));
            }
        }
        let now = pinned.then_some(Pinned { by, at });
        match now.map(Pinned::to_value) {
            Some(value) => {
                tx.put_row(Table::Pins, &self.key(), &value)?;
                tx.put_row(Table::Pinned, id.as_bytes(), &value)?;
            }
            None => {
                tx.delete_row(Table::Pins, &self.key())?;
                tx.delete_row(Table::Pinned, id.as_bytes())?;
            }
        }
        message.facets = message.facets.with(Table::Pinned, pinned);
        tx.set_facets(&message)?;
        let what = PinChange { pinned }.into();
        let change = Change::MessageChanged { message: message.reference(), by, what };
        let position = tx.log(at, change)?;
        Ok(Ok((Some(position), now)))
    }
}

impl Pinned {
    fn to_value(self) -> Vec<u8> {
        [&self.by.as_bytes()[..], &self.at.as_millis().to_be_bytes()].concat()
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let (by, at) = value.split_first_chunk()?;
        let at = Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?));
        Some(Self { by: UserId::from_bytes(*by), at })
    }
}

/// Who has pinned each of these messages.
pub(crate) async fn of_all(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Option<Pinned>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows = chat.store.rows_of(Table::Pinned, &prefixes, 1).await?;
    Ok(rows.iter().map(|rows| Pinned::from_value(&rows.first()?.value)).collect())
}

/// The message of a row of [`Table::Pins`], and when it was pinned.
fn of_row(row: &Row) -> Option<(MessageId, Timestamp)> {
    let message = MessageId::from_bytes(row.key.get(12..)?.try_into().ok()?);
    Some((message, Pinned::from_value(&row.value)?.at))
}

impl Chat {
    pub(crate) async fn pin_message(
        &self,
        actor: UserId,
        command: PinMessage,
    ) -> Result<Outcome<MessageView>, Error> {
        let PinMessage { message: id, pinned } = command;
        let (stored, conversation) = self.message_for(actor, id).await?;
        let mut view = self.view(stored, &conversation).await?;
        let pin = Pin { message: id, conversation: conversation.id, by: actor, pinned, at: self.now() };
        let (position, now) = self.change_message(actor, conversation.id, pin).await?;
        view.message.annexes.pinned = now.filter(|_| view.message.deleted.is_none());
        let change =
            Change::MessageChanged { message: view.clone(), by: actor, what: PinChange { pinned }.into() };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: view, deliveries })
    }

    pub(crate) async fn list_pins(
        &self,
        actor: UserId,
        command: ListPins,
    ) -> Result<Outcome<History>, Error> {
        let mut history = History::default();
        let Some(conversation) = self.find(actor, &command.of).await? else {
            return Ok(Outcome::reply_only(history));
        };
        policy::must_be_member(actor, &conversation)?;
        let rows = self.store.rows(Table::Pins, conversation.id.as_bytes(), None, MAX_PINS).await?;
        let mut pins: Vec<_> = rows.iter().filter_map(of_row).collect();
        pins.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        let ids: Vec<_> = pins.into_iter().map(|(id, _)| id).collect();
        let mut messages = self.store.messages(&ids).await?;
        messages.sort_by_key(|message| ids.iter().position(|id| *id == message.id));
        let hidden = self.hidden_from(actor, &messages).await?;
        let mut budget = Budget::new(self.limits().answer_bytes);
        for stored in messages {
            let id = stored.id;
            if hidden.contains(&id) {
                continue;
            }
            let view = self.view_within(stored, &conversation, &mut budget).await;
            match damage::sound(&*self.store, view, "messages", &id)? {
                Some(Some(view)) => history.messages.push(view),
                Some(None) => {
                    history.has_more = true;
                    break;
                }
                None => {}
            }
        }
        Ok(Outcome::reply_only(history))
    }
}

#[cfg(test)]
mod tests;
