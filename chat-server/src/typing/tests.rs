//! Tests for [`typing`](super).

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

    /// The first user types to another one.
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
