//! Commands that change messages, and the events about these changes. Each aspect ([`chat_core::aspects`]) has a line
//! here and a file with its types. The parts of messages that show these aspects are in `annexes.rs`.

mod edits;
mod forwarding;
mod hiding;
mod pins;
mod reactions;
pub(super) mod threads;

pub(super) use self::hiding::Hidden;
pub(super) use self::pins::PinChanged;
pub(super) use self::reactions::Reacted;

use chat_core::aspects::MessageChange;
use chat_core::event::MessageChanged;
use schemars::JsonSchema;
use serde::Serialize;

use super::row::Row;
use super::shapes::OfMessage;

/// The commands.
pub(super) static ROWS: &[&[Row]] =
    &[reactions::ROWS, edits::ROWS, hiding::ROWS, pins::ROWS, forwarding::ROWS, threads::ROWS];

/// The event name and the content for a change.
pub(super) fn told(changed: &MessageChanged) -> (&'static str, Changed<'_>) {
    match &changed.what {
        MessageChange::Edited(_) => ("messageEdited", Changed::Edited(edits::told(changed).map(Box::new))),
        MessageChange::Hidden(change) => (hiding::name(change), Changed::Hidden(hiding::told(changed))),
        MessageChange::Pinned(change) => (pins::name(change), Changed::Pinned(pins::told(changed))),
        MessageChange::Threaded(_) => ("threadUpdated", Changed::Threaded(threads::updated(changed))),
        MessageChange::Followed(change) => {
            (threads::name(change), Changed::Followed(threads::followed(changed)))
        }
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
    Edited(Option<Box<OfMessage<'a>>>),
    Hidden(hiding::Hidden),
    Pinned(pins::PinChanged),
    Threaded(threads::Updated),
    Followed(threads::Followed),
    Reacted(reactions::Reacted<'a>),
}
