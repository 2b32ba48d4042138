//! The families of frontends, and what each of them says and expects.
//!
//! A dialect is data: one file with one `pub static DIALECT`, named in [`ALL`]. Event and field names occur in this
//! folder alone; the rest of the server speaks [`Command`] and [`Event`].
//!
//! # Adding a dialect
//! 1. `dialect/NAME.rs` with `pub static DIALECT: Dialect`; the compiler asks for every part of it, and `match event`
//!    without a catch-all arm asks for every event.
//! 2. One line in [`ALL`].
//! 3. A folder of transcripts, `tests/transcripts/NAME/`.

pub mod camel;
mod parameters;
pub mod push;
pub mod read;
pub mod search;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod wire;

use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use axum::Router;
use bytes::Bytes;
use chat_core::command::{Command, Reply};
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::Position;
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use self::wire::{Call, DecodeError, Failure};
use crate::app::App;
use crate::transport::wire::text_frame;

/// Every dialect there is.
pub static ALL: &[&Dialect] = &[&camel::DIALECT, &push::DIALECT];

/// The dialect of this name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    ALL.iter().copied().find(|dialect| dialect.name == name)
}

/// What an event asks for: one of the family's, or one of ours, which are the same in every family.
pub(crate) fn decode(dialect: &Dialect, call: &Call<'_>) -> Result<Command, DecodeError> {
    let mut decoded = (dialect.decode)(call);
    for ours in [sync::decode, read::decode, search::decode] {
        if matches!(decoded, Err(DecodeError::UnknownEvent)) {
            decoded = ours(call);
        }
    }
    decoded
}

/// A family of frontends.
pub struct Dialect {
    /// Its name, in configuration and tokens.
    pub name: &'static str,
    /// Fewest characters of a new password, as its pages have it.
    pub password_min: usize,
    /// Its HTTP routes.
    pub routes: fn() -> Router<Arc<App>>,
    /// The same as a list, method and path, with `:id` for what differs: what is nearest to a route that is not served.
    pub paths: &'static [&'static str],
    /// The names of the events that its clients may send.
    pub events: &'static [&'static str],
    /// What an event of a client asks for.
    pub decode: fn(&Call<'_>) -> Result<Command, DecodeError>,
    /// What clients are told of an event. Every frame of it is made with the mark.
    pub outbound: fn(&Event, Mark) -> Frames,
    /// The event that answers a command, for clients that pass no acknowledgement callback.
    pub reply: fn(&Reply) -> Option<Frame>,
    /// What an acknowledgement holds beyond `ok` and `success`.
    pub ack: fn(&Reply) -> Ack,
    /// The event that tells a client that a command was refused.
    pub failure: fn(&Failure) -> Frame,
    /// The event that says who is online, if the family has one.
    pub roster: Option<fn(&[UserId]) -> Frame>,
}

impl Dialect {
    /// Its place in [`ALL`].
    pub(crate) fn index(&self) -> usize {
        // A dialect that is not in the list is nobody's.
        ALL.iter().position(|dialect| std::ptr::eq(*dialect, self)).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialect({})", self.name)
    }
}

/// An event for clients, encoded once for everybody who gets it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its name.
    pub event: &'static str,
    packet: Bytes,
    /// Where its argument is in the packet.
    data: Range<usize>,
    /// The same as a value of its own, once somebody needs it.
    argument: OnceLock<Box<RawValue>>,
    position: Option<Position>,
}

/// The place in the log of the change that an event stands for, if it is logged. Clients get it as the event's last
/// argument and come back with it after a cut; see `recovery`. So no other event may end with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub Option<Position>);

impl Mark {
    /// Encodes an event that has this mark.
    pub fn frame(self, event: &'static str, data: &impl Serialize) -> Frame {
        Frame::encode(event, data, self.0)
    }
}

impl Frame {
    /// Encodes an event with one argument. The name needs no escapes.
    pub fn new(event: &'static str, data: &impl Serialize) -> Self {
        Self::encode(event, data, None)
    }

    fn encode(event: &'static str, data: &impl Serialize, position: Option<Position>) -> Self {
        let (mut argument, mut length) = (0..0, 0);
        let packet = text_frame(256, |bytes| {
            bytes.extend_from_slice(b"42[\"");
            bytes.extend_from_slice(event.as_bytes());
            bytes.extend_from_slice(b"\",");
            let start = bytes.len();
            if serde_json::to_writer(&mut *bytes, data).is_err() {
                // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
                bytes.truncate(start);
                bytes.extend_from_slice(b"null");
            }
            argument = start..bytes.len();
            if let Some(Position(position)) = position {
                // Nothing can fail: it is written into memory.
                let _ = write!(bytes, ",\"{position}\"");
            }
            bytes.push(b']');
            length = bytes.len();
        });
        // The head of the frame is as long as its content needs.
        let shift = length - packet.len();
        let data = argument.start - shift..argument.end - shift;
        Self { event, packet, data, argument: OnceLock::new(), position }
    }

    /// The whole event as a websocket frame.
    pub fn packet(&self) -> &Bytes {
        &self.packet
    }

    /// Its mark, as it is sent.
    pub fn mark(&self) -> Option<String> {
        self.position.map(|Position(position)| position.to_string())
    }

    /// Its argument. A copy is kept from the first time on: only clients that poll need it, and then all of them.
    pub fn data(&self) -> &RawValue {
        self.argument.get_or_init(|| {
            let text = std::str::from_utf8(&self.packet[self.data.clone()]).unwrap_or("null");
            RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
        })
    }
}

/// The JSON fields of an acknowledgement beyond `ok` and `success`: names and values.
pub type Ack = Vec<(&'static str, Box<RawValue>)>;

/// Encodes a value of the wire.
pub fn raw(data: &impl Serialize) -> Box<RawValue> {
    // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
    serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The frames of one event, each for a part of its audience.
pub type Frames = SmallVec<[(To, Frame); 2]>;

/// A part of an event's audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// All of it.
    All,
    /// This person's connections.
    Only(UserId),
    /// All but this person's connections.
    Except(UserId),
}

impl To {
    /// Whether this person is meant.
    pub fn includes(self, user: UserId) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == user,
            Self::Except(except) => except != user,
        }
    }
}
