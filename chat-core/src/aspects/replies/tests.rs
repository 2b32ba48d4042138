use super::*;
use crate::aspects::context::Context;
use crate::aspects::edits::EditMessage;
use crate::chat::Registration;
use crate::command::{
    Actor, CreateRoom, DeleteMessage, Destination, Outcome, ReadChanges, ReadHistory, Request,
    RestoreMessage, SendMessage,
};
use crate::history::Window;
use crate::model::{ClientId, Content, MessageView, PasswordHash, Position, UserKey, Visibility};

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
}

impl World {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, ann: people[0], bob: people[1] }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    fn with_bob(&self) -> Destination {
        Destination::Person(UserKey::Id(self.bob))
    }

    async fn say(&self, content: Content) -> MessageView {
        self.run(self.ann, sending(self.with_bob(), content, None)).await.reply
    }

    async fn answer(&self, to: MessageId) -> MessageView {
        self.run(self.ann, sending(self.with_bob(), Content::text("yes"), Some(to))).await.reply
    }

    /// What an answer quotes for those who read the history, and for those who read the log.
    async fn quoted(&self, answer: MessageId) -> Quote {
        let read =
            ReadHistory { of: self.with_bob(), window: Window::Latest { limit: 99 }, include_deleted: true };
        let history = self.run(self.ann, read).await.reply.messages;
        let since = Some(Position(0).into());
        let log = self.run(self.ann, ReadChanges { since, limit: 99 }).await.reply.deliveries;
        let of_log = log.iter().filter_map(|delivery| delivery.event.message());
        let mut quotes: Vec<_> = history
            .iter()
            .chain(of_log)
            .filter(|view| view.message.id == answer)
            .map(|view| view.message.annexes.reply_to.clone().expect("a quote"))
            .collect();
        assert!(quotes.len() > 1);
        quotes.dedup();
        assert_eq!(quotes.len(), 1, "all show the same: {quotes:?}");
        quotes.remove(0)
    }
}

fn sending(to: Destination, content: Content, reply_to: Option<MessageId>) -> SendMessage {
    SendMessage {
        to,
        content,
        client_id: None,
        fingerprint: None,
        context: Context { reply_to, ..Context::default() },
    }
}

/// What an answer quotes is what the other message is now: edited, deleted, restored.
#[tokio::test]
async fn a_quote_follows_its_message() {
    let world = World::new().await;
    let first = world.say(Content::text("shall we?")).await;
    let message = first.message.id;
    let outcome = world.run(world.bob, {
        let to = Destination::Person(UserKey::Id(world.ann));
        sending(to, Content::text("yes"), Some(message))
    });
    let outcome = outcome.await;
    let answer = outcome.reply.message;
    let quote = answer.annexes.reply_to.clone().expect("a quote");
    assert_eq!((quote.message, quote.seq, quote.sender), (message, Seq(1), world.ann));
    assert_eq!((quote.text.as_deref(), quote.deleted), (Some("shall we?"), false));
    let live = outcome.deliveries[0].event.message().expect("a message");
    assert_eq!(live.message, answer, "it is told with the quote");
    assert_eq!(world.quoted(answer.id).await, quote);

    world.run(world.ann, EditMessage { message, text: "shall we not?".into() }).await;
    assert_eq!(world.quoted(answer.id).await.text.as_deref(), Some("shall we not?"));
    world.run(world.ann, DeleteMessage { message }).await;
    assert_eq!(world.quoted(answer.id).await, quote.clone().into_deleted());
    assert_eq!(quote.into_deleted().text, None);
    world.run(world.ann, RestoreMessage { message }).await;
    assert_eq!(world.quoted(answer.id).await.text.as_deref(), Some("shall we not?"));
}

#[tokio::test]
async fn a_quote_is_short() {
    let world = World::new().await;
    let long = world.say(Content::text("ä".repeat(MAX_QUOTED + 1))).await.message.id;
    let answer = world.answer(long).await.message;
    assert_eq!(answer.annexes.reply_to.unwrap().text.as_deref(), Some(&*"ä".repeat(MAX_QUOTED)));
    let exact = world.say(Content::text("ä".repeat(MAX_QUOTED))).await.message;
    let answer = world.answer(exact.id).await.message;
    assert_eq!(answer.annexes.reply_to.unwrap().text, Some(exact.content.text));
    let file = Content { file_name: Some("a.txt".into()), ..Content::text("long") };
    let file = world.say(file).await.message.id;
    let quote = world.answer(file).await.message.annexes.reply_to.unwrap();
    assert_eq!((quote.text, quote.file_name.as_deref()), (None, Some("a.txt")));
    let image = Content { image: Some("/a.png".into()), ..Content::text("") };
    let image = world.say(image).await.message.id;
    let quote = world.answer(image).await.message.annexes.reply_to.unwrap();
    assert_eq!((quote.text.as_deref(), quote.has_image), (Some(""), true));
}

/// The texts that a page quotes count together. Messages whose quotes have no room any more are there without them.
#[tokio::test]
async fn a_page_quotes_no_more_than_an_answer_holds() {
    let world = World::new().await;
    let limits = crate::policy::Limits { answer_bytes: 250, ..*world.chat.limits() };
    let world = World { chat: world.chat.with_limits(limits), ..world };
    let mut answers = Vec::new();
    for _ in 0..4 {
        let message = world.say(Content::text("x".repeat(100))).await.message.id;
        answers.push(world.answer(message).await.message.id);
    }
    let quotes = of_all(&world.chat, &answers).await.unwrap();
    let with_text = quotes.iter().flatten().filter(|quote| quote.text.is_some()).count();
    assert_eq!((quotes.len(), with_text), (4, 2), "{quotes:?}");
    assert!(quotes.iter().flatten().all(|quote| !quote.deleted));
}

/// Messages of other conversations are refused like those that do not exist, and nothing is stored.
#[tokio::test]
async fn only_messages_of_the_same_conversation_are_answered() {
    let world = World::new().await;
    let own = CreateRoom { name: "own".into(), visibility: Visibility::Private, members: Vec::new() };
    let room = world.run(world.ann, own).await.reply.id;
    let said = sending(Destination::Conversation(room), Content::text("hidden"), None);
    let elsewhere = world.run(world.ann, said).await.reply.message.id;
    let here = world.say(Content::text("hello")).await.message.id;
    for wrong in [elsewhere, MessageId::from_bytes([7; 12])] {
        let send = sending(world.with_bob(), Content::text("yes"), Some(wrong));
        let error = world.chat.execute(&Actor { user: world.ann }, send).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "reply_to", .. }), "{error:?}");
    }
    let read =
        ReadHistory { of: world.with_bob(), window: Window::Latest { limit: 9 }, include_deleted: true };
    assert_eq!(world.run(world.ann, read).await.reply.messages.len(), 1);
    // What was sent under a client id can be sent again, whatever has become of the other message.
    let again = SendMessage {
        client_id: ClientId::new("once"),
        ..sending(world.with_bob(), Content::text("yes"), Some(here))
    };
    let first = world.run(world.ann, again.clone()).await.reply.message.id;
    world.run(world.ann, DeleteMessage { message: here }).await;
    let repeated = world.run(world.ann, again).await;
    assert_eq!(repeated.reply.message.id, first);
    assert!(repeated.deliveries.is_empty());
    assert!(repeated.reply.message.annexes.reply_to.unwrap().deleted);
}
