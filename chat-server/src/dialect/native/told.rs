//! What is told of events: the same name and the same object live and in `sync`.

use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::Conversation;
use schemars::JsonSchema;
use serde::Serialize;
use smallvec::smallvec;

use super::shapes::{OfMessage, OfUser, RoomObject, UserId24, message, role, room, user};
use super::{changed, read, relations};
use crate::dialect::{EventPosition, Frames, To};

/// What an event is called, and what is told of it to somebody who is inside of a room or not.
pub(super) fn told<'a>(
    event: &'a Event,
    is_inside: impl Fn(&Conversation) -> bool,
) -> (&'static str, Told<'a>) {
    let of_member = |conversation, who: &UserId, new_role| {
        let user_id = who.to_string();
        Told::Member(OfMember { room: room(conversation, is_inside(conversation)), user_id, role: new_role })
    };
    match event {
        Event::MessageSent(view) => {
            ("messageSent", Told::Message(OfMessage { message: message(&view.message) }))
        }
        Event::MessageDeleted(view) => {
            ("messageDeleted", Told::Message(OfMessage { message: message(&view.message) }))
        }
        Event::MessageRestored(view) => {
            ("messageRestored", Told::Message(OfMessage { message: message(&view.message) }))
        }
        Event::MessageChanged(change) => {
            let (name, change) = changed::told(change);
            (name, Told::Changed(change))
        }
        Event::RoomCreated { room, by } => ("roomCreated", of_member(room, by, None)),
        Event::MemberAdded { room, user } => ("memberAdded", of_member(room, user, None)),
        Event::MemberRemoved { room, user } => ("memberRemoved", of_member(room, user, None)),
        Event::RoleChanged { room, user, role: new } => {
            ("roleChanged", of_member(room, user, Some(role(*new))))
        }
        Event::MessagesRead { conversation, user, seq, .. } => {
            ("messagesRead", Told::Read(read::moved(conversation, user, *seq)))
        }
        Event::ProfileUpdated(changed) => ("profileUpdated", Told::User(OfUser { user: user(changed) })),
        Event::RelationChanged { with, relation, .. } => {
            ("relationChanged", Told::Relation(relations::related(with, *relation)))
        }
        Event::UserRegistered(new) => ("userRegistered", Told::User(OfUser { user: user(new) })),
        Event::TypingChanged { conversation, user, typing } => {
            let (room_id, user_id) = (conversation.id.to_string(), user.id.to_string());
            ("typingChanged", Told::Typing(Typing { room_id, user_id, typing: *typing }))
        }
    }
}

/// What those are told live who are told of an event.
pub(super) fn frames(event: &Event, mark: EventPosition) -> Frames {
    let frame = |is_inside| {
        let (name, told) = told(event, |_| is_inside);
        mark.frame(name, &told)
    };
    match event {
        // Who has left is told of it, and learns nothing of the room.
        Event::RoomCreated { room, by: user }
        | Event::MemberAdded { room, user }
        | Event::MemberRemoved { room, user }
        | Event::RoleChanged { room, user, .. }
            if room.member(*user).is_none() =>
        {
            smallvec![(To::Except(*user), frame(true)), (To::Only(*user), frame(false))]
        }
        _ => smallvec![(To::All, frame(true))],
    }
}

/// What is told of an event.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "What")]
pub(super) enum Told<'a> {
    Message(OfMessage<'a>),
    Changed(changed::Changed<'a>),
    Member(OfMember<'a>),
    Read(read::Moved),
    Relation(relations::RelatedObject<'a>),
    User(OfUser<'a>),
    Typing(Typing),
}

/// A room, and of whom it is told.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfMember<'a> {
    room: RoomObject<'a>,
    user_id: UserId24,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["member", "moderator", "admin"]))]
    role: Option<&'static str>,
}

/// Whether somebody types.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Typing {
    room_id: String,
    user_id: UserId24,
    typing: bool,
}
