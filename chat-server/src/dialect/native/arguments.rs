//! The arguments of a command: fields of an object on the socket; parts of the path, parameters of the query and fields of the
//! body over HTTP. Each command reads them in one way, wherever they come from.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chat_core::command::Destination;
use chat_core::epoch::LogPosition;
use chat_core::id::UserId;
use chat_core::model::{Position, UserKey};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::payload::{Count, Flag, Text, Texts};
use crate::dialect::{DecodeError, Failure};

/// Every field of every command. What is not in this list is not kept of what a client sends.
pub(super) const FIELDS: &[&str] = &[
    "after",
    "afterId",
    "avatar",
    "before",
    "clientId",
    "content",
    "deleted",
    "emoji",
    "fileName",
    "from",
    "fullName",
    "image",
    "limit",
    "members",
    "messageId",
    "name",
    "order",
    "q",
    "role",
    "roomId",
    "senderId",
    "senderUsername",
    "seq",
    "slowMode",
    "since",
    "snippets",
    "types",
    "typing",
    "until",
    "userId",
    "username",
    "visibility",
];

/// The arguments of one command.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a> {
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

/// The fields of an object of which a command may have use. Others are passed over, so they need no memory.
pub(super) struct Fields<'a>(Vec<(&'static str, &'a RawValue)>);

fn field(name: &str) -> Option<&'static str> {
    FIELDS.iter().copied().find(|field| *field == name)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
            type Value = Fields<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
                let mut fields: Vec<(&'static str, &'a RawValue)> = Vec::new();
                while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                    let Some(name) = field(&name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a field is there twice"));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object(std::marker::PhantomData))
    }
}

impl<'a> Arguments<'a> {
    /// Of a person; nothing is given yet.
    pub(super) fn of(asker: Option<UserId>) -> Self {
        Self { asker, ..Self::default() }
    }

    /// The one who asks, for commands about themselves.
    pub(super) fn asker(&self) -> Result<UserId, DecodeError> {
        self.asker.ok_or(DecodeError::Missing("who asks"))
    }

    /// The same and these fields.
    pub(super) fn with_fields(mut self, fields: Fields<'a>) -> Self {
        self.given.extend(fields.0.into_iter().map(|(field, json)| (field, Value::Json(json))));
        self
    }

    /// The same and this part of a path, or parameter of a query. What was given first counts.
    pub(super) fn with_plain(mut self, name: &str, value: Cow<'a, str>) -> Self {
        self.given.extend(field(name).map(|field| (field, Value::Plain(value))));
        self
    }

    fn get(&self, field: &'static str) -> Option<&Value<'a>> {
        debug_assert!(FIELDS.contains(&field), "{field} is read, and no row of the table has it");
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
