//! Edits.
//!
//! ```text
//! ann > message.edit {"messageId":"…","content":"hello!"} (ack)      {…,"message":{…,"content":"hello!","editedAt":…,"edits":1}}
//! both < messageEdited {"message":{…}}
//! ann > message.edits {"messageId":"…"} (ack)      {…,"messages":[{…,"content":"hello"}],"hasMore":false}
//! ```

use axum::http::Method;
use chat_core::aspects::edits::{EditMessage, ReadEdits};
use chat_core::command::Command;
use chat_core::event::MessageChanged;

use crate::dialect::DecodeError;
use crate::dialect::field::{Field, shown};
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::{CONTENT, MESSAGE_ID};
use crate::dialect::native::messages::Listed;
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::{OfMessage, message};

pub(super) const ROWS: &[Row] = &[
    row(
        "message.edit",
        Method::PATCH,
        "/api/v1/messages/:messageId",
        "Gives one of one's own messages another text.",
        &[MESSAGE_ID, NEW_CONTENT],
        shown::<OfMessage<'_>>,
        edit,
    ),
    row(
        "message.edits",
        Method::GET,
        "/api/v1/messages/:messageId/edits",
        "Reads what a message said before, the first text first, where that was kept; for those who may delete it.",
        &[MESSAGE_ID],
        shown::<Listed<'_>>,
        read,
    ),
];

const NEW_CONTENT: Field = CONTENT.about("The new text.");

fn edit(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let text = arguments.required("content")?.into();
    Ok(EditMessage { message: arguments.message()?, text }.into())
}

fn read(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ReadEdits { message: arguments.message()? }.into())
}

/// The message as it is since.
pub(super) fn told(changed: &MessageChanged) -> Option<OfMessage<'_>> {
    changed.view.as_deref().map(|view| OfMessage { message: message(&view.message) })
}
