//! What the family's forks know of messages that change: what its pages ask for, what they are told, and what they are shown of
//! messages beside their content. A line here for each aspect ([`chat_core::aspects`]), and a file for what it is.

mod reactions;

pub(super) use self::reactions::Reacted;

use chat_core::aspects::{Annexes, MessageChange};
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use chat_core::model::ConversationKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::{Call, DecodeError, EventPosition, Frames, Route};

/// What the pages send.
pub(super) const EVENTS: &[&str] = &["addReaction"];

pub(super) fn routes() -> Vec<Route> {
    reactions::routes()
}

/// What an event asks for, if it is one of these.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    reactions::decode(call)
}

/// What both are told; none where the family has no word for it.
pub(super) fn told(changed: &MessageChanged, mark: EventPosition) -> Option<Frames> {
    match (&changed.conversation.kind, &changed.what) {
        (ConversationKind::Direct { .. }, MessageChange::Reacted(change)) => {
            Some(reactions::told(changed, change, mark))
        }
        // The family has no rooms.
        (ConversationKind::Room(_), _) => None,
    }
}

/// What is shown of a message beside its content.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushAnnexes")]
pub(super) struct AnnexesObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<reactions::ReactionFields<'a>>>")]
    reactions: Option<reactions::ReactionList<'a>>,
}

/// What there is of it, and in full also what there is not.
pub(super) fn annexes(annexes: &Annexes, in_full: bool) -> AnnexesObject<'_> {
    let has_reactions = in_full || !annexes.reactions.is_empty();
    AnnexesObject { reactions: has_reactions.then_some(reactions::ReactionList(&annexes.reactions)) }
}
