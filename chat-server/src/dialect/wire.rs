//! What the dialects share on the wire: reading events without trusting them, and the forms every client knows.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chat_core::error::{Error, ErrorKind};
use chat_core::model::{ClientId, User};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Ack;

/// An event as a client sent it: its name and first argument. Further arguments are not looked at.
#[derive(Debug)]
pub struct Call<'a> {
    /// The event's name.
    pub event: Cow<'a, str>,
    argument: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// Reads the JSON array of a Socket.IO EVENT packet.
    ///
    /// # Errors
    /// When it is not an array that begins with a string.
    pub fn parse(packet: &'a str) -> Result<Self, DecodeError> {
        serde_json::from_str(packet).map_err(|_| DecodeError::Malformed)
    }

    /// Whether it has no argument, or null.
    pub fn is_empty(&self) -> bool {
        self.argument.is_none_or(|argument| argument.get() == "null")
    }

    /// The first argument, if it is a text.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match serde_json::from_str(self.argument?.get()) {
            Ok(Text::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The first argument as an object of this form.
    ///
    /// # Errors
    /// When it is missing, not an object, or malformed.
    pub fn object<T: Deserialize<'a>>(&self) -> Result<T, DecodeError> {
        let argument = self.argument.ok_or(DecodeError::NoObject)?;
        from_object(argument.get())
    }
}

/// Reads a JSON object.
///
/// # Errors
/// When it is something else or malformed.
pub fn from_object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, DecodeError> {
    // serde would take an array for a struct's fields in order.
    if !json.trim_start().starts_with('{') {
        return Err(DecodeError::NoObject);
    }
    serde_json::from_str(json).map_err(|_| DecodeError::Malformed)
}

impl<'de> Deserialize<'de> for Call<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Packet;
        impl<'de> Visitor<'de> for Packet {
            type Value = Call<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Call<'de>, A::Error> {
                let event = match seq.next_element()? {
                    Some(Text::Text(event)) => event,
                    _ => return Err(de::Error::custom("no event name")),
                };
                let argument = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Call { event, argument })
            }
        }
        deserializer.deserialize_seq(Packet)
    }
}

/// The client must mend what it sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no such event.
    #[error("unknown event")]
    UnknownEvent,
    /// Not JSON, or nested too deeply.
    #[error("the payload is malformed")]
    Malformed,
    /// Not an object.
    #[error("the payload must be an object")]
    NoObject,
    /// A field is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has another type.
    #[error("{field} must be {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Why a command was refused, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// How long to wait before trying again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with a stable word for programs and a message for people.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The same in seconds, rounded up, as it is written in answers.
    pub fn retry_after_seconds(wait: Duration) -> u64 {
        wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
    }
}

impl From<&DecodeError> for Failure {
    fn from(error: &DecodeError) -> Self {
        let code = if *error == DecodeError::UnknownEvent { "unknown_event" } else { "invalid" };
        Self::new(code, error.to_string())
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let message = match error.kind() {
            ErrorKind::Internal => "internal error".to_owned(),
            ErrorKind::Unavailable => "the service is unavailable at the moment".to_owned(),
            _ => error.to_string(),
        };
        Self { retry_after: error.retry_after(), ..Self::new(error.kind().code(), message) }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code)?;
        map.serialize_entry("message", &self.message)?;
        if let Some(wait) = self.retry_after {
            map.serialize_entry("retryAfter", &Self::retry_after_seconds(wait))?;
        }
        map.end()
    }
}

/// The acknowledgement of a command that was carried out: `{ok:true, success:true, …}`.
pub struct Acknowledged(pub Ack);

/// The same with all fields of an object beside `ok` and `success`.
#[derive(Serialize)]
pub struct AcknowledgedWith<T> {
    ok: bool,
    success: bool,
    #[serde(flatten)]
    fields: T,
}

impl<T> AcknowledgedWith<T> {
    /// With the fields of this object.
    pub fn new(fields: T) -> Self {
        Self { ok: true, success: true, fields }
    }
}

