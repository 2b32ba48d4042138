//! What is said, deleted, restored and read, and who types.
//!
//! ```text
//! ann > message.send {"userId":"BOB","content":"hello","clientId":"ann-42"} (ack)      {"ok":true,"success":true,"message":{…}}
//! ann > message.list {"roomId":"…","before":41,"limit":50} (ack)      {"ok":true,"success":true,"messages":[…],"hasMore":true}
//! ann > message.delete {"messageId":"…"}, message.restore {"messageId":"…"} (ack)      {…,"message":{…}}
//! ann > typing.set {"roomId":"…","typing":true} (ack)      {"ok":true,"success":true}
//! ```
//! Messages come the oldest first. The page before them is what comes `before` the `seq` of the first one, the page after
//! them what comes `after` that of the last one.

use chat_core::aspects::context::Context;
use chat_core::command::{
    Command, DeleteMessage, History, ReadHistory, RestoreMessage, SendMessage, SetTyping,
};
use chat_core::history::Window;
use chat_core::model::{Content, Seq};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::{Arguments, wrong};
use super::fields::{
    CLIENT_ID, CONTENT, FILE_NAME, IMAGE, IN_ROOM, IN_THREAD, REPLY_TO, WITH_NAMED, WITH_USER,
};
use super::shapes::{MessageObject, message};
use crate::dialect::DecodeError;
use crate::dialect::field::Field;
use crate::dialect::payload::{Text, client_id};

/// The fields of a message that is sent.
pub(super) const SENT: &[Field] =
    &[IN_ROOM, WITH_USER, WITH_NAMED, CONTENT.optional(), FILE_NAME, IMAGE, CLIENT_ID, REPLY_TO, IN_THREAD];

pub(super) fn send(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let to = arguments.required_place()?;
    let image = arguments.image("image")?;
    let text = match image {
        Some(_) => arguments.text("content")?.unwrap_or_default(),
        None => arguments.required("content")?,
    };
    let file_name = arguments.text("fileName")?.map(Into::into);
    let id = arguments.text("clientId")?;
    let client_id = client_id(id.map_or(Text::Absent, Text::Text))?;
    let content = Content { text: text.into(), file_name, image };
    let (reply_to, thread) = (arguments.id("replyTo")?, arguments.id("threadId")?);
    let context = Context { reply_to, thread, ..Context::default() };
    Ok(SendMessage { to, content, client_id, fingerprint: None, context }.into())
}

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let limit = arguments.limit()?;
    let seq = |count: u64| Seq(u32::try_from(count).unwrap_or(u32::MAX));
    let (before, after) = (arguments.count("before")?.map(seq), arguments.count("after")?.map(seq));
    let window = match (before, after) {
        (Some(_), Some(_)) => return Err(wrong("after", "left out where before is given")),
        (before, None) => Window::before(before, limit),
        (None, Some(seq)) => Window::After { seq, limit },
    };
    let include_deleted = arguments.flag("deleted")?.unwrap_or_default();
    Ok(ReadHistory { of: arguments.required_place()?, window, include_deleted }.into())
}

pub(super) fn delete(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(DeleteMessage { message: arguments.message()? }.into())
}

pub(super) fn restore(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(RestoreMessage { message: arguments.message()? }.into())
}

pub(super) fn set_typing(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let typing = arguments.flag("typing")?.ok_or(DecodeError::Missing("typing"))?;
    Ok(SetTyping { to: arguments.required_place()?, typing }.into())
}

/// A part of a history.
pub(super) fn listed(history: &History) -> Listed<'_> {
    Listed {
        messages: history.messages.iter().map(|view| message(&view.message)).collect(),
        has_more: history.has_more,
    }
}

/// A part of a history.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageList")]
pub(super) struct Listed<'a> {
    messages: Vec<MessageObject<'a>>,
    has_more: bool,
}
