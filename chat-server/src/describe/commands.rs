//! The table of `native`'s commands as plain data, for tests that go over all of it: a new row is in them by that alone.

use crate::dialect::field::{Field, Kind, Rule};
use crate::dialect::native::described::commands;

/// A command of `native`.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its event.
    pub event: &'static str,
    /// The method of its route.
    pub method: String,
    /// The path of its route, with `:field` for each field in it.
    pub path: &'static str,
    /// Its fields.
    pub fields: Vec<CommandField>,
    /// Groups of fields of which at most one may be given.
    pub exclusive: Vec<&'static [&'static str]>,
    /// Groups of fields of which one must be given.
    pub alternatives: Vec<&'static [&'static str]>,
    /// Whether its event may come without an object.
    pub is_optional: bool,
}

/// A field of a command.
#[derive(Debug, Clone, Copy)]
pub struct CommandField {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: FieldKind,
    /// What it must be, as refusals say it.
    pub expected: &'static str,
    /// Whether a command without it is refused.
    pub is_required: bool,
}

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text of so many characters at most; 0 is any number.
    Text(usize),
    /// An id.
    Id,
    /// A list of ids.
    Ids,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of some of these texts.
    Choices(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// What the server has told.
    Told,
    /// An image, over HTTP only.
    Image,
    /// Something else.
    Other,
}

/// All commands of `native`.
pub fn all() -> Vec<Command> {
    let of_row = commands().map(|row| {
        let exclusive = row.rules.iter().filter_map(|rule| match rule {
            Rule::One(fields) | Rule::AtMostOne(fields) => Some(*fields),
            Rule::Some(_) => None,
        });
        let alternatives = row.rules.iter().filter_map(|rule| match rule {
            Rule::One(fields) | Rule::Some(fields) => Some(*fields),
            Rule::AtMostOne(_) => None,
        });
        Command {
            event: row.event,
            method: row.method.to_string(),
            path: row.path,
            fields: row.fields.iter().map(field).collect(),
            exclusive: exclusive.collect(),
            alternatives: alternatives.collect(),
            is_optional: row.is_optional(),
        }
    });
    of_row.collect()
}

fn field(field: &Field) -> CommandField {
    let kind = match field.kind {
        Kind::Text { most, .. } => FieldKind::Text(most),
        Kind::Id(_) => FieldKind::Id,
        Kind::Ids(_) => FieldKind::Ids,
        Kind::Choice(choices, _) => FieldKind::Choice(choices),
        Kind::Choices(choices, _) => FieldKind::Choices(choices),
        Kind::Flag => FieldKind::Flag,
        Kind::Count | Kind::Moment | Kind::Limit { .. } => FieldKind::Number,
        Kind::Told(_) => FieldKind::Told,
        Kind::Image(_) => FieldKind::Image,
        Kind::Commands { .. } => FieldKind::Other,
    };
    CommandField { name: field.name, kind, expected: field.expected(), is_required: field.is_required }
}
