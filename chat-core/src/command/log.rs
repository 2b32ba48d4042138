//! The command that reads the log from a position on.

use crate::epoch::{Epoch, LogPosition};
use crate::event::Delivery;
use crate::model::Position;

/// Reads every change after a position that the caller may receive.
#[derive(Debug, Clone)]
pub struct ReadChanges {
    /// The position to read after; `None` to learn the current position.
    pub since: Option<LogPosition>,
    /// The most changes to return.
    pub limit: usize,
}

/// A part of the log, with the changes that concern one user.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The changes in log order, as they were delivered then; messages, rooms and people in their current state.
    pub deliveries: Vec<Delivery>,
    /// The position to continue from.
    pub next: Position,
    /// The epoch of all these positions.
    pub epoch: Option<Epoch>,
    /// Whether the log continues, though perhaps with nothing for this user.
    pub more: bool,
    /// The requested part of the log is no longer available. The client must load everything again and then continue
    /// from [`Self::next`].
    pub reset: bool,
}
