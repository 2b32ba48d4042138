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

use crate::http::RateLimit;

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
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_window_slides_and_keys_are_apart() {
        let limiter = Limiter::new(2, MINUTE);
        let start = Timestamp::from_millis(0);
        limiter.count("a", start);
        assert!(limiter.check(&"a", start).is_ok());
        limiter.count("a", start.after(MINUTE / 2));
        assert_eq!(limiter.check(&"a", start.after(MINUTE / 2)), Err(MINUTE / 2));
        assert!(limiter.check(&"b", start).is_ok());
        assert!(limiter.check(&"a", start.after(MINUTE)).is_ok());
        limiter.count("a", start.after(MINUTE));
        assert!(limiter.check(&"a", start.after(MINUTE)).is_err());
        limiter.forget(&"a");
        assert!(limiter.check(&"a", start.after(MINUTE)).is_ok());
    }

    #[test]
    fn it_is_told_how_a_limit_stands() {
        let limiter = Limiter::new(2, MINUTE);
        let start = Timestamp::from_millis(0);
        let rate = |remaining, reset| Some(RateLimit { limit: 2, remaining, reset });
        assert_eq!(limiter.rate(&"a", start), rate(2, MINUTE));
        limiter.count("a", start);
        limiter.count("a", start.after(MINUTE / 4));
        assert_eq!(limiter.rate(&"a", start.after(MINUTE / 2)), rate(0, MINUTE / 2));
        assert_eq!(limiter.rate(&"a", start.after(MINUTE)), rate(1, MINUTE / 4));
        assert_eq!(limiter.rate(&"b", start), rate(2, MINUTE));
        assert_eq!(Limiter::new(0, MINUTE).rate(&"a", start), None);
    }

    #[test]
    fn an_attempt_counts_only_if_it_is_said_so() {
        let limiter = Arc::new(Limiter::new(2, MINUTE));
        let start = Timestamp::from_millis(0);
        // At the same time: what is under way counts as long as it is.
        let (first, second) = (limiter.acquire("a", start).unwrap(), limiter.acquire("a", start).unwrap());
        assert_eq!(limiter.acquire("a", start).err(), Some(MINUTE));
        drop(first);
        limiter.acquire("a", start).unwrap().count();
        assert!(limiter.acquire("a", start).is_err());
        second.count();
        assert!(limiter.acquire("a", start).is_err());
        assert!(limiter.acquire("a", start.after(MINUTE)).is_ok(), "the window slides");
        for _ in 0..9 {
            assert!(limiter.acquire("b", start).is_ok(), "what is dropped was no attempt");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = Arc::new(Limiter::new(1, MINUTE));
        let (later, now) = (Timestamp::from_millis(86_400_000), Timestamp::from_millis(0));
        limiter.count("a", later);
        assert_eq!(limiter.check(&"a", now), Err(MINUTE));
        assert!(limiter.check(&"a", now.after(MINUTE)).is_ok());
        let permit = limiter.acquire("b", later).unwrap();
        assert!(limiter.acquire("b", now).is_err());
        drop(permit);
        assert!(limiter.acquire("b", now).is_ok());
    }

    #[test]
    fn memory_is_bounded_by_who_tried_lately() {
        let limiter = Limiter::new(1, MINUTE);
        let mut now = Timestamp::from_millis(0);
        for key in 0..100_000 {
            now = now.after(Duration::from_millis(60));
            limiter.count(key, now);
        }
        assert!(limiter.seen.lock().times.len() <= SWEEP_AT);
    }

    #[test]
    fn zero_is_no_limit() {
        let limiter = Limiter::new(0, MINUTE);
        let now = Timestamp::from_millis(0);
        (0..100).for_each(|_| limiter.count(1, now));
        assert!(limiter.check(&1, now).is_ok());
        let limiter = Arc::new(limiter);
        let permits: Vec<_> = (0..100).map(|_| limiter.acquire(1, now).unwrap()).collect();
        permits.into_iter().for_each(Permit::count);
    }
}
