//! The events that clients receive. A live event and the same event in `sync` have the same name and the same object.

use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::Conversation;
use schemars::JsonSchema;
use serde::Serialize;
use smallvec::smallvec;

use super::shapes::{OfMessage, OfUser, RoomObject, UserId24, message, role, room, user};
use super::{changed, moderation, read, relations, sessions, settings};
use crate::dialect::field::shown;
use crate::dialect::{EventPosition, Frames, To, described};

/// The name and the object of an event. `is_inside` says whether the recipient is a member of the room.
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
        Event::RoomChanged { room, by, aspect } => {
            let (name, change) = moderation::told(room, *by, *aspect, is_inside(room));
            (name, Told::Room(change))
        }
        Event::MessagesRead { conversation, user, seq, .. } => {
            ("messagesRead", Told::Read(read::moved(conversation, user, *seq)))
        }
        Event::ProfileUpdated(changed) => ("profileUpdated", Told::User(OfUser { user: user(changed) })),
        Event::RelationChanged { with, relation, .. } => {
            ("relationChanged", Told::Relation(relations::related(with, *relation)))
        }
        Event::ChatSettingsChanged { conversation, settings: now, .. } => {
            ("chatSettingsChanged", Told::ChatSettings(settings::settings(*conversation, now)))
        }
        Event::SessionEnded { session, .. } => ("sessionEnded", Told::Session(sessions::of(*session))),
        Event::UserRegistered(new) => ("userRegistered", Told::User(OfUser { user: user(new) })),
        Event::TypingChanged { conversation, user, typing } => {
            let (room_id, user_id) = (conversation.id.to_string(), user.id.to_string());
            ("typingChanged", Told::Typing(Typing { room_id, user_id, typing: *typing }))
        }
    }
}

/// The frames of a live event for its audience.
pub(super) fn frames(event: &Event, mark: EventPosition) -> Frames {
    let frame = |is_inside| {
        let (name, told) = told(event, |_| is_inside);
        mark.frame(name, &told)
    };
    match event {
        // A user who has left the room receives this event without the room's details.
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

/// The events about changes in the log, for the descriptions of the API.
pub(crate) static LOGGED: &[described::Told] = &[
    described::told("messageSent", "Somebody has said something.", shown::<OfMessage<'_>>),
    described::told("messageDeleted", "A message was deleted.", shown::<OfMessage<'_>>),
    described::told("messageRestored", "A deletion was taken back.", shown::<OfMessage<'_>>),
    described::told("messageEdited", "A message has another text.", shown::<OfMessage<'_>>),
    described::told("messageHidden", "One has hidden a message from oneself.", shown::<changed::Hidden>),
    described::told("messageUnhidden", "One sees a hidden message again.", shown::<changed::Hidden>),
    described::told("messagePinned", "Somebody has pinned a message.", shown::<changed::PinChanged>),
    described::told("messageUnpinned", "Somebody has unpinned a message.", shown::<changed::PinChanged>),
    described::told(
        "threadUpdated",
        "A message in a thread was deleted or restored.",
        shown::<changed::threads::Updated>,
    ),
    described::told("threadFollowed", "One follows a thread.", shown::<changed::threads::Followed>),
    described::told(
        "threadUnfollowed",
        "One has stopped to follow a thread.",
        shown::<changed::threads::Followed>,
    ),
    described::told("reactionAdded", "Somebody has reacted to a message.", shown::<changed::Reacted<'_>>),
    described::told("reactionRemoved", "Somebody has taken a reaction back.", shown::<changed::Reacted<'_>>),
    described::told("roomCreated", "A room was made, with oneself in it.", shown::<OfMember<'_>>),
    described::told("memberAdded", "Somebody has come into a room.", shown::<OfMember<'_>>),
    described::told(
        "memberRemoved",
        "Somebody has left a room, or was taken out of it.",
        shown::<OfMember<'_>>,
    ),
    described::told(
        "roleChanged",
        "A member of a room may do something else than before.",
        shown::<OfMember<'_>>,
    ),
    described::told(
        "memberBanned",
        "A moderator does not let a user come into a room any more.",
        shown::<moderation::Restricted>,
    ),
    described::told(
        "memberUnbanned",
        "A user who was banned may come into a room again.",
        shown::<moderation::Restricted>,
    ),
    described::told(
        "memberMuted",
        "A moderator does not let a member of a room send messages.",
        shown::<moderation::Restricted>,
    ),
    described::told(
        "memberUnmuted",
        "A member who was muted may send messages again.",
        shown::<moderation::Restricted>,
    ),
    described::told("roomUpdated", "The settings of a room have changed.", shown::<moderation::Updated<'_>>),
    described::told("messagesRead", "Somebody has read on.", shown::<read::Moved>),
    described::told(
        "relationChanged",
        "A block or friendship of one's own has changed.",
        shown::<relations::RelatedObject<'_>>,
    ),
    described::told(
        "chatSettingsChanged",
        "One's own settings for a conversation have changed.",
        shown::<settings::SettingsObject<'_>>,
    ),
    described::told(
        "sessionEnded",
        "One is logged out on a device, because its session was ended.",
        shown::<sessions::OfSession>,
    ),
    described::told("profileUpdated", "Somebody has changed their name or picture.", shown::<OfUser<'_>>),
];

/// What is told of an event.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "What")]
#[expect(clippy::large_enum_variant, reason = "it is on the stack while one event is written")]
pub(super) enum Told<'a> {
    Message(OfMessage<'a>),
    Changed(changed::Changed<'a>),
    Member(OfMember<'a>),
    Room(moderation::Changed<'a>),
    Read(read::Moved),
    Relation(relations::RelatedObject<'a>),
    ChatSettings(settings::SettingsObject<'a>),
    Session(sessions::OfSession),
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
