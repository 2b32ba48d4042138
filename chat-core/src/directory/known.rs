//! A conversation that is remembered.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::id::UserId;
use crate::model::{Conversation, JoinOrder, Member};
use crate::store::Store;

pub(super) struct Known {
    conversation: Mutex<Arc<Conversation>>,
    /// Those whose membership has changed and was not looked up since.
    changed: Mutex<HashSet<UserId>>,
    /// Held while memberships are looked up.
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

    /// Looks the memberships of these people up, and of all others who wait for that. When that fails or is given up half-way,
    /// `forget` must see to it that this is no longer remembered.
    pub(super) async fn refresh(&self, store: &dyn Store, users: &[UserId], forget: impl Fn()) {
        self.changed.lock().extend(users);
        let waiting = UnlessDone(Some(&forget));
        let _turn = self.turn.lock().await;
        // Dropped before the turn ends: the next one must not find what was not looked up.
        let mut looking = waiting;
        let changed: Vec<_> = self.changed.lock().drain().collect();
        if changed.is_empty() {
            // Somebody has looked this up together with their own.
            looking.0 = None;
            return;
        }
        let id = self.conversation.lock().id;
        let Ok(found) = store.members_of(id, &changed).await else { return };
        self.take_over(&changed, &found);
        looking.0 = None;
    }

    /// Keeps all look-ups waiting.
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

/// Calls the function when it is dropped before it is done.
struct UnlessDone<'a, F: Fn()>(Option<&'a F>);

impl<F: Fn()> Drop for UnlessDone<'_, F> {
    fn drop(&mut self) {
        if let Some(forget) = self.0 {
            forget();
        }
    }
}
