//! The events of a dialect, whichever way they go.

use schemars::SchemaGenerator;
use serde_json::Value;

use super::fields;
use crate::dialect::described::Events;
use crate::dialect::field::{Field, Rule, Shown};
use crate::dialect::native::described::{BATCH, FAILURE, RENEW, TOLD, commands};
use crate::dialect::native::told::LOGGED;
use crate::dialect::{camel, push};

/// An event.
pub(super) struct Event {
    pub(super) name: String,
    /// What it does, or when it comes.
    pub(super) about: String,
    /// Its argument.
    pub(super) argument: Value,
    pub(super) direction: Direction,
}

/// Who sends it.
pub(super) enum Direction {
    /// Clients do, and are answered with this object, besides `ok` and `success`.
    ToServer {
        answer: Value,
        /// Whether it may come without an argument.
        is_optional: bool,
    },
    /// The server does.
    ToClient,
}

/// The events of the dialect of this name; none of one that does not come with this crate.
pub(super) fn of(dialect: &str, generator: &mut SchemaGenerator) -> Vec<Event> {
    match dialect {
        "camel" => of_family(&camel::EVENTS, generator),
        "push" => of_family(&push::told::EVENTS, generator),
        "native" => of_native(generator),
        _ => Vec::new(),
    }
}

fn of_family(events: &Events, generator: &mut SchemaGenerator) -> Vec<Event> {
    let mut all: Vec<_> = events
        .heard
        .iter()
        .map(|heard| {
            let of = (heard.fields, heard.rules, heard.answer);
            to_server(heard.name, heard.about, of, false, generator)
        })
        .collect();
    all.extend(events.told.iter().map(|told| to_client(told.name, told.about, told.argument, generator)));
    all.push(to_client(
        "error",
        "What was sent was refused, and nobody waits for an answer.",
        FAILURE,
        generator,
    ));
    all
}

fn of_native(generator: &mut SchemaGenerator) -> Vec<Event> {
    let mut all = Vec::new();
    for row in commands() {
        for name in row.events() {
            let of = (row.fields, row.rules, row.answer);
            all.push(to_server(name, row.about, of, row.is_optional(), generator));
        }
    }
    for (name, about, fields, answer) in [BATCH, RENEW] {
        all.push(to_server(name, about, (fields, &[], answer), false, generator));
    }
    let told = LOGGED.iter().chain(TOLD);
    all.extend(told.map(|told| to_client(told.name, told.about, told.argument, generator)));
    all
}

fn to_server(
    name: &str,
    about: &str,
    (fields, rules, answer): (&[Field], &[Rule], Shown),
    is_optional: bool,
    generator: &mut SchemaGenerator,
) -> Event {
    let fields: Vec<_> = fields.iter().collect();
    Event {
        name: name.to_owned(),
        about: about.to_owned(),
        argument: fields::object(&fields, rules),
        direction: Direction::ToServer { answer: answer(generator).to_value(), is_optional },
    }
}

fn to_client(name: &str, about: &str, argument: Shown, generator: &mut SchemaGenerator) -> Event {
    let argument = argument(generator).to_value();
    Event { name: name.to_owned(), about: about.to_owned(), argument, direction: Direction::ToClient }
}
