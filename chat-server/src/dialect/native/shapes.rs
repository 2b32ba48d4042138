//! The objects of the native wire.

use chat_core::clock::Timestamp;
use chat_core::model::{Conversation, ConversationKind, Member, Message, Role, User, Visibility};
use schemars::JsonSchema;
use serde::Serialize;

use super::annexes::{AnnexesObject, annexes};
use crate::dialect::Seen;

/// An id as 24 hexadecimal digits.
pub(super) type UserId24 = String;

/// A message. Times are milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Message")]
pub(super) struct MessageObject<'a> {
    message_id: String,
    room_id: String,
    sender_id: UserId24,
    /// Its place in the conversation, without gaps from 1 on.
    seq: u32,
    /// Empty when it is deleted.
    content: &'a str,
    /// A message with a file or an image is `media`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["text", "media"]))]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    timestamp: i64,
    updated_at: i64,
    deleted: bool,
    #[serde(flatten)]
    annexes: AnnexesObject<'a>,
}

/// A room. Who is no member is shown its id only.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Room")]
pub(super) struct RoomObject<'a> {
    room_id: String,
    #[serde(flatten)]
    inside: Option<Inside<'a>>,
}

/// What only members are told.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RoomInside")]
pub(super) struct Inside<'a> {
    name: &'a str,
    #[schemars(extend("enum" = ["private", "public"]))]
    visibility: &'static str,
    /// All of them, in a room of at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberObject>>,
    /// How many there are, in a larger room; `member.list` tells who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_count: Option<usize>,
    /// Milliseconds since 1970.
    created_at: i64,
    /// Seconds that plain members wait between two messages; missing when they need not.
    #[serde(skip_serializing_if = "is_zero")]
    slow_mode: u32,
}

/// A room shows so many members. Of a larger one all members would be told of all members whenever one comes or goes; who wants
/// to know them reads them in pages.
pub(super) const MAX_MEMBERS_SHOWN: usize = 100;

/// Somebody in a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Member")]
pub(super) struct MemberObject {
    user_id: UserId24,
    #[schemars(extend("enum" = ["member", "moderator", "admin"]))]
    role: &'static str,
    /// Milliseconds since 1970.
    joined_at: i64,
}

/// A person.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "User")]
pub(super) struct UserObject<'a> {
    user_id: UserId24,
    username: String,
    full_name: &'a str,
    avatar: &'a str,
}

/// A person, and whether they are there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Person")]
pub(super) struct PersonObject<'a> {
    #[serde(flatten)]
    user: UserObject<'a>,
    #[schemars(extend("enum" = ["online", "offline"]))]
    status: &'static str,
    /// Milliseconds since 1970; null for a person who was never there.
    last_seen: Option<i64>,
}

/// What a command is answered with, or an event tells, about one message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OfMessage")]
pub(super) struct OfMessage<'a> {
    pub(super) message: MessageObject<'a>,
}

/// The same of a room.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OfRoom")]
pub(super) struct OfRoom<'a> {
    pub(super) room: RoomObject<'a>,
}

/// The same of a person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OfUser")]
pub(super) struct OfUser<'a> {
    pub(super) user: UserObject<'a>,
}

pub(super) fn message(message: &Message) -> MessageObject<'_> {
    let deleted = message.deleted.is_some();
    let content = &message.content;
    let is_media = content.file_name.is_some() || content.image.is_some();
    MessageObject {
        message_id: message.id.to_string(),
        room_id: message.conversation.to_string(),
        sender_id: message.sender.to_string(),
        seq: message.seq.0,
        content: if deleted { "" } else { &content.text },
        kind: if is_media { "media" } else { "text" },
        file_name: content.file_name.as_deref().filter(|_| !deleted),
        image: content.image.as_deref().filter(|_| !deleted),
        timestamp: message.created_at.as_millis(),
        updated_at: message.updated_at.as_millis(),
        deleted,
        annexes: annexes(&message.annexes),
    }
}

/// A room, for somebody who is `inside` or not.
pub(super) fn room(room: &Conversation, is_inside: bool) -> RoomObject<'_> {
    let count = room.members.len();
    let inside = match &room.kind {
        ConversationKind::Room(info) if is_inside => Some(Inside {
            name: &info.name,
            visibility: match info.visibility {
                Visibility::Public => "public",
                Visibility::Private => "private",
            },
            members: (count <= MAX_MEMBERS_SHOWN).then(|| room.members.iter().map(member).collect()),
            member_count: (count > MAX_MEMBERS_SHOWN).then_some(count),
            created_at: room.created_at.as_millis(),
            slow_mode: info.details.slow_mode,
        }),
        ConversationKind::Room(_) | ConversationKind::Direct { .. } => None,
    };
    RoomObject { room_id: room.id.to_string(), inside }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn member(member: &Member) -> MemberObject {
    MemberObject {
        user_id: member.user.to_string(),
        role: role(member.role),
        joined_at: member.joined_at.as_millis(),
    }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Admin => "admin",
    }
}

pub(super) fn user(user: &User) -> UserObject<'_> {
    UserObject {
        user_id: user.id.to_string(),
        username: user.handle(),
        full_name: &user.full_name,
        avatar: &user.picture,
    }
}

pub(super) fn person(of: &User, seen: Seen) -> PersonObject<'_> {
    let last_seen = seen.last_seen.map(Timestamp::as_millis);
    PersonObject { user: user(of), status: status(seen.online), last_seen }
}

pub(super) fn status(online: bool) -> &'static str {
    if online { "online" } else { "offline" }
}
