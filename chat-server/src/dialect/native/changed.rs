//! What is told of messages that have changed, and what is shown of messages beside their content: a line here for each aspect
//! ([`chat_core::aspects`]), and a file for what it is.

mod reactions;

use chat_core::aspects::{Annexes, MessageChange};
use chat_core::event::MessageChanged;
use schemars::JsonSchema;
use serde::Serialize;

use super::table::Row;

/// The commands.
pub(super) static ROWS: &[&[Row]] = &[reactions::ROWS];

/// What a change is called, and what is told of it.
pub(super) fn told(changed: &MessageChanged) -> (&'static str, Changed<'_>) {
    match &changed.what {
        MessageChange::Reacted(change) => {
            (reactions::name(change), Changed::Reacted(reactions::told(changed, change)))
        }
    }
}

/// What is told of a change.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MessageChange")]
pub(super) enum Changed<'a> {
    Reacted(reactions::Reacted<'a>),
}

/// What is shown of a message beside its content.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAnnexes")]
pub(super) struct AnnexesObject<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<reactions::ReactionObject<'a>>,
}

pub(super) fn annexes(annexes: &Annexes) -> AnnexesObject<'_> {
    AnnexesObject { reactions: reactions::objects(&annexes.reactions) }
}
