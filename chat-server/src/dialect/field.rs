//! Fields of requests and objects of answers, described where they are used: what reads a request goes by it, and so do the
//! descriptions of the API ([`crate::describe`]).

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// A field of a request, wherever it stands: in an object, a path or a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether a request without it is refused.
    pub(crate) is_required: bool,
    /// What it means, as a sentence.
    pub(crate) about: &'static str,
}

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text of so many characters at most, which may be more than its bytes allow; 0 is any number.
    Text { least: usize, most: usize },
    /// Text that the server has made, by what it is.
    Told(&'static str),
    /// An id, by what it names.
    Id(&'static str),
    /// A list of ids, in a query with commas between them.
    Ids(&'static str),
    /// One of these texts, and the same as it is said to people.
    Choice(&'static [&'static str], &'static str),
    /// A list of some of these texts.
    Choices(&'static [&'static str], &'static str),
    /// True or false.
    Flag,
    /// A whole number from 0.
    Count,
    /// Milliseconds since 1970.
    Moment,
    /// How much is wanted: so much when it is not there, and never more than the second one.
    Limit { usually: usize, most: usize },
    /// An image as a data URL, over HTTP only; where it is sent to.
    Image(&'static str),
    /// A list of commands: of `batch` alone.
    Commands { most: usize },
}

impl Field {
    /// A field that must be there.
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, is_required: true, about }
    }

    /// The same, which may be missing.
    pub(crate) const fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    /// The same with another meaning.
    pub(crate) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// What it must be, behind `must be`.
    pub(crate) fn expected(&self) -> &'static str {
        match self.kind {
            Kind::Text { .. } => "a string",
            Kind::Told(expected) | Kind::Id(expected) | Kind::Ids(expected) => expected,
            Kind::Choice(_, expected) | Kind::Choices(_, expected) => expected,
            Kind::Flag => "true or false",
            Kind::Count => "a whole number",
            Kind::Moment => "milliseconds since 1970",
            Kind::Limit { .. } => "a whole number from 1",
            Kind::Image(expected) => expected,
            Kind::Commands { .. } => "a list of 1 to 20 commands",
        }
    }

    /// Whether it may be as large as an image or a file.
    pub(crate) fn may_be_large(&self) -> bool {
        match self.kind {
            Kind::Text { most, .. } => most > 64 << 10,
            Kind::Image(_) => true,
            _ => false,
        }
    }
}

/// What of several fields must be there together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Exactly one of them.
    One(&'static [&'static str]),
    /// One of them or none.
    AtMostOne(&'static [&'static str]),
    /// One of them or more.
    Some(&'static [&'static str]),
}

/// The object of an answer, or the argument of an event: its schema by its type, which is the one that is sent.
pub(crate) type Shown = fn(&mut SchemaGenerator) -> Schema;

/// The objects of this type.
pub(crate) fn shown<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An object without fields, for what has no more to say than that it was done.
#[derive(serde::Serialize, JsonSchema)]
pub(crate) struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_choice_names_all_of_it() {
        let choice = Field::new("order", Kind::Choice(&["newest", "best"], "newest or best"), "");
        assert_eq!((choice.expected(), choice.is_required), ("newest or best", true));
        assert!(!choice.optional().is_required && !choice.may_be_large());
        assert!(Field::new("image", Kind::Image(""), "").may_be_large());
    }
}
