//! Messages that were met and cannot be shown, so that they do not count as unread.
//!
//! A store counts what is unread without looking at bodies and senders, and leaves out only records that are not what was
//! written. A body that cannot be decoded, or a message of somebody who is not there any more, is found out about when it is
//! read. From then on it is remembered here and taken off the count. Otherwise the count would say "1" for ever where such a
//! message is the last one: clients mark as read what they show.
//!
//! After a restart it counts until somebody reads the conversation again. A count of [`UNREAD_MOST`] means "or more" and stays.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Chat;
use crate::damage;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, Seq};
use crate::store::read_marks::counted_after;
use crate::store::{StoreError, UNREAD_MOST, UnreadCount};

/// So many messages are remembered: some 300 KB. More of them count.
const MAX_KNOWN: usize = 4_096;

/// So many of them are looked at for one list; more of them count.
const MAX_LOOKED_AT: usize = 256;

/// See the module.
#[derive(Default)]
pub(super) struct Unreadable {
    /// How many there are, so that a sound store takes no lock.
    count: AtomicUsize,
    known: Mutex<HashMap<ConversationId, BTreeMap<Seq, MessageId>>>,
}

impl Unreadable {
    /// A message was met that cannot be shown.
    pub(super) fn note(&self, conversation: ConversationId, seq: Seq, id: MessageId) {
        let mut known = self.known.lock();
        if self.count.load(Ordering::Relaxed) >= MAX_KNOWN {
            return;
        }
        if known.entry(conversation).or_default().insert(seq, id).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known.lock();
        known.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Those among the messages that a count is about.
    fn among(&self, count: &UnreadCount, limit: usize) -> Vec<(Seq, MessageId)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let known = self.known.lock();
        let Some(known) = known.get(&count.conversation) else { return Vec::new() };
        let after = counted_after(count.read_seq, count.last_seq);
        let counted = known.range(after..=count.last_seq).filter(|(seq, _)| **seq > after);
        counted.take(limit).map(|(seq, id)| (*seq, *id)).collect()
    }

    /// It can be read again, or is gone.
    fn forget(&self, conversation: ConversationId, seq: Seq) {
        let mut known = self.known.lock();
        let Some(messages) = known.get_mut(&conversation) else { return };
        if messages.remove(&seq).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        if messages.is_empty() {
            known.remove(&conversation);
        }
    }
}

impl Chat {
    /// How many messages of a count this person can be shown, as far as that is known. Spends what may be `looked_at`.
    pub(super) async fn shown_of(
        &self,
        count: &UnreadCount,
        actor: UserId,
        conversation: &Arc<Conversation>,
        looked_at: &mut usize,
    ) -> Result<u32, Error> {
        let mut unread = count.unread;
        if unread >= UNREAD_MOST {
            return Ok(unread);
        }
        for (seq, id) in self.unreadable.among(count, MAX_LOOKED_AT - *looked_at) {
            *looked_at += 1;
            let stored = match self.store.message(id).await {
                Ok(Some(stored)) => stored,
                Ok(None) => {
                    self.unreadable.forget(count.conversation, seq);
                    continue;
                }
                // The store leaves it out by itself.
                Err(StoreError::Corrupt { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            // Neither of these is counted.
            if stored.deleted.is_some() || stored.sender == actor {
                continue;
            }
            match self.view(stored, conversation).await {
                Ok(_) => self.unreadable.forget(count.conversation, seq),
                Err(error) if damage::is_damage(&error) => unread = unread.saturating_sub(1),
                Err(error) => return Err(error),
            }
        }
        Ok(unread)
    }
}

#[cfg(test)]
mod tests;
