//! A cached conversation.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::id::UserId;
use crate::model::{Conversation, JoinOrder, Member};
use crate::store::Store;

pub(super) struct Known {
    conversation: Mutex<Arc<Conversation>>,
    /// The users whose membership has changed and was not read since.
    changed: Mutex<HashSet<UserId>>,
    /// Held while memberships are read.
    turn: tokio::sync::Mutex<()>,
}

impl Known {
    pub(super) fn new(conversation: Arc<Conversation>) -> Self {
        Self {
            conversation: Mutex::new(conversation),
            changed: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn conversation(&self) -> Arc<Conversation> {
        self.conversation.lock().clone()
    }

    /// Reads the memberships of these users, and of all others that wait for it. When that fails or is cancelled,
    /// `forget` must remove this conversation from the cache.
    pub(super) async fn refresh(&self, store: &dyn Store, users: &[UserId], forget: impl Fn()) {
        self.changed.lock().extend(users);
        let waiting = UnlessDone(Some(&forget));
        let _turn = self.turn.lock().await;
        // Dropped before the turn ends, so that the next task does not find a stale conversation.
        let mut looking = waiting;
        let changed: Vec<_> = self.changed.lock().drain().collect();
        if changed.is_empty() {
            // Another task has read these memberships together with its own.
            looking.0 = None;
            return;
        }
        let id = self.conversation.lock().id;
        let Ok(found) = store.members_of(id, &changed).await else { return };
        self.take_over(&changed, &found);
        looking.0 = None;
    }

    /// Blocks all refreshes until the guard is dropped.
    #[cfg(test)]
    pub(super) async fn hold_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn take_over(&self, changed: &[UserId], found: &[(JoinOrder, Member)]) {
        let mut conversation = self.conversation.lock();
        for user in changed {
            let now = found.iter().find(|(_, member)| member.user == *user);
            let members = &conversation.members;
            let before = members.order_of(*user).zip(members.get(*user).copied());
            if before == now.copied() {
                continue;
            }
            let members = &mut Arc::make_mut(&mut *conversation).members;
            match now {
                Some((order, member)) => members.put_at(*order, *member),
                None => members.remove(*user),
            }
        }
    }
}

/// Calls the function if it is dropped before it is done.
struct UnlessDone<'a, F: Fn()>(Option<&'a F>);

impl<F: Fn()> Drop for UnlessDone<'_, F> {
    fn drop(&mut self) {
        if let Some(forget) = self.0 {
            forget();
        }
    }
}
