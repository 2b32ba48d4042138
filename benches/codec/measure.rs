//! One codec on some bodies.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::rivals::Rival;

/// How thorough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// To see that it works, and about how much.
    Quick,
    /// For figures to quote.
    Full,
}

impl Effort {
    /// Messages measured in each group.
    pub(crate) fn most_messages(self) -> usize {
        if self == Self::Quick { 200 } else { usize::MAX }
    }

    /// Messages of each group that dictionaries are trained on.
    pub(crate) fn most_samples(self) -> usize {
        if self == Self::Quick { 2_000 } else { usize::MAX }
    }

    /// Bytes of an attachment that is made here.
    pub(crate) fn attachment_bytes(self) -> usize {
        if self == Self::Quick { 128 << 10 } else { 1 << 20 }
    }

    /// How often something is timed.
    fn passes(self) -> usize {
        if self == Self::Quick { 1 } else { 7 }
    }

    /// After how long it is not timed once more.
    fn patience(self) -> Duration {
        if self == Self::Quick { Duration::ZERO } else { Duration::from_secs(1) }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) bodies: usize,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
    /// The shortest time for all bodies.
    pub(crate) encode: Duration,
    /// The shortest time for all bodies.
    pub(crate) decode: Duration,
}

impl Measured {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bodies: self.bodies + other.bodies,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            encode: self.encode + other.encode,
            decode: self.decode + other.decode,
        }
    }

    /// Bytes out per byte in.
    pub(crate) fn ratio(&self) -> f64 {
        self.bytes_out as f64 / self.bytes_in as f64
    }

    /// Nanoseconds per body.
    pub(crate) fn per_body(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.bodies as f64
    }

    /// Millions of bytes per second.
    pub(crate) fn megabytes_per_second(&self, time: Duration) -> f64 {
        self.bytes_in as f64 * 1e3 / time.as_nanos().max(1) as f64
    }
}

/// Compresses all bodies, checks that they come back, and times both directions.
pub(crate) fn measure(rival: &mut dyn Rival, bodies: &[&[u8]], effort: Effort) -> Measured {
    let blobs: Vec<Vec<u8>> = bodies.iter().map(|body| rival.encode(body)).collect();
    for (body, blob) in bodies.iter().zip(&blobs) {
        assert!(rival.decode(blob, body.len()) == *body, "{} bytes have changed", body.len());
    }
    let encode = shortest(effort, || {
        for body in bodies {
            black_box(rival.encode(black_box(body)));
        }
    });
    let decode = shortest(effort, || {
        for (body, blob) in bodies.iter().zip(&blobs) {
            black_box(rival.decode(black_box(blob), body.len()));
        }
    });
    Measured {
        bodies: bodies.len(),
        bytes_in: bodies.iter().map(|body| body.len()).sum(),
        bytes_out: blobs.iter().map(Vec::len).sum(),
        encode,
        decode,
    }
}

/// The shortest of several passes, the one that others disturbed least.
fn shortest(effort: Effort, mut pass: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut shortest = Duration::MAX;
    for _ in 0..effort.passes() {
        let started = Instant::now();
        pass();
        shortest = shortest.min(started.elapsed());
        if began.elapsed() > effort.patience() {
            break;
        }
    }
    shortest
}

/// The order-0 entropy as bytes out per byte in: what no code of single bytes can fall below, headers left aside.
pub(crate) fn order0(bodies: &[&[u8]]) -> f64 {
    let mut counts = [0_u64; 256];
    bodies.iter().copied().flatten().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = counts.iter().sum::<u64>() as f64;
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
    shares.map(|share| -share * share.log2()).sum::<f64>() / 8.0
}
