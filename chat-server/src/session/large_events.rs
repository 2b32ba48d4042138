//! Large events, which are withheld from the engine.
//!
//! The engine parses each event completely to find its name, on a thread that serves all connections. There 16 MB of
//! `0,` take longer than a hundred ordinary events. So this module takes large events out of the client's input. The
//! engine gets a placeholder with the same acknowledgement id. The session's inbox puts the event back in place of the
//! placeholder, and parses it on the threads for long computations. The order of events does not change.

use std::collections::VecDeque;

use parking_lot::Mutex;
use socketioxide_core::{Str, Value};

use crate::limits::LONG_BYTES;
use crate::memory::{OutOfMemory, Reservation};
use crate::transport::payload::SEPARATOR;

/// The beginning of a placeholder; its number and a bracket follow. It needs no escapes, because the engine borrows the
/// name.
const STAND_IN: &str = r#"["chat-server:large","#;

/// The maximum number of withheld events of one session. Each is taken out when the engine delivers its placeholder.
/// Those that remain belong to requests that the engine has refused.
const MAX_KEPT: usize = 512;

/// The large events of one session whose placeholders are in the engine.
pub(crate) struct LargeEvents {
    max_message: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    events: VecDeque<Event>,
}

struct Event {
    number: u64,
    text: Str,
    /// The reservation of its memory.
    _held: Option<Reservation>,
}

impl LargeEvents {
    /// Creates an empty set. No message is longer than `max_message` bytes.
    pub(crate) fn new(max_message: usize) -> Self {
        Self { max_message, kept: Mutex::default() }
    }

    /// The maximum size of a message, in bytes.
    pub(crate) fn max_message(&self) -> usize {
        self.max_message
    }

    /// Withholds a message if it is a large event, and returns the placeholder for the engine.
    ///
    /// # Errors
    /// Returns the message unchanged when it is anything else.
    pub(crate) fn keep(&self, message: Vec<u8>, held: Option<Reservation>) -> Result<String, Vec<u8>> {
        let Some(head) = event_head(&message).filter(|_| message.len() >= LONG_BYTES) else {
            return Err(message);
        };
        let message = String::from_utf8(message).map_err(|error| error.into_bytes())?;
        let mut kept = self.kept.lock();
        let number = kept.next;
        kept.next += 1;
        if kept.events.len() >= MAX_KEPT {
            kept.events.pop_front();
        }
        let stand_in = format!("{}{STAND_IN}{number}]", &message[..head]);
        kept.events.push_back(Event { number, text: Str::from(message).slice(head..), _held: held });
        Ok(stand_in)
    }

    /// The same for each packet of a long-polling payload, in the format of Engine.IO 4.
    ///
    /// # Errors
    /// When there is no memory for them: the request is refused.
    pub(crate) fn keep_all(
        &self,
        payload: bytes::Bytes,
        reserve: impl Fn(usize) -> Result<Option<Reservation>, OutOfMemory>,
    ) -> Result<bytes::Bytes, OutOfMemory> {
        let is_large = |packet: &&[u8]| packet.len() >= LONG_BYTES;
        if payload.len() < LONG_BYTES
            || !payload.split(|byte| *byte == SEPARATOR).any(|packet| is_large(&packet))
        {
            return Ok(payload);
        }
        let mut left = Vec::with_capacity(LONG_BYTES);
        for (n, packet) in payload.split(|byte| *byte == SEPARATOR).enumerate() {
            if n > 0 {
                left.push(SEPARATOR);
            }
            if !is_large(&packet) {
                left.extend_from_slice(packet);
                continue;
            }
            match self.keep(packet.to_vec(), reserve(packet.len())?) {
                Ok(stand_in) => left.extend_from_slice(stand_in.as_bytes()),
                Err(packet) => left.extend_from_slice(&packet),
            }
        }
        Ok(left.into())
    }

