//! Events as they are sent, encoded once for everybody who gets them, and the position that follows them.
//!
//! ```text
//! 42["newMessage",{…}]              what the old backend sends, to the byte
//! 42["\u0001position","17"]         right behind it, in the same write: the position of the change in the log
//! ```
//! A client (`socket.io-client` from 4.6 on) remembers the last argument of the last event, if that is a text, and comes
//! back with it after a cut; nobody need listen to the event. The argument list of the event itself stays the old backend's,
//! because pages hand it on as a whole (RxJS, vue-socket.io, Dart) or count it (Python).

use std::io::Write;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use chat_core::model::Position;
use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};
use serde_json::value::RawValue;

use crate::transport::text_frame::text_frame_before;

/// The event that tells a position. No page listens to it.
pub const POSITION_EVENT: &str = "\u{1}position";

/// How clients are told the position of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PositionStyle {
    /// By an event of its own, behind the event of the change.
    #[default]
    Event,
    /// By a last argument of the event of the change. A cut never comes between the two, but pages see it.
    Argument,
}

/// An event for clients, encoded once for everybody who gets it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its name.
    pub event: &'static str,
    /// The event as a websocket frame, and that of its position behind it.
    packet: Bytes,
    /// So many bytes of it are the event.
    event_length: usize,
    /// Where name and arguments are in the packet.
    array: Range<usize>,
    /// Where its argument is in the packet; empty if it has none.
    data: Range<usize>,
    /// The same as a value of its own, once somebody needs it.
    argument: OnceLock<Box<RawValue>>,
    position: Option<Position>,
    style: PositionStyle,
}

/// The place in the log of the change that an event stands for, if it is logged. Clients are told it behind the event and
/// come back with it after a cut; see `recovery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPosition(pub Option<Position>);

impl EventPosition {
    /// Encodes an event that has this mark.
    pub fn frame(self, event: &'static str, data: &impl Serialize) -> Frame {
        Frame::encode(event, Some(data), self.0)
    }
}

impl Frame {
    /// Encodes an event with one argument. The name needs no escapes.
    pub fn new(event: &'static str, data: &impl Serialize) -> Self {
        Self::encode(event, Some(data), None)
    }

    /// Encodes an event without an argument. The name needs no escapes.
    pub fn without_argument(event: &'static str) -> Self {
        Self::encode(event, None::<&()>, None)
    }

    fn encode(event: &'static str, data: Option<&impl Serialize>, position: Option<Position>) -> Self {
        let arguments = |bytes: &mut Vec<u8>| {
            let Some(data) = data else { return 0..0 };
            bytes.push(b',');
            let start = bytes.len();
            if serde_json::to_writer(&mut *bytes, data).is_err() {
                // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
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

    /// An event whose arguments are written by `arguments`, which answers where the one that is not a position is, with the
    /// frames behind it that `behind` writes.
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
        // The head of the frame is as long as its content needs.
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

    /// The same event with its position, if it has one, told in this way.
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
                // Nothing can fail: it is written into memory.
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

    /// The event as a websocket frame, and right behind it the frame that tells its position, if it has one.
    pub fn packet(&self) -> &Bytes {
        &self.packet
    }

    /// The event alone, for a client that does not go on after a cut.
    pub fn event_packet(&self) -> Bytes {
        self.packet.slice(..self.event_length)
    }

    /// Its position, if it is told by an event of its own.
    pub fn position_behind(&self) -> Option<Position> {
        self.position.filter(|_| self.style == PositionStyle::Event)
    }

    /// Its position, as it is sent, if it is the last argument.
    pub fn position_argument(&self) -> Option<String> {
        let argument = self.position.filter(|_| self.style == PositionStyle::Argument);
        argument.map(|Position(position)| position.to_string())
    }

    /// Whether a client takes something of it for a position that is none: its argument, which is a text, or where it has no
    /// argument its name. Then the last position must follow.
    pub fn is_taken_for_position(&self) -> bool {
        self.position.is_none() && (self.data.is_empty() || self.packet[self.data.end - 1] == b'"')
    }

    /// Its argument, if it has one. A copy is kept from the first time on: only clients that poll need it, and then all of
    /// them.
    pub fn data(&self) -> Option<&RawValue> {
        if self.data.is_empty() {
            return None;
        }
        Some(self.argument.get_or_init(|| {
            let text = std::str::from_utf8(&self.packet[self.data.clone()]).unwrap_or("null");
            RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
        }))
    }

    /// How many bytes [`Self::array`] has.
    pub(crate) fn array_length(&self) -> usize {
        self.array.len()
    }

    /// All its arguments, to be serialized as a tuple.
    pub(crate) fn arguments(&self) -> impl Serialize + '_ {
        Array { frame: self, with_name: false }
    }

    /// Its name and all its arguments.
    pub(crate) fn array(&self) -> impl Serialize + '_ {
        Array { frame: self, with_name: true }
    }
}

/// Tells `position`, as a websocket frame.
pub(crate) fn position_frame(position: Position) -> Bytes {
    let mut bytes = Vec::with_capacity(48);
    write_position(&mut bytes, position);
    Bytes::from(bytes)
}

/// The same packet's name and argument, as JSON.
pub(crate) fn position_array(position: Position) -> String {
    format!(r#"["\u0001position","{}"]"#, position.0)
}

/// Most bytes of a position's packet, which fit the short head of a frame.
const _: () = assert!(r#"42["\u0001position","18446744073709551615"]"#.len() < 126);

fn write_position(bytes: &mut Vec<u8>, Position(position): Position) {
    // The last frame of a message, text; its length is known afterwards.
    bytes.extend_from_slice(&[0x81, 0]);
    let start = bytes.len();
    // Nothing can fail: it is written into memory.
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
