//! A row of the table of commands.

use axum::http::{Method, StatusCode};
use chat_core::command::Command;

use super::arguments::Arguments;
use crate::dialect::DecodeError;
use crate::dialect::described::{Body, Described, Gives};
use crate::dialect::field::{Field, Rule, Shown};

/// A command as clients know it. What it takes and answers is described here for those who read it, and for the descriptions of
/// the API ([`crate::describe`]).
pub(crate) struct Row {
    /// Its event: a noun and a verb.
    pub(crate) event: &'static str,
    /// Its method over HTTP. With `GET` and `DELETE` what does not stand in the path is in the query, else in the body.
    pub(crate) method: Method,
    /// Its path over HTTP, with `:field` for fields that stand there.
    pub(crate) path: &'static str,
    /// What it does, as a sentence.
    pub(crate) about: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [Field],
    /// What of its fields must be there together.
    pub(crate) rules: &'static [Rule],
    /// The object of its answer.
    pub(crate) answer: Shown,
    /// What it asks for.
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
    /// What it was called before there was this table; both names stay.
    pub(crate) old: Option<Old>,
    /// Whether something new is there once it is carried out.
    creates: bool,
    /// Whether an event may come without an object.
    is_optional: bool,
}

/// The names of a command that is older than the table.
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
    /// What of its fields must be there together.
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

    /// The command that is asked for.
    pub(super) fn command(&self, arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
        (self.command)(arguments)
    }

    /// The names of its event.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.event), self.old.as_ref().map(|old| old.event)].into_iter().flatten()
    }

    /// The status of its answer over HTTP.
    pub(crate) fn status(&self) -> StatusCode {
        if self.creates { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Whether an event of it may come without an object.
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

    /// Its route as it was before there was a table.
    pub(super) fn described_as_before(&self) -> Described {
        let event = self.old.as_ref().map_or("", |old| old.event);
        Described { event, rules: self.rules, ..Described::new(self.about, self.fields, self.answer) }
    }

    /// The fields that stand in its path over HTTP.
    pub(crate) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix(':'))
    }

    /// Whether a request may come without a body: where an event may come without an object, and where its path says what is
    /// meant.
    pub(crate) fn may_have_no_body(&self) -> bool {
        self.is_optional || self.path.contains(':')
    }

    /// Whether it may be as large as an image or a file.
    pub(super) fn may_be_large(&self) -> bool {
        self.fields.iter().any(Field::may_be_large)
    }
}
