//! What has come in on a connection and waits to be worked off.

use std::collections::VecDeque;

use socketioxide_core::Value;

use super::answering::Ack;
use crate::limits::Held;

/// Most events that wait for one connection.
pub(super) const MAX_WAITING: usize = 4_096;
/// Most bytes of events that wait for one connection; one packet always has room.
pub(super) const MAX_WAITING_BYTES: usize = 48 << 20;

#[derive(Default)]
pub(super) struct Inbox {
    pub(super) waiting: VecDeque<Inbound>,
    pub(super) bytes: usize,
    /// A task is working it off, or its connection has not begun.
    pub(super) busy: bool,
    pub(super) closed: bool,
}

pub(super) struct Inbound {
    pub(super) packet: Value,
    pub(super) ack: Option<Ack>,
    /// Counts it among what waits of its person; none before it has been counted.
    pub(super) held: Option<Held>,
}

impl Inbound {
    pub(super) fn text(&self) -> &str {
        text_of(&self.packet)
    }
}

pub(super) fn text_of(packet: &Value) -> &str {
    match packet {
        Value::Str(text, _) => text.as_str(),
        Value::Bytes(_) => "",
    }
}