    /// Puts the event back, if `packet` is its placeholder.
    pub(crate) fn put_back(&self, packet: Value) -> Value {
        let Value::Str(text, _) = &packet else { return packet };
        let number = text.strip_prefix(STAND_IN).and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        number.and_then(|number| self.take(number)).map_or(packet, |text| Value::Str(text, None))
    }

    fn take(&self, number: u64) -> Option<Str> {
        let events = &mut self.kept.lock().events;
        // It is the first one, unless the client has sent two requests at once.
        let at = events.iter().position(|event| event.number == number)?;
        Some(events.remove(at)?.text)
    }

    /// Takes out the event with this number.
    #[cfg(test)]
    pub(crate) fn text_of(&self, number: u64) -> Option<String> {
        self.take(number).map(String::from)
    }
}

/// The length of the head of an event of the namespace `/`: the packet types (Engine.IO `4`, Socket.IO `2`) and the
/// acknowledgement id. `None` when this is not such an event.
fn event_head(message: &[u8]) -> Option<usize> {
    let digits =
        message.strip_prefix(b"42")?.iter().take(MAX_ACK_DIGITS + 1).position(|byte| *byte == b'[')?;
    message[2..2 + digits].iter().all(u8::is_ascii_digit).then_some(2 + digits)
}

/// The number of digits of the largest acknowledgement id.
const MAX_ACK_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(head: &str) -> String {
        format!(r#"{head}["x","{}"]"#, "a".repeat(LONG_BYTES))
    }

    fn text(value: Value) -> String {
        let Value::Str(text, None) = value else { panic!("{value:?}") };
        text.into()
    }

    /// What the engine would pass on of a packet.
    fn passed_on(stand_in: &str) -> Value {
        Value::Str(Str::from(stand_in.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned()), None)
    }

    #[test]
    fn a_large_event_comes_back_in_the_place_of_its_stand_in() {
        let large = LargeEvents::new(1 << 20);
        let one = large.keep(event("42").into(), None).unwrap();
        let two = large.keep(event("427").into(), None).unwrap();
        assert_eq!((&*one, &*two), (r#"42["chat-server:large",0]"#, r#"427["chat-server:large",1]"#));
        assert_eq!(text(large.put_back(passed_on(&two))), event(""));
        assert_eq!(text(large.put_back(passed_on(&one))), event(""));
        let again = passed_on(&one);
        assert_eq!(text(large.put_back(again)), r#"["chat-server:large",0]"#, "it is not there twice");
    }

    #[test]
    fn everything_else_is_left_to_the_engine() {
        let large = LargeEvents::new(1 << 20);
        let long = |head: &str| event(head).into_bytes();
        let mut broken = long("42");
        broken[100] = 0xff;
        for message in
            [b"42[]".to_vec(), long("43"), long("4"), long("42/admin,"), long("42x"), broken, long("40")]
        {
            assert_eq!(large.keep(message.clone(), None), Err(message));
        }
    }

    #[test]
    fn of_a_payload_only_large_events_are_kept() {
        let large = LargeEvents::new(1 << 20);
        let payload = [r#"42["a"]"#, &event("421"), "2", &event("451-"), r#"42["b"]"#].join("\u{1e}");
        let left = large.keep_all(payload.into(), |_| Ok(None)).unwrap();
        let expected = [r#"42["a"]"#, r#"421["chat-server:large",0]"#, "2", &event("451-"), r#"42["b"]"#];
        assert_eq!(left, expected.join("\u{1e}"));
        let small = bytes::Bytes::from_static(b"42[\"a\"]\x1e2");
        assert_eq!(large.keep_all(small.clone(), |_| Ok(None)).unwrap(), small);
    }

    #[test]
    fn what_the_engine_never_passes_on_is_bounded() {
        let large = LargeEvents::new(1 << 20);
        let stand_ins: Vec<_> =
            (0..=MAX_KEPT).map(|_| large.keep(event("42").into(), None).unwrap()).collect();
        assert_eq!(large.kept.lock().events.len(), MAX_KEPT);
        assert_eq!(text(large.put_back(passed_on(&stand_ins[MAX_KEPT]))), event(""));
    }
}
