//! Who has said something: notices travel sealed.
//!
//! ```text
//! 2.<HMAC-SHA-256 of what follows, in hexadecimal digits>.{"from":"5f0c…","number":17,"at":1700000000000,"notices":[…]}
//! ```
//! Whoever can write to the bus could otherwise let people be online, type, and be logged out. The key is made of the
//! deployment's secret. While that is changed, nodes that know the other one as an old secret take what is sealed with
//! it, too.
//!
//! **Nothing is taken twice.** A node numbers its envelopes. The last of each node are remembered, a window of
//! [`WINDOW`] numbers, so that what comes twice is passed over and what comes late is not. What is remembered of a node
//! that says nothing more is forgotten after [`MAX_SKEW`], and what was sealed longer ago than that is not taken: so the
//! clocks of nodes must not differ by more.

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

/// The form of envelopes. Those of another form are passed over.
const FORM: &[u8] = b"2.";
/// Bytes of a MAC in hexadecimal digits.
const DIGITS: usize = 64;
/// The most bytes of an envelope. The longest say who is connected to a node, 24 bytes for each person.
pub(super) const MAX_ENVELOPE_BYTES: usize = 8 << 20;
/// How much the clocks of two nodes may differ, together with the time that a notice is on its way.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(5 * 60);
/// How many envelopes of a node may overtake one.
const WINDOW: usize = 1_024;
/// The most nodes whose numbers are remembered at once, those that ended in the last minutes among them.
const MAX_NODES: usize = 1_024;

/// Seals what this node says, and opens what others say.
pub(crate) struct Seals {
    node: NodeId,
    key: Hmac<Sha256>,
    /// These open only.
    old: Vec<Hmac<Sha256>>,
    last: AtomicU64,
    /// A seal that nobody of this deployment has made was logged.
    warned: AtomicBool,
}

/// An envelope whose seal is good. It may still be one that has come before.
#[derive(Debug, PartialEq)]
pub(super) struct Opened {
    pub(super) from: NodeId,
    /// Which of that node's envelopes it is.
    pub(super) number: u64,
    /// When it was sealed, by that node's clock.
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

    /// Puts notices into the form in which they travel.
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

    /// What an envelope says, if a node of this deployment has sealed it, and another than this one.
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

/// Which envelopes have come.
#[derive(Default)]
pub(super) struct Replays {
    nodes: HashMap<NodeId, Numbers>,
    /// That clocks differ was logged.
    warned: bool,
}

/// The numbers that have come from one node.
struct Numbers {
    last: u64,
    /// Whether each of the last numbers has come, by its remainder.
    came: Box<[u64; WINDOW / 64]>,
    /// The latest time in an envelope.
    latest: Timestamp,
}

impl Replays {
    /// Whether an envelope comes for the first time, as far as that can be known. Remembers that it has come.
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
            // Whatever has come from these is too old to be taken again.
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
            // The numbers in between have not come.
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
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn seals(secret: &str, old: &[&str]) -> Seals {
        let old: Vec<_> = old.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
        Seals::new(NodeId::random(), &Secret::new(secret.to_owned()), &old)
    }

    #[test]
    fn what_a_node_of_the_deployment_has_sealed_is_opened() {
        let (one, two) = (seals("s", &[]), seals("s", &[]));
        for number in 1..=3 {
            let sealed = one.seal(&[Notice::LogAdvanced(7), Notice::Hello], NOW);
            let notices = vec![Notice::LogAdvanced(7), Notice::Hello];
            assert_eq!(two.open(&sealed), Some(Opened { from: one.node, number, at: NOW, notices }));
            assert_eq!(one.open(&sealed), None, "it need not hear itself");
        }
    }

