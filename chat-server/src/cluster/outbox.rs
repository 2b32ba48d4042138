//! What the other nodes are still to be told. Nothing waits in line: what is the same is said once, and of what only the
//! latest counts only the latest is kept. So its size is bounded whatever happens to the bus.

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

/// Most ephemerals that wait. They are of use for moments only.
const MAX_EPHEMERALS: usize = 1_000;
/// Most bytes of events that are passed on and wait. They are of use for moments only.
const MAX_RELAYED_BYTES: usize = 2 << 20;
/// Most revocations that wait. They are in the store too.
const MAX_REVOKED: usize = 1_000;
/// Most people whose messages are counted.
const MAX_SENDERS: usize = 100_000;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    filled: Notify,
}

/// What there is to tell.
#[derive(Default)]
pub(super) struct Pending {
    /// The last position of a change that was made here; 0 for none.
    pub(super) bell: u64,
    pub(super) ephemerals: VecDeque<Ephemeral>,
    pub(super) relayed: VecDeque<Relayed>,
    relayed_bytes: usize,
    pub(super) revoked: Vec<(Fingerprint, Timestamp)>,
    pub(super) ended: Vec<(Fingerprint, Timestamp)>,
    /// People who came or went, in whatever order.
    pub(super) moved: HashSet<UserId>,
    pub(super) sent: HashMap<UserId, u32>,
    pub(super) asked: HashSet<NodeId>,
    /// This node lives.
    pub(super) alive: bool,
    /// Somebody wants the whole list.
    pub(super) everybody: bool,
    /// The others are to say that they live.
    pub(super) hello: bool,
}

impl Outbox {
    /// Waits until there is something to tell, and takes it.
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

    /// An event is passed on.
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

    /// A token was revoked here.
    pub(crate) fn revoked(&self, token: Fingerprint, until: Timestamp) {
        self.fill(|pending| {
            if pending.revoked.len() < MAX_REVOKED {
                pending.revoked.push((token, until));
            }
        });
    }

    /// A session was ended on purpose here.
    pub(crate) fn ended(&self, session: Fingerprint, until: Timestamp) {
        self.fill(|pending| {
            if pending.ended.len() < MAX_REVOKED {
                pending.ended.push((session, until));
            }
        });
    }

    /// Somebody came online or went offline, as far as this node is concerned.
    pub(crate) fn moved(&self, user: UserId) {
        self.fill(|pending| {
            pending.moved.insert(user);
        });
    }

    /// Somebody has sent a message. Told with whatever comes next, at the latest at the next [`Self::flush`].
    pub(crate) fn sent(&self, user: UserId) {
        let mut pending = self.pending.lock();
        if pending.sent.len() < MAX_SENDERS {
            *pending.sent.entry(user).or_default() += 1;
        }
    }

    /// Has told what waits for something else to be told.
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
