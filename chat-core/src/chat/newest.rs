//! The newest messages of conversations, by their places: pages that are told of a read mark know messages by their ids
//! alone. Looked up once for each conversation, and kept up to date with what is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::Seq;
use crate::store::{Change, Store, StoreError};

/// How many conversations are remembered: at most some 20 MB.
const CAPACITY: usize = 10_000;
/// How many messages of each.
const MAX_KEPT: usize = 50;

/// See the module.
pub(super) struct Newest(Cache<ConversationId, Kept>);

type Kept = Arc<Mutex<BTreeMap<Seq, (MessageId, UserId)>>>;

impl Default for Newest {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Newest {
    /// The newest messages up to a place that are not this person's own, the last one first.
    pub(super) async fn up_to(
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
                // Fails when something was said meanwhile: then the next look-up asks again.
                let _ = place.insert(kept.clone());
                kept
            }
        };
        let kept = kept.lock();
        let up_to = kept.range(..=seq).rev().filter(|(_, (_, sender))| *sender != reader);
        Ok(up_to.map(|(_, (id, _))| *id).collect())
    }

    pub(super) fn forget_all(&self) {
        self.0.clear();
    }

    /// Something was said here.
    pub(super) fn said(&self, conversation: ConversationId, (seq, id, sender): (Seq, MessageId, UserId)) {
        let Some(kept) = self.0.peek(&conversation) else {
            // Makes a look-up that is under way forget what it found.
            self.0.remove(&conversation);
            return;
        };
        let mut kept = kept.lock();
        kept.insert(seq, (id, sender));
        if kept.len() > MAX_KEPT {
            kept.pop_first();
        }
    }

    /// Something was said, perhaps by another process.
    pub(super) fn heard(&self, change: &Change) {
        if let Change::MessageSent(message) = change {
            self.said(message.conversation, (message.seq, message.id, message.sender));
        }
    }
}
