//! Receipts: who has received and who has read a message.
//!
//! Nothing is stored per message. A member has read a message if the member's read mark is at it or farther. A user has
//! received a message if its position in the log is at most the user's *delivered position*: the position up to which
//! everything in the log that concerns the user has arrived on one of the user's devices. This is one number per user,
//! whatever the number and size of the conversations. What a user missed before a device connected afresh counts as
//! received with the next event, because the device loads it by itself.
//!
//! Delivered positions change all the time, so they are kept in memory and written together, now and then. If the
//! process is killed, the last of them are lost, and the messages count as received a little later.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::Chat;
use crate::command::{Arrival, MAX_MEMBERS_AT_ONCE, Outcome, ReadReceipts, ReceiptPage};
use crate::error::Error;
use crate::id::UserId;
use crate::model::Position;
use crate::store::{StoreError, Table, delivered_in};

/// The maximum number of positions in one write.
const WRITTEN_AT_ONCE: usize = 500;

/// The delivered positions that are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Delivered(Mutex<HashMap<UserId, Position>>);

impl Delivered {
    fn note(&self, user: UserId, position: Position) {
        let mut pending = self.0.lock();
        let known = pending.entry(user).or_default();
        *known = position.max(*known);
    }

    fn get(&self, user: UserId) -> Position {
        self.0.lock().get(&user).copied().unwrap_or_default()
    }

    pub(super) fn forget_all(&self) {
        self.0.lock().clear();
    }

    fn take(&self) -> Vec<(UserId, Position)> {
        let mut pending = self.0.lock();
        let users: Vec<_> = pending.keys().take(WRITTEN_AT_ONCE).copied().collect();
        users.iter().filter_map(|user| pending.remove_entry(user)).collect()
    }
}

impl Chat {
    /// Records that everything in the log up to `position` that concerns `user` has arrived on one of the user's
    /// devices. It is kept in memory until [`Self::store_delivered`] is called.
    pub fn note_delivered(&self, user: UserId, position: Position) {
        self.delivered.note(user, position);
    }

    /// Stores the positions of [`Self::note_delivered`]. Positions that could not be stored are kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn store_delivered(&self) -> Result<(), StoreError> {
        loop {
            let some = self.delivered.take();
            if some.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.store.note_delivered(some.clone()).await {
                some.into_iter().for_each(|(user, position)| self.delivered.note(user, position));
                return Err(error);
            }
        }
    }

    pub(crate) async fn read_receipts(
        &self,
        actor: UserId,
        command: ReadReceipts,
    ) -> Result<Outcome<ReceiptPage>, Error> {
        let ReadReceipts { message: id, after, limit } = command;
        let (message, conversation) = self.message_for(actor, id).await?;
        let sent = self.store.sent_at(id).await?.filter(|_| message.deleted.is_none());
        let sent = sent.ok_or(Error::MessageNotFound)?;
        let limit = limit.min(MAX_MEMBERS_AT_ONCE);
        let mut members = self.store.marks(conversation.id, after, limit.saturating_add(1)).await?;
        let has_more = members.len() > limit;
        members.truncate(limit);
        let next = members.last().map(|(order, ..)| *order).filter(|_| has_more);
        members
            .retain(|(_, member, _)| member.user != message.sender && member.joined_at <= message.created_at);
        let keys: Vec<_> = members.iter().map(|(_, member, _)| member.user.as_bytes().to_vec()).collect();
        let delivered = self.store.values(Table::Delivered, &keys).await?;
        let cut_off = self.cut_off(actor).await?;
        let receipt = |((_, member, read), delivered): ((_, crate::model::Member, _), Option<Vec<u8>>)| {
            let delivered = delivered.as_deref().and_then(delivered_in).unwrap_or_default();
            let arrival = match () {
                () if cut_off.contains(&member.user) => Arrival::Sent,
                () if read >= message.seq => Arrival::Read,
                () if delivered.max(self.delivered.get(member.user)) >= sent => Arrival::Delivered,
                () => Arrival::Sent,
            };
            (member.user, arrival)
        };
        let receipts = members.into_iter().zip(delivered).map(receipt).collect();
        Ok(Outcome::reply_only(ReceiptPage { message: id, receipts, next }))
    }
}

#[cfg(test)]
mod tests;
