//! The objects of the family's wire.

use chat_core::codec::{self, Kind};
use chat_core::model::{MessageView, User};
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

/// A message as this family knows it.
pub(super) struct MessageObject<'a>(pub(super) &'a MessageView);

/// A message between two people, who are named by their user names.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CamelMessage")]
pub(super) struct MessageFields<'a> {
    text: &'a str,
    sender: &'a str,
    receiver: &'a str,
    /// As `Date.toISOString()` writes it.
    timestamp: &'a str,
    /// Whether it is stored compressed; the text is whole in any case.
    compressed: bool,
    is_file: bool,
    file_name: Option<&'a str>,
}

impl Serialize for MessageObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let MessageView { message, sender, recipient, .. } = self.0;
        let content = &message.content;
        let kind = if content.file_name.is_some() { Kind::File } else { Kind::Message };
        MessageFields {
            text: &content.text,
            sender: name(sender),
            receiver: recipient.as_deref().map_or("", name),
            timestamp: message.created_at.iso().as_str(),
            compressed: codec::is_compressible_size(kind, content.text.len()),
            is_file: content.file_name.is_some(),
            file_name: content.file_name.as_deref(),
        }
        .serialize(serializer)
    }
}

fn name(user: &User) -> &str {
    user.username.as_deref().or(user.email.as_deref()).unwrap_or(&user.full_name)
}

/// A bare array of them.
#[derive(Clone, Copy)]
pub(super) struct MessageList<'a>(pub(super) &'a [MessageView]);

impl Serialize for MessageList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for view in self.0 {
            list.serialize_element(&MessageObject(view))?;
        }
        list.end()
    }
}
