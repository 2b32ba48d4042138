//! Tests of the counters.

use std::{cell::Cell, thread};

use super::*;
use crate::codec::{Encoding, HuffmanCodec};

thread_local! {
    static READINGS: Cell<(Instant, u32)> = Cell::new((Instant::now(), 0));
}

/// A clock of this thread that advances by 7 ns at every reading.
fn ticking() -> Instant {
    let (start, looks) = READINGS.get();
    READINGS.set((start, looks + 1));
    start + Duration::from_nanos(7) * looks
}

#[test]
fn encoding_is_counted_by_kind_and_format() {
    let codec = Metered::with_time(HuffmanCodec::new(), ticking);
    let text = "the tea that the others see is there ".repeat(40);
    let long = codec.encode(Kind::Message, &text.as_bytes()[..100]);
    codec.encode(Kind::Message, &text.as_bytes()[..100]);
    codec.encode(Kind::Message, b"hi");
    codec.encode(Kind::File, &text.as_bytes()[..1000]);
    let row = |kind, format, blobs: u64, bytes_in, bytes_out| Encoded {
        kind,
        format,
        blobs,
        bytes_in,
        bytes_out,
        nanoseconds: 7 * blobs,
    };
    let expected = [
        row(Kind::Message, BlobFormat::Plain, 1, 2, 2),
        row(Kind::Message, long.format(), 2, 200, 2 * long.bytes.len() as u64),
        row(Kind::File, BlobFormat::Plain, 1, 1000, 1000),
    ];
    assert_eq!(codec.snapshot(), CodecCounts { encoded: expected.to_vec(), decoded: Vec::new() });
}

#[test]
fn decoding_is_counted_by_format_with_its_failures() {
    let codec = Metered::with_time(HuffmanCodec::new(), ticking);
    let plain = BlobRef { encoding: Encoding::Stored, bytes: b"body" };
    let missing = BlobRef { encoding: Encoding::Huffman, bytes: b"" };
    assert_eq!(codec.decode(plain, 4).as_deref(), Ok(&b"body"[..]));
    assert_eq!(codec.decode(plain, 3), Err(DecodeError::TooLarge { limit: 3 }));
    assert_eq!(codec.decode(missing, 3), Err(DecodeError::Truncated));
    let row = |format, blobs, bytes, looks: u64, errors| Decoded {
        format,
        blobs,
        bytes,
        nanoseconds: 7 * looks,
        errors,
    };
    let expected = [row(BlobFormat::Plain, 1, 4, 2, 1), row(BlobFormat::Missing, 0, 0, 1, 1)];
    assert_eq!(codec.snapshot(), CodecCounts { encoded: Vec::new(), decoded: expected.to_vec() });
}

#[test]
fn nothing_is_lost_between_threads() {
    let codec = Metered::new(HuffmanCodec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| drop(codec.encode(Kind::Message, b"hi"))));
        }
    });
    let [row] = codec.snapshot().encoded[..] else { panic!("one kind in one format") };
    assert_eq!((row.blobs, row.bytes_in, row.bytes_out), (4000, 8000, 8000));
}
