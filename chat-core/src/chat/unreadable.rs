//! Remembers messages that turned out to be unreadable, so that they do not count as unread.
//!
//! A store counts unread messages without looking at bodies and senders, and leaves out only damaged records. A body
//! that cannot be decoded, or a sender whose account no longer exists, is noticed only when the message is read. From
//! then on the message is remembered here and subtracted from the count. Otherwise the count would stay at "1" for ever
//! where such a message is the last one, because clients mark only what they show as read.
//!
//! After a restart such a message counts until a client reads the conversation again. A count of [`UNREAD_MOST`] means
//! "or more" and is not reduced.

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

/// The most messages that are remembered, some 300 KB. Further ones count as unread.
const MAX_KNOWN: usize = 4_096;

/// The most remembered messages that are checked for one list. Further ones count as unread.
const MAX_LOOKED_AT: usize = 256;

/// See the module documentation.
#[derive(Default)]
pub(super) struct Unreadable {
    /// The number of remembered messages, so that a sound store needs no lock.
    count: AtomicUsize,
    known: Mutex<HashMap<ConversationId, BTreeMap<Seq, MessageId>>>,
}

impl Unreadable {
    /// Remembers a message that cannot be shown.
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

    /// Whether messages of a conversation are remembered.
    pub(super) fn knows(&self, conversation: ConversationId) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.known.lock().contains_key(&conversation)
    }

    /// The remembered messages that are part of a count.
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

    /// Forgets a message that is readable again, or gone.
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
    /// How many of the counted messages the user can be shown, as far as known. Uses up the `looked_at` budget.
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
                // The store itself does not count it.
                Err(StoreError::Corrupt { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            // The store counts neither deleted messages nor the user's own.
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
