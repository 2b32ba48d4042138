//! Encodes and decodes bodies, verifies that they are unchanged, and measures the time.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use chat_core::codec::{Blob, BlobFormat, Codec, Kind};

/// The results for a set of bodies.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) bodies: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// The shortest time for encoding all bodies.
    pub(super) encode: Duration,
    /// The shortest time for decoding all bodies.
    pub(super) decode: Duration,
    /// The number of blobs of each format.
    pub(super) formats: BTreeMap<BlobFormat, u64>,
    /// The size of the bodies with the best possible code of single bytes, in bytes and without headers.
    order0: f64,
}

/// A body that was changed, by its index in the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changed(pub(super) usize);

impl Measured {
    fn nothing() -> Self {
        Self {
            bodies: 0,
            bytes_in: 0,
            bytes_out: 0,
            encode: Duration::ZERO,
            decode: Duration::ZERO,
            formats: BTreeMap::new(),
            order0: 0.0,
        }
    }

    /// The sum of several results. The times are the sums of the shortest times. Each part keeps its own best code.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        parts.into_iter().fold(Self::nothing(), |mut sum, part| {
            sum.bodies += part.bodies;
            sum.bytes_in += part.bytes_in;
            sum.bytes_out += part.bytes_out;
            sum.encode += part.encode;
            sum.decode += part.decode;
            for (format, blobs) in &part.formats {
                *sum.formats.entry(*format).or_default() += blobs;
            }
            sum.order0 += part.order0;
            sum
        })
    }

    /// The compressed size divided by the original size.
    pub(super) fn ratio(&self) -> f64 {
        self.bytes_out as f64 / self.bytes_in as f64
    }

    /// The order-0 entropy as such a ratio: the lower bound of any code of single bytes.
    pub(super) fn order0(&self) -> f64 {
        self.order0 / self.bytes_in as f64
    }

    /// Nanoseconds per body.
    pub(super) fn per_body(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 / self.bodies as f64
    }

    /// Nanoseconds per 100 bytes of bodies.
    pub(super) fn per_100_bytes(&self, time: Duration) -> f64 {
        time.as_nanos() as f64 * 100.0 / self.bytes_in as f64
    }

    /// Millions of bytes of bodies per second.
    pub(super) fn megabytes_per_second(&self, time: Duration) -> f64 {
        self.bytes_in as f64 * 1e3 / time.as_nanos().max(1) as f64
    }
}

/// Encodes and decodes all bodies once, to verify them and to warm up, and then `passes` times for the measurement.
/// Only calls of the codec are measured.
pub(super) fn measure(
    codec: &dyn Codec,
    kind: Kind,
    bodies: &[&[u8]],
    passes: u32,
) -> Result<Measured, Changed> {
    let mut measured = Measured::nothing();
    let mut counts = [0_u64; 256];
    let blobs: Vec<Blob> = bodies.iter().map(|body| codec.encode(kind, body)).collect();
    for (index, (&body, blob)) in bodies.iter().zip(&blobs).enumerate() {
        if codec.decode(blob.into(), body.len()).as_deref() != Ok(body) {
            return Err(Changed(index));
        }
        measured.bodies += 1;
        measured.bytes_in += body.len() as u64;
        measured.bytes_out += blob.bytes.len() as u64;
        *measured.formats.entry(blob.format()).or_default() += 1;
        body.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    }
    measured.order0 = order0(&counts);
    measured.encode = shortest(passes, || {
        for body in bodies {
            black_box(codec.encode(kind, black_box(body)));
        }
    });
    measured.decode = shortest(passes, || {
        for (body, blob) in bodies.iter().zip(&blobs) {
            let _ = black_box(codec.decode(black_box(blob).into(), body.len()));
        }
    });
    Ok(measured)
}

/// The size of the counted bytes according to the entropy of single bytes, in bytes.
fn order0(counts: &[u64; 256]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    let bits = |count: f64| -count * (count / total).log2();
    counts.iter().filter(|&&count| count > 0).map(|&count| bits(count as f64)).sum::<f64>() / 8.0
}

/// The shortest of several passes, because other processes have disturbed it least.
fn shortest(passes: u32, mut pass: impl FnMut()) -> Duration {
    let time = |_| {
        let started = Instant::now();
        pass();
        started.elapsed()
    };
    (0..passes.max(1)).map(time).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chat_core::codec::{BlobRef, DecodeError, HuffmanCodec, StoredCodec};

    use super::*;

    #[test]
    fn sizes_and_formats_are_added_up() {
        let long = "the tea that the others see is there ".repeat(3);
        let measured = measure(&HuffmanCodec::new(), Kind::Message, &[b"hi", long.as_bytes()], 1).unwrap();
        let blob = HuffmanCodec::new().encode(Kind::Message, long.as_bytes());
        assert_eq!((measured.bodies, measured.bytes_in), (2, 2 + long.len() as u64));
        assert_eq!(measured.bytes_out, 2 + blob.bytes.len() as u64);
        assert_eq!(measured.formats, BTreeMap::from([(BlobFormat::Plain, 1), (blob.format(), 1)]));

        let both = Measured::sum([&measured, &measured]);
        assert_eq!((both.bodies, both.bytes_out), (4, 2 * measured.bytes_out));
        assert_eq!(both.formats[&BlobFormat::Plain], 2);
        assert!((both.order0() - measured.order0()).abs() < 1e-9);
    }

    #[test]
    fn the_entropy_of_bytes_is_known_for_simple_bodies() {
        let order0 = |body: &[u8]| measure(&StoredCodec, Kind::File, &[body], 1).unwrap().order0();
        assert!(order0(b"aaaa").abs() < 1e-9);
        assert!((order0(b"abab") - 1.0 / 8.0).abs() < 1e-9);
        assert!((order0(&(0..=u8::MAX).collect::<Vec<u8>>()) - 1.0).abs() < 1e-9);

        let [a, b] =
            [&b"aaaa"[..], b"bbbb"].map(|body| measure(&StoredCodec, Kind::File, &[body], 1).unwrap());
        assert!(Measured::sum([&a, &b]).order0().abs() < 1e-9, "each has a code of its own");
    }

    /// Loses the last byte of a body of three.
    struct Lossy;

    impl Codec for Lossy {
        fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
            StoredCodec.encode(kind, body)
        }

        fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
            let mut body = StoredCodec.decode(blob, limit)?;
            body.truncate(2);
            Ok(body)
        }
    }

    #[test]
    fn a_changed_body_is_found() {
        let changed = measure(&Lossy, Kind::Message, &[b"a", b"ab", b"abc"], 1).unwrap_err();
        assert_eq!(changed, Changed(2));
    }
}
