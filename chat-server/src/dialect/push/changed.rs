//! Message changes for the family's forks: the requests that clients send, the events that they receive, and the
//! annexes of a message. Each aspect ([`chat_core::aspects`]) has a line here and a file with its types.

mod reactions;

pub(super) use self::reactions::Reacted;

use chat_core::aspects::{Annexes, MessageChange};
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use chat_core::model::ConversationKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::{Call, DecodeError, EventPosition, Frames, Route};

/// The events that clients send.
pub(super) const EVENTS: &[&str] = &["addReaction"];

pub(super) fn routes() -> Vec<Route> {
    reactions::routes()
}

/// Decodes an event, if it changes a message.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    reactions::decode(call)
}

/// The frames for both people; `None` where the family has no event for the change.
pub(super) fn told(changed: &MessageChanged, mark: EventPosition) -> Option<Frames> {
    match (&changed.conversation.kind, &changed.what) {
        (ConversationKind::Direct { .. }, MessageChange::Reacted(change)) => {
            Some(reactions::told(changed, change, mark))
        }
        // Its pages see the difference when they load the history again.
        (
            ConversationKind::Direct { .. },
            MessageChange::Edited(_)
            | MessageChange::Hidden(_)
            | MessageChange::Pinned(_)
            | MessageChange::Threaded(_)
            | MessageChange::Followed(_),
        ) => Some(Frames::new()),
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

/// The annexes that the message has; with `in_full` also the empty ones.
pub(super) fn annexes(annexes: &Annexes, in_full: bool) -> AnnexesObject<'_> {
    let has_reactions = in_full || !annexes.reactions.is_empty();
    AnnexesObject { reactions: has_reactions.then_some(reactions::ReactionList(&annexes.reactions)) }
}
