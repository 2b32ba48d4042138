//! A cache of the newest messages of conversations by seq. It is needed because a read mark is a seq, but some pages
//! know messages only by their ids. The messages of a conversation are looked up once and then kept up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::invalidation::{Invalidation, MessageHead};
use crate::model::Seq;
use crate::store::{Store, StoreError};

/// The maximum number of cached conversations: at most about 20 MB.
const CAPACITY: usize = 10_000;
/// The maximum number of messages per conversation.
const MAX_KEPT: usize = 50;

/// See the module documentation.
pub(crate) struct Newest(Cache<ConversationId, Kept>);

type Kept = Arc<Mutex<BTreeMap<Seq, (MessageId, UserId)>>>;

impl Default for Newest {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Newest {
    /// The newest messages up to a seq that other users sent, the last one first.
    pub(crate) async fn up_to(
        &self,
        store: &Arc<dyn Store>,
        conversation: ConversationId,
        reader: UserId,
        seq: Seq,
    ) -> Result<Vec<MessageId>, StoreError> {
        let kept = match self.0.get_value_or_guard_async(&conversation).await {
            Ok(kept) => kept,
            Err(place) => {
                let (messages, _) = store.history(conversation, Window::before(None, MAX_KEPT), true).await?;
                let found = messages.into_iter().map(|message| (message.seq, (message.id, message.sender)));
                let kept: Kept = Arc::new(Mutex::new(found.collect()));
                // The insert fails if a message was sent meanwhile; then the next call looks the conversation up
                // again.
                let _ = place.insert(kept.clone());
                kept
            }
        };
        let kept = kept.lock();
        let up_to = kept.range(..=seq).rev().filter(|(_, (_, sender))| *sender != reader);
        Ok(up_to.map(|(_, (id, _))| *id).collect())
    }

    pub(crate) fn forget_all(&self) {
        self.0.clear();
    }

    /// Updates the cache after a change. A deleted message keeps its entry.
    pub(crate) fn invalidate(&self, invalidation: Invalidation) {
        let Invalidation {
            user: _,
            conversation: _,
            member: _,
            audience: _,
            message: _,
            relation: _,
            newest,
        } = invalidation;
        if let Some(message) = newest {
            self.said(message);
        }
    }

    fn said(&self, message: MessageHead) {
        let Some(kept) = self.0.peek(&message.conversation) else {
            // Invalidates a lookup that is in progress, because its result would miss this message.
            self.0.remove(&message.conversation);
            return;
        };
        let mut kept = kept.lock();
        kept.insert(message.seq, (message.id, message.sender));
        if kept.len() > MAX_KEPT {
            kept.pop_first();
        }
    }
}
