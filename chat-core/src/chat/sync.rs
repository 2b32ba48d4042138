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
        self.heard_of(changes.iter().map(|logged| &logged.change));
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
        self.heard_of(changes.iter().map(|logged| &logged.change));
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::Registration;
    use crate::command::{Actor, Destination, SendMessage, UpdateProfile};
    use crate::model::{Content, PasswordHash, UserKey};
    use crate::store::ChangeLog;

    async fn person(chat: &Chat, name: &str) -> UserId {
        let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
        chat.register(registration).await.unwrap().user.id
    }

    async fn say(chat: &Chat, from: UserId, to: UserId, text: &str) {
        let to = Destination::Person(UserKey::Id(to));
        let content = Content::text(text);
        let send = SendMessage { to, content, client_id: None, fingerprint: None };
        chat.execute(&Actor { user: from }, send).await.unwrap();
    }

    async fn sync(chat: &Chat, user: UserId, since: u64, limit: usize) -> Changes {
        let command = ReadChanges { since: Some(Position(since).into()), limit };
        chat.execute(&Actor { user }, command).await.unwrap().reply
    }

    /// The positions that somebody is told of, asking until there is no more, and how often they had to ask.
    async fn everything(chat: &Chat, user: UserId, limit: usize) -> (Vec<u64>, usize) {
        let (mut told, mut next, mut asked) = (Vec::new(), 0, 0);
        loop {
            let changes = sync(chat, user, next, limit).await;
            assert!(changes.deliveries.len() <= limit && !changes.reset);
            told.extend(changes.deliveries.iter().filter_map(|delivery| delivery.position).map(|at| at.0));
            asked += 1;
            if !changes.more {
                return (told, asked);
            }
            assert!(changes.next.0 > next, "every answer leads on");
            next = changes.next.0;
        }
    }

    #[tokio::test]
    async fn everything_is_told_once_in_parts_of_any_size() {
        let chat = Chat::in_memory();
        let [ann, bob, cid] =
            [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "cid").await];
        const ALL: u64 = 3_000;
        for n in 0..ALL {
            say(&chat, ann, if n % 100 == 7 { cid } else { bob }, "hello").await;
        }
        let all: Vec<u64> = (1..=ALL).collect();
        let cids: Vec<u64> = all.iter().copied().filter(|at| at % 100 == 8).collect();
        for limit in [1, 7, 64, 65, 5_000] {
            assert_eq!(everything(&chat, cid, limit).await.0, cids, "cid, {limit} at once");
            if limit > 1 {
                assert_eq!(everything(&chat, ann, limit).await.0, all, "ann, {limit} at once");
            }
        }
        assert_eq!(everything(&chat, cid, 5_000).await.1, 1, "what is for others is passed over at once");
    }

    #[tokio::test]
    async fn an_answer_is_bounded_in_bytes() {
        let limits = crate::policy::Limits::default();
        let chat = Chat::in_memory().with_limits(limits);
        let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
        let text: Arc<str> = "x".repeat(60_000).into();
        for _ in 0..300 {
            say(&chat, ann, bob, &text).await;
        }
        let first = sync(&chat, bob, 0, 1_000).await;
        assert!(first.more);
        assert_eq!(first.deliveries.len(), limits.answer_bytes / text.len());
        assert_eq!(everything(&chat, bob, 1_000).await.0.len(), 300);
    }

    #[tokio::test]
    async fn of_many_changes_of_a_profile_the_last_is_told() {
        let chat = Chat::in_memory();
        let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
        say(&chat, ann, bob, "hello").await;
        for n in 0..500 {
            let patch = crate::model::ProfilePatch { full_name: Some(format!("Ann {n}")), picture: None };
            chat.execute(&Actor { user: ann }, UpdateProfile { patch }).await.unwrap();
        }
        say(&chat, ann, bob, "and").await;
        assert_eq!(everything(&chat, bob, 1_000).await, (vec![1, 501, 502], 1));
    }

    #[tokio::test]
    async fn what_was_told_before_a_backup_was_put_back_is_a_reset() {
        let store = Arc::new(crate::store::MemoryStore::new());
        let chat = Chat::new(store.clone());
        let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
        for _ in 0..3 {
            say(&chat, ann, bob, "hello").await;
        }
        assert!(!sync(&chat, ann, 2, 10).await.reset);
        store.renew_epoch().await.unwrap();
        // As after a restart.
        let chat = Chat::new(store);
        let fresh = sync(&chat, ann, 2, 10).await;
        assert!(fresh.reset && fresh.deliveries.is_empty() && fresh.next == Position(3));
        let since = Some(fresh.epoch.unwrap().at(Position(2)));
        let command = ReadChanges { since, limit: 10 };
        let changes = chat.execute(&Actor { user: ann }, command).await.unwrap().reply;
        assert_eq!((changes.reset, changes.deliveries.len(), changes.next), (false, 1, Position(3)));
    }

    #[tokio::test]
    async fn what_is_not_known_is_a_reset() {
        let chat = Chat::in_memory();
        let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
        for _ in 0..3 {
            say(&chat, ann, bob, "hello").await;
        }
        let future = sync(&chat, ann, 4, 10).await;
        assert!(future.reset && future.next == Position(3) && !future.more && future.deliveries.is_empty());
        chat.store().forget_before(crate::clock::Timestamp::from_millis(i64::MAX)).await.unwrap();
        assert!(sync(&chat, ann, 1, 10).await.reset);
        assert!(!sync(&chat, ann, 2, 10).await.reset);
    }
}
