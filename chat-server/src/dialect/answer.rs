//! Answers to events of clients.
//!
//! A client that passed an acknowledgement callback receives `{ok:true, success:true, …}` or
//! `{ok:false, success:false, error:{code, message}}`, in every dialect.

use std::borrow::Cow;
use std::time::Duration;

use chat_core::error::{Error, ErrorKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::payload::DecodeError;
use super::{Asked, Frame, raw};

/// The answer to a command: events for the connection that sent it, and an acknowledgement.
#[derive(Debug, Default)]
pub struct Answer {
    /// Sent to that connection before the acknowledgement.
    pub events: SmallVec<[Frame; 1]>,
    /// The whole acknowledgement; none for one that only reports success.
    pub ack: Option<Box<RawValue>>,
}

impl Answer {
    /// An answer that only reports success.
    pub fn done() -> Self {
        Self::default()
    }

    /// Adds an event, which is sent with or without an acknowledgement.
    #[must_use]
    pub fn with_event(mut self, event: Frame) -> Self {
        self.events.push(event);
        self
    }

    /// Sets the acknowledgement: the fields of this object beside `ok` and `success`. Does nothing if the client
    /// wants no acknowledgement.
    #[must_use]
    pub fn with_ack(self, asked: &Asked<'_>, fields: &impl Serialize) -> Self {
        if !asked.has_ack {
            return self;
        }
        Self { ack: Some(raw(&Acknowledged { ok: true, success: true, fields })), ..self }
    }

    /// Sends the fields of this object in the acknowledgement if the client wants one, and otherwise in an event of
    /// this name.
    pub fn by_ack_or_event(asked: &Asked<'_>, event: &'static str, fields: &impl Serialize) -> Self {
        match asked.has_ack {
            true => Self::default().with_ack(asked, fields),
            false => Self::default().with_event(Frame::new(event, fields)),
        }
    }

    /// Returns the acknowledgement.
    pub(crate) fn into_ack(self) -> Box<RawValue> {
        #[derive(Serialize)]
        struct Nothing {}
        self.ack.unwrap_or_else(|| raw(&Acknowledged { ok: true, success: true, fields: &Nothing {} }))
    }
}

/// The acknowledgement of a successful command, with the fields of this object.
pub(crate) fn acknowledgement(fields: &impl Serialize) -> impl Serialize {
    Acknowledged { ok: true, success: true, fields }
}

/// The acknowledgement of a successful command.
#[derive(Serialize)]
struct Acknowledged<'a, T> {
    ok: bool,
    success: bool,
    #[serde(flatten)]
    fields: &'a T,
}

/// The acknowledgement of a command that was refused.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Refused<'a> {
    #[schemars(extend("const" = false))]
    ok: bool,
    #[schemars(extend("const" = false))]
    success: bool,
    error: &'a Failure,
}

impl<'a> From<&'a Failure> for Refused<'a> {
    fn from(error: &'a Failure) -> Self {
        Self { ok: false, success: false, error }
    }
}

/// Why a command was refused, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable code for programs.
    pub code: &'static str,
    /// The message for people.
    pub message: String,
    /// The field that is wrong, if it is a single one.
    pub field: Option<&'static str>,
    /// How long to wait before a retry, if that is known.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with a stable code for programs and a message for people.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, retry_after: None }
    }

    /// The wait in seconds, rounded up, as answers state it.
    pub fn retry_after_seconds(wait: Duration) -> u64 {
        wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
    }
}

impl From<&DecodeError> for Failure {
    fn from(error: &DecodeError) -> Self {
        let code = if *error == DecodeError::UnknownEvent { "unknown_event" } else { "invalid" };
        Self { field: error.field(), ..Self::new(code, error.to_string()) }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let message = match error.kind() {
            ErrorKind::Internal => "internal error".to_owned(),
            ErrorKind::Unavailable => "the service is unavailable at the moment".to_owned(),
            _ => error.to_string(),
        };
        let field = match error {
            Error::Invalid { field, .. } | Error::TooLarge { field, .. } => Some(*field),
            _ => None,
        };
        Self { field, retry_after: error.retry_after(), ..Self::new(error.kind().code(), message) }
    }
}

impl JsonSchema for Failure {
    fn schema_name() -> Cow<'static, str> {
        "Failure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "description": "A stable word for programs." },
                "message": { "type": "string", "description": "For people." },
                "field": { "type": "string", "description": "The field that was wrong, where it is a single one." },
                "retryAfter": { "type": "integer", "description": "How many seconds to wait, where that is known." },
            },
        })
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code)?;
        map.serialize_entry("message", &self.message)?;
        if let Some(field) = self.field {
            map.serialize_entry("field", field)?;
        }
        if let Some(wait) = self.retry_after {
            map.serialize_entry("retryAfter", &Self::retry_after_seconds(wait))?;
        }
        map.end()
    }
}
