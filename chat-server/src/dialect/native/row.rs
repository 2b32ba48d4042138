//! A row of the table of commands.

use axum::http::{Method, StatusCode};
use chat_core::command::Command;

use super::arguments::Arguments;
use crate::dialect::DecodeError;
use crate::dialect::described::{Body, Described, Gives};
use crate::dialect::field::{Field, Rule, Shown};

/// A command of the wire format. Its parameters and its answer are described here for readers of the code and for the
/// descriptions of the API ([`crate::describe`]).
pub(crate) struct Row {
    /// Its event: a noun and a verb.
    pub(crate) event: &'static str,
    /// The HTTP method. With `GET` and `DELETE`, fields that are not in the path are in the query; with other methods
    /// they are in the body.
    pub(crate) method: Method,
    /// The HTTP path, with `:field` for each field in the path.
    pub(crate) path: &'static str,
    /// What the command does, as a sentence.
    pub(crate) about: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [Field],
    /// Which fields must be given together.
    pub(crate) rules: &'static [Rule],
    /// The object of its answer.
    pub(crate) answer: Shown,
    /// Decodes the command.
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
    /// The names of the command from before this table existed; both names stay valid.
    pub(crate) old: Option<Old>,
    /// Whether the command creates something.
    creates: bool,
    /// Whether an event may come without an object.
    is_optional: bool,
}

/// The old names of a command that is older than the table.
pub(crate) struct Old {
    /// Its event.
    pub(crate) event: &'static str,
    /// Its path, with the same method.
    pub(crate) path: &'static str,
}

pub(super) const fn row(
    event: &'static str,
    method: Method,
    path: &'static str,
    about: &'static str,
    fields: &'static [Field],
    answer: Shown,
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
) -> Row {
    Row {
        event,
        method,
        path,
        about,
        fields,
        rules: &[],
        answer,
        command,
        old: None,
        creates: false,
        is_optional: false,
    }
}

impl Row {
    /// Adds rules about which fields must be given together.
    pub(super) const fn with(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    pub(super) const fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    pub(super) const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    pub(super) const fn formerly(mut self, event: &'static str, path: &'static str) -> Self {
        self.old = Some(Old { event, path });
        self
    }

    /// Decodes the command from its arguments.
    pub(super) fn command(&self, arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
        (self.command)(arguments)
    }

    /// The names of its event.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.event), self.old.as_ref().map(|old| old.event)].into_iter().flatten()
    }

    /// The HTTP status of its answer.
    pub(crate) fn status(&self) -> StatusCode {
        if self.creates { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Whether its event may come without an object.
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// Its route, for the descriptions of the API.
    pub(super) fn described(&self) -> Described {
        Described {
            event: self.event,
            rules: self.rules,
            body: if self.may_have_no_body() { Body::FieldsOrNothing } else { Body::Fields },
            answer: (self.status(), Gives::Accepted(self.answer)),
            refuses_in_full: true,
            ..Described::new(self.about, self.fields, self.answer)
        }
    }

    /// Its route under its old name.
    pub(super) fn described_as_before(&self) -> Described {
        let event = self.old.as_ref().map_or("", |old| old.event);
        Described { event, rules: self.rules, ..Described::new(self.about, self.fields, self.answer) }
    }

    /// The fields in its HTTP path.
    pub(crate) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix(':'))
    }

    /// Whether a request may come without a body: if the event may come without an object, or if the path identifies
    /// the target.
    pub(crate) fn may_have_no_body(&self) -> bool {
        self.is_optional || self.path.contains(':')
    }

    /// Whether a request may be as large as an image or a file.
    pub(super) fn may_be_large(&self) -> bool {
        self.fields.iter().any(Field::may_be_large)
    }
}
