//! The arguments of a command. On the socket they are fields of an object; over HTTP they are parts of the path, query
//! parameters and fields of the body. A command reads them in the same way from all of these.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use chat_core::command::Destination;
use chat_core::epoch::LogPosition;
use chat_core::id::{LoginSessionId, MessageId, UserId};
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
    /// The fields of the command. Others are ignored, so they need no memory.
    fields: &'static [Field],
    /// The user who sends the command, if known.
    asker: Option<UserId>,
    /// The login session of the caller, if it has one.
    pub(super) session: Option<LoginSessionId>,
    /// Whether the command may contain images. Images are stored before the command runs, which only HTTP does.
    pub(super) may_hold_images: bool,
    given: Vec<(&'static str, Value<'a>)>,
}

#[derive(Debug)]
enum Value<'a> {
    /// A value from a JSON object.
    Json(&'a RawValue),
    /// A value from a path or a query.
    Plain(Cow<'a, str>),
}

/// Parses an object and keeps the fields that the command has.
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
    /// The arguments of a command with these fields, sent by `asker`; no values yet.
    pub(super) fn of(fields: &'static [Field], asker: Option<UserId>) -> Self {
        Self { fields, asker, ..Self::default() }
    }

    /// The user who sends the command, for commands about themselves.
    pub(super) fn asker(&self) -> Result<UserId, DecodeError> {
        self.asker.ok_or(DecodeError::Missing("who asks"))
    }

    /// Adds the fields of a JSON object. The first value of a field counts.
    ///
    /// # Errors
    /// When the text is not an object, or is malformed.
    pub(super) fn with_object(mut self, json: &'a str) -> Result<Self, DecodeError> {
        if !json.trim_start().starts_with('{') {
            return Err(DecodeError::NoObject);
        }
        let object = Object(self.fields, PhantomData);
        let given = object.deserialize(&mut serde_json::Deserializer::from_str(json));
        self.given.extend(given.map_err(|_| DecodeError::Malformed)?);
        Ok(self)
    }

    /// Adds a part of the path or a query parameter. The first value of a field counts.
    pub(super) fn with_plain(mut self, name: &str, value: Cow<'a, str>) -> Self {
        let field = find(self.fields, name);
        self.given.extend(field.map(|field| (field.name, Value::Plain(value))));
        self
    }

    fn get(&self, field: &'static str) -> Option<&Value<'a>> {
        debug_assert!(find(self.fields, field).is_some(), "{field} is read, and the row has no such field");
        self.given.iter().find(|(given, _)| *given == field).map(|(_, value)| value)
    }

    /// The error for a field with an invalid value.
    pub(super) fn wrong(&self, field: &'static str) -> DecodeError {
        wrong(field, find(self.fields, field).map_or("left out", Field::expected))
    }

    /// An optional string.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Plain(text)) => Ok(Some(Cow::Borrowed(&**text))),
            Some(Value::Json(json)) => parsed::<Text<'_>>(json)?.optional(field),
        }
    }

    /// A required string.
    pub(super) fn required(&self, field: &'static str) -> Result<Cow<'_, str>, DecodeError> {
        self.text(field)?.ok_or(DecodeError::Missing(field))
    }

    /// A list of strings; in a query they are separated by commas.
    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<Cow<'_, str>>, DecodeError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Plain(text)) => Ok(text.split(',').map(Cow::Borrowed).collect()),
            Some(Value::Json(json)) => Ok(parsed::<Texts<'_>>(json)?.optional(field)?.unwrap_or_default()),
        }
    }

    /// A boolean.
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

    /// An integer of at least 0.
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

    /// An optional id.
    pub(super) fn id<T: FromStr>(&self, field: &'static str) -> Result<Option<T>, DecodeError> {
        self.text(field)?.map(|id| id.parse().map_err(|_| self.wrong(field))).transpose()
    }

    /// A required id.
    pub(super) fn required_id<T: FromStr>(&self, field: &'static str) -> Result<T, DecodeError> {
        self.id(field)?.ok_or(DecodeError::Missing(field))
    }

    /// An image as a data URL, where the command accepts images.
    pub(super) fn image(&self, field: &'static str) -> Result<Option<String>, DecodeError> {
        match self.text(field)? {
            Some(_) if !self.may_hold_images => Err(self.wrong(field)),
            image => Ok(image.map(Into::into)),
        }
    }

    /// The number of items that the request asks for, within the bounds of the command's `limit` field.
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

    /// The conversation, named by its id or by the other person; `None` when none is named.
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

    /// The message; its id is required.
    pub(super) fn message(&self) -> Result<MessageId, DecodeError> {
        self.required_id("messageId")
    }

    /// The conversation; it is required.
    pub(super) fn required_place(&self) -> Result<Destination, DecodeError> {
        self.place()?.ok_or(DecodeError::Missing("roomId, userId or username"))
    }

    /// A log position in the form that clients receive.
    pub(super) fn position(&self, field: &'static str) -> Result<Option<Position>, DecodeError> {
        let digits =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let position = self.text(field)?.map(|text| digits(&text).map(Position).ok_or(()));
        position.transpose().map_err(|()| wrong(field, "a position as it was told, in digits"))
    }

    /// A log position with its epoch, in the form that clients receive.
    pub(super) fn log_position(&self, field: &'static str) -> Result<Option<LogPosition>, DecodeError> {
        self.id(field)
    }
}

/// The error for a field with an invalid value.
pub(super) fn wrong(field: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::WrongType { field, expected }
}

/// Replaces the core's name of a field in a failure with the name of that field here.
pub(super) fn in_own_words(failure: Failure) -> Failure {
    let (theirs, ours) = match failure.field {
        Some("text") => ("text", "content"),
        Some("query") => ("query", "q"),
        Some("picture") => ("picture", "avatar"),
        Some("reply_to") => ("reply_to", "replyTo"),
        Some("thread") => ("thread", "threadId"),
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