    #[test]
    fn nothing_in_an_envelope_can_be_changed() {
        let (one, two) = (seals("s", &[]), seals("s", &[]));
        let sealed = one.seal(&[Notice::LogAdvanced(7)], NOW);
        for at in 0..sealed.len() {
            let mut forged = sealed.to_vec();
            forged[at] ^= 1;
            assert_eq!(two.open(&forged), None, "byte {at}");
            assert_eq!(two.open(&sealed[..at]), None, "{at} bytes");
        }
        assert_eq!(two.open(&[&sealed[..], b" "].concat()), None);
        assert_eq!(seals("t", &[]).open(&sealed), None, "another deployment");
        let unsealed = notice::write(one.node, 1, NOW, &[Notice::LogAdvanced(7)]);
        assert_eq!(two.open(&unsealed), None);
        let empty = [FORM, &[b'0'; DIGITS], b".", &unsealed[..]].concat();
        assert_eq!(two.open(&empty), None);
        let padded = notice::write(one.node, 1, NOW, &vec![Notice::Hello; MAX_ENVELOPE_BYTES / 8]);
        let huge = [FORM, &[b'0'; DIGITS], b".", &padded[..]].concat();
        assert!(huge.len() > MAX_ENVELOPE_BYTES);
        assert_eq!(two.open(&huge), None);
    }

    #[test]
    fn nodes_hear_each_other_while_the_secret_changes() {
        let (before, after) = (seals("old", &["new"]), seals("new", &["old"]));
        assert!(after.open(&before.seal(&[Notice::Hello], NOW)).is_some());
        assert!(before.open(&after.seal(&[Notice::Hello], NOW)).is_some());
        let done = seals("new", &[]);
        assert!(done.open(&after.seal(&[Notice::Hello], NOW)).is_some());
        assert!(done.open(&before.seal(&[Notice::Hello], NOW)).is_none(), "an old secret is none any more");
    }

    #[test]
    fn nothing_is_taken_twice_and_what_is_late_is_taken() {
        let (mut replays, node) = (Replays::default(), NodeId::random());
        let mut take = |number| replays.is_new(node, number, NOW, NOW);
        assert!(!take(0));
        for number in [1, 2, 5, 4, 3, 900, 6, 1_500, 477] {
            assert!(take(number), "{number}");
            assert!(!take(number), "{number} again");
        }
        assert!(!take(476) && !take(5), "later than the window");
        assert!(take(1_024) && !take(1_024) && !take(900));
        // A leap of more than the window forgets nothing of what it must know.
        assert!(take(10_000) && !take(10_000) && !take(1_500) && take(9_999) && !take(9_999));
        assert!(take(10_000 - 1_023) && !take(10_000 - 1_024));
        assert!(take(u64::MAX) && !take(u64::MAX) && take(u64::MAX - 1));
        // Each node has numbers of its own.
        assert!(replays.is_new(NodeId::random(), 1, NOW, NOW));
    }

    #[test]
    fn what_was_sealed_long_ago_is_not_taken() {
        let (mut replays, node) = (Replays::default(), NodeId::random());
        let second = Duration::from_secs(1);
        let mut number = 0;
        let mut take = |at: Timestamp| {
            number += 1;
            replays.is_new(node, number, at, NOW)
        };
        for good in [NOW, NOW.before(MAX_SKEW), NOW.after(MAX_SKEW)] {
            assert!(take(good), "{good}");
        }
        for bad in [
            NOW.before(MAX_SKEW + second),
            NOW.after(MAX_SKEW + second),
            Timestamp::from_millis(i64::MIN),
            Timestamp::from_millis(i64::MAX),
        ] {
            assert!(!take(bad));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_can_be_repeated_by_that() {
        let mut replays = Replays::default();
        let first = NodeId::random();
        assert!(replays.is_new(first, 1, NOW, NOW));
        for _ in 1..MAX_NODES {
            assert!(replays.is_new(NodeId::random(), 1, NOW, NOW));
        }
        assert!(!replays.is_new(NodeId::random(), 1, NOW, NOW), "there is no place left");
        assert!(!replays.is_new(first, 1, NOW, NOW) && replays.is_new(first, 2, NOW, NOW));
        // Those that have fallen silent make room.
        let later = NOW.after(MAX_SKEW + Duration::from_millis(1));
        assert!(replays.is_new(NodeId::random(), 1, later, later));
        assert_eq!(replays.nodes.len(), 1);
        assert!(!replays.is_new(first, 2, NOW, later), "it is forgotten, and too old");
    }
}