impl Serialize for Acknowledged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ok", &true)?;
        map.serialize_entry("success", &true)?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The acknowledgement of a command that was refused: `{ok:false, success:false, error:{code, message}}`.
#[derive(Serialize)]
pub struct Refused<'a> {
    ok: bool,
    success: bool,
    error: &'a Failure,
}

impl<'a> From<&'a Failure> for Refused<'a> {
    fn from(error: &'a Failure) -> Self {
        Self { ok: false, success: false, error }
    }
}

/// A field that should be a text. Whatever else it is, the rest of the object is still read.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Text<'a> {
    /// Not there, or null.
    #[default]
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// Something else.
    Other,
}

impl<'a> Text<'a> {
    /// The text.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn required(self, field: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        self.optional(field)?.ok_or(DecodeError::Missing(field))
    }

    /// The text, if there is one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional(self, field: &'static str) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Other => Err(DecodeError::WrongType { field, expected: "a string" }),
        }
    }
}

/// A field that should be a list of texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Texts<'a> {
    /// Not there, or null.
    #[default]
    Absent,
    /// A list of texts.
    Texts(Vec<Cow<'a, str>>),
    /// Something else.
    Other,
}

impl<'a> Texts<'a> {
    /// The texts, if there is a list.
    ///
    /// # Errors
    /// When it is something else, or something in it is.
    pub fn optional(self, field: &'static str) -> Result<Option<Vec<Cow<'a, str>>>, DecodeError> {
        match self {
            Self::Absent => Ok(None),
            Self::Texts(texts) => Ok(Some(texts)),
            Self::Other => Err(DecodeError::WrongType { field, expected: "a list of strings" }),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json == "null" {
            return Ok(Self::Absent);
        }
        let Ok(items) = serde_json::from_str::<Vec<Text<'de>>>(json) else { return Ok(Self::Other) };
        let texts = items.into_iter().map(|item| match item {
            Text::Text(text) => Some(text),
            Text::Absent | Text::Other => None,
        });
        Ok(texts.collect::<Option<_>>().map_or(Self::Other, Self::Texts))
    }
}

/// The client's own name for a send.
///
/// # Errors
/// When it is there and cannot be used: a client that gives one relies on it.
pub fn client_id(field: Text<'_>) -> Result<Option<ClientId>, DecodeError> {
    let wrong = DecodeError::WrongType { field: "clientId", expected: "a string of 1 to 128 bytes" };
    field.optional("clientId")?.map(|id| ClientId::new(id).ok_or(wrong)).transpose()
}

/// A field that should be a truth value.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Not there, or null.
    #[default]
    Absent,
    /// A truth value.
    Is(bool),
    /// Something else.
    Other,
}

impl Flag {
    /// The truth value; absent is false.
    ///
    /// # Errors
    /// When it is something else.
    pub fn get(self, field: &'static str) -> Result<bool, DecodeError> {
        match self {
            Self::Absent => Ok(false),
            Self::Is(flag) => Ok(flag),
            Self::Other => Err(DecodeError::WrongType { field, expected: "true or false" }),
        }
    }
}

/// A field that should be a whole number from 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Not there, or null.
    #[default]
    Absent,
    /// A number.
    Is(u64),
    /// Something else.
    Other,
}

impl Count {
    /// The number, if there is one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional(self, field: &'static str) -> Result<Option<u64>, DecodeError> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(count) => Ok(Some(count)),
            Self::Other => Err(DecodeError::WrongType { field, expected: "a whole number" }),
        }
    }
}

macro_rules! lenient {
    ($type:ty, $visitor:ident, { $($accept:tt)* }) => {
        impl<'de: 'a, 'a> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor(std::marker::PhantomData))
            }
        }

        struct $visitor<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for $visitor<'a> {
            type Value = $type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(<$type>::Absent)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(<$type>::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(<$type>::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(<$type>::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(<$type>::Other)
            }

            $($accept)*
        }
    };
}

lenient!(Text<'a>, TextVisitor, {
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Text::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Text::Other)
    }
});

