//! Messages that a person hides for themselves.
//!
//! ```text
//! bob > message.hide {"messageId":"…"}, message.unhide {the same} (ack)      {…,"message":{…}}
//! bob's devices < messageHidden, messageUnhidden {"roomId":"…","messageId":"…","seq":7}
//! ```

use axum::http::Method;
use chat_core::aspects::hiding::{HideMessage, HidingChange};
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::DecodeError;
use crate::dialect::field::shown;
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::MESSAGE_ID;
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::OfMessage;

pub(super) const ROWS: &[Row] = &[
    row(
        "message.hide",
        Method::POST,
        "/api/v1/messages/:messageId/hide",
        "Deletes a message for oneself only, on all one's devices.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, true),
    ),
    row(
        "message.unhide",
        Method::DELETE,
        "/api/v1/messages/:messageId/hide",
        "Shows oneself a hidden message again.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        |arguments| set(arguments, false),
    ),
];

fn set(arguments: &Arguments<'_>, hidden: bool) -> Result<Command, DecodeError> {
    Ok(HideMessage { message: arguments.message()?, hidden }.into())
}

/// Which message is hidden, or shown again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Hidden")]
pub(in crate::dialect::native) struct Hidden {
    room_id: String,
    message_id: String,
    seq: u32,
}

pub(super) fn name(change: &HidingChange) -> &'static str {
    if change.hidden { "messageHidden" } else { "messageUnhidden" }
}

pub(super) fn told(changed: &MessageChanged) -> Hidden {
    Hidden {
        room_id: changed.message.conversation.to_string(),
        message_id: changed.message.id.to_string(),
        seq: changed.message.seq.0,
    }
}
