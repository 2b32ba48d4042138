//! Collects what the other nodes must still be told. It is not a queue: equal notices are merged, and where only the
//! latest value counts, only that value is kept. So its size is bounded, even while the bus is unavailable.

use std::collections::{HashMap, HashSet, VecDeque};

use chat_core::clock::Timestamp;
use chat_core::event::Ephemeral;
use chat_core::id::UserId;
use chat_core::model::Position;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::notice::NodeId;
use super::relayed::Relayed;
use crate::auth::token::Fingerprint;

/// The maximum number of waiting ephemeral events. They are useful for moments only.
const MAX_EPHEMERALS: usize = 1_000;
/// The maximum bytes of waiting relayed events. They are useful for moments only.
const MAX_RELAYED_BYTES: usize = 2 << 20;
/// The maximum number of waiting revocations. They are in the store as well.
const MAX_REVOKED: usize = 1_000;
/// The maximum number of users whose messages are counted.
const MAX_SENDERS: usize = 100_000;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    filled: Notify,
}

/// The notices that wait.
#[derive(Default)]
pub(super) struct Pending {
    /// The last log position of a change that was made on this node, or 0 for none.
    pub(super) bell: u64,
    pub(super) ephemerals: VecDeque<Ephemeral>,
    pub(super) relayed: VecDeque<Relayed>,
    relayed_bytes: usize,
    pub(super) revoked: Vec<(Fingerprint, Timestamp)>,
    pub(super) ended: Vec<(Fingerprint, Timestamp)>,
    /// Users who connected or disconnected, in any order.
    pub(super) moved: HashSet<UserId>,
    pub(super) sent: HashMap<UserId, u32>,
    pub(super) asked: HashSet<NodeId>,
    /// A heartbeat is due.
    pub(super) alive: bool,
    /// Another node has asked for the whole list.
    pub(super) everybody: bool,
    /// The other nodes must send a heartbeat.
    pub(super) hello: bool,
}

impl Outbox {
    /// Waits until there is something to send, and takes it.
    pub(super) async fn take(&self) -> Pending {
        self.filled.notified().await;
        std::mem::take(&mut self.pending.lock())
    }

    pub(super) fn ring(&self, position: Position) {
        self.fill(|pending| pending.bell = pending.bell.max(position.0));
    }

    pub(super) fn ephemeral(&self, ephemeral: Ephemeral) {
        self.fill(|pending| {
            if pending.ephemerals.len() >= MAX_EPHEMERALS {
                pending.ephemerals.pop_front();
            }
            pending.ephemerals.push_back(ephemeral);
        });
    }

    /// Adds a client event that other nodes must relay. Drops the oldest ones when there are too many bytes.
    pub(crate) fn relayed(&self, relayed: Relayed) {
        self.fill(|pending| {
            pending.relayed_bytes += relayed.bytes();
            pending.relayed.push_back(relayed);
            while pending.relayed_bytes > MAX_RELAYED_BYTES
                && let Some(oldest) = pending.relayed.pop_front()
            {
                pending.relayed_bytes -= oldest.bytes();
            }
        });
    }

    /// Adds a token that was revoked on this node.
    pub(crate) fn revoked(&self, token: Fingerprint, until: Timestamp) {
        self.fill(|pending| {
            if pending.revoked.len() < MAX_REVOKED {
                pending.revoked.push((token, until));
            }
        });
    }

    /// Adds a session that was ended explicitly on this node.
    pub(crate) fn ended(&self, session: Fingerprint, until: Timestamp) {
        self.fill(|pending| {
            if pending.ended.len() < MAX_REVOKED {
                pending.ended.push((session, until));
            }
        });
    }

    /// Notes that a user connected to this node or disconnected from it.
    pub(crate) fn moved(&self, user: UserId) {
        self.fill(|pending| {
            pending.moved.insert(user);
        });
    }

    /// Counts a message of this user. The count is sent with the next notice, or at the next [`Self::flush`] at the
    /// latest.
    pub(crate) fn sent(&self, user: UserId) {
        let mut pending = self.pending.lock();
        if pending.sent.len() < MAX_SENDERS {
            *pending.sent.entry(user).or_default() += 1;
        }
    }

    /// Wakes the sender for counts that wait for another notice.
    pub(super) fn flush(&self) {
        if !self.pending.lock().sent.is_empty() {
            self.filled.notify_one();
        }
    }

    pub(super) fn ask(&self, node: NodeId) {
        self.fill(|pending| {
            pending.asked.insert(node);
        });
    }

    pub(super) fn say_alive(&self) {
        self.fill(|pending| pending.alive = true);
    }

    pub(super) fn say_everybody(&self) {
        self.fill(|pending| pending.everybody = true);
    }

    pub(super) fn say_hello(&self) {
        self.fill(|pending| (pending.alive, pending.hello) = (true, true));
    }

    fn fill(&self, fill: impl FnOnce(&mut Pending)) {
        fill(&mut self.pending.lock());
        self.filled.notify_one();
    }
}
