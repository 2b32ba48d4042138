//! The events of the family, for the descriptions of the API.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::changed::Reacted;
use super::described::{EMOJI, MESSAGE_ID, SEEN_FIELDS, SEEN_NAMES, user};
use super::events::Deleted;
use super::reading::{Seen, StatusUpdated};
use super::shapes::MessageFields;
use super::typing::UserTyping;
use crate::dialect::described::{Events, Heard, told};
use crate::dialect::field::{Field, Kind, Nothing, Rule, shown};
use crate::dialect::native::read::{Marked as ReadMark, Moved as MessagesRead};
use crate::dialect::shapes::UserFields;

/// The family's events.
pub(crate) static EVENTS: Events = Events {
    heard: &[
        typing("typing", "Tells that one types."),
        typing("stopTyping", "Tells that one does not type any more."),
        seen("markMessagesAsSeen"),
        seen("markSeen"),
        seen("mark-messages-as-read"),
        seen("messageSeen"),
        seen("message_read"),
        seen("messages:read"),
        Heard {
            name: "addReaction",
            about: "Reacts to a message with an emoji; the same one again takes it away.",
            fields: &[MESSAGE_ID, EMOJI],
            rules: &[],
            answer: shown::<Nothing>,
        },
    ],
    told: &[
        told("newMessage", "Somebody has said something.", shown::<MessageFields<'_>>),
        told("messageSent", "The same, on the sender's own devices.", shown::<MessageFields<'_>>),
        told("messageDeleted", "A message was deleted.", shown::<Deleted<'_>>),
        told("messageRestored", "A deletion was taken back.", shown::<MessageFields<'_>>),
        told("messageReaction", "Somebody has reacted to a message, or taken it back.", shown::<Reacted<'_>>),
        told("messageReacted", "The same.", shown::<Reacted<'_>>),
        told("typing", "Somebody types.", shown::<UserTyping<'_>>),
        told("userTyping", "The same.", shown::<UserTyping<'_>>),
        told("stopTyping", "Somebody does not type any more.", shown::<UserTyping<'_>>),
        told("userStopTyping", "The same.", shown::<UserTyping<'_>>),
        told("userStoppedTyping", "The same.", shown::<UserTyping<'_>>),
        told("messagesSeen", "Somebody has seen messages.", shown::<Seen<'_>>),
        told("messagesRead", "The same; one's own devices are told less.", either::<Seen<'_>, MessagesRead>),
        told(
            "messageStatusUpdated",
            "The newest of one's own messages was seen.",
            shown::<StatusUpdated<'_>>,
        ),
        told("userUpdated", "Somebody has changed their name or picture.", shown::<UserFields<'_>>),
        told("userJoined", "Somebody has registered.", shown::<UserFields<'_>>),
        told("getOnlineUsers", "The ids of everybody who is online.", shown::<Vec<String>>),
    ],
};

const TYPING_FIELDS: &[Field] = &[
    user("to", "To whom.").optional(),
    user("receiverId", "The same.").optional(),
    user("recipientId", "The same.").optional(),
    Field::new("chatId", Kind::Id("a chat's id"), "The same, or a room.").optional(),
    Field::new("groupId", Kind::Id("a group's id"), "A room.").optional(),
    Field::new("isTyping", Kind::Flag, "Whether one types.").optional(),
    Field::new("typing", Kind::Flag, "The same.").optional(),
];

const fn seen(name: &'static str) -> Heard {
    let about = "Marks messages as seen; it may also be the bare id of a person.";
    Heard { name, about, fields: SEEN_FIELDS, rules: &[Rule::Some(SEEN_NAMES)], answer: shown::<ReadMark> }
}

const fn typing(name: &'static str, about: &'static str) -> Heard {
    Heard {
        name,
        about,
        fields: TYPING_FIELDS,
        rules: &[Rule::Some(&["to", "receiverId", "recipientId", "chatId", "groupId"])],
        answer: shown::<Nothing>,
    }
}

/// One of two objects.
fn either<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (a, b) = (generator.subschema_for::<A>(), generator.subschema_for::<B>());
    json_schema!({ "anyOf": [a, b] })
}
