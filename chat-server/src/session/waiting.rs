//! The events of a connection that wait to be processed.

use std::collections::VecDeque;

use socketioxide_core::Value;

use super::answering::Ack;
use crate::limits::Held;

/// The maximum number of waiting events of one connection.
pub(super) const MAX_WAITING: usize = 4_096;
/// The maximum bytes of waiting events of one connection. One packet always has room.
pub(super) const MAX_WAITING_BYTES: usize = 48 << 20;

#[derive(Default)]
pub(super) struct Inbox {
    pub(super) waiting: VecDeque<Inbound>,
    pub(super) bytes: usize,
    /// A task is processing it, or the connection is not ready yet.
    pub(super) busy: bool,
    pub(super) closed: bool,
}

pub(super) struct Inbound {
    pub(super) packet: Value,
    pub(super) ack: Option<Ack>,
    /// The reservation in the user's budget for waiting bytes. `None` until the event was counted.
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
