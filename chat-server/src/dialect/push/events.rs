//! What the family's pages send, and what they are told.

use chat_core::command::{Command, Reply};
use chat_core::event::Event;
use serde::Serialize;
use smallvec::smallvec;

use super::shapes::MessageObject;
use super::{reading, typing};
use crate::dialect::native::Native;
use crate::dialect::shapes::UserObject;
use crate::dialect::{Answer, Asked, Call, DecodeError, Dialect, EventPosition, Frames, To};

pub(super) const EVENTS: &[&str] = &[
    "typing",
    "stopTyping",
    "markMessagesAsSeen",
    "markSeen",
    "mark-messages-as-read",
    "messageSeen",
    "message_read",
    "messages:read",
];

pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    match typing::decode(call) {
        Err(DecodeError::UnknownEvent) => reading::decode(call),
        decoded => decoded,
    }
}

pub(super) fn outbound(event: &Event, mark: EventPosition) -> Frames {
    match event {
        Event::MessageSent(view) => {
            let Some(message) = MessageObject::of(view) else { return Frames::new() };
            let sender = view.message.sender;
            let (to_others, to_sender) =
                (mark.frame("newMessage", &message), mark.frame("messageSent", &message));
            smallvec![(To::Except(sender), to_others), (To::Only(sender), to_sender)]
        }
        Event::MessageDeleted(view) => {
            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            struct Deleted<'a> {
                message_id: &'a str,
                #[serde(rename = "_id")]
                id: &'a str,
                deleted: bool,
            }
            let id = view.message.id.hex();
            let deleted = Deleted { message_id: id.as_str(), id: id.as_str(), deleted: true };
            smallvec![(To::All, mark.frame("messageDeleted", &deleted))]
        }
        Event::MessageRestored(view) => match MessageObject::of(view) {
            Some(message) => smallvec![(To::All, mark.frame("messageRestored", &message))],
            None => Frames::new(),
        },
        Event::ProfileUpdated(user) => {
            smallvec![(To::All, mark.frame("userUpdated", &UserObject { user, online: None }))]
        }
        Event::UserRegistered(user) => {
            smallvec![(
                To::Except(user.id),
                mark.frame("userJoined", &UserObject { user, online: Some(false) })
            )]
        }
        Event::TypingChanged { conversation, user, typing } => {
            typing::told(conversation, user, *typing, mark)
        }
        Event::MessagesRead { conversation, user, seq, messages } => {
            reading::told(conversation, user, *seq, messages, mark)
        }
        Event::RoomCreated { .. }
        | Event::MemberAdded { .. }
        | Event::MemberRemoved { .. }
        | Event::RoleChanged { .. } => Frames::new(),
    }
}

pub(super) fn reply(asked: &Asked<'_>, reply: &Reply) -> Answer {
    match reply {
        // Nobody has agreed on what a page is told that has marked something as read.
        Reply::Read(_) | Reply::Unread(_) | Reply::Changes(_) | Reply::Found(_) => Native.reply(asked, reply),
        // Everything else that has an answer is asked for over HTTP.
        Reply::Done
        | Reply::Message(_)
        | Reply::Messages(_)
        | Reply::Users(_)
        | Reply::User(_)
        | Reply::Conversation(_)
        | Reply::Members(_) => Answer::done(),
    }
}
