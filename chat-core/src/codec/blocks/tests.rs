use proptest::prelude::*;

use super::{
    code::{Lengths, MAX_LEN},
    histogram::Counts,
    *,
};
use crate::codec::tests::noise;

/// Bytes as uneven as those of text, but without repetition.
fn uneven(len: usize) -> Vec<u8> {
    noise(len).into_iter().map(|byte| byte.leading_zeros() as u8 * 16 + (byte & 7)).collect()
}

/// A payload from its parts: the length, `blocks`, and the checksum of `body`.
fn payload(len: u64, blocks: &[u8], body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    varint::write(len, &mut payload);
    payload.extend_from_slice(blocks);
    payload.extend(crc32c::crc32c(body).to_le_bytes());
    payload
}

/// Encodes and decodes `body`. Returns the payload.
fn check(body: &[u8]) -> Option<Vec<u8>> {
    let payload = encode(body)?;
    assert!(payload.len() < body.len());
    assert!(payload.len() <= size(body), "{} bytes became {}", body.len(), payload.len());
    assert!(decode(&payload, body.len()).as_deref() == Ok(body), "{} bytes changed", body.len());
    assert_eq!(encode(body).as_deref(), Some(&*payload));
    let limit = body.len() - 1;
    assert_eq!(decode(&payload, limit), Err(DecodeError::TooLarge { limit }));
    Some(payload)
}

#[test]
fn round_trip_at_every_length_around_the_bounds() {
    let body = uneven(2 * BLOCK + 100);
    for len in 0..MIN_CODED {
        assert!(check(&body[..len]).is_none());
    }
    for len in
        (MIN_CODED..400).chain(BLOCK - 1..BLOCK + 2).chain(BLOCK + MIN_CODED - 1..BLOCK + MIN_CODED + 7)
    {
        check(&body[..len]);
    }
    for len in [1000, BLOCK / 2, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 100] {
        assert!(check(&body[..len]).is_some(), "{len} bytes were not made smaller");
    }
}

#[test]
fn round_trip_of_every_byte_value() {
    for byte in 0..=u8::MAX {
        let body = vec![byte; 1000];
        assert_eq!(check(&body).map(|payload| payload.len()), Some(2 + 2 + CHECKSUM));
    }
    let all: Vec<u8> = (0..=u8::MAX).collect();
    assert!(check(&all.repeat(5)).is_none());
    assert!(check(&[all, vec![7; 2000]].concat()).is_some());
    assert!(check(&vec![0; 10 * BLOCK + 1]).is_some_and(|payload| payload.len() < 40));
}

#[test]
fn round_trip_of_two_values() {
    let body: Vec<u8> = noise(BLOCK + 1000).into_iter().map(|byte| byte & 1).collect();
    let payload = check(&body).unwrap();
    assert!(payload.len() < body.len() / 8 + 200);
}

#[test]
fn round_trip_of_mixed_blocks() {
    let mut body = uneven(BLOCK);
    body.extend(noise(BLOCK));
    body.extend(uneven(BLOCK));
    body.extend(vec![b'x'; BLOCK]);
    body.extend(uneven(5));
    let payload = check(&body).unwrap();
    let (len, mut rest) = varint::read(&payload).unwrap();
    assert_eq!(len, body.len() as u64);
    let mut kinds = Vec::new();
    for block in body.chunks(BLOCK) {
        kinds.push(rest[0]);
        let (block, tail) = Block::read(rest, block.len()).unwrap();
        if let (Block::Coded(coded), 3) = (block, kinds.len()) {
            assert!(coded.table.is_empty(), "the table before would do");
        }
        rest = tail;
    }
    assert_eq!(kinds, [block::CODED, block::STORED, block::CODED, block::RUN, block::STORED]);
}

#[test]
fn round_trip_of_ten_megabytes() {
    let mut body = b"the quick brown fox jumps over the lazy dog; ".repeat(10_000_000 / 45);
    body.extend(noise(500));
    assert!(check(&body).is_some());
}

#[test]
fn noise_is_not_encoded() {
    for len in [100, 5000, BLOCK, 3 * BLOCK + 7] {
        let body = noise(len);
        assert_eq!(encode(&body), None);
        assert!(size(&body) >= len);
        let mut out = b"before".to_vec();
        assert!(!append(&body, &mut out));
        assert_eq!(out, b"before");
    }
}

