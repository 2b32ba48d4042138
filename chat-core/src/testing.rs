//! A chat with three people in it, for the tests of commands.

use crate::chat::{Chat, Registration};
use crate::command::{
    Actor, CreateRoom, Destination, Outcome, ReadChanges, ReadHistory, Request, SendMessage,
};
use crate::error::Error;
use crate::event::Delivery;
use crate::history::Window;
use crate::id::{ConversationId, UserId};
use crate::model::{Content, MessageView, PasswordHash, Position, UserKey, Visibility};
use crate::policy::Limits;

/// The most messages and log entries that a test reads.
const ALL: usize = 999;

/// Ann, Bob and Eve, who have accounts and have said nothing yet.
pub(crate) struct Scene {
    pub(crate) chat: Chat,
    pub(crate) ann: UserId,
    pub(crate) bob: UserId,
    pub(crate) eve: UserId,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(Chat::in_memory()).await
    }

    /// The three people in another chat.
    pub(crate) async fn of(chat: Chat) -> Self {
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, ann: people[0], bob: people[1], eve: people[2] }
    }

    /// The same people in the same chat, under other limits.
    pub(crate) fn with_limits(self, limits: Limits) -> Self {
        Self { chat: self.chat.with_limits(limits), ..self }
    }

    /// What came of a command that is carried out.
    pub(crate) async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    /// The answer to a command that is carried out.
    pub(crate) async fn reply<R: Request>(&self, user: UserId, request: R) -> R::Reply {
        self.run(user, request).await.reply
    }

    /// Why a command is not carried out.
    pub(crate) async fn refused<R: Request>(&self, user: UserId, request: R) -> Error {
        self.chat.execute(&Actor { user }, request).await.map(drop).unwrap_err()
    }

    /// A person sends a message.
    pub(crate) async fn say(&self, by: UserId, to: Destination, text: &str) -> MessageView {
        self.reply(by, sending(to, Content::text(text))).await
    }

    /// A person makes a private room with these others.
    pub(crate) async fn room(&self, by: UserId, members: &[UserId]) -> ConversationId {
        let (name, members) = ("club".into(), members.to_vec());
        self.reply(by, CreateRoom { name, visibility: Visibility::Private, members }).await.id
    }

    /// What a person sees of a conversation, deleted messages included.
    pub(crate) async fn history(&self, user: UserId, of: Destination) -> Vec<MessageView> {
        let read = ReadHistory { of, window: Window::Latest { limit: ALL }, include_deleted: true };
        self.reply(user, read).await.messages
    }

    /// What a person finds in the log after a position.
    pub(crate) async fn log(&self, user: UserId, since: u64) -> Vec<Delivery> {
        let since = Some(Position(since).into());
        self.reply(user, ReadChanges { since, limit: ALL }).await.deliveries
    }
}

/// The direct conversation with a person.
pub(crate) fn with(user: UserId) -> Destination {
    Destination::Person(UserKey::Id(user))
}

/// Sends this, and nothing beside it.
pub(crate) fn sending(to: Destination, content: Content) -> SendMessage {
    SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() }
}
