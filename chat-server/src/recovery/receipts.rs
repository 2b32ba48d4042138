//! Records how much clients have certainly received, for clients that do not send an offset.
//!
//! Some libraries replace a part of the client: vue-socket.io replaces `onevent`, where the client remembers positions.
//! When such a client reconnects, it sends its `pid` without an offset, as does a client that was cut before its first
//! event. The server tells the two apart by what has certainly arrived: an event has arrived when a heartbeat sent
//! after it is answered, or when the client polls again after the answer that contained it. A client that has received
//! a position but does not send it never will. If everything that was sent has arrived, the session resumes after it.
//! Otherwise the server cannot know what has arrived, and the session begins afresh. Receipts are kept only in the
//! memory of this node: without a receipt the client is treated as one that was cut before its first event.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::model::Position;
use parking_lot::Mutex;

use crate::auth::token::Fingerprint;

/// The maximum number of past sessions that are remembered. The oldest are dropped first.
const MAX_REMEMBERED: usize = 20_000;

/// What was sent on one connection, and how much of it has certainly arrived. 0 means nothing.
#[derive(Debug, Default)]
pub(crate) struct Receipt {
    told: AtomicU64,
    /// The part that has left the server. What waits for a poll has not left.
    left: AtomicU64,
    asked: AtomicU64,
    confirmed: AtomicU64,
    /// What [`Receipt::news`] has returned.
    noted: AtomicU64,
}

impl Receipt {
    /// A receipt for a client that has certainly received everything up to `position`, or nothing.
    pub(crate) fn of(position: Option<Position>) -> Self {
        let at = || AtomicU64::new(position.map_or(0, |position| position.0));
        Self { told: at(), left: at(), asked: at(), confirmed: at(), noted: AtomicU64::default() }
    }

    /// A position was queued after everything before it. It is sent at once if `leaves`, or else waits for a poll.
    pub(crate) fn tell(&self, position: Position, leaves: bool) {
        self.told.fetch_max(position.0, Ordering::AcqRel);
        if leaves {
            self.leave();
        }
    }

    /// What was queued has left the server, or may have.
    pub(crate) fn leave(&self) {
        self.left.fetch_max(self.told().0, Ordering::AcqRel);
    }

    /// The last position that was queued.
    pub(crate) fn told(&self) -> Position {
        Position(self.told.load(Ordering::Acquire))
    }

    /// A packet that requires an answer was sent after `position`.
    pub(crate) fn ask(&self, position: Position) {
        self.asked.fetch_max(position.0, Ordering::AcqRel);
    }

    /// The client has answered it.
    pub(crate) fn answer(&self) {
        self.confirmed.fetch_max(self.asked.load(Ordering::Acquire), Ordering::AcqRel);
    }

    /// The position up to which everything has certainly arrived, if it is farther than at the last call.
    pub(crate) fn news(&self) -> Option<Position> {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        let noted = self.noted.fetch_max(confirmed, Ordering::AcqRel);
        (confirmed > noted).then_some(Position(confirmed))
    }

    /// How much has certainly arrived.
    pub(crate) fn reached(&self) -> Reached {
        match (self.confirmed.load(Ordering::Acquire), self.left.load(Ordering::Acquire)) {
            (0, _) => Reached::Unknown,
            (confirmed, left) if confirmed >= left => Reached::Exactly(Position(confirmed)),
            _ => Reached::Between,
        }
    }
}

/// How much a client has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Nothing is known to have arrived.
    Unknown,
    /// Everything up to this position has arrived, and nothing more was sent.
    Exactly(Position),
    /// Some events have arrived, but perhaps not all.
    Between,
}

/// The receipts of past sessions.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Known>);

#[derive(Default)]
struct Known {
    reached: HashMap<Fingerprint, Reached>,
    order: VecDeque<Fingerprint>,
}

impl Receipts {
    /// Stores the receipt of a connection that has ended.
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

    /// How much the client of this session had received.
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
        assert_eq!((receipt.news(), receipt.news()), (Some(Position(5)), None), "it is news once");
        receipt.ask(receipt.told());
        receipt.answer();
        assert_eq!((receipt.news(), receipt.news()), (Some(Position(6)), None));
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
