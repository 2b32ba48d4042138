//! Reading the log from a position on, for clients that keep a copy of what they have received.

use super::Chat;
use super::decoding::Budget;
use crate::command::{Changes, Outcome, ReadChanges};
use crate::damage;
use crate::delivery::AtHand;
use crate::epoch::{Epoch, LogPosition};
use crate::error::{Error, ErrorKind};
use crate::event::Delivery;
use crate::id::UserId;
use crate::model::Position;
use crate::store::{LoggedChange, PersonalChanges, StoreError};

/// The number of changes that are read at once.
const AT_ONCE: usize = 64;

impl Chat {
    /// Reads what happened after `position`, as the same deliveries that [`Self::execute`] returned then, in log order.
    ///
    /// Returns at most `limit` deliveries. Returns fewer when their texts exceed
    /// [`Limits::answer_bytes`](crate::policy::Limits::answer_bytes), but at least one. Returns `None` when some of the
    /// changes have been forgotten ([`ChangeLog::forget_before`]). A change whose data no longer exists (for example
    /// the sender of a message cannot be loaded) is an error only where it comes first; otherwise the deliveries before
    /// it are returned.
    ///
    /// Another process may have made the changes. So the cached rooms and people that they concern are loaded again,
    /// also for later commands. Until this method is called, commands use the cached state.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// [`ChangeLog::forget_before`]: crate::store::ChangeLog::forget_before
    pub async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<Delivery>>, Error> {
        let Some(changes) = self.store.changes_after(position, limit).await? else { return Ok(None) };
        self.heard_of(&changes).await;
        let mut deliveries = Vec::with_capacity(changes.len());
        let mut budget = Budget::new(self.limits.answer_bytes);
        for LoggedChange { position, change } in changes {
            match self.delivery(position, change, AtHand::default(), &mut budget).await {
                Ok(Some(delivery)) => deliveries.push(delivery),
                Ok(None) => break,
                Err(error) => {
                    if damage::is_damage(&error) {
                        damage::report(&self.store.place(), "log", &position.0, &error);
                        // The deliveries before it are not lost with it.
                        if !deliveries.is_empty() {
                            break;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(Some(deliveries))
    }

    /// Like [`Self::changes_after`], but only with the deliveries for `user`; also returns the position up to which
    /// they are complete. Changes for other people are not read, so this is cheap for a client that was away for a long
    /// time. Of several profile changes of one person only the last is delivered, because it shows their combined
    /// result ([`ChangeLog::changes_for`](crate::store::ChangeLog::changes_for)).
    ///
    /// # Errors
    /// As [`Self::changes_after`]. Only a change that directly follows `position` in the log is an error; otherwise the
    /// deliveries before it are returned.
    pub async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<(Vec<Delivery>, Position)>, Error> {
        self.changes_within(user, position, limit, &mut Budget::new(self.limits.answer_bytes)).await
    }

    async fn changes_within(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
        budget: &mut Budget,
    ) -> Result<Option<(Vec<Delivery>, Position)>, Error> {
        let Some(mine) = self.store.changes_for(user, position, limit).await? else { return Ok(None) };
        let PersonalChanges { changes, read_to } = mine;
        self.heard_of(&changes).await;
        let (mut deliveries, mut passed) = (Vec::with_capacity(changes.len()), position);
        for LoggedChange { position: at, change } in changes {
            let delivery = self.delivery(at, change, AtHand::default(), budget).await.inspect_err(|error| {
                if damage::is_damage(error) {
                    damage::report(&self.store.place(), "log", &at.0, error);
                }
            });
            let delivery = match delivery {
                Ok(Some(delivery)) => delivery,
                Ok(None) => return Ok(Some((deliveries, passed))),
                // The next call asks for the failing change alone.
                Err(error) if error.kind() != ErrorKind::Unavailable && at.0 - 1 > position.0 => {
                    return Ok(Some((deliveries, Position(at.0 - 1))));
                }
                Err(error) => return Err(error),
            };
            passed = at;
            // The user may have left the room since the list was made.
            if delivery.audience.includes(user) {
                deliveries.push(delivery);
            }
        }
        Ok(Some((deliveries, read_to)))
    }

    /// The epoch of the log. It is read once and cached: an operator who renews it stops the servers first, and
    /// otherwise the server detects the new epoch; see [`Self::begin_epoch`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn epoch(&self) -> Result<Epoch, StoreError> {
        if let Some(known) = *self.epoch.lock() {
            return Ok(known);
        }
        let read = self.store.epoch().await?;
        // Another epoch may have begun meanwhile.
        Ok(*self.epoch.lock().get_or_insert(read))
    }

    /// Switches to another log of the store, for example after a backup was restored. Clears all caches, because they
    /// belong to the old log.
    pub fn begin_epoch(&self, epoch: Epoch) {
        *self.epoch.lock() = Some(epoch);
        self.directory.forget_all();
        self.newest.forget_all();
        self.unreadable.forget_all();
        self.delivered.forget_all();
    }

    pub(crate) async fn read_changes(
        &self,
        user: UserId,
        command: ReadChanges,
    ) -> Result<Outcome<Changes>, Error> {
        self.read_log(user, command.since, command.limit).await.map(Outcome::reply_only)
    }

    /// Reads what `user` receives of the log after `since`.
    async fn read_log(
        &self,
        user: UserId,
        since: Option<LogPosition>,
        limit: usize,
    ) -> Result<Changes, Error> {
        let epoch = self.epoch().await?;
        let last = self.store.last_position().await?;
        let all = Changes { epoch: Some(epoch), ..Changes::default() };
        let reset = Changes { next: last, reset: true, ..all.clone() };
        let since = since.and_then(|since| epoch.own(since));
        let Some(since) = since.filter(|since| *since <= last) else { return Ok(reset) };
        let mut answer = Changes { next: since, ..all };
        let mut budget = Budget::new(self.limits.answer_bytes);
        while answer.next < last && answer.deliveries.len() < limit {
            let wanted = AT_ONCE.min(limit - answer.deliveries.len());
            let (mine, read_to) = match self.changes_within(user, answer.next, wanted, &mut budget).await {
                Ok(Some(read)) => read,
                Ok(None) => return Ok(reset),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(_) => {
                    // The change will never be readable, and it must not block the changes after it.
                    answer.next.0 += 1;
                    continue;
                }
            };
            if read_to == answer.next {
                // The budget has no room for the next change.
                break;
            }
            answer.deliveries.extend(mine);
            answer.next = read_to;
        }
        answer.more = answer.next < last;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
