//! What changes about messages: the commands and what is told of it, a line here for each aspect ([`chat_core::aspects`]) and a file
//! for what it is. What messages show of it is in `annexes.rs`.

mod reactions;

pub(super) use self::reactions::Reacted;

use chat_core::aspects::MessageChange;
use chat_core::event::MessageChanged;
use schemars::JsonSchema;
use serde::Serialize;

use super::row::Row;

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
