use super::*;
use crate::aspects::hiding::HideMessage;
use crate::chat::Registration;
use crate::clock::ManualClock;
use crate::command::{AddMember, CreateRoom, DeleteMessage, ReadChanges, Request, SendMessage};
use crate::event::Event;
use crate::model::{Content, PasswordHash, UserKey, Visibility};

struct World {
    chat: Chat,
    clock: std::sync::Arc<ManualClock>,
    ann: UserId,
    bob: UserId,
    eve: UserId,
}

impl World {
    async fn new() -> Self {
        let clock = std::sync::Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let chat = Chat::in_memory().with_clock(clock.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, clock, ann: people[0], bob: people[1], eve: people[2] }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.clock.advance(std::time::Duration::from_millis(1));
        self.chat.execute(&crate::command::Actor { user }, request).await.unwrap()
    }

    async fn refused<R: Request>(&self, user: UserId, request: R) -> Error {
        self.chat.execute(&crate::command::Actor { user }, request).await.map(drop).unwrap_err()
    }

    async fn say(&self, to: Destination, text: &str) -> MessageId {
        let content = Content::text(text);
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        self.run(self.ann, send).await.reply.message.id
    }

    fn with_bob(&self) -> Destination {
        Destination::Person(UserKey::Id(self.bob))
    }

    async fn pins(&self, user: UserId, of: Destination) -> Vec<MessageId> {
        let pins = self.run(user, ListPins { of }).await.reply;
        assert!(!pins.has_more);
        pins.messages.iter().map(|view| view.message.id).collect()
    }
}

fn pin(message: MessageId, pinned: bool) -> PinMessage {
    PinMessage { message, pinned }
}

/// Both people of a direct conversation pin and unpin. The last one comes first, and the log tells what was told live.
#[tokio::test]
async fn both_pin_in_a_direct_conversation() {
    let world = World::new().await;
    let [one, two] = [world.say(world.with_bob(), "one").await, world.say(world.with_bob(), "two").await];
    assert_eq!(world.pins(world.ann, world.with_bob()).await, []);
    let outcome = world.run(world.bob, pin(two, true)).await;
    let at = world.chat.now();
    assert_eq!(outcome.reply.message.annexes.pinned, Some(Pinned { by: world.bob, at }));
    let [told] = &outcome.deliveries[..] else { panic!("one change") };
    assert!(told.audience.includes(world.ann) && told.audience.includes(world.bob));
    world.run(world.ann, pin(one, true)).await;
    assert_eq!(world.pins(world.ann, world.with_bob()).await, [one, two]);
    let again = world.run(world.ann, pin(two, true)).await;
    assert!(again.deliveries.is_empty());
    assert_eq!(again.reply.message.annexes.pinned, Some(Pinned { by: world.bob, at }), "it is Bob's still");
    let since = Some(Position(0).into());
    let log = world.run(world.bob, ReadChanges { since, limit: 9 }).await.reply.deliveries;
    let Event::MessageChanged(first) = &log[2].event else { panic!("{:?}", log[2].event) };
    assert_eq!((first.by, first.what), (world.bob, PinChange { pinned: true }.into()));
    assert_eq!(first.annexes.pinned, Some(Pinned { by: world.bob, at }));
    world.run(world.ann, pin(two, false)).await;
    world.run(world.bob, HideMessage { message: one, hidden: true }).await;
    assert_eq!(world.pins(world.ann, world.with_bob()).await, [one]);
    assert_eq!(
        world.pins(world.bob, Destination::Person(UserKey::Id(world.ann))).await,
        [],
        "he has hidden it"
    );
    // A deleted one stays until it is unpinned.
    world.run(world.ann, DeleteMessage { message: one }).await;
    let pins = world.run(world.ann, ListPins { of: world.with_bob() }).await.reply.messages;
    assert!(pins[0].message.deleted.is_some() && pins[0].message.annexes.pinned.is_none());
    world.run(world.ann, pin(one, false)).await;
    assert_eq!(world.pins(world.ann, world.with_bob()).await, []);
    assert!(matches!(world.refused(world.ann, pin(one, true)).await, Error::Forbidden(_)));
    assert!(matches!(world.refused(world.eve, pin(one, true)).await, Error::MessageNotFound));
}

/// In a room those pin whose role allows it.
#[tokio::test]
async fn moderators_pin_in_a_room() {
    let world = World::new().await;
    let create = CreateRoom { name: "club".into(), visibility: Visibility::Public, members: vec![world.bob] };
    let room = world.run(world.ann, create).await.reply.id;
    let club = || Destination::Conversation(room);
    let message = world.say(club(), "rules").await;
    assert!(matches!(world.refused(world.bob, pin(message, true)).await, Error::Forbidden(_)));
    world.run(world.ann, pin(message, true)).await;
    assert!(matches!(world.refused(world.bob, pin(message, false)).await, Error::Forbidden(_)));
    assert_eq!(world.pins(world.bob, club()).await, [message]);
    assert!(matches!(world.refused(world.eve, ListPins { of: club() }).await, Error::ConversationNotFound));
    world.run(world.eve, AddMember { room, user: world.eve }).await;
    assert_eq!(world.pins(world.eve, club()).await, [message]);
}

#[tokio::test]
async fn a_conversation_has_a_few_pins() {
    let world = World::new().await;
    let mut messages = Vec::new();
    for _ in 0..=MAX_PINS {
        messages.push(world.say(world.with_bob(), "x").await);
    }
    let last = messages.pop().unwrap();
    for message in &messages {
        world.run(world.ann, pin(*message, true)).await;
    }
    assert!(matches!(world.refused(world.ann, pin(last, true)).await, Error::Forbidden(_)));
    assert!(world.run(world.ann, pin(messages[0], true)).await.deliveries.is_empty(), "it is pinned already");
    world.run(world.ann, pin(messages[0], false)).await;
    world.run(world.ann, pin(last, true)).await;
    messages.reverse();
    messages.pop();
    messages.insert(0, last);
    assert_eq!(world.pins(world.bob, Destination::Person(UserKey::Id(world.ann))).await, messages);
}
