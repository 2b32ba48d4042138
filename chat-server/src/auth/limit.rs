//! How often one may try: a sliding window per key, in the memory of this node.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;

/// Counts what happened lately under each key.
pub struct Limiter<K> {
    most: u32,
    within: Duration,
    seen: Mutex<Seen<K>>,
}

/// When something happened under each key.
type Seen<K> = HashMap<K, Vec<Timestamp>>;

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
        Self { most, within, seen: Mutex::default() }
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
        let Some(times) = seen.get_mut(key) else { return Ok(()) };
        times.retain(|time| time.after(self.within) > now);
        if times.len() < self.most as usize {
            return Ok(());
        }
        let free_at = times[times.len() - self.most as usize].after(self.within);
        let wait = free_at.as_millis().saturating_sub(now.as_millis());
        Err(Duration::from_millis(wait.max(1).unsigned_abs()))
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
        if seen.len() >= SWEEP_AT {
            seen.retain(|_, times| times.last().is_some_and(|time| time.after(self.within) > now));
        }
        let times = seen.entry(key).or_default();
        // More than the limit tells nothing more.
        if times.len() >= self.most as usize {
            times.remove(0);
        }
        times.push(now);
    }

    /// Takes back one that was counted at this moment.
    pub fn uncount(&self, key: &K, at: Timestamp) {
        if let Some(times) = self.seen.lock().get_mut(key)
            && let Some(last) = times.iter().rposition(|time| *time == at)
        {
            times.remove(last);
        }
    }

    /// Forgets what was counted under a key.
    pub fn forget(&self, key: &K) {
        self.seen.lock().remove(key);
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
