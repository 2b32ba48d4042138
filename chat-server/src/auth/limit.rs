//! Rate limits: a sliding window per key, in the memory of this node.
//!
//! The crate `governor` does not fit, neither here nor for messages and searches. Its leaky bucket allows nearly twice
//! the configured number in the first minute. It also cannot refund attempts, or count attempts beyond the limit that
//! other nodes have allowed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;

use crate::limits::rate::RateLimit;

/// Counts recent events of each key.
pub struct Limiter<K> {
    most: u32,
    within: Duration,
    seen: Mutex<Seen<K>>,
}

/// The times of the events of each key.
struct Seen<K> {
    times: HashMap<K, Vec<Timestamp>>,
    sweep_at: usize,
}

/// A counted attempt. Dropping it refunds the attempt, because a server error or a cancelled request is not an attempt.
pub struct Permit<K: Eq + Hash> {
    /// `None` once the attempt counts permanently.
    limiter: Option<Arc<Limiter<K>>>,
    key: K,
    at: Timestamp,
}

impl<K: Eq + Hash> Permit<K> {
    /// Makes the attempt count permanently.
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

/// From this number of keys on, inactive ones are removed.
const SWEEP_AT: usize = 10_000;

impl<K: Eq + Hash> Limiter<K> {
    /// Allows `most` events within this time; 0 means no limit.
    pub fn new(most: u32, within: Duration) -> Self {
        Self { most, within, seen: Mutex::new(Seen { times: HashMap::new(), sweep_at: SWEEP_AT }) }
    }

    /// Checks whether one more event is allowed now.
    ///
    /// # Errors
    /// Returns the time until one more is allowed.
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

    /// The state of the limit for a key; `None` if there is no limit. `reset` is the time until the oldest counted
    /// event leaves the window.
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

    /// Checks the limit and counts an attempt in one step.
    ///
    /// # Errors
    /// Returns the time until one more is allowed.
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

    /// Counts an event.
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
            // The threshold doubles, so that the sweep does not run at every call while many keys are in use.
            seen.sweep_at = (2 * seen.times.len()).max(SWEEP_AT);
        }
        let times = seen.times.entry(key).or_default();
        // Events beyond the limit need not be stored.
        if times.len() >= self.most as usize {
            times.remove(0);
        }
        times.push(now);
    }

    /// Refunds an event that was counted at this time.
    pub fn uncount(&self, key: &K, at: Timestamp) {
        if let Some(times) = self.seen.lock().times.get_mut(key) {
            // If the clock was set back, the event was stored with an earlier time.
            match times.iter().rposition(|time| *time == at) {
                Some(last) => drop(times.remove(last)),
                None => drop(times.pop_if(|time| *time < at)),
            }
        }
    }

    fn keep_recent(&self, times: &mut Vec<Timestamp>, now: Timestamp) {
        // A time in the future means that the clock was set back.
        times.iter_mut().for_each(|time| *time = (*time).min(now));
        times.retain(|time| time.after(self.within) > now);
    }

    /// Removes all events of a key.
    pub fn forget(&self, key: &K) {
        self.seen.lock().times.remove(key);
    }
}

#[cfg(test)]
mod tests;
