//! What clients send, and what they are told.

use chat_core::command::{Command, Reply};
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::Conversation;
use serde::Serialize;
use smallvec::smallvec;

use super::shapes::{MessageObject, RoomObject, UserId24, UserObject, message, role, room, user};
use super::{read, search, sync};
use crate::dialect::{Answer, Asked, Call, DecodeError, EventPosition, Frame, Frames, PresenceChange, To};

/// The events that clients may send, in every dialect.
pub(crate) const EVENTS: &[&str] = &[sync::EVENT, read::READ, read::UNREAD, search::EVENT];

/// What an event asks for.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    match &*call.event {
        sync::EVENT => sync::decode(call),
        read::READ | read::UNREAD => read::decode(call),
        search::EVENT => search::decode(call),
        _ => Err(DecodeError::UnknownEvent),
    }
}

/// The answer to a command.
pub(super) fn reply(asked: &Asked<'_>, reply: &Reply) -> Answer {
    match reply {
        Reply::Changes(changes) => {
            Answer::by_ack_or_event(asked, sync::EVENT, &sync::answer(changes, asked.user))
        }
        Reply::Read(mark) => Answer::by_ack_or_event(asked, read::READ, &read::marked(mark.as_ref())),
        Reply::Unread(unread) => Answer::by_ack_or_event(asked, read::UNREAD, &read::listed(unread)),
        Reply::Found(found) => Answer::by_ack_or_event(asked, search::EVENT, &search::answer(found)),
        // No event asks for these so far.
        Reply::Done
        | Reply::Message(_)
        | Reply::Messages(_)
        | Reply::Users(_)
        | Reply::User(_)
        | Reply::Conversation(_)
        | Reply::Members(_) => Answer::done(),
    }
}

#[derive(Serialize)]
struct OfMessage<'a> {
    message: MessageObject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfMember<'a> {
    room: RoomObject<'a>,
    user_id: UserId24,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

#[derive(Serialize)]
struct OfUser<'a> {
    user: UserObject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Typing {
    room_id: String,
    user_id: UserId24,
    typing: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Presence {
    user_id: UserId24,
    status: &'static str,
    last_seen: i64,
}

/// What clients are told of an event.
pub(super) fn outbound(event: &Event, mark: EventPosition) -> Frames {
    let of_member = |name, conversation: &Conversation, who: UserId, new_role| {
        let told = |is_inside| {
            let told =
                OfMember { room: room(conversation, is_inside), user_id: who.to_string(), role: new_role };
            mark.frame(name, &told)
        };
        // Who has left is told of it, and learns nothing of the room.
        if conversation.member(who).is_some() {
            return smallvec![(To::All, told(true))];
        }
        smallvec![(To::Except(who), told(true)), (To::Only(who), told(false))]
    };
    match event {
        Event::MessageSent(view) => {
            to_all("messageSent", &OfMessage { message: message(&view.message) }, mark)
        }
        Event::MessageDeleted(view) => {
            to_all("messageDeleted", &OfMessage { message: message(&view.message) }, mark)
        }
        Event::MessageRestored(view) => {
            to_all("messageRestored", &OfMessage { message: message(&view.message) }, mark)
        }
        Event::RoomCreated { room, by } => of_member("roomCreated", room, *by, None),
        Event::MemberAdded { room, user } => of_member("memberAdded", room, *user, None),
        Event::MemberRemoved { room, user } => of_member("memberRemoved", room, *user, None),
        Event::RoleChanged { room, user, role: new } => {
            of_member("roleChanged", room, *user, Some(role(*new)))
        }
        Event::MessagesRead { conversation, user, seq, .. } => read::told(conversation, user, *seq, mark),
        Event::ProfileUpdated(changed) => to_all("profileUpdated", &OfUser { user: user(changed) }, mark),
        Event::UserRegistered(new) => to_all("userRegistered", &OfUser { user: user(new) }, mark),
        Event::TypingChanged { conversation, user, typing } => {
            let (room_id, user_id) = (conversation.id.to_string(), user.id.to_string());
            to_all("typingChanged", &Typing { room_id, user_id, typing: *typing }, mark)
        }
    }
}

fn to_all(name: &'static str, told: &impl Serialize, mark: EventPosition) -> Frames {
    smallvec![(To::All, mark.frame(name, told))]
}

/// The event of one person who came or went.
pub(super) fn presence(change: &PresenceChange) -> Frame {
    let status = if change.online { "online" } else { "offline" };
    let told = Presence { user_id: change.user.to_string(), status, last_seen: change.at.as_millis() };
    Frame::new("presence", &told)
}
