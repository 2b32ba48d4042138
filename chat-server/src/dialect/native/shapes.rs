//! The objects of the native wire.

use chat_core::clock::Timestamp;
use chat_core::model::{Conversation, ConversationKind, Message, Role, User, Visibility};
use serde::Serialize;

use crate::dialect::Seen;

/// An id as 24 hexadecimal digits.
pub(super) type UserId24 = String;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageObject<'a> {
    message_id: String,
    room_id: String,
    sender_id: UserId24,
    seq: u32,
    content: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    /// Milliseconds since 1970, as all times.
    timestamp: i64,
    updated_at: i64,
    deleted: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomObject<'a> {
    room_id: String,
    #[serde(flatten)]
    inside: Option<Inside<'a>>,
}

/// What only members are told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inside<'a> {
    name: &'a str,
    visibility: &'static str,
    members: Vec<MemberObject>,
    created_at: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberObject {
    user_id: UserId24,
    role: &'static str,
    joined_at: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserObject<'a> {
    user_id: UserId24,
    username: String,
    full_name: &'a str,
    avatar: &'a str,
}

/// A person, and whether they are there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PersonObject<'a> {
    #[serde(flatten)]
    user: UserObject<'a>,
    status: &'static str,
    last_seen: Option<i64>,
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
    }
}

/// A room, for somebody who is `inside` or not.
pub(super) fn room(room: &Conversation, is_inside: bool) -> RoomObject<'_> {
    let inside = match &room.kind {
        ConversationKind::Room(info) if is_inside => Some(Inside {
            name: &info.name,
            visibility: match info.visibility {
                Visibility::Public => "public",
                Visibility::Private => "private",
            },
            members: room
                .members
                .iter()
                .map(|member| MemberObject {
                    user_id: member.user.to_string(),
                    role: role(member.role),
                    joined_at: member.joined_at.as_millis(),
                })
                .collect(),
            created_at: room.created_at.as_millis(),
        }),
        ConversationKind::Room(_) | ConversationKind::Direct { .. } => None,
    };
    RoomObject { room_id: room.id.to_string(), inside }
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
