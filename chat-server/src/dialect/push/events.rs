//! What the family's pages send, and what they are told.

use std::sync::LazyLock;

use chat_core::command::Reply;
use chat_core::event::Event;
use chat_core::id::UserId;
use schemars::JsonSchema;
use serde::Serialize;
use smallvec::smallvec;

use super::shapes::{Ids, MessageObject};
use super::{COOKIE, Push, changed, reading, routes, typing};
use crate::dialect::native::Native;
use crate::dialect::shapes::UserObject;
use crate::dialect::{
    Answer, Asked, Auth, Call, DecodeError, Dialect, EventPosition, Frame, Frames, Inbound, Limits, Refusals,
    Roster, Route, To,
};

/// A message that was deleted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushDeletedMessage")]
pub(super) struct Deleted<'a> {
    message_id: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    deleted: bool,
}

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

/// Why a page is refused that has said whose it is and nothing that proves it.
const NO_COOKIE: &str = "Authentication error: no log-in cookie came with the connection. Log in first; a page of another \
                         origin needs withCredentials, or a websocket, and its origin in CLIENT_URL";

impl Dialect for Push {
    fn name(&self) -> &str {
        "push"
    }

    fn auth(&self) -> Auth {
        let refusals = Refusals { no_cookie: NO_COOKIE, ..Refusals::default() };
        Auth { cookie: Some(COOKIE), refusals, ..Auth::default() }
    }

    fn limits(&self) -> Limits {
        Limits { password_min: 6, ..Limits::default() }
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| [EVENTS, changed::EVENTS].concat());
        &ALL
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        let decoded = match typing::decode(call) {
            Err(DecodeError::UnknownEvent) => reading::decode(call),
            decoded => decoded,
        };
        let decoded = match decoded {
            Err(DecodeError::UnknownEvent) => changed::decode(call),
            decoded => decoded,
        };
        decoded.map(Inbound::from)
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        match event {
            Event::MessageSent(view) => {
                let Some(message) = MessageObject::of(view) else { return Frames::new() };
                let sender = view.message.sender;
                let (to_others, to_sender) =
                    (mark.frame("newMessage", &message), mark.frame("messageSent", &message));
                smallvec![(To::Except(sender), to_others), (To::Only(sender), to_sender)]
            }
            Event::MessageDeleted(view) => {
                let id = view.message.id.hex();
                let deleted = Deleted { message_id: id.as_str(), id: id.as_str(), deleted: true };
                smallvec![(To::All, mark.frame("messageDeleted", &deleted))]
            }
            Event::MessageRestored(view) => match MessageObject::of(view) {
                Some(message) => smallvec![(To::All, mark.frame("messageRestored", &message))],
                None => Frames::new(),
            },
            Event::MessageChanged(change) => {
                changed::told(change, mark).unwrap_or_else(|| Native.outbound(event, mark))
            }
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
            // The family has no words for it.
            Event::RelationChanged { .. }
            | Event::ChatSettingsChanged { .. }
            | Event::SessionEnded { .. } => Frames::new(),
            // The family has no rooms: whoever is in one has a client that knows native's words.
            Event::RoomCreated { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::RoleChanged { .. }
            | Event::RoomChanged { .. } => Native.outbound(event, mark),
        }
    }

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        match reply {
            // Nobody has agreed on what a page is told that has marked something as read.
            Reply::Read(_)
            | Reply::Unread(_)
            | Reply::Changes(_)
            | Reply::Related(_)
            | Reply::RelatedPage(_)
            | Reply::UserPage(_)
            | Reply::Report(_)
            | Reply::ReportPage(_)
            | Reply::Receipts(_)
            | Reply::Chats(_)
            | Reply::Thread(_)
            | Reply::Threads(_)
            | Reply::ChatSet(_)
            | Reply::ChatSetPage(_)
            | Reply::Found(_)
            | Reply::Sessions(_)
            | Reply::EndedSessions(_) => Native.reply(asked, reply),
            // Everything else that has an answer is asked for over HTTP.
            Reply::Done
            | Reply::Message(_)
            | Reply::Messages(_)
            | Reply::Users(_)
            | Reply::User(_)
            | Reply::Conversation(_)
            | Reply::Members(_)
            | Reply::Bans(_) => Answer::done(),
        }
    }

    fn roster(&self) -> Roster {
        Roster::Whole
    }

    fn online(&self, online: &[UserId]) -> Option<Frame> {
        Some(Frame::new("getOnlineUsers", &Ids(online)))
    }
}
