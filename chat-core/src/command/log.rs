//! Reading on in the log.

use crate::epoch::{Epoch, LogPosition};
use crate::event::Delivery;
use crate::model::Position;

/// Read on in the log: every change that one is told of.
#[derive(Debug, Clone)]
pub struct ReadChanges {
    /// What came after this; none to learn where to begin.
    pub since: Option<LogPosition>,
    /// At most so many.
    pub limit: usize,
}

/// A part of the log, as far as it concerns one person.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The changes in order, as they were delivered then; messages, rooms and people as they are now.
    pub deliveries: Vec<Delivery>,
    /// Where to go on.
    pub next: Position,
    /// Of which epoch all these positions are.
    pub epoch: Option<Epoch>,
    /// Whether there is more of the log, though perhaps nothing for this person.
    pub more: bool,
    /// What was asked for is not known any more: everything has to be loaded afresh, and then followed from
    /// [`Self::next`].
    pub reset: bool,
}
