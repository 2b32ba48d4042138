//! What clients send, and what they are told.

use chat_core::command::Reply;
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::{Conversation, RoomAspect};
use schemars::JsonSchema;
use serde::Serialize;
use smallvec::smallvec;

use super::moderation::{restricted, updated};
use super::shapes::{
    OfMessage, OfRoom, OfUser, RoomObject, UserId24, message, reacted, role, room, status, user,
};
use super::{
    Native, arguments, batch, messages, moderation, people, read, rooms, routes, search, sync, table,
};
use crate::dialect::{
    Answer, Asked, Call, DecodeError, Dialect, EventPosition, Failure, Frame, Frames, Inbound,
    PresenceChange, Roster, Route, To, Whereabouts,
};

impl Dialect for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        super::events()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        if call.event == batch::EVENT {
            return batch::decode(call).map(Inbound::Batch);
        }
        let (command, request) = table::decode(call)?;
        Ok(Inbound::Command(command, request))
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        let of_member = |name, conversation: &Conversation, who: UserId, new_role| {
            let told = |is_inside| {
                let told = OfMember {
                    room: room(conversation, is_inside),
                    user_id: who.to_string(),
                    role: new_role,
                };
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
            Event::MessageReacted { message, user, emoji, is_there, reactions, .. } => {
                let name = if *is_there { "reactionAdded" } else { "reactionRemoved" };
                to_all(name, &reacted(message, *user, emoji, reactions), mark)
            }
            Event::RoomCreated { room, by } => of_member("roomCreated", room, *by, None),
            Event::MemberAdded { room, user } => of_member("memberAdded", room, *user, None),
            Event::MemberRemoved { room, user } => of_member("memberRemoved", room, *user, None),
            Event::RoleChanged { room, user, role: new } => {
                of_member("roleChanged", room, *user, Some(role(*new)))
            }
            Event::RoomChanged { room, by, aspect } => {
                let of_member = |name, user| to_all(name, &restricted(room, user, *by, *aspect), mark);
                match *aspect {
                    RoomAspect::Banned(user) => of_member("memberBanned", user),
                    RoomAspect::Unbanned(user) => of_member("memberUnbanned", user),
                    RoomAspect::Muted { user, .. } => of_member("memberMuted", user),
                    RoomAspect::Unmuted(user) => of_member("memberUnmuted", user),
                    RoomAspect::Updated => to_all("roomUpdated", &updated(room, *by, true), mark),
                }
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

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        // Where an event of another dialect was for a command of this one, there is no name for the answer but the oldest.
        let event = match asked.request.event {
            "" => read::READ,
            event => event,
        };
        match Fields::of(reply, asked.user, asked.whereabouts) {
            Some(fields) => Answer::by_ack_or_event(asked, event, &fields),
            None => Answer::done(),
        }
    }

    fn refusal(&self, failure: Failure) -> Failure {
        arguments::in_own_words(failure)
    }

    fn roster(&self) -> Roster {
        Roster::Changes
    }

    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        let (user_id, last_seen) = (change.user.to_string(), change.at.as_millis());
        Some(Frame::new("presence", &Presence { user_id, status: status(change.online), last_seen }))
    }
}

/// What a command is answered with, on the socket and over HTTP alike.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Fields<'a> {
    Message(OfMessage<'a>),
    Messages(messages::Listed<'a>),
    Users(people::Listed<'a>),
    User(OfUser<'a>),
    Room(OfRoom<'a>),
    Members(rooms::Listed),
    Bans(moderation::Listed),
    Read(read::Marked),
    Unread(read::UnreadList<'a>),
    Changes(sync::SyncObject<'a>),
    Found(search::FoundObject<'a>),
}

impl<'a> Fields<'a> {
    /// None where there is nothing more to say than that it was carried out.
    pub(super) fn of(reply: &'a Reply, asker: UserId, whereabouts: Whereabouts<'_>) -> Option<Self> {
        Some(match reply {
            Reply::Done => return None,
            Reply::Message(view) => Self::Message(OfMessage { message: message(&view.message) }),
            Reply::Messages(history) => Self::Messages(messages::listed(history)),
            Reply::Users(users) => Self::Users(people::listed(users, whereabouts)),
            Reply::User(of) => Self::User(OfUser { user: user(of) }),
            Reply::Conversation(of) => Self::Room(OfRoom { room: room(of, of.member(asker).is_some()) }),
            Reply::Members(page) => Self::Members(rooms::listed(page)),
            Reply::Bans(page) => Self::Bans(moderation::listed(page)),
            Reply::Read(mark) => Self::Read(read::marked(mark.as_ref())),
            Reply::Unread(unread) => Self::Unread(read::listed(unread)),
            Reply::Changes(changes) => Self::Changes(sync::answer(changes, asker)),
            Reply::Found(found) => Self::Found(search::answer(found)),
        })
    }
}

/// A room, and of whom it is told.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OfMember<'a> {
    room: RoomObject<'a>,
    user_id: UserId24,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["member", "moderator", "admin"]))]
    role: Option<&'static str>,
}

/// Whether somebody types.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Typing {
    room_id: String,
    user_id: UserId24,
    typing: bool,
}

/// Whether somebody is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Presence {
    user_id: UserId24,
    #[schemars(extend("enum" = ["online", "offline"]))]
    status: &'static str,
    /// Milliseconds since 1970.
    last_seen: i64,
}

fn to_all(name: &'static str, told: &impl Serialize, mark: EventPosition) -> Frames {
    smallvec![(To::All, mark.frame(name, told))]
}
