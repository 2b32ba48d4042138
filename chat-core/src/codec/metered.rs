//! Metrics for codecs.

#[cfg(test)]
mod tests;

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{Blob, BlobFormat, BlobRef, Codec, DecodeError, Kind};

/// A codec with metrics: how much it encodes and decodes, how much it saves, and how long it takes.
///
/// The counters take no locks. They cost two reads of the clock and a few additions for each body, about 40
/// nanoseconds, most of it for the clock. With the level `debug`, every body that was large enough for compression
/// causes a log line with its sizes and without its content.
#[derive(Debug)]
pub struct Metered<C> {
    codec: C,
    now: fn() -> Instant,
    messages: [EncodedCell; BlobFormat::COUNT],
    files: [EncodedCell; BlobFormat::COUNT],
    decoded: [DecodedCell; BlobFormat::COUNT],
}

/// The counters of a [`Metered`] codec since its creation.
///
/// The counters are read one by one while other threads update them, so the numbers of a body in progress may be
/// incomplete.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CodecCounts {
    /// What was encoded: a row for each kind and format that occurred, messages first.
    pub encoded: Vec<Encoded>,
    /// What was decoded: a row for each format that occurred. A blob does not contain its kind.
    pub decoded: Vec<Decoded>,
}

/// Bodies of one kind that were encoded in one format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The kind of the bodies.
    pub kind: Kind,
    /// The format of the blobs.
    pub format: BlobFormat,
    /// The number of bodies.
    pub blobs: u64,
    /// Their size before encoding, in bytes.
    pub bytes_in: u64,
    /// Their size after encoding, in bytes, including headers.
    pub bytes_out: u64,
    /// The time for encoding, in nanoseconds of wall-clock time.
    pub nanoseconds: u64,
}

/// Blobs of one format that were decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// The format of the blobs.
    pub format: BlobFormat,
    /// The number of decoded blobs.
    pub blobs: u64,
    /// The size of the decoded bodies in bytes.
    pub bytes: u64,
    /// The time for decoding, in nanoseconds of wall-clock time, including failures.
    pub nanoseconds: u64,
    /// The number of further blobs that could not be decoded: damaged, of an unknown format, or over the limit.
    pub errors: u64,
}

impl<C: Codec> Metered<C> {
    /// Counts the work of `codec` from now on.
    pub fn new(codec: C) -> Metered<C> {
        Metered::with_time(codec, Instant::now)
    }

    /// The same with another time source.
    pub fn with_time(codec: C, now: fn() -> Instant) -> Metered<C> {
        Metered {
            codec,
            now,
            messages: array::from_fn(|_| EncodedCell::default()),
            files: array::from_fn(|_| EncodedCell::default()),
            decoded: array::from_fn(|_| DecodedCell::default()),
        }
    }

    /// The current counters.
    pub fn snapshot(&self) -> CodecCounts {
        let messages = self.messages.iter().map(|cell| (Kind::Message, cell));
        let files = self.files.iter().map(|cell| (Kind::File, cell));
        let formats = BlobFormat::all().chain(BlobFormat::all());
        let encoded =
            formats.zip(messages.chain(files)).map(|(format, (kind, cell))| cell.read(kind, format));
        let decoded = BlobFormat::all().zip(&self.decoded).map(|(format, cell)| cell.read(format));
        CodecCounts {
            encoded: encoded.filter(|row| row.blobs > 0).collect(),
            decoded: decoded.filter(|row| row.blobs + row.errors > 0).collect(),
        }
    }
}

impl<C: Codec> Codec for Metered<C> {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        let started = (self.now)();
        let blob = self.codec.encode(kind, body);
        let took = (self.now)().duration_since(started);
        let format = blob.format();
        let cells = match kind {
            Kind::Message => &self.messages,
            Kind::File => &self.files,
        };
        cells[format.index()].add(body.len(), blob.bytes.len(), took);
        if format != BlobFormat::Plain {
            let (bytes_in, bytes_out) = (body.len(), blob.bytes.len());
            let ratio = bytes_out as f64 / bytes_in.max(1) as f64;
            tracing::debug!(?kind, %format, bytes_in, bytes_out, ratio, "a body was compressed");
        }
        blob
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        let started = (self.now)();
        let body = self.codec.decode(blob, limit);
        let took = (self.now)().duration_since(started);
        self.decoded[blob.format().index()].add(&body, took);
        body
    }
}

/// The counters for an [`Encoded`].
#[derive(Default, Debug)]
struct EncodedCell {
    blobs: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    nanoseconds: AtomicU64,
}

impl EncodedCell {
    fn add(&self, bytes_in: usize, bytes_out: usize, took: Duration) {
        self.blobs.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes_in as u64, Relaxed);
        self.bytes_out.fetch_add(bytes_out as u64, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds(took), Relaxed);
    }

    fn read(&self, kind: Kind, format: BlobFormat) -> Encoded {
        Encoded {
            kind,
            format,
            blobs: self.blobs.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            nanoseconds: self.nanoseconds.load(Relaxed),
        }
    }
}

/// The counters for a [`Decoded`].
#[derive(Default, Debug)]
struct DecodedCell {
    blobs: AtomicU64,
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
    errors: AtomicU64,
}

impl DecodedCell {
    fn add(&self, body: &Result<Vec<u8>, DecodeError>, took: Duration) {
        match body {
            Ok(body) => {
                self.blobs.fetch_add(1, Relaxed);
                self.bytes.fetch_add(body.len() as u64, Relaxed);
            }
            Err(_) => {
                self.errors.fetch_add(1, Relaxed);
            }
        }
        self.nanoseconds.fetch_add(nanoseconds(took), Relaxed);
    }

    fn read(&self, format: BlobFormat) -> Decoded {
        Decoded {
            format,
            blobs: self.blobs.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            nanoseconds: self.nanoseconds.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}

/// Converts a duration to nanoseconds. No call takes 584 years.
fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
