use super::*;
use crate::chat::Registration;
use crate::clock::ManualClock;
use crate::command::{
    Actor, DeleteMessage, Destination, ReadChanges, ReadHistory, Request, RestoreMessage, SendMessage,
};
use crate::event::Event;
use crate::history::Window;
use crate::model::{PasswordHash, Position, UserKey};
use crate::policy::Limits;
use crate::search::Search;

struct World {
    chat: Chat,
    clock: Arc<ManualClock>,
    ann: UserId,
    bob: UserId,
    message: MessageId,
}

impl World {
    async fn new(limits: Limits) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let chat = Chat::in_memory().with_clock(clock.clone()).with_limits(limits);
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let [ann, bob, _] = people[..] else { unreachable!() };
        let to = Destination::Person(UserKey::Id(bob));
        let send = SendMessage {
            to,
            content: Content::text("old words"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let message = chat.execute(&Actor { user: ann }, send).await.unwrap().reply.message.id;
        Self { chat, clock, ann, bob, message }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    async fn refused<R: Request>(&self, user: UserId, request: R) -> Error {
        self.chat.execute(&Actor { user }, request).await.map(drop).unwrap_err()
    }

    fn edit(&self, text: &str) -> EditMessage {
        EditMessage { message: self.message, text: text.into() }
    }

    async fn found(&self, words: &str) -> Vec<String> {
        let found =
            self.run(self.bob, Search { text: words.into(), limit: 9, ..Search::default() }).await.reply;
        assert!(found.complete);
        found.messages.iter().map(|view| view.message.content.text.to_string()).collect()
    }
}

/// Histories, the log and searches have the new text; what is told live is what the log tells.
#[tokio::test]
async fn a_message_says_its_new_text_everywhere() {
    let world = World::new(Limits::default()).await;
    assert_eq!(world.found("words").await, ["old words"]);
    world.clock.advance(Duration::from_secs(5));
    let outcome = world.run(world.ann, world.edit("new thoughts")).await;
    let [live] = &outcome.deliveries[..] else { panic!("it is told of once") };
    let edited = Edited { count: 1, at: world.chat.now() };
    assert_eq!(outcome.reply.message.annexes.edited, Some(edited));
    assert_eq!(&*outcome.reply.message.content.text, "new thoughts");
    assert_eq!(outcome.reply.message.updated_at, world.chat.now());
    let Event::MessageChanged(changed) = &live.event else { panic!("{:?}", live.event) };
    assert_eq!(changed.view.as_deref(), Some(&outcome.reply));
    assert!(live.audience.includes(world.bob) && live.invalidates.message == Some(world.message));

    let of = Destination::Person(UserKey::Id(world.ann));
    let read = ReadHistory { of, window: Window::Latest { limit: 9 }, include_deleted: false };
    assert_eq!(world.run(world.bob, read).await.reply.messages[0].message, outcome.reply.message);
    let since = Some(Position(0).into());
    let log = world.run(world.bob, ReadChanges { since, limit: 9 }).await.reply.deliveries;
    assert_eq!(log.len(), 2);
    for delivery in &log {
        let shown = delivery.event.message().expect("a message");
        assert_eq!(shown.message, outcome.reply.message, "replays show what it says now");
    }
    for _ in 0..2 {
        assert_eq!(world.found("thoughts").await, ["new thoughts"]);
        assert_eq!(world.found("old").await, [""; 0]);
        assert_eq!(world.found("\"old words\"").await, [""; 0]);
        assert_eq!(world.found("new -words").await, ["new thoughts"]);
        assert_eq!(world.found("new -thoughts").await, [""; 0]);
    }
    assert!(world.run(world.ann, world.edit("new thoughts")).await.deliveries.is_empty(), "nothing is new");
    world.run(world.ann, world.edit("old words")).await;
    assert_eq!(world.found("words").await, ["old words"]);
    assert_eq!(world.found("thoughts").await, [""; 0]);
}

/// A message that is not in the index yet gets there with its new text.
#[tokio::test]
async fn a_message_is_edited_before_anybody_searches() {
    let world = World::new(Limits::default()).await;
    world.run(world.ann, world.edit("new thoughts")).await;
    assert_eq!(world.found("thoughts").await, ["new thoughts"]);
    assert_eq!(world.found("words").await, [""; 0]);
}

#[tokio::test]
async fn what_was_said_before_is_kept_for_its_sender() {
    let world = World::new(Limits::default()).await;
    let texts = |history: History| -> Vec<(String, i64)> {
        let one =
            |view: &MessageView| (view.message.content.text.to_string(), view.message.updated_at.as_millis());
        history.messages.iter().map(one).collect()
    };
    let edits = || ReadEdits { message: world.message };
    assert_eq!(texts(world.run(world.ann, edits()).await.reply), []);
    for text in ["two", "three"] {
        world.clock.advance(Duration::from_secs(1));
        world.run(world.ann, world.edit(text)).await;
    }
    let kept = texts(world.run(world.ann, edits()).await.reply);
    assert_eq!(kept, [("old words".to_owned(), 1_000), ("two".to_owned(), 2_000)]);
    assert!(matches!(world.refused(world.bob, edits()).await, Error::Forbidden(_)));
    let eve = world.chat.find_user(&UserKey::Username("eve".into())).await.unwrap().unwrap().id;
    assert!(matches!(world.refused(eve, edits()).await, Error::MessageNotFound));
    world.run(world.ann, DeleteMessage { message: world.message }).await;
    assert!(matches!(world.refused(world.ann, edits()).await, Error::Forbidden(_)));
    world.run(world.ann, RestoreMessage { message: world.message }).await;
    assert_eq!(texts(world.run(world.ann, edits()).await.reply).len(), 2);

    let world = World::new(Limits { keeps_edits: false, ..Limits::default() }).await;
    world.run(world.ann, world.edit("two")).await;
    let nothing = world.run(world.ann, ReadEdits { message: world.message }).await.reply;
    assert_eq!(texts(nothing), []);
}

#[tokio::test]
async fn others_and_bad_texts_and_old_messages_are_refused() {
    let window = Some(Duration::from_secs(60));
    let world = World::new(Limits { edit_window: window, text_bytes: 20, ..Limits::default() }).await;
    let eve = world.chat.find_user(&UserKey::Username("eve".into())).await.unwrap().unwrap().id;
    assert!(matches!(world.refused(eve, world.edit("x")).await, Error::MessageNotFound));
    assert!(matches!(world.refused(world.bob, world.edit("x")).await, Error::Forbidden(_)));
    assert!(matches!(world.refused(world.ann, world.edit(" ")).await, Error::EmptyMessage));
    let long = world.edit(&"x".repeat(21));
    assert!(matches!(world.refused(world.ann, long).await, Error::TooLarge { field: "text", .. }));
    world.clock.advance(Duration::from_secs(60));
    world.run(world.ann, world.edit("just in time")).await;
    world.clock.advance(Duration::from_millis(1));
    assert!(matches!(world.refused(world.ann, world.edit("too late")).await, Error::Forbidden(_)));
}
