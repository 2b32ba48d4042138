//! Ends typing automatically: with the connection that reported it, with the message that was typed, and after a
//! timeout. Pages rely on such an event, because a tab that is closed sends nothing.
//!
//! The state contains who types in which conversation, by connections of this node. One task broadcasts the ends that
//! no client has reported.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chat_core::event::{Delivery, Event};
use chat_core::id::{ConversationId, UserId};
use chat_core::presence::SessionId;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a user counts as typing after the last report.
const TYPING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of conversations in which a user types at once. One more ends the oldest.
const MAX_PER_PERSON: usize = 8;

tokio::task_local! {
    static CONNECTION: SessionId;
}

/// Runs `work` for a connection. Typing that is reported meanwhile ends with that connection.
pub(crate) async fn on_connection<F: Future>(connection: SessionId, work: F) -> F::Output {
    CONNECTION.scope(connection, work).await
}

/// The typing users; see the module.
#[derive(Default)]
pub(crate) struct Typists {
    state: Mutex<State>,
    /// Notified when typing has ended, or when the next end may be earlier than before.
    changed: Notify,
}

#[derive(Default)]
struct State {
    people: HashMap<UserId, SmallVec<[Typing; 1]>>,
    due: BTreeSet<(Instant, UserId, ConversationId)>,
    /// The ends that must still be broadcast.
    ended: Vec<(UserId, ConversationId)>,
}

#[derive(Debug, Clone, Copy)]
struct Typing {
    conversation: ConversationId,
    connection: Option<SessionId>,
    until: Instant,
}

impl Typists {
    /// Records a typing event that is being broadcast.
    pub(crate) fn observe(&self, delivery: &Delivery) {
        let Event::TypingChanged { conversation, user, typing } = &delivery.event else { return };
        let mut state = self.state.lock();
        state.take_out(user.id, |known| known.conversation == conversation.id);
        if !typing {
            return;
        }
        let connection = CONNECTION.try_with(|connection| *connection).ok();
        let until = Instant::now() + TYPING_TIMEOUT;
        let theirs = state.people.entry(user.id).or_default();
        theirs.push(Typing { conversation: conversation.id, connection, until });
        let first = (theirs.len() > MAX_PER_PERSON).then(|| theirs[0].conversation);
        state.due.insert((until, user.id, conversation.id));
        if let Some(first) = first {
            state.end(user.id, |known| known.conversation == first);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The user has sent a message to this conversation, so its typing has ended.
    pub(crate) fn said(&self, user: UserId, conversation: ConversationId) {
        self.end(user, |known| known.conversation == conversation);
    }

    /// A connection has ended.
    pub(crate) fn left(&self, user: UserId, connection: SessionId) {
        self.end(user, |known| known.connection == Some(connection));
    }

    fn end(&self, user: UserId, which: impl Fn(&Typing) -> bool) {
        let mut state = self.state.lock();
        // A quick exit, because nearly always no user of this node is typing.
        if state.people.is_empty() || !state.end(user, which) {
            return;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until `next`, when typing times out, or until it ends earlier.
    pub(crate) async fn next_end(&self, next: Option<Instant>) {
        match next {
            Some(next) => drop(tokio::time::timeout_at(next, self.changed.notified()).await),
            None => self.changed.notified().await,
        }
    }

    /// Takes the ends that must be broadcast, and returns when the next one is due.
    pub(crate) fn ended(&self, now: Instant) -> (Vec<(UserId, ConversationId)>, Option<Instant>) {
        let mut state = self.state.lock();
        while let Some((until, user, conversation)) =
            state.due.first().copied().filter(|(until, ..)| *until <= now)
        {
            let ended = state.end(user, |known| known.conversation == conversation && known.until == until);
            debug_assert!(ended, "what is due is known");
            state.due.remove(&(until, user, conversation));
        }
        (std::mem::take(&mut state.ended), state.due.first().map(|(until, ..)| *until))
    }
}

impl State {
    /// Removes the matching entries of a user, and returns their conversations.
    fn take_out(&mut self, user: UserId, which: impl Fn(&Typing) -> bool) -> SmallVec<[ConversationId; 1]> {
        let mut taken = SmallVec::new();
        let Some(theirs) = self.people.get_mut(&user) else { return taken };
        theirs.retain(|known| {
            let is_meant = which(known);
            if is_meant {
                self.due.remove(&(known.until, user, known.conversation));
                taken.push(known.conversation);
            }
            !is_meant
        });
        if theirs.is_empty() {
            self.people.remove(&user);
        }
        taken
    }

    /// The same, and queues the ends for broadcast. Returns whether there were any.
    fn end(&mut self, user: UserId, which: impl Fn(&Typing) -> bool) -> bool {
        let ended = self.take_out(user, which);
        self.ended.extend(ended.iter().map(|conversation| (user, *conversation)));
        !ended.is_empty()
    }
}

#[cfg(test)]
mod tests;
