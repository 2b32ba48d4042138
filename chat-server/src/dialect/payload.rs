//! Fields of payloads, read without trusting them: a field of another type is named, and the rest is still read.

use std::borrow::Cow;
use std::fmt;

use chat_core::model::ClientId;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most bytes of an image in a data URL, decoded.
pub(crate) const MAX_IMAGE_BYTES: usize = 10_000_000;

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

impl DecodeError {
    /// The field that was wrong, where it is a single one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing(field) | Self::WrongType { field, .. } if !field.contains(' ') => Some(field),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Call;

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
