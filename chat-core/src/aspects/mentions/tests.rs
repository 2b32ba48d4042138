use super::*;
use crate::chat::Registration;
use crate::command::{
    Actor, ChangeRelation, CreateRoom, DeleteMessage, Destination, ListUnread, MarkRead, Outcome,
    ReadHistory, ReadUpTo, Request, RestoreMessage, SendMessage,
};
use crate::history::Window;
use crate::model::{Content, MessageView, PasswordHash, RelationAct, Visibility};

#[test]
fn names_stand_behind_an_at() {
    for (text, expected) in [
        ("", &[][..]),
        ("ann", &[]),
        ("@", &[]),
        ("@ ann", &[]),
        ("@ann", &["ann"]),
        ("hello @ann!", &["ann!", "ann"]),
        ("(@ann) @bob.", &["ann)", "ann", "bob.", "bob"]),
        ("@ann@bob", &["ann"]),
        ("a@ann.example", &[]),
        ("_@ann", &[]),
        ("@ann @ann", &["ann"]),
        ("@anne-marie.o\n@日本語、", &["anne-marie.o", "日本語、", "日本語"]),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
    assert_eq!(names(&format!("@{}", "x".repeat(65))), [""; 0]);
    assert_eq!(names(&"@ä ".repeat(9)), ["ä"]);
    let many: String = (0..1_000).map(|n| format!("@u{n} ")).collect();
    assert_eq!(names(&many).len(), MAX_LOOKED_UP);
    assert_eq!(names(&"@".repeat(60_000)), [""; 0]);
}

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    room: ConversationId,
}

impl World {
    /// Ann and Bob are in a room; Eve is not.
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let create =
            CreateRoom { name: "club".into(), visibility: Visibility::Public, members: vec![people[1]] };
        let room = chat.execute(&Actor { user: people[0] }, create).await.unwrap().reply.id;
        Self { chat, ann: people[0], bob: people[1], room }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    fn club(&self) -> Destination {
        Destination::Conversation(self.room)
    }

    async fn say(&self, by: UserId, text: &str) -> Outcome<MessageView> {
        let content = Content::text(text);
        let send = SendMessage {
            to: self.club(),
            content,
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        self.run(by, send).await
    }

    /// The unread messages of Bob, and the unread mentions.
    async fn unread(&self) -> Vec<(u32, u32)> {
        let unread = self.run(self.bob, ListUnread { limit: 9 }).await.reply;
        unread.iter().map(|unread| (unread.unread, unread.mentions)).collect()
    }
}

#[tokio::test]
async fn members_are_mentioned_by_their_names() {
    let world = World::new().await;
    let outcome = world.say(world.ann, "@BOB, @eve and @ann: @nobody mail to bob@eve").await;
    assert_eq!(outcome.reply.message.annexes.mentions, [world.bob]);
    let live = outcome.deliveries[0].event.message().expect("a message");
    assert_eq!(live.message, outcome.reply.message, "the event says it");
    let read = ReadHistory { of: world.club(), window: Window::Latest { limit: 9 }, include_deleted: false };
    let history = world.run(world.bob, read).await.reply.messages;
    assert_eq!(history[0].message, outcome.reply.message);
    let file = Content { file_name: Some("a.txt".into()), ..Content::text("@bob") };
    let send = SendMessage {
        to: world.club(),
        content: file,
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    assert!(world.run(world.ann, send).await.reply.message.annexes.mentions.is_empty(), "not in files");
    assert_eq!(world.unread().await, [(2, 1)]);
}

/// Mentions count while the message counts as unread.
#[tokio::test]
async fn unread_mentions_are_counted() {
    let world = World::new().await;
    let mut messages = Vec::new();
    for text in ["@bob one", "two", "@bob three", "@bob four"] {
        messages.push(world.say(world.ann, text).await.reply.message);
    }
    assert_eq!(world.unread().await, [(4, 3)]);
    let mark = |seq| MarkRead { of: world.club(), up_to: ReadUpTo::Seq(seq) };
    world.run(world.bob, mark(messages[1].seq)).await;
    for _ in 0..2 {
        assert_eq!(world.unread().await, [(2, 2)], "what was read is forgotten, and the rest is not");
    }
    let rows = world.chat.store.rows(Table::Mentions, world.bob.as_bytes(), None, 9).await.unwrap();
    assert_eq!(rows.len(), 2);
    world.run(world.ann, DeleteMessage { message: messages[3].id }).await;
    assert_eq!(world.unread().await, [(1, 1)]);
    world.run(world.ann, RestoreMessage { message: messages[3].id }).await;
    let hide = crate::aspects::hiding::HideMessage { message: messages[2].id, hidden: true };
    world.run(world.bob, hide).await;
    assert_eq!(world.unread().await, [(1, 1)]);
    world.run(world.bob, mark(messages[3].seq)).await;
    assert_eq!(world.unread().await, []);
    world.say(world.ann, "five").await;
    assert_eq!(world.unread().await, [(1, 0)]);
}

/// Whoever blocks the other, neither mentions the other.
#[tokio::test]
async fn blocked_people_do_not_mention() {
    let world = World::new().await;
    let relate = |with, act| ChangeRelation { with, act };
    world.run(world.bob, relate(world.ann, RelationAct::Block)).await;
    for (by, text) in [(world.ann, "@bob"), (world.bob, "@ann")] {
        assert!(world.say(by, text).await.reply.message.annexes.mentions.is_empty(), "{text}");
    }
    world.run(world.bob, relate(world.ann, RelationAct::Unblock)).await;
    assert_eq!(world.say(world.ann, "@bob").await.reply.message.annexes.mentions, [world.bob]);
}
