//! Reading on in the log, for clients that keep a copy of what they are told.

use super::Chat;
use crate::command::Changes;
use crate::error::{Error, ErrorKind};
use crate::event::{Delivery, Event};
use crate::id::{ConversationId, UserId};
use crate::model::Position;
use crate::store::{Change, LoggedChange};

/// So many changes are read at once.
const AT_ONCE: usize = 64;
/// After so many the answer is given, also if nothing was found: whoever asks then asks again.
const MOST: u64 = 1_000;
/// When texts take more bytes than this, the answer ends; one change always has room.
const MOST_BYTES: usize = 8 << 20;

impl Chat {
    /// As [`Self::changes_after`], only what this person is told, and up to where that was looked for (at most `limit`
    /// changes of the log, for whomever they are). For one person alone this is cheaper: what is for others is not even decoded.
    ///
    /// # Errors
    /// As [`Self::changes_after`].
    pub async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<(Vec<Delivery>, Position)>, Error> {
        let Some(changes) = self.store.changes_after(position, limit).await? else { return Ok(None) };
        changes.iter().for_each(|logged| self.directory.forget_changed(&logged.change));
        let (mut deliveries, mut read_to) = (Vec::new(), position);
        for LoggedChange { position, change } in changes {
            read_to = position;
            if let Some(conversation) = for_members_of(&change)
                && self.directory.conversation(conversation).await?.member(user).is_none()
            {
                continue;
            }
            let delivery = self.delivery(position, change).await?;
            if delivery.audience.includes(user) {
                deliveries.push(delivery);
            }
        }
        Ok(Some((deliveries, read_to)))
    }

    /// What is told of the log after `since`: see [`Command::Sync`](crate::command::Command::Sync).
    pub(super) async fn sync(
        &self,
        user: UserId,
        since: Option<Position>,
        limit: usize,
    ) -> Result<Changes, Error> {
        let last = self.store.last_position().await?;
        let reset = Changes { next: last, reset: true, ..Changes::default() };
        let Some(since) = since.filter(|since| *since <= last) else { return Ok(reset) };
        let mut answer = Changes { next: since, ..Changes::default() };
        let mut bytes = 0;
        // How many more changes are read one at a time, so that it is known which one cannot be read.
        let mut singly = 0;
        while answer.next < last && answer.next.0 - since.0 < MOST && answer.deliveries.len() < limit {
            // Few when few are wanted: what is read and not answered is read again the next time.
            let wanted = if singly > 0 { 1 } else { AT_ONCE.min((limit - answer.deliveries.len()).max(8)) };
            let (mine, read_to) = match self.changes_for(user, answer.next, wanted).await {
                Ok(Some(read)) => read,
                Ok(None) => return Ok(reset),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(_) if singly > 0 => {
                    // It will never be readable; those behind it must not wait for ever.
                    answer.next.0 += 1;
                    singly -= 1;
                    continue;
                }
                Err(_) => {
                    singly = AT_ONCE;
                    continue;
                }
            };
            if read_to == answer.next {
                break;
            }
            singly = singly.saturating_sub(1);
            let mut is_full = false;
            for delivery in mine {
                is_full = answer.deliveries.len() == limit || bytes > MOST_BYTES;
                if is_full {
                    break;
                }
                bytes += weight(&delivery);
                answer.next = delivery.position.unwrap_or(answer.next);
                answer.deliveries.push(delivery);
            }
            if is_full {
                break;
            }
            answer.next = read_to;
        }
        answer.more = answer.next < last;
        Ok(answer)
    }
}

/// The conversation whose members alone are told of a change.
fn for_members_of(change: &Change) -> Option<ConversationId> {
    match change {
        Change::MessageSent(stored) | Change::MessageDeleted(stored) | Change::MessageRestored(stored) => {
            Some(stored.conversation)
        }
        Change::ReadMarked { conversation, .. } => Some(*conversation),
        Change::RoomCreated { .. }
        | Change::MemberAdded { .. }
        | Change::MemberRemoved { .. }
        | Change::RoleChanged { .. }
        | Change::ProfileUpdated { .. } => None,
    }
}

fn weight(delivery: &Delivery) -> usize {
    match &delivery.event {
        Event::MessageSent(view) | Event::MessageDeleted(view) | Event::MessageRestored(view) => {
            view.message.content.text.len()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::Registration;
    use crate::command::{Actor, Command, Destination, Reply};
    use crate::model::{Content, PasswordHash, UserKey};

    async fn person(chat: &Chat, name: &str) -> UserId {
        let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
        chat.register(registration).await.unwrap().user.id
    }

    async fn say(chat: &Chat, from: UserId, to: UserId, text: &str) {
        let to = Destination::Person(UserKey::Id(to));
        let content = Content::text(text);
        let send = Command::Send { to, content, client_id: None, fingerprint: None };
        chat.execute(&Actor { user: from }, send).await.unwrap();
    }

    async fn sync(chat: &Chat, user: UserId, since: u64, limit: usize) -> Changes {
        let command = Command::Sync { since: Some(Position(since)), limit };
        let Reply::Changes(changes) = chat.execute(&Actor { user }, command).await.unwrap().reply else {
            panic!("sync is answered with changes")
        };
        changes
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
        for n in 0..3 * MOST {
            say(&chat, ann, if n % 100 == 7 { cid } else { bob }, "hello").await;
        }
        let all: Vec<u64> = (1..=3 * MOST).collect();
        let cids: Vec<u64> = all.iter().copied().filter(|at| at % 100 == 8).collect();
        for limit in [1, 7, 64, 65, 5_000] {
            assert_eq!(everything(&chat, cid, limit).await.0, cids, "cid, {limit} at once");
            if limit > 1 {
                assert_eq!(everything(&chat, ann, limit).await.0, all, "ann, {limit} at once");
            }
        }
        assert!(everything(&chat, cid, 5_000).await.1 >= 3, "an answer is given after {MOST} changes");
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
        assert!(first.more && first.deliveries.len() <= MOST_BYTES / text.len() + 2);
        assert_eq!(everything(&chat, bob, 1_000).await.0.len(), 300);
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
