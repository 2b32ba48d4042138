//! The chat list.
//!
//! ```text
//! ann > chat.list {"archived":false,"limit":100} (ack)
//!     {"ok":true,"success":true,"chats":[{"roomId":"…","kind":"direct","name":"Bob","user":{…},"memberCount":2,"lastMessage":{…},
//!      "lastSeq":9,"readSeq":7,"unread":2,"mutedUntil":null,"archived":false,"pinned":true,"draft":""}],"next":null}
//! ```
//! Pinned conversations come first; otherwise the conversation with the latest message. Rooms have `members`, the first
//! five of them, in place of `user`. `next` is the `cursor` of the next page, if there is one.

use std::sync::Arc;

use chat_core::command::{ChatPage, Command, ListChats, ListedChat};
use chat_core::model::{ConversationKind, Role, User};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::settings::{SettingsObject, settings};
use super::shapes::{MessageObject, PersonObject, UserObject, message, person, role, user};
use crate::dialect::{DecodeError, Whereabouts};

/// The maximum number of conversations in one answer.
pub(super) const MAX: usize = 200;

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let (archived, after) = (arguments.flag("archived")?, arguments.id("cursor")?);
    Ok(ListChats { archived, after, limit: arguments.limit()? }.into())
}

/// A page of the chat list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatPage")]
pub(super) struct PageObject<'a> {
    chats: Vec<ChatObject<'a>>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

/// A conversation, with one's settings for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Chat")]
struct ChatObject<'a> {
    #[serde(flatten)]
    settings: SettingsObject<'a>,
    #[schemars(extend("enum" = ["direct", "room"]))]
    kind: &'static str,
    /// The name of the room, or of the other person.
    name: &'a str,
    /// The other person of a direct conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<PersonObject<'a>>,
    /// The first members of a room in the order of joining, at most five.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<HeadObject<'a>>>,
    member_count: usize,
    /// The last message that is not deleted; null when there is none.
    last_message: Option<MessageObject<'a>>,
    /// The place of the last message; 0 when there is none.
    last_seq: u32,
    read_seq: u32,
    /// At most 1,000, which means "or more".
    unread: u32,
    /// How many of them mention the user, at most 100. It is missing when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    mentions: Option<u32>,
}

/// A member of a room in the chat list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MemberHead")]
struct HeadObject<'a> {
    #[serde(flatten)]
    user: UserObject<'a>,
    #[schemars(extend("enum" = ["member", "moderator", "admin"]))]
    role: &'static str,
}

pub(super) fn page<'a>(page: &'a ChatPage, whereabouts: Whereabouts<'_>) -> PageObject<'a> {
    let chats = page.chats.iter().map(|chat| object(chat, whereabouts)).collect();
    PageObject { chats, next: page.next.map(|next| next.to_string()) }
}

fn object<'a>(chat: &'a ListedChat, whereabouts: Whereabouts<'_>) -> ChatObject<'a> {
    let other = chat.other.as_deref();
    let head = |(of, is): &'a (Arc<User>, Role)| HeadObject { user: user(of), role: role(*is) };
    let (kind, name, members) = match &chat.kind {
        ConversationKind::Direct { .. } => {
            ("direct", other.map_or("", |other: &User| &other.full_name), None)
        }
        ConversationKind::Room(info) => {
            ("room", &*info.name, Some(chat.first_members.iter().map(head).collect()))
        }
    };
    ChatObject {
        settings: settings(chat.conversation, &chat.settings),
        kind,
        name,
        user: other.map(|other| person(other, whereabouts.of(other))),
        members,
        member_count: chat.member_count,
        last_message: chat.last.as_ref().map(message),
        last_seq: chat.last_seq.0,
        read_seq: chat.read_seq.0,
        unread: chat.unread,
        mentions: Some(chat.mentions).filter(|count| *count > 0),
    }
}
