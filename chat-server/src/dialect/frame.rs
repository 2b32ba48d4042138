//! Events as they are sent, encoded once for all receivers, and the log position that follows them.
//!
//! ```text
//! 42["newMessage",{…}]              what the old backend sends, to the byte
//! 42["\u0001position","17"]         right behind it, in the same write: the position of the change in the log
//! ```
//! A client (`socket.io-client` from 4.6 on) remembers the last argument of the last event if it is a string, and sends
//! it back when it reconnects. It does so without a listener for the event. The arguments of the event itself stay as
//! the old backend sends them, because clients pass them on as a whole (RxJS, vue-socket.io, Dart) or count them
//! (Python).

use std::io::Write;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use chat_core::model::Position;
use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};
use serde_json::value::RawValue;

use crate::transport::text_frame::text_frame_before;

/// The event that carries a position. No client code listens to it.
pub const POSITION_EVENT: &str = "\u{1}position";

/// How clients receive the position of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PositionStyle {
    /// As an event of its own, directly after the event of the change.
    #[default]
    Event,
    /// As the last argument of the event of the change. A disconnect cannot separate the two, but client code sees the
    /// argument.
    Argument,
}

/// An event for clients, encoded once for all receivers.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its name.
    pub event: &'static str,
    /// The event as a WebSocket frame, followed by the frame of its position.
    packet: Bytes,
    /// The length of the event's part, in bytes.
    event_length: usize,
    /// The range of the name and the arguments in the packet.
    array: Range<usize>,
    /// The range of the argument in the packet; empty if there is none.
    data: Range<usize>,
    /// The argument as a separate value; created on first use.
    argument: OnceLock<Box<RawValue>>,
    position: Option<Position>,
    style: PositionStyle,
}

/// The log position of the change that an event reports, if the change is logged. Clients receive it after the event
/// and send it back when they reconnect; see `recovery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPosition(pub Option<Position>);

impl EventPosition {
    /// Encodes an event with this position.
    pub fn frame(self, event: &'static str, data: &impl Serialize) -> Frame {
        Frame::encode(event, Some(data), self.0)
    }
}

impl Frame {
    /// Encodes an event with one argument. The name must not need escapes.
    pub fn new(event: &'static str, data: &impl Serialize) -> Self {
        Self::encode(event, Some(data), None)
    }

    /// Encodes an event without an argument. The name must not need escapes.
    pub fn without_argument(event: &'static str) -> Self {
        Self::encode(event, None::<&()>, None)
    }

    fn encode(event: &'static str, data: Option<&impl Serialize>, position: Option<Position>) -> Self {
        let arguments = |bytes: &mut Vec<u8>| {
            let Some(data) = data else { return 0..0 };
            bytes.push(b',');
            let start = bytes.len();
            if serde_json::to_writer(&mut *bytes, data).is_err() {
                // The wire types are plain structs with string keys, so serializing them cannot fail.
                bytes.truncate(start);
                bytes.extend_from_slice(b"null");
            }
            start..bytes.len()
        };
        let frame = Self::lay_out(event, arguments, |bytes| {
            if let Some(position) = position {
                write_position(bytes, position);
            }
        });
        Self { position, ..frame }
    }