/// Bytes with Fibonacci numbers as their counts: the tree has the maximum depth.
fn fibonacci(values: u8) -> Vec<u8> {
    let (mut this, mut next) = (1, 1);
    let mut body = Vec::new();
    for byte in 0..values {
        body.extend(vec![byte; this]);
        (this, next) = (next, this + next);
    }
    body
}

#[test]
fn codes_are_never_longer_than_the_limit() {
    for values in 2..=24 {
        let body = fibonacci(values);
        let lengths = Lengths::for_counts(&histogram::count(&body)).unwrap();
        assert_eq!(Lengths::new(*lengths.as_array()), Some(lengths));
    }
    assert!(check(&fibonacci(24)).is_some());
}

/// The minimum size in bits of codes within the limit (Larmore and Hirschberg's coin collector).
fn least_cost(counts: &Counts) -> usize {
    let mut leaves: Vec<usize> = counts.iter().filter(|&&n| n != 0).map(|&n| n as usize).collect();
    leaves.sort_unstable();
    let mut row = Vec::new();
    for _ in 0..MAX_LEN {
        let pairs = row.chunks_exact(2).map(|pair: &[usize]| pair[0] + pair[1]);
        row = leaves.iter().copied().chain(pairs).collect();
        row.sort_unstable();
    }
    row[..2 * leaves.len() - 2].iter().sum()
}

#[test]
fn codes_are_near_the_optimum() {
    let text = include_bytes!("tests.rs");
    let rare: Vec<u8> = [text.repeat(12), (0..=u8::MAX).collect(), uneven(50)].concat();
    let extreme = [fibonacci(20), fibonacci(24)].map(|body| (body, 100));
    let usual = [text.to_vec(), rare, uneven(BLOCK)].map(|body| (body, 1000));
    for (body, most) in usual.into_iter().chain(extreme) {
        let counts = histogram::count(&body);
        let lengths = Lengths::for_counts(&counts).unwrap();
        let (cost, least) = (lengths.cost(&counts).unwrap(), least_cost(&counts));
        assert!(cost >= least);
        assert!(cost <= least + least / most, "{cost} bits instead of {least}");
    }
}

#[test]
fn payloads_keep_their_bytes() {
    let stored = payload(3, b"\x00abc", b"abc");
    assert_eq!(stored, b"\x03\x00abc\xb7\x3f\x4b\x36");
    assert_eq!(decode(&stored, 3).as_deref(), Ok(&b"abc"[..]));

    let run = b"\xac\x02\x01e\xae\x07\xd1\x18";
    assert_eq!(check(&[b'e'; 300]).as_deref(), Some(&run[..]));

    let body = b"abacabadabacabae".repeat(8);
    let coded = check(&body).unwrap();
    assert_eq!(hex(&coded), CODED);

    // The second block uses the table of the first one.
    let reusing = check(&uneven(BLOCK + 1000)).unwrap();
    assert_eq!((reusing.len(), crc32c::crc32c(&reusing)), REUSING);
}

const CODED: &str = "800102140600060006000600060005000f0f0f0f0f0f00123440f0f0f0f0f0f0f0f0f090323d999c4c012627d393\
    c9057a3239999e024ea6279393053239999e4c014f2627d30beca3b387";
const REUSING: (usize, u32) = (81_228, 1_055_491_747);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_cut_is_found() {
    let body = [uneven(700), vec![b'e'; 2 * BLOCK]].concat();
    let payload = check(&body).unwrap();
    for len in (0..200).chain(payload.len() - 200..payload.len()) {
        assert_eq!(decode(&payload[..len], body.len()), Err(DecodeError::Truncated), "cut to {len}");
    }
    let longer = [&payload[..], &[0]].concat();
    assert_eq!(decode(&longer, body.len()), Err(DecodeError::Corrupt));
}

