//! The objects of the family's wire.

use chat_core::id::UserId;
use chat_core::model::MessageView;
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::changed::{AnnexesObject, annexes};
use crate::dialect::shapes::UserObject;

/// People as a bare array of their ids.
pub(super) struct Ids<'a>(pub(super) &'a [UserId]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|id| Id(*id)))
    }
}

pub(super) struct Id(pub(super) UserId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hex().as_str())
    }
}

/// A message as this family knows it: between two people.
pub(super) struct MessageObject<'a> {
    view: &'a MessageView,
    receiver: UserId,
    /// Whether it says so, too, where nothing is to be shown beside its content.
    in_full: bool,
}

/// The fields of a message between two people.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushMessage")]
pub(super) struct MessageFields<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    sender_id: &'a str,
    receiver_id: &'a str,
    text: &'a str,
    image: Option<&'a str>,
    deleted: bool,
    created_at: &'a str,
    updated_at: &'a str,
    #[serde(flatten)]
    annexes: AnnexesObject<'a>,
}

impl<'a> MessageObject<'a> {
    pub(super) fn of(view: &'a MessageView) -> Option<Self> {
        Some(Self { view, receiver: view.recipient.as_ref()?.id, in_full: false })
    }

    /// The same with all that can be shown beside its content, also if there is nothing.
    pub(super) fn in_full(self) -> Self {
        Self { in_full: true, ..self }
    }
}

impl Serialize for MessageObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = &self.view.message;
        MessageFields {
            id: message.id.hex().as_str(),
            sender_id: message.sender.hex().as_str(),
            receiver_id: self.receiver.hex().as_str(),
            text: &message.content.text,
            image: message.content.image.as_deref(),
            deleted: message.deleted.is_some(),
            created_at: message.created_at.iso().as_str(),
            updated_at: message.updated_at.iso().as_str(),
            annexes: annexes(&message.annexes, self.in_full),
        }
        .serialize(serializer)
    }
}

/// A user object that also holds itself under another name, for clients that read it there.
pub(super) struct Nested<'a>(pub(super) &'static str, pub(super) UserObject<'a>);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            user: &'a UserObject<'a>,
            #[serde(flatten)]
            again: Again<'a>,
        }
        struct Again<'a>(&'static str, &'a UserObject<'a>);
        impl Serialize for Again<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(self.0, self.1)?;
                map.end()
            }
        }
        Flat { user: &self.1, again: Again(self.0, &self.1) }.serialize(serializer)
    }
}
