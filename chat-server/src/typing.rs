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
mod tests {
    use chat_core::chat::{Chat, Registration};
    use chat_core::command::{Actor, Destination, SetTyping};
    use chat_core::model::{PasswordHash, UserKey};

    use super::*;

    struct Scene {
        chat: Chat,
        people: Vec<UserId>,
        typists: Typists,
    }

    impl Scene {
        async fn new() -> Self {
            let chat = Chat::in_memory();
            let mut people = Vec::new();
            for n in 0..12 {
                let person = Registration::named(format!("person{n}"), PasswordHash::new("x"));
                people.push(chat.register(person).await.unwrap().user.id);
            }
            Self { chat, people, typists: Typists::default() }
        }

        /// The first person types to another one.
        async fn type_to(&self, other: usize, typing: bool, connection: u64) -> ConversationId {
            let to = Destination::Person(UserKey::Id(self.people[other]));
            let actor = Actor { user: self.people[0] };
            let told = self.chat.execute(&actor, SetTyping { to, typing }).await.unwrap().deliveries;
            on_connection(SessionId(connection), async { self.typists.observe(&told[0]) }).await;
            let Event::TypingChanged { conversation, .. } = &told[0].event else { panic!("somebody types") };
            conversation.id
        }

        fn ended(&self) -> Vec<ConversationId> {
            let (ended, _) = self.typists.ended(Instant::now());
            assert!(ended.iter().all(|(user, _)| *user == self.people[0]));
            ended.into_iter().map(|(_, conversation)| conversation).collect()
        }

        fn is_empty(&self) -> bool {
            let state = self.typists.state.lock();
            state.people.is_empty() && state.due.is_empty() && state.ended.is_empty()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_after_a_while_without_a_new_one() {
        let scene = Scene::new().await;
        let place = scene.type_to(1, true, 1).await;
        tokio::time::advance(TYPING_TIMEOUT - Duration::from_millis(1)).await;
        assert_eq!(scene.ended(), []);
        assert_eq!(scene.type_to(1, true, 1).await, place);
        tokio::time::advance(TYPING_TIMEOUT - Duration::from_millis(1)).await;
        assert_eq!(scene.ended(), []);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(scene.ended(), [place]);
        assert!(scene.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_that_it_ends_is_not_told_of_again() {
        let scene = Scene::new().await;
        scene.type_to(1, true, 1).await;
        scene.type_to(1, false, 2).await;
        assert!(scene.is_empty());
        scene.type_to(1, false, 2).await;
        assert!(scene.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_connection_and_with_its_message() {
        let scene = Scene::new().await;
        let ann = scene.people[0];
        let (first, second) = (scene.type_to(1, true, 1).await, scene.type_to(2, true, 2).await);
        scene.typists.left(ann, SessionId(3));
        scene.typists.left(scene.people[1], SessionId(1));
        scene.typists.said(scene.people[1], first);
        assert_eq!(scene.ended(), []);
        scene.typists.left(ann, SessionId(1));
        assert_eq!(scene.ended(), [first]);
        scene.typists.said(ann, first);
        assert_eq!(scene.ended(), [], "it has ended already");
        scene.typists.said(ann, second);
        assert_eq!(scene.ended(), [second]);
        assert!(scene.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_types_everywhere() {
        let scene = Scene::new().await;
        let mut places = Vec::new();
        for other in 1..12 {
            places.push(scene.type_to(other, true, 1).await);
        }
        assert_eq!(scene.ended(), places[..3]);
        assert_eq!(scene.typists.state.lock().due.len(), MAX_PER_PERSON);
        scene.typists.left(scene.people[0], SessionId(1));
        assert_eq!(scene.ended(), places[3..]);
        assert!(scene.is_empty());
    }
}
