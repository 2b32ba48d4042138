//! Descriptions of routes and events, for the descriptions of the API ([`crate::describe`]). Each is declared next to
//! the code that serves the route or event.

use axum::http::StatusCode;

use super::field::{Field, Nothing, Rule, Shown, shown};

/// The parameters and answers of a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// The event that does the same; empty if there is none.
    pub(crate) event: &'static str,
    /// What the route does, as a sentence.
    pub(crate) about: &'static str,
    /// The fields of a request. A field that the path names is in the path; the others are in the body, or in the
    /// query if there is no body.
    pub(crate) fields: &'static [Field],
    /// Which fields must be given together.
    pub(crate) rules: &'static [Rule],
    /// The fields that are in the query although there is a body.
    pub(crate) query: &'static [Field],
    /// The headers that the route reads.
    pub(crate) headers: &'static [Field],
    /// The type of the body.
    pub(crate) body: Body,
    /// The answer on success.
    pub(crate) answer: (StatusCode, Gives),
    /// Other answers on success.
    pub(crate) also: &'static [(StatusCode, Gives)],
    /// Whether the client must be authenticated.
    pub(crate) needs_login: bool,
    /// Whether an error answer has the form of a refused acknowledgement.
    pub(crate) refuses_in_full: bool,
}

/// The type of a body, for methods that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// A JSON object.
    Fields,
    /// A JSON object, or no body.
    FieldsOrNothing,
    /// Bytes of these types.
    Bytes(&'static [&'static str]),
    /// There is no body.
    Nothing,
}

/// The content of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gives {
    /// The given object or list.
    Json(Shown),
    /// The given object, with `ok` and `success`.
    Accepted(Shown),
    /// A file.
    Bytes,
    /// Nothing.
    Nothing,
}

impl Described {
    /// A route that answers with the status 200 and requires authentication.
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

    /// A route that answers with this status and no body.
    pub(crate) const fn silent(about: &'static str, fields: &'static [Field], status: StatusCode) -> Self {
        Self { answer: (status, Gives::Nothing), ..Self::new(about, fields, shown::<Nothing>) }
    }

    /// Replaces the status.
    pub(crate) const fn status(self, status: StatusCode) -> Self {
        Self { answer: (status, self.answer.1), ..self }
    }

    /// Makes the route available without authentication.
    pub(crate) const fn for_everybody(self) -> Self {
        Self { needs_login: false, ..self }
    }

    /// Removes the body.
    pub(crate) const fn without_body(self) -> Self {
        Self { body: Body::Nothing, ..self }
    }

    /// Adds rules for the fields.
    pub(crate) const fn with(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }
}

/// An event that clients send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) name: &'static str,
    /// What the event does, as a sentence.
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
    pub(crate) rules: &'static [Rule],
    /// The object in the acknowledgement, besides `ok` and `success`.
    pub(crate) answer: Shown,
}

/// An event that clients receive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    /// When clients receive it, as a sentence.
    pub(crate) about: &'static str,
    /// Its argument.
    pub(crate) argument: Shown,
}

/// An event that clients receive.
pub(crate) const fn told(name: &'static str, about: &'static str, argument: Shown) -> Told {
    Told { name, about, argument }
}

/// The events of a dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    pub(crate) heard: &'static [Heard],
    pub(crate) told: &'static [Told],
}
