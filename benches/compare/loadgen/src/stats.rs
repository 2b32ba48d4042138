//! A shared log-linear histogram of microseconds (under 1 % error) and its summary.
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
const OCTAVES: usize = 40;

/// Counts by value; every task adds to it without a lock.
pub struct Hist(Box<[AtomicU64]>);

impl Default for Hist {
    fn default() -> Self {
        Self((0..OCTAVES * SUB).map(|_| AtomicU64::new(0)).collect())
    }
}

/// What a histogram says, in microseconds.
#[derive(Serialize, Clone, Copy, Default, Debug)]
pub struct Summary {
    pub n: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Hist {
    fn slot(v: u64) -> usize {
        if v < SUB as u64 {
            return v as usize;
        }
        let top = 63 - v.leading_zeros();
        let shift = top - SUB_BITS;
        let i = ((shift as usize + 1) << SUB_BITS) + ((v >> shift) as usize - SUB);
        i.min(OCTAVES * SUB - 1)
    }

    fn value(slot: usize) -> u64 {
        let (o, s) = (slot >> SUB_BITS, (slot & (SUB - 1)) as u64);
        if o == 0 { s } else { ((s + SUB as u64) << (o - 1)) + ((1u64 << (o - 1)) >> 1) }
    }

    /// Counts one value.
    pub fn add(&self, us: u64) {
        self.0[Self::slot(us)].fetch_add(1, Relaxed);
    }

    /// Count, mean and percentiles.
    pub fn summary(&self) -> Summary {
        let c: Vec<u64> = self.0.iter().map(|x| x.load(Relaxed)).collect();
        let n: u64 = c.iter().sum();
        if n == 0 {
            return Summary::default();
        }
        let at = |q: f64| {
            let want = ((n as f64 * q).ceil() as u64).clamp(1, n);
            let mut sum = 0;
            for (i, k) in c.iter().enumerate() {
                sum += k;
                if sum >= want {
                    return Self::value(i);
                }
            }
            0
        };
        let total: f64 = c.iter().enumerate().map(|(i, k)| Self::value(i) as f64 * *k as f64).sum();
        Summary {
            n,
            mean_us: (total / n as f64 * 10.0).round() / 10.0,
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_small() {
        for v in [0u64, 1, 127, 128, 999, 12_345, 9_999_999] {
            let got = Hist::value(Hist::slot(v)) as f64;
            assert!((got - v as f64).abs() <= v as f64 * 0.01, "{v} -> {got}");
        }
        let h = Hist::default();
        (1..=1000).for_each(|v| h.add(v));
        assert!((h.summary().p50_us as i64 - 500).abs() <= 5);
    }
}
