//! What the dialect's events are, for the descriptions of the API.

use super::events::Presence;
use super::row::Row;
use super::shapes::OfUser;
use super::table::rows;
use super::told::Typing;
use super::{batch, renew};
use crate::dialect::Failure;
use crate::dialect::described::{Told, told};
use crate::dialect::field::{Field, Shown, shown};

/// All commands but `batch`.
pub(crate) fn commands() -> impl Iterator<Item = &'static Row> {
    rows()
}

/// The event of several commands, what it does, its fields and its answer.
pub(crate) const BATCH: (&str, &str, &[Field], Shown) =
    (batch::EVENT, batch::ABOUT, batch::FIELDS, shown::<batch::Results>);

/// The event that renews a connection, in the same form.
pub(crate) const RENEW: (&str, &str, &[Field], Shown) =
    (renew::EVENT, renew::ABOUT, renew::FIELDS, shown::<renew::Renewed>);

/// Why something was refused.
pub(crate) const FAILURE: Shown = shown::<Failure>;

/// The events of what is in no log; those of what is in it are [`super::told::LOGGED`].
pub(crate) static TOLD: &[Told] = &[
    told("userRegistered", "Somebody has registered.", shown::<OfUser<'_>>),
    told("typingChanged", "Somebody types, or does not any more.", shown::<Typing>),
    told("presence", "Somebody came or went.", shown::<Presence>),
    told("error", "What was sent was refused, and nobody waits for an answer.", FAILURE),
];