    /// Builds a frame. `arguments` writes the arguments and returns the range of the one that is not a position;
    /// `behind` writes the frames that follow.
    fn lay_out(
        event: &'static str,
        arguments: impl FnOnce(&mut Vec<u8>) -> Range<usize>,
        behind: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let (mut array, mut data) = (0..0, 0..0);
        let write = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(b"42");
            let start = bytes.len();
            bytes.extend_from_slice(b"[\"");
            bytes.extend_from_slice(event.as_bytes());
            bytes.push(b'"');
            data = arguments(bytes);
            bytes.push(b']');
            array = start..bytes.len();
        };
        let (packet, event_length) = text_frame_before(256, write, behind);
        // The length of the frame's head depends on the length of its content.
        let shift = array.end - event_length;
        let shifted =
            |range: Range<usize>| range.start.saturating_sub(shift)..range.end.saturating_sub(shift);
        Self {
            event,
            packet,
            event_length,
            array: shifted(array),
            data: shifted(data),
            argument: OnceLock::new(),
            position: None,
            style: PositionStyle::Event,
        }
    }

    /// The same event, with its position (if it has one) sent in this style.
    #[must_use]
    pub fn in_style(self, style: PositionStyle) -> Self {
        let Some(position) = self.position.filter(|_| style != self.style) else { return self };
        let arguments = |bytes: &mut Vec<u8>| {
            let mut data = 0..0;
            if !self.data.is_empty() {
                bytes.push(b',');
                data = bytes.len()..bytes.len() + self.data.len();
                bytes.extend_from_slice(&self.packet[self.data.clone()]);
            }
            if style == PositionStyle::Argument {
                // Writing into memory cannot fail.
                let _ = write!(bytes, ",\"{}\"", position.0);
            }
            data
        };
        let frame = Self::lay_out(self.event, arguments, |bytes| {
            if style == PositionStyle::Event {
                write_position(bytes, position);
            }
        });
        Self { position: self.position, style, ..frame }
    }

    /// The event as a WebSocket frame, directly followed by the frame of its position, if it has one.
    pub fn packet(&self) -> &Bytes {
        &self.packet
    }

    /// The event alone, for a client that does not resume after a disconnect.
    pub fn event_packet(&self) -> Bytes {
        self.packet.slice(..self.event_length)
    }

    /// Its position, if that is sent as an event of its own.
    pub fn position_behind(&self) -> Option<Position> {
        self.position.filter(|_| self.style == PositionStyle::Event)
    }

    /// Its position as it is sent, if it is the last argument.
    pub fn position_argument(&self) -> Option<String> {
        let argument = self.position.filter(|_| self.style == PositionStyle::Argument);
        argument.map(|Position(position)| position.to_string())
    }

    /// Whether a client would mistake a part of this event for a position: its argument if that is a string, or its
    /// name if it has no argument. Then the last position must be sent after it.
    pub fn is_taken_for_position(&self) -> bool {
        self.position.is_none() && (self.data.is_empty() || self.packet[self.data.end - 1] == b'"')
    }

    /// Its argument, if it has one. The copy is kept after the first call, because only polling clients need it, and
    /// usually several of them do.
    pub fn data(&self) -> Option<&RawValue> {
        if self.data.is_empty() {
            return None;
        }
        Some(self.argument.get_or_init(|| {
            let text = std::str::from_utf8(&self.packet[self.data.clone()]).unwrap_or("null");
            RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
        }))
    }

    /// The length of [`Self::array`] in bytes.
    pub(crate) fn array_length(&self) -> usize {
        self.array.len()
    }

    /// All its arguments; serializes as a tuple.
    pub(crate) fn arguments(&self) -> impl Serialize + '_ {
        Array { frame: self, with_name: false }
    }

    /// Its name and all its arguments; serializes as a tuple.
    pub(crate) fn array(&self) -> impl Serialize + '_ {
        Array { frame: self, with_name: true }
    }
}

/// A WebSocket frame that carries `position`.
pub(crate) fn position_frame(position: Position) -> Bytes {
    let mut bytes = Vec::with_capacity(48);
    write_position(&mut bytes, position);
    Bytes::from(bytes)
}

/// The name and argument of the same packet, as JSON.
pub(crate) fn position_array(position: Position) -> String {
    format!(r#"["\u0001position","{}"]"#, position.0)
}

/// The longest position packet fits into a frame with a short head.
const _: () = assert!(r#"42["\u0001position","18446744073709551615"]"#.len() < 126);

fn write_position(bytes: &mut Vec<u8>, Position(position): Position) {
    // A final text frame; its length is filled in below.
    bytes.extend_from_slice(&[0x81, 0]);
    let start = bytes.len();
    // Writing into memory cannot fail.
    let _ = write!(bytes, r#"42["\u0001position","{position}"]"#);
    bytes[start - 1] = (bytes.len() - start) as u8;
}

struct Array<'a> {
    frame: &'a Frame,
    with_name: bool,
}

impl Serialize for Array<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (data, position) = (self.frame.data(), self.frame.position_argument());
        let length =
            usize::from(self.with_name) + usize::from(data.is_some()) + usize::from(position.is_some());
        let mut array = serializer.serialize_tuple(length)?;
        if self.with_name {
            array.serialize_element(self.frame.event)?;
        }
        if let Some(data) = data {
            array.serialize_element(data)?;
        }
        if let Some(position) = &position {
            array.serialize_element(position)?;
        }
        array.end()
    }
}
