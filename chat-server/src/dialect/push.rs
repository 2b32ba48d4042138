//! The REST family: everything is asked for over HTTP with a cookie, and news is pushed over the socket.
//!
//! ```text
//! ann > POST /api/messages/send/BOB {"text":"hello","image":null}      → 201 the message
//! bob < newMessage {"_id":"…","senderId":"ANN","receiverId":"BOB","text":"hello","image":null,"deleted":false,…}
//! ann > DELETE /api/messages/ID                                        → 200 {"success":true,"message":"…"}
//! both < messageDeleted {"messageId":"ID","_id":"ID","deleted":true}
//! ```
//!
//! Beyond what the family's pages know (they ignore events they do not listen to):
//! `PUT /api/messages/:id/restore` undoes a deletion and `messageRestored` tells of it; `messageSent` keeps the
//! sender's other tabs up to date; `userJoined` and `userUpdated` keep lists of people fresh. Forks of the family tell who
//! types and what was seen, each in spellings of its own: see the modules `typing` and `reading`.

mod reading;
mod routes;
mod typing;

use chat_core::command::{Command, Reply};
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::MessageView;
use serde::Serialize;
use serde::ser::Serializer;
use smallvec::smallvec;

use super::wire::{Call, DecodeError, Failure, UserObject};
use super::{Ack, Dialect, Frame, Frames, Mark, To};

/// See the module.
pub static DIALECT: Dialect = Dialect {
    name: "push",
    password_min: 6,
    routes: routes::routes,
    paths: routes::PATHS,
    events: EVENTS,
    decode,
    outbound,
    reply,
    ack,
    failure,
    roster: Some(roster),
};

const EVENTS: &[&str] = &[
    "typing",
    "stopTyping",
    "markMessagesAsSeen",
    "markSeen",
    "mark-messages-as-read",
    "messageSeen",
    "message_read",
    "messages:read",
];

fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    match typing::decode(call) {
        Err(DecodeError::UnknownEvent) => reading::decode(call),
        decoded => decoded,
    }
}

fn outbound(event: &Event, mark: Mark) -> Frames {
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

fn reply(_: &Reply) -> Option<Frame> {
    // Everything that has an answer is asked for over HTTP.
    None
}

fn ack(_: &Reply) -> Ack {
    Ack::new()
}

fn failure(failure: &Failure) -> Frame {
    Frame::new("error", failure)
}

fn roster(online: &[UserId]) -> Frame {
    struct Ids<'a>(&'a [UserId]);
    impl Serialize for Ids<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().map(|id| Id(*id)))
        }
    }
    Frame::new("getOnlineUsers", &Ids(online))
}

struct Id(UserId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hex().as_str())
    }
}

/// A message as this family knows it: between two people.
struct MessageObject<'a> {
    view: &'a MessageView,
    receiver: UserId,
}

impl<'a> MessageObject<'a> {
    fn of(view: &'a MessageView) -> Option<Self> {
        Some(Self { view, receiver: view.recipient.as_ref()?.id })
    }
}

impl Serialize for MessageObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields<'a> {
            #[serde(rename = "_id")]
            id: &'a str,
            sender_id: &'a str,
            receiver_id: &'a str,
            text: &'a str,
            image: Option<&'a str>,
            deleted: bool,
            created_at: &'a str,
            updated_at: &'a str,
        }
        let message = &self.view.message;
        Fields {
            id: message.id.hex().as_str(),
            sender_id: message.sender.hex().as_str(),
            receiver_id: self.receiver.hex().as_str(),
            text: &message.content.text,
            image: message.content.image.as_deref(),
            deleted: message.deleted.is_some(),
            created_at: message.created_at.iso().as_str(),
            updated_at: message.updated_at.iso().as_str(),
        }
        .serialize(serializer)
    }
}
