use super::*;
use crate::aspects::context::Context;
use crate::chat::Registration;
use crate::command::{
    Actor, CreateRoom, DeleteMessage, Destination, Outcome, ReadHistory, Request, SendMessage,
};
use crate::history::Window;
use crate::id::ConversationId;
use crate::model::{ClientId, MessageView, PasswordHash, UserKey, Visibility};

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    room: ConversationId,
}

impl World {
    /// Ann and Bob know each other, and Ann has a room of her own.
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let create = CreateRoom { name: "own".into(), visibility: Visibility::Private, members: Vec::new() };
        let room = chat.execute(&Actor { user: people[0] }, create).await.unwrap().reply.id;
        Self { chat, ann: people[0], bob: people[1], room }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    async fn refused<R: Request>(&self, user: UserId, request: R) -> Error {
        self.chat.execute(&Actor { user }, request).await.map(drop).unwrap_err()
    }

    async fn say(&self, content: Content) -> MessageView {
        let to = Destination::Conversation(self.room);
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Context::default() };
        self.run(self.ann, send).await.reply
    }

    fn forward(&self, message: MessageId, to: UserId) -> SendMessage {
        SendMessage {
            to: Destination::Person(UserKey::Id(to)),
            content: Content::text(""),
            client_id: ClientId::new(format!("forward {message}")),
            fingerprint: None,
            context: Context { forward: Some(message), ..Context::default() },
        }
    }
}

#[tokio::test]
async fn a_copy_has_the_content_and_says_that_it_is_one() {
    let world = World::new().await;
    let file = Content { file_name: Some("a.txt".into()), ..Content::text("long ".repeat(1_000)) };
    let image = Content { image: Some("/media/a.png".into()), ..Content::text("") };
    for content in [Content::text("hello @bob"), file, image] {
        let original = world.say(content.clone()).await.message;
        assert!(!original.annexes.forwarded);
        let outcome = world.run(world.ann, world.forward(original.id, world.bob)).await;
        let copy = outcome.reply.message;
        assert!(copy.id != original.id && copy.conversation != original.conversation);
        assert_eq!((&copy.content, copy.sender), (&content, world.ann));
        assert!(copy.annexes.forwarded && copy.annexes.mentions.is_empty());
        let live = outcome.deliveries[0].event.message().expect("a message");
        assert_eq!(live.message, copy);
        let of = Destination::Person(UserKey::Id(world.ann));
        let read = ReadHistory { of, window: Window::Latest { limit: 1 }, include_deleted: false };
        assert_eq!(world.run(world.bob, read).await.reply.messages[0].message, copy);
        // Sent again under the same client id, it is the same copy.
        let again = world.run(world.ann, world.forward(original.id, world.bob)).await;
        assert_eq!((again.reply.message.id, again.deliveries.len()), (copy.id, 0));
        // A copy is copied, too, and nothing happens to it when the original is deleted.
        world.run(world.ann, DeleteMessage { message: original.id }).await;
        let back = world.run(world.bob, world.forward(copy.id, world.ann)).await.reply.message;
        assert_eq!((&back.content, back.sender), (&content, world.bob));
    }
}

/// What a person cannot read is not copied.
#[tokio::test]
async fn only_what_can_be_read_is_forwarded() {
    let world = World::new().await;
    let message = world.say(Content::text("hidden")).await.message.id;
    let stranger = world.refused(world.bob, world.forward(message, world.ann)).await;
    assert!(matches!(stranger, Error::MessageNotFound));
    let missing = MessageId::from_bytes([7; 12]);
    assert!(matches!(
        world.refused(world.bob, world.forward(missing, world.ann)).await,
        Error::MessageNotFound
    ));
    world.run(world.ann, DeleteMessage { message }).await;
    assert!(matches!(world.refused(world.ann, world.forward(message, world.bob)).await, Error::Forbidden(_)));
    let of = Destination::Person(UserKey::Id(world.ann));
    let read = ReadHistory { of, window: Window::Latest { limit: 9 }, include_deleted: true };
    assert!(world.run(world.bob, read).await.reply.messages.is_empty());
}
