//! The annexes of a message, which are shown beside its content: one field for each aspect that has something to show
//! ([`chat_core::aspects`]).

use chat_core::aspects::Annexes;
use chat_core::aspects::edits::Edited;
use chat_core::reactions::Reaction;
use schemars::JsonSchema;
use serde::Serialize;

/// What is shown of a message beside its content.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAnnexes")]
pub(super) struct AnnexesObject<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactionObject<'a>>,
    #[serde(flatten)]
    edited: Option<EditedObject>,
}

pub(super) fn annexes(annexes: &Annexes) -> AnnexesObject<'_> {
    AnnexesObject { reactions: reactions(&annexes.reactions), edited: annexes.edited.map(edited) }
}

/// How many have reacted to a message with one emoji, and who was first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reaction")]
pub(super) struct ReactionObject<'a> {
    emoji: &'a str,
    count: u32,
    user_ids: Vec<String>,
}

/// The reactions to a message.
pub(super) fn reactions(reactions: &[Reaction]) -> Vec<ReactionObject<'_>> {
    let objects = reactions.iter().map(|reaction| ReactionObject {
        emoji: reaction.emoji.as_str(),
        count: reaction.count,
        user_ids: reaction.users.iter().map(ToString::to_string).collect(),
    });
    objects.collect()
}

/// How often a message was edited.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Edited")]
pub(super) struct EditedObject {
    /// When last, in milliseconds since 1970.
    edited_at: i64,
    edits: u32,
}

fn edited(edited: Edited) -> EditedObject {
    EditedObject { edited_at: edited.at.as_millis(), edits: edited.count }
}
