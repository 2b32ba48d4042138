//! What routes and events are, for the descriptions of the API ([`crate::describe`]): said beside the code that answers them.

use axum::http::StatusCode;

use super::field::{Field, Nothing, Rule, Shown, shown};

/// What a route takes and answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// The event that does the same; empty where there is none.
    pub(crate) event: &'static str,
    /// What it does, as a sentence.
    pub(crate) about: &'static str,
    /// Its fields. Those of the names in its path stand there, the others in the query where there is no body, else in the body.
    pub(crate) fields: &'static [Field],
    /// What of its fields must be there together.
    pub(crate) rules: &'static [Rule],
    /// Its fields that stand in the query although there is a body.
    pub(crate) query: &'static [Field],
    /// Headers that it reads.
    pub(crate) headers: &'static [Field],
    /// What its body is.
    pub(crate) body: Body,
    /// Its answer when all is well.
    pub(crate) answer: (StatusCode, Gives),
    /// Its other answers when all is well.
    pub(crate) also: &'static [(StatusCode, Gives)],
    /// Whether one must be logged in.
    pub(crate) needs_login: bool,
    /// Whether its refusals are as a callback's.
    pub(crate) refuses_in_full: bool,
}

/// What a body is, of methods that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// A JSON object.
    Fields,
    /// The same, or nothing.
    FieldsOrNothing,
    /// Bytes of these types.
    Bytes(&'static [&'static str]),
    /// There is none.
    Nothing,
}

/// What an answer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gives {
    /// This object or list.
    Json(Shown),
    /// This object, with `ok` and `success`.
    Accepted(Shown),
    /// A file.
    Bytes,
    /// Nothing.
    Nothing,
}

impl Described {
    /// A route with an answer of the status 200, for those who are logged in.
    pub(crate) const fn new(about: &'static str, fields: &'static [Field], answer: Shown) -> Self {
        Self {
            event: "",
            about,
            fields,
            rules: &[],
            query: &[],
            headers: &[],
            body: Body::Fields,
            answer: (StatusCode::OK, Gives::Json(answer)),
            also: &[],
            needs_login: true,
            refuses_in_full: false,
        }
    }

    /// A route that answers nothing, with this status.
    pub(crate) const fn silent(about: &'static str, fields: &'static [Field], status: StatusCode) -> Self {
        Self { answer: (status, Gives::Nothing), ..Self::new(about, fields, shown::<Nothing>) }
    }

    /// The same with another status.
    pub(crate) const fn status(self, status: StatusCode) -> Self {
        Self { answer: (status, self.answer.1), ..self }
    }

    /// The same for everybody.
    pub(crate) const fn for_everybody(self) -> Self {
        Self { needs_login: false, ..self }
    }

    /// The same without a body.
    pub(crate) const fn without_body(self) -> Self {
        Self { body: Body::Nothing, ..self }
    }

    /// The same with rules for its fields.
    pub(crate) const fn with(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }
}

/// An event that clients send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) name: &'static str,
    /// What it does, as a sentence.
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
    pub(crate) rules: &'static [Rule],
    /// The object of its acknowledgement, besides `ok` and `success`.
    pub(crate) answer: Shown,
}

/// An event that clients are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    /// When it comes, as a sentence.
    pub(crate) about: &'static str,
    /// Its argument.
    pub(crate) argument: Shown,
}

/// An event that clients are told.
pub(crate) const fn told(name: &'static str, about: &'static str, argument: Shown) -> Told {
    Told { name, about, argument }
}

/// The events of a dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    pub(crate) heard: &'static [Heard],
    pub(crate) told: &'static [Told],
}
