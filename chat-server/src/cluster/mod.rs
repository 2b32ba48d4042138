//! Several nodes over one store.
//!
//! What must not be lost is in the store's log, in one order for all nodes, and every node announces it from there (see
//! the announcer). So nothing that counts travels between nodes, and what they need of each other is little:
//!
//! - a **doorbell**: "the log goes up to here". Whoever hears it reads on at once. It may be lost, doubled or late: every
//!   node also looks at the log by itself, every second, and ten times a second while it hears nobody.
//! - **what is in no log**: somebody types, somebody has made an account, a token was revoked, who is connected where.
//!   Best effort, except that revocations are also read from the store every 30 seconds.
//! - **limits** that count on all nodes together.
//!
//! All of it goes over a [`Bus`], best effort, in notices (`notice.rs`) that name things by their ids and are sealed (`seal.rs`)
//! with a key that only the nodes have. [`RedisBus`] is the
//! one to use. [`NoBus`] is none: members of a conversation still get every change wherever they are connected, 100 ms
//! later at most, but are not told who types and who is online elsewhere, limits count per node, and a revoked token
//! is good on other nodes for up to 30 seconds.
//!
//! **Not `socketioxide-redis`, nor `socketioxide-mongodb`.** They carry broadcasts to rooms between nodes, at most once
//! and in no common order: what is published while Redis is away is lost, and two nodes may see two messages in two
//! orders. Here deliveries are made connection by connection in the order of positions in the log, which both lack, and
//! a change that finds no room at one connection is noticed; there is nothing left for an adapter to carry.
//!
//! **Out of date for a moment.** Nodes remember rooms, members and profiles. A change made elsewhere reaches those
//! memories with the change itself: within milliseconds of the bell, or at the next look at the log (100 ms without a
//! bus, a second when a bell was lost). Until then a command is decided by what was so before, as if it had come first.
//! Whatever is announced after the change goes by the change.
//!
//! **Who is online.** Each node tells the others who came and who went, numbered, and every 5 seconds that it lives. A
//! node that finds a number missing asks for the whole list. What a node has told is a lease: nobody is believed for
//! longer than 20 seconds after the last sign of their node, so those of a node that was killed are offline 20 to 25
//! seconds later. Leases are held by those who listen, by their own clocks: nothing has to be cleaned up in Redis, no
//! two clocks are compared for it, and a Redis that comes back empty lacks nothing. While the bus is away leases stand still.

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

/// How long a log-in waits for what the other nodes have counted.
const COUNTERS_TIMEOUT: Duration = Duration::from_millis(200);

/// This node among the others.
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

    /// What the others are to be told.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether the others can be heard at the moment.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Tells the others of what was announced here.
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

    /// The others can be heard from now on, or cannot.
    fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    /// Counts an attempt under a name on all nodes together, unless there were `most` within that time; then answers
    /// how long to wait. None when it is allowed, and also when that cannot be known at the moment: what is counted
    /// here stays in force.
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
            // The bus says so itself when it comes and goes.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Takes an attempt back.
    pub(crate) fn uncount(&self, kind: &str, name: &str, attempt: Attempt) {
        let (bus, key) = (self.bus.clone(), self.hidden(kind, name));
        tokio::spawn(async move {
            if let Some(counters) = bus.counters() {
                // Counted once too often for a time is all that can come of a failure.
                let _ = counters.uncount(&key, &attempt.0).await;
            }
        });
    }

    /// Forgets all attempts under a name.
    pub(crate) fn forget(&self, kind: &str, name: &str) {
        let (bus, key) = (self.bus.clone(), self.hidden(kind, name));
        tokio::spawn(async move {
            if let Some(counters) = bus.counters() {
                let _ = counters.forget(&key).await;
            }
        });
    }

    /// Tells the others that this node ends.
    pub(crate) async fn leave(&self, now: Timestamp) {
        let farewell = self.seals.seal(&[notice::Notice::Bye], now);
        // Otherwise they find out by themselves.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.bus.publish(farewell)).await;
    }

    /// Names and addresses do not leave this process as they are.
    fn hidden(&self, kind: &str, name: &str) -> String {
        let mut mac = self.key.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(name.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

/// Names one attempt, to take it back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt([u8; 8]);

impl Attempt {
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }
}

/// What the nodes of one deployment have in common and others have not: where several use one Redis, each hears only its
/// own.
fn common_name(secret: &Secret) -> String {
    let mut mac = key(secret);
    mac.update(b"name");
    hex::encode(&mac.finalize().into_bytes()[..8])
}

fn key(secret: &Secret) -> Hmac<Sha256> {
    derived(secret, b"chat-server cluster")
}

/// A key for one purpose, made of the secret that all nodes share.
fn derived(secret: &Secret, purpose: &[u8]) -> Hmac<Sha256> {
    // Keys of any length will do.
    let mac = |key: &[u8]| {
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
    };
    let mut derive = mac(secret.expose().as_bytes());
    derive.update(purpose);
    mac(&derive.finalize().into_bytes())
}
