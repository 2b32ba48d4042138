//! Pinned messages.
//!
//! ```text
//! ann > message.pin {"messageId":"…"}, message.unpin {the same} (ack)      {…,"message":{…,"pinnedAt":…,"pinnedBy":"ANN"}}
//! all < messagePinned, messageUnpinned {"roomId":"…","messageId":"…","seq":7,"userId":"ANN"}
//! bob > message.pins {"roomId":"…"} (ack)      {…,"messages":[{…}],"hasMore":false}
//! ```

use axum::http::Method;
use chat_core::aspects::pins::{ListPins, PinChange, PinMessage};
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::DecodeError;
use crate::dialect::field::{Rule, shown};
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::{IN_ROOM, MESSAGE_ID, PLACE, WITH_NAMED, WITH_USER};
use crate::dialect::native::messages::Listed;
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::OfMessage;

pub(super) const ROWS: &[Row] = &[
    row(
        "message.pin",
        Method::POST,
        "/api/v1/messages/:messageId/pin",
        "Pins a message for all members of its conversation.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, true),
    ),
    row(
        "message.unpin",
        Method::DELETE,
        "/api/v1/messages/:messageId/pin",
        "Unpins a message.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, false),
    ),
    row(
        "message.pins",
        Method::GET,
        "/api/v1/pins",
        "Lists the pinned messages of a conversation, the one that was pinned last first.",
        &[IN_ROOM, WITH_USER, WITH_NAMED],
        shown::<Listed<'_>>,
        list,
    )
    .with(&[Rule::One(PLACE)]),
];

fn set(arguments: &Arguments<'_>, pinned: bool) -> Result<Command, DecodeError> {
    Ok(PinMessage { message: arguments.message()?, pinned }.into())
}

fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListPins { of: arguments.required_place()? }.into())
}

/// Which message was pinned or unpinned, and by whom.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PinChange")]
pub(in crate::dialect::native) struct PinChanged {
    room_id: String,
    message_id: String,
    seq: u32,
    user_id: String,
}

pub(super) fn name(change: &PinChange) -> &'static str {
    if change.pinned { "messagePinned" } else { "messageUnpinned" }
}

pub(super) fn told(changed: &MessageChanged) -> PinChanged {
    PinChanged {
        room_id: changed.message.conversation.to_string(),
        message_id: changed.message.id.to_string(),
        seq: changed.message.seq.0,
        user_id: changed.by.to_string(),
    }
}
