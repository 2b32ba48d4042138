//! The objects of the family's wire.

use chat_core::id::UserId;
use chat_core::model::MessageView;
use chat_core::reactions::Reaction;
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::dialect::shapes::UserObject;

/// People as a bare array of their ids.
pub(super) struct Ids<'a>(pub(super) &'a [UserId]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|id| Id(*id)))
    }
}

struct Id(UserId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hex().as_str())
    }
}

/// Who has reacted with what.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushReaction")]
pub(super) struct ReactionFields<'a> {
    emoji: &'a str,
    #[schemars(with = "String")]
    user_id: Id,
}

/// Reactions as a flat list of who has reacted with what.
pub(super) struct ReactionList<'a>(pub(super) &'a [Reaction]);

impl Serialize for ReactionList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let each = self.0.iter().flat_map(|reaction| {
            let emoji = reaction.emoji.as_str();
            reaction.users.iter().map(move |user| ReactionFields { emoji, user_id: Id(*user) })
        });
        serializer.collect_seq(each)
    }
}

/// A message as this family knows it: between two people.
pub(super) struct MessageObject<'a> {
    view: &'a MessageView,
    receiver: UserId,
    /// Whether it says so, too, that nothing stands on it.
    has_reactions: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<ReactionFields<'a>>>")]
    reactions: Option<ReactionList<'a>>,
}

impl<'a> MessageObject<'a> {
    pub(super) fn of(view: &'a MessageView) -> Option<Self> {
        let has_reactions = !view.message.reactions.is_empty();
        Some(Self { view, receiver: view.recipient.as_ref()?.id, has_reactions })
    }

    /// The same with its reactions, also if there are none.
    pub(super) fn with_reactions(self) -> Self {
        Self { has_reactions: true, ..self }
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
            reactions: self.has_reactions.then_some(ReactionList(&message.reactions)),
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
