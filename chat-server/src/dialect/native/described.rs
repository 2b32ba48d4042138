//! What the dialect's events are, for the descriptions of the API.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::batch;
use super::events::{Presence, Typing};
use super::shapes::OfUser;
use super::sync::What;
use super::table::{Row, TABLE};
use crate::dialect::Failure;
use crate::dialect::described::Told;
use crate::dialect::field::{Field, Shown, shown};

/// All commands but `batch`.
pub(crate) fn commands() -> &'static [Row] {
    TABLE
}

/// The event of several commands, what it does, its fields and its answer.
pub(crate) const BATCH: (&str, &str, &[Field], Shown) =
    (batch::EVENT, batch::ABOUT, batch::FIELDS, shown::<batch::Results>);

/// Everything that the log shows, each of which is an event, too.
pub(crate) const CHANGES: Shown = whole::<What<'_>>;

/// Why something was refused.
pub(crate) const FAILURE: Shown = shown::<Failure>;

/// The events of what is in no log.
pub(crate) static TOLD: &[Told] = &[
    Told { name: "userRegistered", about: "Somebody has registered.", argument: shown::<OfUser<'_>> },
    Told { name: "typingChanged", about: "Somebody types, or does not any more.", argument: shown::<Typing> },
    Told { name: "presence", about: "Somebody came or went.", argument: shown::<Presence> },
    Told {
        name: "error",
        about: "What was sent was refused, and nobody waits for an answer.",
        argument: FAILURE,
    },
];

/// The schema itself and not where it stands.
fn whole<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}
