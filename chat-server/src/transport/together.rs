//! Events that belong together: a client receives all of them or none. For example, the event of a change and the
//! position of that change belong together.
//!
//! On a websocket they leave in one write. Long polling uses socketioxide's queue, where a poll may be answered, or the
//! queue may become full, between any two packets. So there they are combined into one packet, which is split where it
//! leaves: in the answer to the poll, or on the websocket that has taken over meanwhile.
//!
//! ```text
//! 42["\u0001together",[20,23],["newMessage",{…}],["\u0001position","17"]]      with the length of each, in bytes
//! ```

use bytes::Bytes;
use chat_core::model::Position;
use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use socketioxide::SendError;
use socketioxide::extract::SocketRef;

use super::text_frame::text_frame;
use crate::dialect::{Frame, position_array, position_frame};

/// The event name of combined events in socketioxide's queue. It is never sent to a client.
const EVENT: &str = "\u{1}together";
/// The begin of such a packet.
const HEAD: &[u8] = br#"42["\u0001together",["#;

/// Events that belong together.
pub(crate) struct Together<'a> {
    frames: &'a [&'a Frame],
    /// The position that follows the events.
    position: Option<Position>,
    /// The client reconnects with positions.
    recovers: bool,
}

impl<'a> Together<'a> {
    /// Combines events for a client that has received all changes up to the position `told`. A client that does not
    /// reconnect with positions receives no position events.
    pub(crate) fn new(frames: &'a [&'a Frame], told: Position, recovers: bool) -> Self {
        let position = frames.iter().rev().find_map(|frame| frame.position_behind());
        let is_overwritten = || frames.last().is_some_and(|frame| frame.is_taken_for_position());
        let position = position.or_else(|| is_overwritten().then_some(told)).filter(|_| recovers);
        Self { frames, position, recovers }
    }

    /// All events as websocket frames. A single event with its position is encoded only once for all recipients.
    pub(crate) fn packets(&self) -> SmallVec<[Bytes; 2]> {
        let [frame] = self.frames else {
            let events = self.frames.iter().map(|frame| frame.event_packet());
            return events.chain(self.position.map(position_frame)).collect();
        };
        match self.position {
            Some(position) if frame.position_behind() != Some(position) => {
                [frame.event_packet(), position_frame(position)].into_iter().collect()
            }
            Some(_) => std::iter::once(frame.packet().clone()).collect(),
            None => std::iter::once(frame.event_packet()).collect(),
        }
    }

    /// Puts the events into the socket's queue as one packet.
    pub(crate) fn emit(&self, socket: &SocketRef) -> Result<(), SendError> {
        match (self.frames, self.position) {
            ([frame], None) => socket.emit(frame.event, &frame.arguments()),
            // Without a position nothing has to stay together, and answers of Engine.IO 3 are not split.
            (frames, _) if !self.recovers => {
                frames.iter().try_for_each(|frame| socket.emit(frame.event, &frame.arguments()))
            }
            _ => socket.emit(EVENT, self),
        }
    }
}

impl Serialize for Together<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let position =
            self.position.and_then(|position| RawValue::from_string(position_array(position)).ok());
        let mut lengths: SmallVec<[usize; 4]> =
            self.frames.iter().map(|frame| frame.array_length()).collect();
        lengths.extend(position.as_ref().map(|position| position.get().len()));
        let mut tuple = serializer.serialize_tuple(1 + lengths.len())?;
        tuple.serialize_element(&lengths[..])?;
        for frame in self.frames {
            tuple.serialize_element(&frame.array())?;
        }
        if let Some(position) = &position {
            tuple.serialize_element(position)?;
        }
        tuple.end()
    }
}

/// The events of a combined packet, each as a JSON array of its name and arguments. `None` for other packets.
pub(super) fn arrays(packet: &[u8]) -> Option<SmallVec<[&[u8]; 3]>> {
    let rest = packet.strip_prefix(HEAD)?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let (lengths, mut rest) = (std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]);
    let mut arrays = SmallVec::new();
    for length in lengths.split(',') {
        let (array, more) = rest.strip_prefix(b",")?.split_at_checked(length.parse().ok()?)?;
        arrays.push(array);
        rest = more;
    }
    (rest == b"]").then_some(arrays)
}

/// One of these events as a websocket frame.
pub(super) fn frame(array: &[u8]) -> Bytes {
    text_frame(2 + array.len(), |bytes| {
        bytes.extend_from_slice(b"42");
        bytes.extend_from_slice(array);
    })
}

/// Separates the packets in one answer (Engine.IO protocol 4, "Payload").
pub(super) const SEPARATOR: u8 = 0x1e;

/// The answer to a poll with combined events split into separate packets. `None` if it contains none.
pub(super) fn taken_apart(answer: &[u8]) -> Option<Vec<u8>> {
    let has_any = answer.split(|byte| *byte == SEPARATOR).any(|packet| packet.starts_with(HEAD));
    if !has_any {
        return None;
    }
    let mut apart = Vec::with_capacity(answer.len());
    for packet in answer.split(|byte| *byte == SEPARATOR) {
        let Some(arrays) = arrays(packet) else {
            apart.extend_from_slice(packet);
            apart.push(SEPARATOR);
            continue;
        };
        for array in arrays {
            apart.extend_from_slice(b"42");
            apart.extend_from_slice(array);
            apart.push(SEPARATOR);
        }
    }
    apart.pop();
    Some(apart)
}

#[cfg(test)]
mod tests;
