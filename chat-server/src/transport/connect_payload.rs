//! Reads the payload of a CONNECT packet.
//!
//! The sender is not authenticated yet, so only the few needed fields are built. A tree of the whole payload could take
//! a hundred times the memory of its text.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use socketioxide::adapter::Adapter;
use socketioxide::handler::{FromConnectParts, Value};
use socketioxide::socket::Socket;

use crate::surrogates;

/// The payload that a client sent with its CONNECT packet; empty if it is malformed. socketioxide's own extractors
/// would refuse text that [`surrogates`] repairs.
pub(super) struct GivenPayload(pub(super) ConnectPayload);

impl<A: Adapter> FromConnectParts<A> for GivenPayload {
    type Error = Infallible;

    fn from_connect_parts(_: &Arc<Socket<A>>, given: &Option<Value>) -> Result<Self, Infallible> {
        let Some(Value::Str(text, _)) = given else { return Ok(Self(ConnectPayload::default())) };
        let text = surrogates::mended(text);
        // Text behind the payload is ignored, as it always was.
        let payload = ConnectPayload::deserialize(&mut serde_json::Deserializer::from_str(&text));
        Ok(Self(payload.unwrap_or_default()))
    }
}

/// The fields of a CONNECT packet's payload. Other fields are ignored.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct ConnectPayload {
    /// The login token, with or without `Bearer`.
    #[serde(default)]
    pub(crate) token: Field,
    /// The session to resume; see `recovery`.
    #[serde(default)]
    pub(crate) pid: Field,
    /// The last position that the client has received.
    #[serde(default)]
    pub(crate) offset: Field,
}

/// A field that is used only if it is a string.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Field {
    /// The field is absent or null.
    #[default]
    Missing,
    /// The field is a string.
    Text(String),
    /// The field has any other type.
    Other,
}

impl Field {
    /// The string, if the field is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Missing)
            }

            fn visit_none<E>(self) -> Result<Field, E> {
                Ok(Field::Missing)
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Field, E> {
                Ok(Field::Text(text))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Field, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_fields_are_read_whatever_stands_beside_them() {
        let read = |text: &str| serde_json::from_str::<ConnectPayload>(text).ok();
        let text = |text: &str| Field::Text(text.to_owned());
        let whole = read(r#"{"token":"t","a":[{"":0},{"b":{}}],"pid":"p","offset":"17","c":1.5}"#);
        let expected = ConnectPayload { token: text("t"), pid: text("p"), offset: text("17") };
        assert_eq!(whole, Some(expected));
        assert_eq!(read("{}"), Some(ConnectPayload::default()));
        for odd in ["1", "-1", "1.5", "true", "[1,[2]]", r#"{"a":{}}"#] {
            let payload = read(&format!(r#"{{"token":{odd},"offset":null}}"#)).unwrap();
            assert_eq!((payload.token, payload.offset), (Field::Other, Field::Missing), "{odd}");
        }
        assert_eq!(read("[]"), Some(ConnectPayload::default()), "an empty list has no fields");
        assert_eq!(read(r#""text""#), None);
    }
}