#[test]
fn every_flipped_bit_is_found() {
    for body in [uneven(300), b"abacabadabacabae".repeat(8), vec![b'e'; 300]] {
        let payload = check(&body).unwrap();
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged, 1 << 20).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn lengths_that_lie_are_found() {
    let limit = usize::MAX;
    for len in [1 << 40, 1 << 50, u64::MAX >> 1] {
        // If memory were allocated first, this would fail in another way.
        assert_eq!(decode(&payload(len, b"\x01e\x01e\x01e", b""), limit), Err(DecodeError::Truncated));
    }
    assert_eq!(
        decode(&payload(u64::MAX, b"\x01e", b""), 1 << 30),
        Err(DecodeError::TooLarge { limit: 1 << 30 })
    );
    assert_eq!(decode(&payload(0, b"", b""), 0), Ok(Vec::new()));
    assert_eq!(decode(&payload(0, b"\x01e", b""), 0), Err(DecodeError::Corrupt));
    // A coded block of 1000 bytes with 100 bytes of codes.
    let mut block = vec![block::CODED, 0];
    block.extend([[100, 0], [0; 2], [0; 2], [0; 2], [0; 2], [0; 2]].as_flattened());
    block.extend([0xff; 100]);
    assert_eq!(decode(&payload(1000, &block, b""), 1000), Err(DecodeError::Corrupt));
    // There are enough codes, but no previous table.
    assert_eq!(decode(&payload(700, &block, b""), 1000), Err(DecodeError::Corrupt));
    assert_eq!(decode(&payload(700, &[3; 100], b""), 1000), Err(DecodeError::Corrupt));
}

#[test]
fn numbers_have_one_spelling() {
    for value in [0, 1, 127, 128, 300, 1 << 35, u64::MAX] {
        let mut bytes = Vec::new();
        varint::write(value, &mut bytes);
        assert_eq!(varint::read(&bytes), Ok((value, &[][..])));
        assert_eq!(varint::read(&bytes[..bytes.len() - 1]), Err(DecodeError::Truncated));
    }
    for bad in [&b"\x80\x00"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", &[0x80; 11]] {
        assert_eq!(varint::read(bad), Err(DecodeError::Corrupt));
    }
}

#[test]
fn tables_must_be_complete_and_end() {
    let mut lengths = [0; 256];
    lengths[0] = 1;
    lengths[7] = 2;
    assert_eq!(Lengths::new(lengths), None);
    lengths[255] = 2;
    let lengths = Lengths::new(lengths).unwrap();
    let packed = table::pack(&lengths);
    assert_eq!(table::unpack(&packed), Ok(lengths));
    assert_eq!(table::unpack(&packed[..packed.len() - 1]), Err(DecodeError::Corrupt));
    assert_eq!(table::unpack(&[&packed[..], &[0]].concat()), Err(DecodeError::Corrupt));
    for bad in [&[0x11; 128][..], &[0x88; 127], &[0x0f; 17], &[0xcc; 128], &[]] {
        assert_eq!(table::unpack(bad), Err(DecodeError::Corrupt));
    }
    assert!(table::unpack(&[0x88; 128]).is_ok());
}

proptest! {
    #[test]
    fn round_trip_of_any_bytes(body in prop::collection::vec(any::<u8>(), 0..3000)) {
        check(&body);
    }

    #[test]
    fn round_trip_of_few_values(
        body in prop::collection::vec(prop::sample::select(&b"\0ae\xff"[..]), 0..3000),
    ) {
        check(&body);
    }

    #[test]
    fn round_trip_of_uneven_values(counts in prop::collection::vec(1_usize..2000, 2..80)) {
        let body: Vec<u8> = (0_u8..).zip(counts).flat_map(|(byte, n)| vec![byte; n]).collect();
        check(&body);
    }

    #[test]
    fn damage_is_found(
        body in prop::collection::vec(prop::sample::select(&b"\0aaeeefg\xff"[..]), 200..2000),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let payload = check(&body).unwrap();
        let mut damaged = payload.clone();
        for (at, mask) in damage {
            damaged[at.index(payload.len())] ^= mask;
        }
        let found = decode(&damaged, 1 << 20);
        prop_assert!(found.is_err() || damaged == payload);
    }

    #[test]
    fn any_blocks_decode_within_the_limit_or_not_at_all(
        len in 0_u64..600_000,
        blocks in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..600),
        limit in 0_usize..600_000,
    ) {
        if let Ok(body) = decode(&payload(len, &blocks, b""), limit) {
            prop_assert!(body.capacity() <= limit);
        }
    }
}
