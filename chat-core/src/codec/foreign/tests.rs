use proptest::prelude::*;

use super::*;

const TEXT: &[u8] = b"the quick brown fox jumps over the lazy dog; the quick brown dog jumps over the fox";

/// [`TEXT`] at level 3, in hexadecimal.
const FRAME: &str = "0128b52ffd2453f50100240374686520717569636b2062726f776e20666f78206a756d7073206f766572207468\
    65206c617a7920646f673b646f67666f7803000019a81830da5906582973b1";

/// The bytes that `hex` stands for.
fn unhex(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn encoded() -> (Vec<u8>, Vec<u8>) {
    let body = TEXT.repeat(5);
    let payload = encode_zstd(&body, 3).unwrap();
    (body, payload)
}

#[test]
fn round_trip() {
    for times in [1, 2, 10, 100, 5000] {
        let body = TEXT.repeat(times);
        for level in [1, 3, 19] {
            let payload = encode_zstd(&body, level).unwrap();
            assert!(decode(&payload, body.len()).as_deref() == Ok(&*body));
            let limit = body.len() - 1;
            assert_eq!(decode(&payload, limit), Err(DecodeError::TooLarge { limit }));
        }
    }
}

#[test]
fn what_does_not_get_smaller_is_not_encoded() {
    for body in [&b""[..], b"a", b"the quick brown fox"] {
        let mut out = b"before".to_vec();
        assert!(!append_zstd(body, 3, &mut out));
        assert_eq!(out, b"before");
        assert_eq!(encode_zstd(body, 3), None);
    }
}

#[test]
fn payloads_stay_readable() {
    // Other releases of Zstandard may write other frames, so only reading is pinned.
    assert_eq!(decode(&unhex(FRAME), 1000).as_deref(), Ok(TEXT));
}

#[test]
fn every_cut_is_found() {
    let (body, payload) = encoded();
    for len in 0..payload.len() {
        assert_eq!(decode(&payload[..len], body.len()), Err(DecodeError::Truncated), "cut to {len}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let (body, payload) = encoded();
    for bit in 0..payload.len() * 8 {
        let mut damaged = payload.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // The window size and the unused bit do not affect the body.
        assert!(decode(&damaged, 1 << 20).map_or(true, |found| found == body), "bit {bit}");
    }
}

#[test]
fn there_is_one_frame_and_nothing_else() {
    let (body, payload) = encoded();
    for more in [&[0][..], &payload[1..], b"\x50\x2a\x4d\x18\0\0\0\0"] {
        assert_eq!(decode(&[&payload[..], more].concat(), 1 << 20), Err(DecodeError::Corrupt));
    }
    let skippable = [b"\x01\x50\x2a\x4d\x18\0\0\0\0", &payload[1..]].concat();
    assert_eq!(decode(&skippable, 1 << 20), Err(DecodeError::Corrupt));
    for format in [0, 2, 255] {
        assert_eq!(decode(&[&[format], &payload[1..]].concat(), body.len()), Err(DecodeError::Corrupt));
    }
}

#[test]
fn frames_unlike_ours_are_refused() {
    let mut compressor = Compressor::new(3).unwrap();
    let without_checksum = compressor.compress(TEXT).unwrap();
    compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    compressor.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
    let without_size = compressor.compress(TEXT).unwrap();
    for frame in [without_checksum, without_size] {
        assert_eq!(decode(&[&[ZSTD], &frame[..]].concat(), 1000), Err(DecodeError::Corrupt));
    }
}

#[test]
fn sizes_that_lie_are_found() {
    // One block that repeats a byte a thousand times, in a frame that claims a size of an exabyte.
    let mut payload = vec![ZSTD];
    payload.extend(MAGIC);
    payload.push(0xe4);
    payload.extend((1_u64 << 60).to_le_bytes());
    payload.extend([0x43, 0x1f, 0x00, b'e']);
    payload.extend([0; 4]);
    assert_eq!(decode(&payload, 1 << 30), Err(DecodeError::TooLarge { limit: 1 << 30 }));
    assert_eq!(decode(&payload, usize::MAX), Err(DecodeError::Corrupt));
}

proptest! {
    #[test]
    fn any_payload_decodes_within_the_limit_or_not_at_all(
        (at, bytes) in (0_usize..40, prop::collection::vec(any::<u8>(), 0..60)),
        limit in 0_usize..2000,
    ) {
        let (_, mut payload) = encoded();
        payload.truncate(at);
        payload.extend(bytes);
        if let Ok(body) = decode(&payload, limit) {
            prop_assert!(body.capacity() <= limit);
        }
    }
}
