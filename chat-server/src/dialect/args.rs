//! An event as a client sent it: its name and its arguments, of any number and type.
//!
//! ```text
//! ["send message",{"content":"hello","chatId":"…"}]     one object
//! ["join chat","…"]                                     a bare text
//! ["typing",{"_id":"…"},"…"]                            several
//! ["join-rooms"]                                        none
//! ```

use std::borrow::Cow;
use std::fmt;

use chat_core::id::{LoginSessionId, UserId};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::payload::{DecodeError, Text, from_object};

/// The maximum number of arguments that are kept. No page sends more than three.
const MAX_ARGUMENTS: usize = 8;

/// An event as a client sent it. Only the first 8 arguments are kept.
#[derive(Debug)]
pub struct Call<'a> {
    /// The event's name.
    pub event: Cow<'a, str>,
    asker: Option<UserId>,
    session: Option<LoginSessionId>,
    arguments: SmallVec<[&'a RawValue; 2]>,
}

impl<'a> Call<'a> {
    /// Reads the JSON array of a Socket.IO EVENT packet.
    ///
    /// # Errors
    /// When it is not an array that begins with a string.
    pub fn parse(packet: &'a str) -> Result<Self, DecodeError> {
        serde_json::from_str(packet).map_err(|_| DecodeError::Malformed)
    }

    /// Sets the user who sent the event.
    #[must_use]
    pub fn by(self, asker: UserId) -> Self {
        Self { asker: Some(asker), ..self }
    }

    /// The user who sent the event; none if the connection is not authenticated.
    pub fn asker(&self) -> Option<UserId> {
        self.asker
    }

    /// Sets the login session of the connection.
    pub(crate) fn in_session(self, session: Option<LoginSessionId>) -> Self {
        Self { session, ..self }
    }

    /// The login session of the connection, if it has one.
    pub(crate) fn session(&self) -> Option<LoginSessionId> {
        self.session
    }

    /// Another event of the same user, with this argument.
    pub(super) fn instead<'b>(&self, event: Cow<'b, str>, argument: Option<&'b RawValue>) -> Call<'b> {
        let (asker, session) = (self.asker, self.session);
        Call { event, asker, session, arguments: argument.into_iter().collect() }
    }

    /// An event of this user without a name and arguments.
    pub(super) fn of(asker: UserId) -> Call<'static> {
        Call { event: Cow::Borrowed(""), asker: Some(asker), session: None, arguments: SmallVec::new() }
    }

    /// The arguments as they were sent.
    pub fn arguments(&self) -> &[&'a RawValue] {
        &self.arguments
    }

    /// Whether there is no argument, or the first one is null.
    pub fn is_empty(&self) -> bool {
        self.arguments.first().is_none_or(|argument| argument.get() == "null")
    }

    /// The first argument, if it is a string.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        self.text_at(0)
    }

    /// The argument at this place, counted from 0, if it is a string.
    pub fn text_at(&self, place: usize) -> Option<Cow<'a, str>> {
        text_of(self.arguments.get(place)?)
    }

    /// The first argument that is a string, for families whose pages use different orders.
    pub fn any_text(&self) -> Option<Cow<'a, str>> {
        self.arguments.iter().find_map(|argument| text_of(argument))
    }

    /// Decodes the first argument as an object of this type.
    ///
    /// # Errors
    /// When it is missing, not an object, or malformed.
    pub fn object<T: Deserialize<'a>>(&self) -> Result<T, DecodeError> {
        self.object_at(0)
    }

    /// Decodes the argument at this place, counted from 0, as an object of this type.
    ///
    /// # Errors
    /// When it is missing, not an object, or malformed.
    pub fn object_at<T: Deserialize<'a>>(&self, place: usize) -> Result<T, DecodeError> {
        from_object(self.arguments.get(place).ok_or(DecodeError::NoObject)?.get())
    }

    /// Decodes the first argument that is an object, for families whose pages use different orders.
    ///
    /// # Errors
    /// When no argument is an object, or it is malformed.
    pub fn any_object<T: Deserialize<'a>>(&self) -> Result<T, DecodeError> {
        let object = self.arguments.iter().find(|argument| argument.get().starts_with('{'));
        from_object(object.ok_or(DecodeError::NoObject)?.get())
    }
}

fn text_of<'a>(argument: &'a RawValue) -> Option<Cow<'a, str>> {
    match serde_json::from_str(argument.get()) {
        Ok(Text::Text(text)) => Some(text),
        _ => None,
    }
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
                let mut arguments = SmallVec::new();
                while arguments.len() < MAX_ARGUMENTS
                    && let Some(argument) = seq.next_element()?
                {
                    arguments.push(argument);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Call { event, asker: None, session: None, arguments })
            }
        }
        deserializer.deserialize_seq(Packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct User {
        #[serde(rename = "_id")]
        id: String,
    }

    #[test]
    fn arguments_of_any_number_and_type_are_read() {
        let call = Call::parse(r#"["typing",{"_id":"u"},"room",7,null,[1]]"#).unwrap();
        let written: Vec<_> = call.arguments().iter().map(|argument| argument.get()).collect();
        assert_eq!(written, [r#"{"_id":"u"}"#, r#""room""#, "7", "null", "[1]"]);
        assert_eq!((call.text(), call.text_at(1).as_deref()), (None, Some("room")));
        assert_eq!(call.any_text().as_deref(), Some("room"));
        assert_eq!(call.object::<User>().unwrap().id, "u");
        assert_eq!(call.object_at::<User>(1).err(), Some(DecodeError::NoObject));
        assert_eq!(call.object_at::<User>(9).err(), Some(DecodeError::NoObject));

        let turned = Call::parse(r#"["typing","room",{"_id":"u"}]"#).unwrap();
        assert_eq!(
            (turned.any_text().as_deref(), turned.any_object::<User>().unwrap().id),
            (Some("room"), "u".into())
        );

        let bare = Call::parse(r#"["join-rooms"]"#).unwrap();
        assert!(bare.is_empty() && bare.arguments().is_empty() && bare.any_text().is_none());
        assert!(Call::parse(r#"["e",null,1]"#).unwrap().is_empty());
    }

    #[test]
    fn not_every_argument_of_thousands_is_kept() {
        let packet = format!(r#"["e"{}]"#, ",1".repeat(100_000));
        assert_eq!(Call::parse(&packet).unwrap().arguments().len(), MAX_ARGUMENTS);
        assert!(Call::parse(r#"["e",1,2,3,4,5,6,7,8,{]"#).is_err());
    }
}
