//! Copies of messages.
//!
//! ```text
//! ann > message.forward {"messageId":"…","userId":"EVE"} (ack)      {…,"message":{…,"forwarded":true}}
//! ```

use axum::http::Method;
use chat_core::aspects::context::Context;
use chat_core::command::{Command, SendMessage};
use chat_core::model::Content;

use crate::dialect::DecodeError;
use crate::dialect::field::{Rule, shown};
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::{CLIENT_ID, IN_ROOM, MESSAGE_ID, PLACE, WITH_NAMED, WITH_USER};
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::OfMessage;
use crate::dialect::payload::{Text, client_id};

pub(super) const ROWS: &[Row] = &[row(
    "message.forward",
    Method::POST,
    "/api/v1/messages/:messageId/forward",
    "Sends a copy of a message to another conversation, or to the same one.",
    &[MESSAGE_ID, IN_ROOM, WITH_USER, WITH_NAMED, CLIENT_ID],
    shown::<OfMessage<'_>>,
    forward,
)
.with(&[Rule::One(PLACE)])
.creating()];

fn forward(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let to = arguments.required_place()?;
    let id = arguments.text("clientId")?;
    let client_id = client_id(id.map_or(Text::Absent, Text::Text))?;
    let context = Context { forward: Some(arguments.message()?), ..Context::default() };
    Ok(SendMessage { to, content: Content::text(""), client_id, fingerprint: None, context }.into())
}
