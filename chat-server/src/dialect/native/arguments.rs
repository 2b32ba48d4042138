//! The arguments of a command: fields of an object on the socket; parts of the path, parameters of the query and fields of the
//! body over HTTP. Each command reads them in one way, wherever they come from.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use chat_core::command::Destination;
use chat_core::epoch::LogPosition;
use chat_core::id::{MessageId, UserId};
use chat_core::model::{Position, UserKey};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::field::{Field, Kind};
use crate::dialect::payload::{Count, Flag, Text, Texts};
use crate::dialect::{DecodeError, Failure};

/// The arguments of one command.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a> {
    /// The fields that the command has. Others are passed over, so they need no memory.
    fields: &'static [Field],
    /// Who asks; none where that is not known.
    asker: Option<UserId>,
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

/// Reads an object, and keeps the fields that a command has.
struct Object<'a>(&'static [Field], PhantomData<&'a ()>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Object<'a> {
    type Value = Vec<(&'static str, Value<'a>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
    type Value = Vec<(&'static str, Value<'a>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut given = Self::Value::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let Some(field) = find(self.0, &name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if given.iter().any(|(known, _)| *known == field.name) {
                return Err(A::Error::custom("a field is there twice"));
            }
            given.push((field.name, Value::Json(map.next_value()?)));
        }
        Ok(given)
    }
}

fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}

impl<'a> Arguments<'a> {
    /// Of a command with these fields, and of a person; nothing is given yet.
    pub(super) fn of(fields: &'static [Field], asker: Option<UserId>) -> Self {
        Self { fields, asker, ..Self::default() }
    }

    /// The one who asks, for commands about themselves.
    pub(super) fn asker(&self) -> Result<UserId, DecodeError> {
        self.asker.ok_or(DecodeError::Missing("who asks"))
    }

    /// The same and the fields of this object. What was given first counts.
    ///
    /// # Errors
    /// When it is no object, or malformed.
    pub(super) fn with_object(mut self, json: &'a str) -> Result<Self, DecodeError> {
        if !json.trim_start().starts_with('{') {
            return Err(DecodeError::NoObject);
        }
        let object = Object(self.fields, PhantomData);
        let given = object.deserialize(&mut serde_json::Deserializer::from_str(json));
        self.given.extend(given.map_err(|_| DecodeError::Malformed)?);
        Ok(self)
    }

    /// The same and this part of a path, or parameter of a query. What was given first counts.
    pub(super) fn with_plain(mut self, name: &str, value: Cow<'a, str>) -> Self {
        let field = find(self.fields, name);
        self.given.extend(field.map(|field| (field.name, Value::Plain(value))));
        self
    }

    fn get(&self, field: &'static str) -> Option<&Value<'a>> {
        debug_assert!(find(self.fields, field).is_some(), "{field} is read, and the row has no such field");
        self.given.iter().find(|(given, _)| *given == field).map(|(_, value)| value)
    }

    /// That a field is not what it must be.
    pub(super) fn wrong(&self, field: &'static str) -> DecodeError {
        wrong(field, find(self.fields, field).map_or("left out", Field::expected))
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
    pub(super) fn id<T: FromStr>(&self, field: &'static str) -> Result<Option<T>, DecodeError> {
        self.text(field)?.map(|id| id.parse().map_err(|_| self.wrong(field))).transpose()
    }

    /// An id that must be there.
    pub(super) fn required_id<T: FromStr>(&self, field: &'static str) -> Result<T, DecodeError> {
        self.id(field)?.ok_or(DecodeError::Missing(field))
    }

    /// An image as a data URL, where one can be taken.
    pub(super) fn image(&self, field: &'static str) -> Result<Option<String>, DecodeError> {
        match self.text(field)? {
            Some(_) if !self.may_hold_images => Err(self.wrong(field)),
            image => Ok(image.map(Into::into)),
        }
    }

    /// How much is asked for, as the command's field says.
    pub(super) fn limit(&self) -> Result<usize, DecodeError> {
        let Some(Field { kind: Kind::Limit { usually, most }, .. }) = find(self.fields, "limit") else {
            return Ok(usize::MAX);
        };
        if let Some(Value::Plain(text)) = self.get("limit")
            && text.parse::<u64>().is_err()
        {
            return Err(self.wrong("limit"));
        }
        match self.count("limit")? {
            Some(0) => Err(self.wrong("limit")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(*most).min(*most)),
            None => Ok(*usually),
        }
    }

    /// The conversation that is meant, by its id or by the person one talks with; none when none is named.
    pub(super) fn place(&self) -> Result<Option<Destination>, DecodeError> {
        let room = self.id("roomId")?.map(Destination::Conversation);
        let person = self.id("userId")?.map(UserKey::Id);
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
        self.required_id("messageId")
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
        self.id(field)
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
