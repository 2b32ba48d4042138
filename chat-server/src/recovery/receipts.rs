//! How far clients have certainly been told, for those who do not say it.
//!
//! Some libraries take the place of a part of the client: vue-socket.io replaces its `onevent`, where the client remembers
//! positions. Coming back it sends its `pid` and no offset, as a client does that was cut before its first event. The two
//! are told apart by what has certainly arrived: a heartbeat that was sent behind an event and is answered, or a poll behind
//! the answer that held it, says that the event has. Who has received a position and does not tell it never will. Such a
//! session goes on behind what has arrived if nothing else was told; otherwise nobody knows what of it has arrived, and the
//! session begins afresh. It is remembered in this node's memory alone: what it does not know is taken for a cut before
//! the first event.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::model::Position;
use parking_lot::Mutex;

use crate::auth::token::Fingerprint;

/// Most sessions of the past that are remembered; of more the oldest are forgotten.
const MAX_REMEMBERED: usize = 20_000;

/// What was told on one connection, and what of it has certainly arrived. 0 is nothing.
#[derive(Debug, Default)]
pub(crate) struct Receipt {
    told: AtomicU64,
    /// What of it has left; of what waits for a poll nothing has arrived.
    left: AtomicU64,
    asked: AtomicU64,
    confirmed: AtomicU64,
}

impl Receipt {
    /// Of a session whose client has certainly been told everything up to `position`, or nothing.
    pub(crate) fn of(position: Option<Position>) -> Self {
        let at = || AtomicU64::new(position.map_or(0, |position| position.0));
        Self { told: at(), left: at(), asked: at(), confirmed: at() }
    }

    /// A position was put behind everything before it, and leaves by itself or waits for a poll.
    pub(crate) fn tell(&self, position: Position, leaves: bool) {
        self.told.fetch_max(position.0, Ordering::AcqRel);
        if leaves {
            self.leave();
        }
    }

    /// What was told has left, or may have.
    pub(crate) fn leave(&self) {
        self.left.fetch_max(self.told().0, Ordering::AcqRel);
    }

    /// The last that was told.
    pub(crate) fn told(&self) -> Position {
        Position(self.told.load(Ordering::Acquire))
    }

    /// Something that is answered was sent behind `position`.
    pub(crate) fn ask(&self, position: Position) {
        self.asked.fetch_max(position.0, Ordering::AcqRel);
    }

    /// It is answered.
    pub(crate) fn answer(&self) {
        self.confirmed.fetch_max(self.asked.load(Ordering::Acquire), Ordering::AcqRel);
    }

    /// What is known of it.
    pub(crate) fn reached(&self) -> Reached {
        match (self.confirmed.load(Ordering::Acquire), self.left.load(Ordering::Acquire)) {
            (0, _) => Reached::Unknown,
            (confirmed, left) if confirmed >= left => Reached::Exactly(Position(confirmed)),
            _ => Reached::Between,
        }
    }
}

/// How far a client has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Nothing is known to have arrived.
    Unknown,
    /// Exactly so far.
    Exactly(Position),
    /// Something has arrived, and perhaps not all.
    Between,
}

/// The sessions of the past.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Known>);

#[derive(Default)]
struct Known {
    reached: HashMap<Fingerprint, Reached>,
    order: VecDeque<Fingerprint>,
}

impl Receipts {
    /// A connection of this session has ended.
    pub(crate) fn remember(&self, session: Fingerprint, receipt: &Receipt) {
        let reached = receipt.reached();
        let mut known = self.0.lock();
        if known.reached.contains_key(&session) {
            known.reached.insert(session, reached);
        } else if reached != Reached::Unknown {
            if known.order.len() >= MAX_REMEMBERED
                && let Some(oldest) = known.order.pop_front()
            {
                known.reached.remove(&oldest);
            }
            known.order.push_back(session);
            known.reached.insert(session, reached);
        }
    }

    /// How far the client of this session had been told.
    pub(crate) fn reached(&self, session: &Fingerprint) -> Reached {
        self.0.lock().reached.get(session).copied().unwrap_or(Reached::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_has_arrived() {
        let receipt = Receipt::default();
        assert_eq!(receipt.reached(), Reached::Unknown);
        receipt.tell(Position(3), true);
        receipt.answer();
        assert_eq!(receipt.reached(), Reached::Unknown, "nothing was asked behind it");
        receipt.ask(receipt.told());
        receipt.tell(Position(5), true);
        assert_eq!(receipt.reached(), Reached::Unknown);
        receipt.answer();
        assert_eq!(receipt.reached(), Reached::Between, "5 was told behind what was asked");
        receipt.ask(receipt.told());
        receipt.answer();
        assert_eq!(receipt.reached(), Reached::Exactly(Position(5)));
        receipt.tell(Position(6), false);
        assert_eq!(receipt.reached(), Reached::Exactly(Position(5)), "6 waits for a poll");
        receipt.leave();
        assert_eq!(receipt.reached(), Reached::Between);
        assert_eq!(Receipt::of(Some(Position(7))).reached(), Reached::Exactly(Position(7)));
    }

    #[test]
    fn so_many_sessions_are_remembered() {
        let receipts = Receipts::default();
        let session = |n: usize| {
            let mut session = [0; 32];
            session[..8].copy_from_slice(&n.to_be_bytes());
            session
        };
        receipts.remember(session(0), &Receipt::default());
        assert!(receipts.0.lock().order.is_empty(), "of which nothing is known");
        for n in 0..MAX_REMEMBERED + 2 {
            receipts.remember(session(n), &Receipt::of(Some(Position(9))));
        }
        assert_eq!(receipts.reached(&session(1)), Reached::Unknown);
        assert_eq!(receipts.reached(&session(2)), Reached::Exactly(Position(9)));
        let known = receipts.0.lock();
        assert_eq!((known.order.len(), known.reached.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
    }
}