lenient!(Flag, FlagVisitor, {
    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Flag::Is(flag))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Flag::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Flag::Other)
    }
});

lenient!(Count, CountVisitor, {
    fn visit_u64<E>(self, count: u64) -> Result<Self::Value, E> {
        Ok(Count::Is(count))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Count::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Count::Other)
    }
});

/// A person as the id-naming families know them: every spelling of every field in one object.
pub struct UserObject<'a> {
    /// The person.
    pub user: &'a User,
    /// Whether they are connected, where it is known.
    pub online: Option<bool>,
}

impl Serialize for UserObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { user, online } = self;
        let (created_at, updated_at) = (user.created_at.iso(), user.updated_at.iso());
        let last_seen = user.last_seen.map(chat_core::clock::Timestamp::iso);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", user.id.hex().as_str())?;
        map.serialize_entry("username", &user.handle())?;
        map.serialize_entry("fullName", &user.full_name)?;
        map.serialize_entry("name", &user.full_name)?;
        map.serialize_entry("email", user.email.as_deref().unwrap_or_default())?;
        map.serialize_entry("profilePic", &user.picture)?;
        map.serialize_entry("pic", &user.picture)?;
        map.serialize_entry("avatar", &user.picture)?;
        if let Some(online) = online {
            map.serialize_entry("online", online)?;
            map.serialize_entry("status", if *online { "online" } else { "offline" })?;
        }
        map.serialize_entry("lastSeen", &last_seen.as_ref().map(chat_core::clock::IsoTime::as_str))?;
        map.serialize_entry("isAdmin", &false)?;
        map.serialize_entry("createdAt", created_at.as_str())?;
        map.serialize_entry("updatedAt", updated_at.as_str())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Form<'a> {
        #[serde(borrow, default)]
        text: Text<'a>,
        #[serde(default)]
        flag: Flag,
        #[serde(default)]
        count: Count,
    }

    fn text_of(json: &str) -> Result<Option<String>, DecodeError> {
        let packet = format!(r#"["e",{{"text":{json}}}]"#);
        let call = Call::parse(&packet).unwrap();
        call.object::<Form>()?.text.optional("text").map(|text| text.map(Cow::into_owned))
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        assert_eq!(text_of(r#""a\u00e4""#).unwrap().as_deref(), Some("aä"));
        assert_eq!(text_of("null").unwrap(), None);
        for other in ["1", "-1", "1.5", "true", "[]", r#"{"$gt":""}"#, "[[[]]]"] {
            let error = text_of(other).unwrap_err();
            assert_eq!(error.to_string(), "text must be a string", "{other}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for argument in ["", ",null", ",1", ",\"x\"", r#",["a",true,1]"#] {
            let packet = format!(r#"["e"{argument}]"#);
            let call = Call::parse(&packet).unwrap();
            assert_eq!(call.object::<Form>().err(), Some(DecodeError::NoObject), "{packet}");
        }
        for packet in ["", "[]", "[1]", "{}", "[null,{}]", "[\"e\",{]"] {
            assert!(Call::parse(packet).is_err(), "{packet}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        assert!(text_of(&format!("{open}1{close}")).is_err());
        let ignored = format!(r#"["e",{{"other":{open}1{close}}}]"#);
        assert!(Call::parse(&ignored).unwrap().object::<Form>().is_ok());
    }

    #[test]
    fn flags_and_counts_are_not_guessed() {
        let form: Form = from_object(r#"{"flag":true,"count":5}"#).unwrap();
        assert_eq!((form.flag.get("f"), form.count.optional("c")), (Ok(true), Ok(Some(5))));
        let form: Form = from_object(r#"{"flag":"true","count":-5}"#).unwrap();
        assert!(form.flag.get("f").is_err() && form.count.optional("c").is_err());
        let form: Form = from_object("{}").unwrap();
        assert_eq!((form.flag.get("f"), form.count.optional("c")), (Ok(false), Ok(None)));
    }
}
