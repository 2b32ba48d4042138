//! A token bucket that may go into debt.
//!
//! The crate `governor` does not fit. The cost of a read is known only afterwards, and such a limiter refuses and
//! forgets a cost for which there is no room, while this bucket goes into debt. `governor` also does not report how
//! much is left, so an account could not be slowed down before it is refused.

use std::time::Duration;

use chat_core::clock::Timestamp;

/// The size of a bucket and its fill rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The size: as much may be used at once.
    pub(crate) burst: u32,
    /// The amount that is refilled per minute; 0 means no limit.
    pub(crate) per_minute: u32,
}

/// Amounts are counted in parts of a minute, so that each millisecond refills a whole number of them.
const PARTS: i64 = 60_000;

/// The remaining amount. A negative value is debt, limited by the size of the bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: i64,
    at: Timestamp,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Timestamp) -> Self {
        Self { left: rate.size(), at: now }
    }

    /// Time until the bucket is not empty.
    pub(crate) fn wait(&mut self, rate: Rate, now: Timestamp) -> Duration {
        self.fill(rate, now);
        if rate.per_minute == 0 || self.left > 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(self.left.unsigned_abs() / u64::from(rate.per_minute) + 1)
    }

    pub(crate) fn spend(&mut self, rate: Rate, now: Timestamp, cost: u64) {
        self.fill(rate, now);
        let cost = i64::try_from(cost).unwrap_or(i64::MAX).saturating_mul(PARTS);
        self.left = self.left.saturating_sub(cost).max(-rate.size());
    }

    /// Refunds an amount, up to the size of the bucket.
    pub(crate) fn give_back(&mut self, rate: Rate, now: Timestamp, cost: u64) {
        self.fill(rate, now);
        let cost = i64::try_from(cost).unwrap_or(i64::MAX).saturating_mul(PARTS);
        self.left = self.left.saturating_add(cost).min(rate.size());
    }

    /// Whether at least this percentage of the size is left; always true without a limit.
    pub(crate) fn has_left(&mut self, rate: Rate, now: Timestamp, hundredths: i64) -> bool {
        self.fill(rate, now);
        rate.per_minute == 0 || self.left >= rate.size() / 100 * hundredths
    }

    pub(crate) fn is_full(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.fill(rate, now);
        self.left >= rate.size()
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        // A clock that was set back refills nothing.
        let passed = now.as_millis().saturating_sub(self.at.as_millis());
        let filled = passed.max(0).saturating_mul(i64::from(rate.per_minute));
        self.left = self.left.saturating_add(filled).min(rate.size());
        self.at = now;
    }
}

impl Rate {
    fn size(self) -> i64 {
        i64::from(self.burst) * PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 10, per_minute: 60 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_is_spent_comes_back_over_time() {
        let mut bucket = Bucket::full(RATE, at(0));
        bucket.spend(RATE, at(0), 9);
        assert_eq!(bucket.wait(RATE, at(0)), Duration::ZERO);
        bucket.spend(RATE, at(0), 1);
        assert_eq!(bucket.wait(RATE, at(0)), Duration::from_millis(1));
        bucket.spend(RATE, at(0), 3);
        assert_eq!(bucket.wait(RATE, at(0)), Duration::from_millis(3_001));
        assert_eq!(bucket.wait(RATE, at(1_000)), Duration::from_millis(2_001));
        assert_eq!(bucket.wait(RATE, at(3_001)), Duration::ZERO);
        assert!(!bucket.is_full(RATE, at(12_999)));
        assert!(bucket.is_full(RATE, at(13_000)));
        assert!(bucket.is_full(RATE, at(i64::MAX)), "it does not run over");
    }

    #[test]
    fn debt_is_bounded_by_the_size() {
        let mut bucket = Bucket::full(RATE, at(0));
        bucket.spend(RATE, at(0), u64::MAX);
        assert_eq!(bucket.wait(RATE, at(0)), Duration::from_millis(10_001));
    }

    #[test]
    fn a_clock_that_is_set_back_fills_nothing_and_takes_nothing() {
        let mut bucket = Bucket::full(RATE, at(1_000_000));
        bucket.spend(RATE, at(1_000_000), 12);
        assert_eq!(bucket.wait(RATE, at(0)), Duration::from_millis(2_001));
        assert_eq!(bucket.wait(RATE, at(1_000)), Duration::from_millis(1_001));
    }

    #[test]
    fn zero_is_no_limit() {
        let rate = Rate { burst: 0, per_minute: 0 };
        let mut bucket = Bucket::full(rate, at(0));
        bucket.spend(rate, at(0), 1_000_000);
        assert_eq!(bucket.wait(rate, at(0)), Duration::ZERO);
        assert!(bucket.is_full(rate, at(0)));
    }
}
