//! Authenticates notices: they travel sealed with a MAC.
//!
//! ```text
//! 2.<HMAC-SHA-256 of what follows, in hexadecimal digits>.{"from":"5f0c…","number":17,"at":1700000000000,"notices":[…]}
//! ```
//! Without the seal, a party that can write to the bus could forge presence and typing, and log users out. The key is
//! derived from the deployment's secret. While the secret is rotated, nodes that have the other secret as an old secret
//! also accept what is sealed with it.
//!
//! **Replay protection.** A node numbers its envelopes. The receiver remembers the last numbers of each node, a window
//! of [`WINDOW`] numbers, so it drops duplicates but accepts late envelopes. The state of a silent node is dropped
//! after [`MAX_SKEW`], and envelopes that were sealed longer ago than that are rejected. So the clocks of the nodes
//! must not differ by more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chat_core::clock::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::derived;
use super::notice::{self, NodeId, Notice};
use crate::secret::Secret;

/// The format version of envelopes. Other formats are ignored.
const FORM: &[u8] = b"2.";
/// The length of a MAC in hexadecimal digits.
const DIGITS: usize = 64;
/// The maximum size of an envelope, in bytes. The largest ones list the users of a node, 24 bytes for each user.
pub(super) const MAX_ENVELOPE_BYTES: usize = 8 << 20;
/// The maximum clock difference between two nodes, including the transit time of a notice.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(5 * 60);
/// How many newer envelopes of a node may arrive before an older one.
const WINDOW: usize = 1_024;
/// The maximum number of nodes whose numbers are remembered, including those that stopped in the last minutes.
const MAX_NODES: usize = 1_024;

/// Seals the notices of this node, and opens those of other nodes.
pub(crate) struct Seals {
    node: NodeId,
    key: Hmac<Sha256>,
    /// Keys that only open envelopes.
    old: Vec<Hmac<Sha256>>,
    last: AtomicU64,
    /// Whether an invalid seal was logged already.
    warned: AtomicBool,
}

/// An envelope with a valid seal. It may still be a duplicate.
#[derive(Debug, PartialEq)]
pub(super) struct Opened {
    pub(super) from: NodeId,
    /// The sequence number of the envelope at its sender.
    pub(super) number: u64,
    /// When it was sealed, by the sender's clock.
    pub(super) at: Timestamp,
    pub(super) notices: Vec<Notice>,
}

impl Seals {
    pub(super) fn new(node: NodeId, secret: &Secret, old: &[Secret]) -> Self {
        let key = |secret: &Secret| derived(secret, b"chat-server notices");
        Self {
            node,
            key: key(secret),
            old: old.iter().map(key).collect(),
            last: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Encodes and seals notices for the bus.
    pub(super) fn seal(&self, notices: &[Notice], now: Timestamp) -> Bytes {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let content = notice::write(self.node, number, now, notices);
        let mut sealed = Vec::with_capacity(FORM.len() + DIGITS + 1 + content.len());
        sealed.extend_from_slice(FORM);
        sealed.extend_from_slice(hex::encode(mac(&self.key, &content).finalize().into_bytes()).as_bytes());
        sealed.push(b'.');
        sealed.extend_from_slice(&content);
        sealed.into()
    }

    /// The content of an envelope, if it was sealed by another node of this deployment.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Opened> {
        let content = self.content(sealed);
        if content.is_none() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a notice was passed over that no node with this JWT_SECRET has sealed: \
                 others write to this deployment's channel, or nodes of another version do"
            );
        }
        notice::read(content?).filter(|opened| opened.from != self.node)
    }

    fn content<'a>(&self, sealed: &'a [u8]) -> Option<&'a [u8]> {
        if sealed.len() > MAX_ENVELOPE_BYTES {
            return None;
        }
        let (digits, rest) = sealed.strip_prefix(FORM)?.split_at_checked(DIGITS)?;
        let content = rest.strip_prefix(b".")?;
        let mut seal = [0; DIGITS / 2];
        hex::decode_to_slice(digits, &mut seal).ok()?;
        let mut keys = std::iter::once(&self.key).chain(&self.old);
        keys.any(|key| mac(key, content).verify_slice(&seal).is_ok()).then_some(content)
    }
}

fn mac(key: &Hmac<Sha256>, content: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(FORM);
    mac.update(content);
    mac
}

/// Remembers which envelopes were received.
#[derive(Default)]
pub(super) struct Replays {
    nodes: HashMap<NodeId, Numbers>,
    /// Whether a clock difference was logged already.
    warned: bool,
}

/// The received numbers of one node.
struct Numbers {
    last: u64,
    /// A bit for each of the last numbers, at the number modulo `WINDOW`: whether it was received.
    came: Box<[u64; WINDOW / 64]>,
    /// The latest time in an envelope of this node.
    latest: Timestamp,
}

impl Replays {
    /// Whether an envelope is new, as far as this is known. Records the envelope as received.
    pub(super) fn is_new(&mut self, from: NodeId, number: u64, at: Timestamp, now: Timestamp) -> bool {
        if at < now.before(MAX_SKEW) || at > now.after(MAX_SKEW) {
            if !std::mem::replace(&mut self.warned, true) {
                let seconds = at.as_millis().saturating_sub(now.as_millis()) / 1000;
                tracing::warn!(
                    node = ?from,
                    seconds,
                    "a notice was passed over that is too old or comes from the future: \
                     it was repeated, or the clocks of nodes differ by more than 5 minutes"
                );
            }
            return false;
        }
        if !self.nodes.contains_key(&from) && self.nodes.len() >= MAX_NODES {
            // All envelopes of the nodes that this removes are too old to be accepted again.
            self.nodes.retain(|_, numbers| numbers.latest >= now.before(MAX_SKEW));
            if self.nodes.len() >= MAX_NODES {
                return false;
            }
        }
        match self.nodes.entry(from) {
            Entry::Occupied(mut known) => known.get_mut().take(number, at),
            Entry::Vacant(unknown) => {
                unknown.insert(Numbers { last: 0, came: Box::default(), latest: at }).take(number, at)
            }
        }
    }
}

impl Numbers {
    fn take(&mut self, number: u64, at: Timestamp) -> bool {
        const SIZE: u64 = WINDOW as u64;
        if number == 0 || self.last.saturating_sub(number) >= SIZE {
            return false;
        }
        if number > self.last {
            // The numbers in between were not received.
            let skipped = (number - self.last).min(SIZE);
            for between in number - skipped + 1..=number {
                self.set(between, false);
            }
            self.last = number;
        } else if self.has(number) {
            return false;
        }
        self.set(number, true);
        self.latest = self.latest.max(at);
        true
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.came[word] & bit != 0
    }

    fn set(&mut self, number: u64, came: bool) {
        let (word, bit) = place(number);
        if came { self.came[word] |= bit } else { self.came[word] &= !bit }
    }
}

fn place(number: u64) -> (usize, u64) {
    let place = (number % WINDOW as u64) as usize;
    (place / 64, 1 << (place % 64))
}

#[cfg(test)]
mod tests;
