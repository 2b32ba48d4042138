//! Reactions.
//!
//! ```text
//! bob > reaction.add {"messageId":"…","emoji":"👍"}, reaction.remove {the same} (ack)      {…,"message":{…,"reactions":[…]}}
//! both < reactionAdded, reactionRemoved {"roomId":"…","messageId":"…","seq":7,"userId":"BOB","emoji":"👍","reactions":[…]}
//! ```

use axum::http::Method;
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use chat_core::reactions::{Emoji, Reacting, ReactionChange, SetReaction};
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::DecodeError;
use crate::dialect::field::{Field, Kind, shown};
use crate::dialect::native::annexes::{ReactionObject, reactions};
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::MESSAGE_ID;
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::OfMessage;

pub(super) const ROWS: &[Row] = &[
    row(
        "reaction.add",
        Method::POST,
        "/api/v1/messages/:messageId/reactions",
        "Reacts to a message with an emoji.",
        &[MESSAGE_ID, EMOJI],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, Reacting::Add),
    ),
    row(
        "reaction.remove",
        Method::DELETE,
        "/api/v1/messages/:messageId/reactions",
        "Takes a reaction back.",
        &[MESSAGE_ID, EMOJI],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, Reacting::Remove),
    ),
];

const EMOJI: Field = Field::new(
    "emoji",
    Kind::Text { least: 1, most: Emoji::MAX_BYTES },
    "One emoji of Unicode, sequences included.",
);

fn set(arguments: &Arguments<'_>, reacting: Reacting) -> Result<Command, DecodeError> {
    let emoji = arguments.required("emoji")?.into_owned();
    Ok(SetReaction { message: arguments.message()?, emoji, reacting }.into())
}

/// That somebody has reacted to a message, or has taken it back, and all that stands on the message since.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reacted")]
pub(in crate::dialect::native) struct Reacted<'a> {
    room_id: String,
    message_id: String,
    seq: u32,
    user_id: String,
    emoji: &'a str,
    reactions: Vec<ReactionObject<'a>>,
}

pub(super) fn name(change: &ReactionChange) -> &'static str {
    if change.is_there { "reactionAdded" } else { "reactionRemoved" }
}

pub(super) fn told<'a>(changed: &'a MessageChanged, change: &'a ReactionChange) -> Reacted<'a> {
    Reacted {
        room_id: changed.message.conversation.to_string(),
        message_id: changed.message.id.to_string(),
        seq: changed.message.seq.0,
        user_id: changed.by.to_string(),
        emoji: change.emoji.as_str(),
        reactions: reactions(&changed.annexes.reactions),
    }
}
