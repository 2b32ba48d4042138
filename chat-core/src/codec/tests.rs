//! Tests of the guarantees of every codec, and of the small types around it.

use proptest::prelude::*;

use super::*;

const KINDS: [Kind; 2] = [Kind::Message, Kind::File];

/// Encodes and decodes `body` with every codec, as both kinds, and checks the guarantees of [`Codec`].
fn check(body: &[u8]) {
    let metered = Metered::new(HuffmanCodec::new());
    let codecs: [&dyn Codec; 4] = [&StoredCodec, &HuffmanCodec::new(), &ZstdCodec, &metered];
    for codec in codecs {
        for kind in KINDS {
            let blob = codec.encode(kind, body);
            assert!(blob.bytes.len() <= body.len() + 1, "{} bytes became {blob:?}", body.len());
            assert!(decode(&blob, body.len()).as_deref() == Ok(body), "{} bytes changed", body.len());
            let again = codec.decode((&blob).into(), body.len());
            assert!(again.as_deref() == Ok(body), "{} bytes changed", body.len());
            assert_eq!(codec.encode(kind, body), blob);
            if let Some(limit) = body.len().checked_sub(1) {
                assert_eq!(decode(&blob, limit), Err(DecodeError::TooLarge { limit }));
            }
        }
    }
}

/// Bytes without any pattern, from a fixed seed (xorshift64).
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

#[test]
fn round_trip_at_every_length_around_the_thresholds() {
    let text = "It's 10 o'clock – wo bist du? Где ты? 你在哪里 🙂 ".repeat(60);
    for len in (0..300).chain(1000..1100).chain([2000, text.len()]) {
        check(&text.as_bytes()[..len]);
        check(&noise(len));
    }
}

#[test]
fn round_trip_of_every_byte_value() {
    for byte in 0..=u8::MAX {
        for len in [1, 51, 300, 1025, 5000] {
            check(&vec![byte; len]);
        }
    }
    check(&(0..=u8::MAX).collect::<Vec<u8>>().repeat(5));
}

#[test]
fn round_trip_of_ten_megabytes() {
    let mut body = b"the quick brown fox jumps over the lazy dog; ".repeat(10_000_000 / 45);
    body.extend(noise(500));
    check(&body);
}

#[test]
fn noise_costs_one_byte() {
    for len in [51, 100, 1025, 100_000] {
        let body = noise(len);
        let kind = if len > MAX_PLAIN_FILE { Kind::File } else { Kind::Message };
        assert_eq!(HuffmanCodec::new().encode(kind, &body).bytes.len(), len + 1);
    }
}

#[test]
fn small_bodies_are_stored_without_header() {
    for (kind, largest) in [(Kind::Message, 50), (Kind::File, 1024)] {
        let body = vec![b'e'; largest];
        let blob = HuffmanCodec::new().encode(kind, &body);
        assert_eq!(blob, Blob { encoding: Encoding::Stored, bytes: body });
        assert!(!is_compressible_size(kind, largest));

        let blob = HuffmanCodec::new().encode(kind, &vec![b'e'; largest + 1]);
        assert_eq!(blob.encoding, Encoding::Huffman);
        assert!(blob.bytes.len() < largest);
        assert!(is_compressible_size(kind, largest + 1));
    }
}

#[test]
fn encodings_keep_their_numbers() {
    for (encoding, number) in [(Encoding::Stored, 0), (Encoding::Huffman, 1)] {
        assert_eq!(u8::from(encoding), number);
        assert_eq!(encoding as u8, number);
        assert_eq!(Encoding::try_from(number), Ok(encoding));
    }
    for number in 2..=u8::MAX {
        assert_eq!(Encoding::try_from(number), Err(UnknownEncoding(number)));
    }
}

#[test]
fn a_format_is_read_from_the_first_byte() {
    let format = |encoding, bytes: &[u8]| BlobRef { encoding, bytes }.format();
    assert_eq!(format(Encoding::Stored, b""), BlobFormat::Plain);
    assert_eq!(format(Encoding::Stored, &[0xff]), BlobFormat::Plain);
    assert_eq!(format(Encoding::Huffman, b""), BlobFormat::Missing);
    for first in 0..=u8::MAX {
        assert_eq!(format(Encoding::Huffman, &[first]), BlobFormat::Frame(first >> 3));
    }
    assert_eq!(StoredCodec.encode(Kind::Message, b"hi").format(), BlobFormat::Plain);
    assert_eq!(HuffmanCodec::new().encode(Kind::Message, &noise(51)).format(), BlobFormat::Frame(0));
}

#[test]
fn every_format_has_a_place_of_its_own() {
    let indexes: Vec<_> = BlobFormat::all().map(BlobFormat::index).collect();
    assert_eq!(indexes, (0..BlobFormat::COUNT).collect::<Vec<_>>());
    let names =
        [BlobFormat::Plain, BlobFormat::Frame(29), BlobFormat::Missing].map(|format| format.to_string());
    assert_eq!(names, ["plain", "29", "missing"]);
}

#[test]
fn debug_shows_no_content() {
    let blob = StoredCodec.encode(Kind::Message, b"secret");
    assert_eq!(format!("{blob:?}"), "Blob { encoding: Stored, len: 6 }");
    assert_eq!(format!("{:?}", BlobRef::from(&blob)), "Blob { encoding: Stored, len: 6 }");
}

proptest! {
    #[test]
    fn round_trip_of_any_bytes(body in prop::collection::vec(any::<u8>(), 0..3000)) {
        check(&body);
    }

    #[test]
    fn round_trip_of_any_text(body in "\\PC{0,600}") {
        check(body.as_bytes());
    }

    #[test]
    fn round_trip_of_few_values(body in prop::collection::vec(prop::sample::select(&b"\0ae\xff"[..]), 0..3000)) {
        check(&body);
    }

    #[test]
    fn any_bytes_decode_within_the_limit_or_not_at_all(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        limit in 0_usize..2000,
    ) {
        for encoding in [Encoding::Stored, Encoding::Huffman] {
            if let Ok(body) = decode(BlobRef { encoding, bytes: &bytes }, limit) {
                prop_assert!(body.capacity() <= limit);
            }
        }
    }
}
