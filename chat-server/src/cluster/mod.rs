//! Runs several nodes over one store.
//!
//! Changes that must not be lost are in the store's log, in one order for all nodes. Every node announces them from
//! there (see the announcer). So no essential data travels between nodes. They exchange only:
//!
//! - a **doorbell**: "the log goes up to this position". A node that receives it reads the log at once. It may be lost,
//!   duplicated or late, because every node also polls the log: every second, and ten times a second while it cannot
//!   receive notices.
//! - **what is not in the log**: a user types, an account was created, a token was revoked, which users are connected
//!   to which node. Delivery is best effort. Revocations are also read from the store every 30 seconds.
//! - **rate limits** that count on all nodes together.
//!
//! All of this travels over a [`Bus`], best effort, in notices (`notice.rs`). Notices refer to things by id and are
//! sealed (`seal.rs`) with a key that only the nodes have. Use [`RedisBus`] in production. [`NoBus`] is a deployment
//! without a bus: members of a conversation still receive every change, wherever they are connected, at most 100 ms
//! later. But they do not see who types or who is online on other nodes, rate limits count per node, and a revoked
//! token stays valid on other nodes for up to 30 seconds.
//!
//! **Why not `socketioxide-redis` or `socketioxide-mongodb`.** They carry broadcasts to rooms between nodes, at most
//! once and without a common order: what is published while Redis is unavailable is lost, and two nodes may see two
//! messages in different order. This server delivers to each connection in the order of log positions, and detects when
//! the queue of a connection has no room for a change. The adapters offer neither, and nothing is left for them to
//! carry.
//!
//! **Stale caches.** Nodes cache rooms, members and profiles. A change that another node made updates these caches when
//! the change itself arrives: within milliseconds after the doorbell, or at the next poll of the log (100 ms without a
//! bus, a second when a doorbell was lost). Until then commands are decided by the old state, as if they had come
//! first. Everything that is announced after the change uses the new state.
//!
//! **Who is online.** Each node publishes which users connected and disconnected, with a sequence number, and a
//! heartbeat every 5 seconds. A node that finds a gap in the numbers asks for the whole list. The published presence is
//! a lease: it expires 20 seconds after the last sign of life, so the users of a killed node are offline 20 to 25
//! seconds later. Each receiver holds the leases by its own clock: nothing must be cleaned up in Redis, no clocks are
//! compared, and no data is missing when Redis restarts empty. While the bus is unavailable, leases do not expire.

mod bus;
mod certificates;
pub(crate) mod fit;
mod hear;
mod notice;
mod outbox;
mod presence;
mod redis;
pub(crate) mod relayed;
mod seal;
pub(crate) mod start;
mod stay;
mod tell;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::event::Delivery;
use hmac::{Hmac, Mac};
use sha2::Sha256;

pub use self::bus::{Bus, BusError, Heard, NoBus, SharedCounters};
pub use self::certificates::{CertificateFiles, Certificates};
pub(crate) use self::notice::NodeId;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::presence::RemotePresence;
pub use self::redis::{RedisBus, RedisConfig};
use self::seal::Seals;
use crate::secret::Secret;

/// How long a login waits for the shared counters.
const COUNTERS_TIMEOUT: Duration = Duration::from_millis(200);

/// This node's connection to the other nodes.
pub(crate) struct Cluster {
    node: NodeId,
    seals: Arc<Seals>,
    bus: Arc<dyn Bus>,
    outbox: Arc<Outbox>,
    is_up: AtomicBool,
    key: Hmac<Sha256>,
}

impl Cluster {
    /// Does nothing until it is [started](start::start).
    pub(crate) fn new(bus: Arc<dyn Bus>, secret: &Secret, old: &[Secret]) -> Self {
        let node = NodeId::random();
        Self {
            node,
            seals: Arc::new(Seals::new(node, secret, old)),
            bus,
            outbox: Arc::default(),
            is_up: AtomicBool::new(false),
            key: key(secret),
        }
    }

    /// The notices that wait to be sent to the other nodes.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether this node receives notices at the moment.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Publishes to the other nodes what was announced here.
    pub(crate) fn announced(&self, deliveries: &[Delivery]) {
        if let Some(last) = deliveries.iter().filter_map(|delivery| delivery.position).max() {
            self.outbox.ring(last);
        }
        for delivery in deliveries {
            if let (None, Some(ephemeral)) = (delivery.position, delivery.event.ephemeral()) {
                self.outbox.ephemeral(ephemeral);
            }
        }
    }

    /// Records whether this node receives notices from now on.
    fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    /// Counts an attempt under a name on all nodes together, unless there were `most` attempts within that time.
    /// Returns how long to wait if the limit is reached. Returns `None` when the attempt is allowed, and also when the
    /// counters are unavailable: the limits of this node still apply.
    pub(crate) async fn count(
        &self,
        kind: &str,
        name: &str,
        attempt: Attempt,
        (most, within): (u32, Duration),
    ) -> Option<Duration> {
        if most == 0 {
            return None;
        }
        let counters = self.bus.counters()?;
        let key = self.hidden(kind, name);
        let counting = counters.count(&key, &attempt.0, most, within);
        match tokio::time::timeout(COUNTERS_TIMEOUT, counting).await {
            Ok(Ok(wait)) => wait,
            // The bus itself reports when it becomes unavailable or available.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Removes an attempt that was counted.
    pub(crate) fn uncount(&self, kind: &str, name: &str, attempt: Attempt) {
        let (bus, key) = (self.bus.clone(), self.hidden(kind, name));
        tokio::spawn(async move {
            if let Some(counters) = bus.counters() {
                // If this fails, the only effect is that one attempt is counted too many until it expires.
                let _ = counters.uncount(&key, &attempt.0).await;
            }
        });
    }

    /// Removes all attempts under a name.
    pub(crate) fn forget(&self, kind: &str, name: &str) {
        let (bus, key) = (self.bus.clone(), self.hidden(kind, name));
        tokio::spawn(async move {
            if let Some(counters) = bus.counters() {
                let _ = counters.forget(&key).await;
            }
        });
    }

    /// Tells the other nodes that this node stops.
    pub(crate) async fn leave(&self, now: Timestamp) {
        let farewell = self.seals.seal(&[notice::Notice::Bye], now);
        // If this fails, the leases of this node expire on the other nodes.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.bus.publish(farewell)).await;
    }

    /// The key of a counter. It is an HMAC, because names and addresses must not leave this process in plain text.
    fn hidden(&self, kind: &str, name: &str) -> String {
        let mut mac = self.key.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(name.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

/// Identifies one attempt, so that it can be removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt([u8; 8]);

impl Attempt {
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }
}

/// A name that all nodes of one deployment share and other deployments do not have. Where several deployments use one
/// Redis, each receives only its own notices.
fn common_name(secret: &Secret) -> String {
    let mut mac = key(secret);
    mac.update(b"name");
    hex::encode(&mac.finalize().into_bytes()[..8])
}

fn key(secret: &Secret) -> Hmac<Sha256> {
    derived(secret, b"chat-server cluster")
}

/// Derives a key for one purpose from the secret that all nodes share.
fn derived(secret: &Secret, purpose: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of any length.
    let mac = |key: &[u8]| {
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
    };
    let mut derive = mac(secret.expose().as_bytes());
    derive.update(purpose);
    mac(&derive.finalize().into_bytes())
}
