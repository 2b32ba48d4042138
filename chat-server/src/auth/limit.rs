//! How often one may try: a sliding window per key, in the memory of this node.
//!
//! Not by the crate `governor`, for messages and searches either: its leaky bucket lets nearly twice as many through in the first
//! minute as the configuration says there may be in any, it cannot take back what did not count, nor count what other nodes
//! have let through beyond the limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;

use crate::limits::rate::RateLimit;

/// Counts what happened lately under each key.
pub struct Limiter<K> {
    most: u32,
    within: Duration,
    seen: Mutex<Seen<K>>,
}

/// When something happened under each key.
struct Seen<K> {
    times: HashMap<K, Vec<Timestamp>>,
    sweep_at: usize,
}

/// An attempt that was counted. Dropped, it is taken back: what failed by our own fault, or was broken off, was no attempt.
pub struct Permit<K: Eq + Hash> {
    /// None once it counts for good.
    limiter: Option<Arc<Limiter<K>>>,
    key: K,
    at: Timestamp,
}

impl<K: Eq + Hash> Permit<K> {
    /// Makes the attempt count.
    pub fn count(mut self) {
        self.limiter = None;
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        if let Some(limiter) = &self.limiter {
            limiter.uncount(&self.key, self.at);
        }
    }
}

/// When so many keys are kept, those that have gone quiet are dropped.
const SWEEP_AT: usize = 10_000;

impl<K: Eq + Hash> Limiter<K> {
    /// At most so many within such a time; 0 is no limit.
    pub fn new(most: u32, within: Duration) -> Self {
        Self { most, within, seen: Mutex::new(Seen { times: HashMap::new(), sweep_at: SWEEP_AT }) }
    }

    /// Whether one more is allowed now; if not, how long to wait.
    ///
    /// # Errors
    /// The time until one more is allowed.
    pub fn check(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        self.check_in(&mut self.seen.lock(), key, now)
    }

    fn check_in(&self, seen: &mut Seen<K>, key: &K, now: Timestamp) -> Result<(), Duration> {
        if self.most == 0 {
            return Ok(());
        }
        let Some(times) = seen.times.get_mut(key) else { return Ok(()) };
        self.keep_recent(times, now);
        if times.len() < self.most as usize {
            return Ok(());
        }
        let free_at = times[times.len() - self.most as usize].after(self.within);
        let wait = free_at.as_millis().saturating_sub(now.as_millis());
        Err(Duration::from_millis(wait.max(1).unsigned_abs()))
    }

    /// How the limit stands for a key; none where there is no limit. More are free when the oldest of those that count is
    /// counted no more.
    pub fn rate(&self, key: &K, now: Timestamp) -> Option<RateLimit> {
        if self.most == 0 {
            return None;
        }
        let mut seen = self.seen.lock();
        let (mut count, mut reset) = (0, self.within);
        if let Some(times) = seen.times.get_mut(key) {
            self.keep_recent(times, now);
            count = times.len() as u64;
            if let Some(first) = times.first() {
                let left = first.after(self.within).as_millis().saturating_sub(now.as_millis());
                reset = Duration::from_millis(left.max(1).unsigned_abs());
            }
        }
        let limit = u64::from(self.most);
        Some(RateLimit { limit, remaining: limit.saturating_sub(count), reset })
    }

    /// Counts an attempt, in one step with finding that it is allowed.
    ///
    /// # Errors
    /// The time until one more is allowed.
    pub fn acquire(self: &Arc<Self>, key: K, now: Timestamp) -> Result<Permit<K>, Duration>
    where
        K: Clone,
    {
        let mut seen = self.seen.lock();
        self.check_in(&mut seen, &key, now)?;
        self.count_in(&mut seen, key.clone(), now);
        drop(seen);
        Ok(Permit { limiter: Some(self.clone()), key, at: now })
    }

    /// Counts one.
    pub fn count(&self, key: K, now: Timestamp) {
        self.count_in(&mut self.seen.lock(), key, now);
    }

    fn count_in(&self, seen: &mut Seen<K>, key: K, now: Timestamp) {
        if self.most == 0 {
            return;
        }
        if seen.times.len() >= seen.sweep_at {
            seen.times.retain(|_, times| {
                self.keep_recent(times, now);
                !times.is_empty()
            });
            // Not at each of those that follow, however many are in use.
            seen.sweep_at = (2 * seen.times.len()).max(SWEEP_AT);
        }
        let times = seen.times.entry(key).or_default();
        // More than the limit tells nothing more.
        if times.len() >= self.most as usize {
            times.remove(0);
        }
        times.push(now);
    }

    /// Takes back one that was counted at this moment.
    pub fn uncount(&self, key: &K, at: Timestamp) {
        if let Some(times) = self.seen.lock().times.get_mut(key) {
            // It is noted as earlier when the clock was set back.
            match times.iter().rposition(|time| *time == at) {
                Some(last) => drop(times.remove(last)),
                None => drop(times.pop_if(|time| *time < at)),
            }
        }
    }

    fn keep_recent(&self, times: &mut Vec<Timestamp>, now: Timestamp) {
        // What seems to come has happened by now: the clock was set back.
        times.iter_mut().for_each(|time| *time = (*time).min(now));
        times.retain(|time| time.after(self.within) > now);
    }

    /// Forgets what was counted under a key.
    pub fn forget(&self, key: &K) {
        self.seen.lock().times.remove(key);
    }
}

#[cfg(test)]
mod tests;
