//! The arguments of a command: fields of an object on the socket; parts of the path, parameters of the query and fields of the
//! body over HTTP. Each command reads them in one way, wherever they come from.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chat_core::command::Destination;
use chat_core::epoch::LogPosition;
use chat_core::id::{MessageId, UserId};
use chat_core::model::{Position, UserKey};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::payload::{Count, Flag, Text, Texts, from_object_by};
use crate::dialect::{DecodeError, Failure};

/// The arguments of one command.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a> {
    /// Who asks; none where that is not known.
    asker: Option<UserId>,
    /// The fields of the command.
    fields: &'static [&'static str],
    /// Whether images may come with it: those are stored before the command is carried out, which only HTTP does.
    pub(super) may_hold_images: bool,
    given: Vec<(&'static str, Value<'a>)>,
}

#[derive(Debug)]
enum Value<'a> {
    /// As it stands in an object.
    Json(&'a RawValue),
    /// As it stands in a path or a query.
    Plain(Cow<'a, str>),
}

/// The fields of a command. What else is in an object is passed over, so it needs no memory.
struct Fields(&'static [&'static str]);

impl Fields {
    fn find(&self, name: &str) -> Option<&'static str> {
        self.0.iter().copied().find(|field| *field == name)
    }
}

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut given: Self::Value = Vec::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let Some(name) = self.find(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if given.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a field is there twice"));
            }
            given.push((name, map.next_value()?));
        }
        Ok(given)
    }
}

impl<'a> Arguments<'a> {
    /// Of a person, for a command with these fields; nothing is given yet.
    pub(super) fn of(asker: Option<UserId>, fields: &'static [&'static str]) -> Self {
        Self { asker, fields, ..Self::default() }
    }

    /// The one who asks, for commands about themselves.
    pub(super) fn asker(&self) -> Result<UserId, DecodeError> {
        self.asker.ok_or(DecodeError::Missing("who asks"))
    }

    /// The same and what stands in an object.
    pub(super) fn with_object(mut self, json: &'a str) -> Result<Self, DecodeError> {
        let given = from_object_by(Fields(self.fields), json)?;
        self.given.extend(given.into_iter().map(|(field, json)| (field, Value::Json(json))));
        Ok(self)
    }

    /// The same and this part of a path, or parameter of a query. What was given first counts.
    pub(super) fn with_plain(mut self, name: &str, value: Cow<'a, str>) -> Self {
        self.given.extend(Fields(self.fields).find(name).map(|field| (field, Value::Plain(value))));
        self
    }

    fn get(&self, field: &'static str) -> Option<&Value<'a>> {
        debug_assert!(self.fields.contains(&field), "{field} is read, and its row of the table has it not");
        self.given.iter().find(|(given, _)| *given == field).map(|(_, value)| value)
    }

    /// A text.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Plain(text)) => Ok(Some(Cow::Borrowed(&**text))),
            Some(Value::Json(json)) => parsed::<Text<'_>>(json)?.optional(field),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, field: &'static str) -> Result<Cow<'_, str>, DecodeError> {
        self.text(field)?.ok_or(DecodeError::Missing(field))
    }

    /// A list of texts; in a query, with commas between them.
    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<Cow<'_, str>>, DecodeError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Plain(text)) => Ok(text.split(',').map(Cow::Borrowed).collect()),
            Some(Value::Json(json)) => Ok(parsed::<Texts<'_>>(json)?.optional(field)?.unwrap_or_default()),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, field: &'static str) -> Result<Option<bool>, DecodeError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Plain(text)) => {
                let flag = text.parse().map_err(|_| wrong(field, "true or false"))?;
                Ok(Some(flag))
            }
            Some(Value::Json(json)) => match parsed::<Flag>(json)? {
                Flag::Absent => Ok(None),
                flag => flag.get(field).map(Some),
            },
        }
    }

    /// A whole number from 0.
    pub(super) fn count(&self, field: &'static str) -> Result<Option<u64>, DecodeError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Plain(text)) => {
                let count = text.parse().map_err(|_| wrong(field, "a whole number"))?;
                Ok(Some(count))
            }
            Some(Value::Json(json)) => parsed::<Count>(json)?.optional(field),
        }
    }

    /// An id.
    pub(super) fn id<T: FromStr>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, DecodeError> {
        self.text(field)?.map(|id| id.parse().map_err(|_| wrong(field, expected))).transpose()
    }

    /// An id that must be there.
    pub(super) fn required_id<T: FromStr>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, DecodeError> {
        self.id(field, expected)?.ok_or(DecodeError::Missing(field))
    }

    /// How much is asked for: `usually` when nothing is said, and never more than `most`.
    pub(super) fn limit(&self, usually: usize, most: usize) -> Result<usize, DecodeError> {
        const EXPECTED: &str = "a whole number from 1";
        if let Some(Value::Plain(text)) = self.get("limit")
            && text.parse::<u64>().is_err()
        {
            return Err(wrong("limit", EXPECTED));
        }
        match self.count("limit")? {
            Some(0) => Err(wrong("limit", EXPECTED)),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
            None => Ok(usually),
        }
    }

    /// The conversation that is meant, by its id or by the person one talks with; none when none is named.
    pub(super) fn place(&self) -> Result<Option<Destination>, DecodeError> {
        let room = self.id("roomId", "a room's id")?.map(Destination::Conversation);
        let person = self.id("userId", "a user's id")?.map(UserKey::Id);
        let named = self.text("username")?.map(|name| UserKey::Username(name.into_owned()));
        let people = [person, named].into_iter().flatten().map(Destination::Person);
        let mut places = room.into_iter().chain(people);
        let place = places.next();
        if places.next().is_some() {
            return Err(wrong("one of roomId, userId and username", "given once, and not twice"));
        }
        Ok(place)
    }

    /// The message that is meant, which must be named.
    pub(super) fn message(&self) -> Result<MessageId, DecodeError> {
        self.required_id("messageId", "a message's id")
    }

    /// The conversation that is meant, which must be named.
    pub(super) fn required_place(&self) -> Result<Destination, DecodeError> {
        self.place()?.ok_or(DecodeError::Missing("roomId, userId or username"))
    }

    /// A position, as clients were told it.
    pub(super) fn position(&self, field: &'static str) -> Result<Option<Position>, DecodeError> {
        let digits =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let position = self.text(field)?.map(|text| digits(&text).map(Position).ok_or(()));
        position.transpose().map_err(|()| wrong(field, "a position as it was told, in digits"))
    }

    /// A position with the epoch it is of, as clients were told it.
    pub(super) fn log_position(&self, field: &'static str) -> Result<Option<LogPosition>, DecodeError> {
        self.id(field, "a position as it was told")
    }
}

/// A field that cannot be meant.
pub(super) fn wrong(field: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { field, expected }
}

/// A failure with the name that a field has here, where the core has another one for it.
pub(super) fn in_own_words(failure: Failure) -> Failure {
    let (theirs, ours) = match failure.field {
        Some("text") => ("text", "content"),
        Some("picture") => ("picture", "avatar"),
        _ => return failure,
    };
    let message = match failure.message.strip_prefix(theirs) {
        Some(problem) => format!("{ours}{problem}"),
        None => failure.message,
    };
    Failure { field: Some(ours), message, ..failure }
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, DecodeError> {
    serde_json::from_str(json.get()).map_err(|_| DecodeError::Malformed)
}
