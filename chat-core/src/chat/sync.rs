//! Reading on in the log, for clients that keep a copy of what they are told.

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

/// So many changes are read at once.
const AT_ONCE: usize = 64;

impl Chat {
    /// What happened after a position, as the same deliveries that [`Self::execute`] returned then, in order and
    /// at most `limit`, and fewer when their texts take more than [`Limits::answer_bytes`](crate::policy::Limits::answer_bytes), though never none because of
    /// that; none when some of it has been forgotten ([`ChangeLog::forget_before`]). What has meanwhile ceased to be (a
    /// user of a message that cannot be loaded) is an error where it is the first; otherwise what comes before it is answered.
    ///
    /// Another process may have made the changes: what was remembered here of the rooms and people they are about is
    /// looked up again, also for commands that come later. Until this has been called, commands go by what was so
    /// before.
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
                        // What comes before it is not lost with it.
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

    /// As [`Self::changes_after`], only what this person is told, and up to where that is all there is. What is for others
    /// is not even looked at, so this is cheap for somebody who was away for long; and of each person's changes of their
    /// profile only the last is told, since it shows what all of them have led to
    /// ([`ChangeLog::changes_for`](crate::store::ChangeLog::changes_for)).
    ///
    /// # Errors
    /// As [`Self::changes_after`]. Only a change that is the very next of the log is an error; otherwise what comes before
    /// it is answered.
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
                // What is in the way is asked for alone the next time.
                Err(error) if error.kind() != ErrorKind::Unavailable && at.0 - 1 > position.0 => {
                    return Ok(Some((deliveries, Position(at.0 - 1))));
                }
                Err(error) => return Err(error),
            };
            passed = at;
            // Somebody may have left since the list was made.
            if delivery.audience.includes(user) {
                deliveries.push(delivery);
            }
        }
        Ok(Some((deliveries, read_to)))
    }

    /// The epoch of the log. It is read once: whoever renews it stops the servers first, or is noticed; see
    /// [`Self::begin_epoch`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn epoch(&self) -> Result<Epoch, StoreError> {
        if let Some(known) = *self.epoch.lock() {
            return Ok(known);
        }
        let read = self.store.epoch().await?;
        // Another one may have begun meanwhile.
        Ok(*self.epoch.lock().get_or_insert(read))
    }

    /// The store has another log from now on, since somebody has put a backup in its place: forgets all that was remembered of
    /// the one before.
    pub fn begin_epoch(&self, epoch: Epoch) {
        *self.epoch.lock() = Some(epoch);
        self.directory.forget_all();
        self.newest.forget_all();
        self.unreadable.forget_all();
    }

    pub(crate) async fn read_changes(
        &self,
        user: UserId,
        command: ReadChanges,
    ) -> Result<Outcome<Changes>, Error> {
        self.read_log(user, command.since, command.limit).await.map(Outcome::reply_only)
    }

    /// What is told of the log after `since`.
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
                    // It will never be readable; those behind it must not wait for ever.
                    answer.next.0 += 1;
                    continue;
                }
            };
            if read_to == answer.next {
                // There is no room for the next one.
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
