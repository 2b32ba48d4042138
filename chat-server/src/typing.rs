//! When typing ends by itself: with the connection it came from, with the message that was typed, and when nothing more is
//! heard of it for a while. Pages rely on being told so: a tab that is closed says nothing.
//!
//! Kept is who types where by a connection of this node. One task tells the others of an end that nobody has told of.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chat_core::event::{Delivery, Event};
use chat_core::id::{ConversationId, UserId};
use chat_core::presence::SessionId;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long somebody is believed to type after they were last heard to.
const TYPING_TIMEOUT: Duration = Duration::from_secs(10);
/// Most conversations in which a person types at once. With one more the first of them ends.
const MAX_PER_PERSON: usize = 8;

tokio::task_local! {
    static CONNECTION: SessionId;
}

/// Does something for a connection: what is typed meanwhile ends with it.
pub(crate) async fn on_connection<F: Future>(connection: SessionId, work: F) -> F::Output {
    CONNECTION.scope(connection, work).await
}

/// Who types; see the module.
#[derive(Default)]
pub(crate) struct Typists {
    state: Mutex<State>,
    /// Something has ended, or there is one to wait for before those that are waited for.
    changed: Notify,
}

#[derive(Default)]
struct State {
    people: HashMap<UserId, SmallVec<[Typing; 1]>>,
    due: BTreeSet<(Instant, UserId, ConversationId)>,
    /// Those of whose end the others must be told.
    ended: Vec<(UserId, ConversationId)>,
}

#[derive(Debug, Clone, Copy)]
struct Typing {
    conversation: ConversationId,
    connection: Option<SessionId>,
    until: Instant,
}

impl Typists {
    /// Takes note of what others are told.
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

    /// Somebody has said something here: what they typed is said.
    pub(crate) fn said(&self, user: UserId, conversation: ConversationId) {
        self.end(user, |known| known.conversation == conversation);
    }

    /// A connection has ended.
    pub(crate) fn left(&self, user: UserId, connection: SessionId) {
        self.end(user, |known| known.connection == Some(connection));
    }

    fn end(&self, user: UserId, which: impl Fn(&Typing) -> bool) {
        let mut state = self.state.lock();
        // Nearly nobody types.
        if state.people.is_empty() || !state.end(user, which) {
            return;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until `next`, when something ends, or until something ends sooner.
    pub(crate) async fn next_end(&self, next: Option<Instant>) {
        match next {
            Some(next) => drop(tokio::time::timeout_at(next, self.changed.notified()).await),
            None => self.changed.notified().await,
        }
    }

    /// Takes out what has ended, and answers when the next one does.
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
    /// Takes somebody's typing out where it is meant; answers where that was.
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

    /// The same, and has the others told of it; answers whether there was any.
    fn end(&mut self, user: UserId, which: impl Fn(&Typing) -> bool) -> bool {
        let ended = self.take_out(user, which);
        self.ended.extend(ended.iter().map(|conversation| (user, *conversation)));
        !ended.is_empty()
    }
}

#[cfg(test)]
mod tests;
