//! Tests of the shipped sets, the table files, and coding with them.

use proptest::prelude::*;

use super::model::{BYTES, Context, ESCAPE, MARKS, Model, Symbol};
use super::set::TableSet;
use super::{OwnTables, TableError, file, shipped};
use crate::codec::DecodeError;

/// Hashes of the shipped files. Frames depend on them: a changed file could not read old frames. Add to them; never
/// change one.
const HASHES: [(&str, u64); shipped::COUNT] = [
    ("english", 0x8559ce8c931282a0),
    ("french", 0x6503722fcb158f74),
    ("iberian", 0x55c225194d8b9996),
    ("italian", 0x72ed5e57191a3d13),
    ("germanic", 0xfa09b1c9dab24710),
    ("slavic", 0x26626d1cb57a4169),
    ("latin", 0xadbe9b54bc72391d),
    ("malay", 0x2d537c93069fef09),
    ("cyrillic", 0xd73cb5f08c14d949),
    ("chinese", 0x994cd1f7184af5df),
    ("japanese", 0x215cfd0c338a1b0b),
    ("korean", 0x5ae4e7f6b4da5191),
    ("arabic", 0x0b2244141af6613f),
    ("indic", 0x6e3a3e8d3c87bf55),
    ("other", 0xe676b0fe636af619),
    ("code", 0xc8f118b65a5286fd),
];

#[test]
fn shipped_sets_never_change() {
    let hash = |&file| file::unpack(file).expect("a shipped file is sound").1;
    let found: Vec<(&str, u64)> = shipped::NAMES.into_iter().zip(shipped::FILES.iter().map(hash)).collect();
    assert_eq!(found, HASHES);
}

/// They take 256 KB in the program, and 6 MB in memory if all sets are used.
#[test]
fn shipped_sets_are_small() {
    let packed: usize = shipped::FILES.iter().map(|file| file.len()).sum();
    assert!(packed <= 256_000, "{packed} bytes in the program");
    let memory: usize = (0..shipped::COUNT).map(|index| shipped::set(index).memory()).sum();
    assert!(memory <= 6_000_000, "{memory} bytes in memory");
}

#[test]
fn shipped_files_are_packed_models() {
    for file in shipped::FILES {
        let (model, _) = file::unpack(file).expect("a shipped file is sound");
        assert_eq!(file::pack(&model), file);
        assert_eq!(file::marks(file), Some(*model.marks));
    }
}

#[test]
fn every_shipped_set_writes_and_reads_anything() {
    let all_bytes: Vec<u8> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    let long = "Wo bist du? Где ты? 你在哪里 🙂 where are you? ".repeat(60);
    for index in 0..shipped::COUNT {
        let set = shipped::set(index);
        for body in [&[][..], &all_bytes, long.as_bytes(), &[0], &[0xff; 3000]] {
            assert_round_trip(set, body);
        }
    }
}

fn assert_round_trip(set: &TableSet, body: &[u8]) {
    let mut codes = Vec::new();
    let bits = set.encode(body, &mut codes);
    assert_eq!(codes.len() as u64, bits.div_ceil(8));
    let pad = ((8 - bits % 8) % 8) as u8;
    assert!(set.decode(&codes, pad, body.len()).as_deref() == Ok(body), "{} bytes changed", body.len());
    if let Some(limit) = body.len().checked_sub(1) {
        assert_eq!(set.decode(&codes, pad, limit), Err(DecodeError::TooLarge { limit }));
    }
}

/// A set with one phrase of two bytes and two contexts, which is small enough to check by hand.
fn small() -> Model {
    let count = BYTES + 1;
    // 255 codes of 8 bits and 2 of 9.
    let shared: Vec<u8> = (0..count).map(|number| if number >= BYTES - 1 { 9 } else { 8 }).collect();
    let context = |phrase: Symbol, len, escape| {
        let mut lengths = vec![0; count];
        lengths[usize::from(phrase)] = len;
        Context { escape, lengths }
    };
    let mut after = vec![0; count];
    after[usize::from(b'a')] = 1;
    Model {
        name: "small".to_owned(),
        phrases: vec![b"ab".to_vec()],
        after,
        start: 0,
        shared,
        contexts: vec![context(BYTES as Symbol, 1, 1), context(b'c'.into(), 1, 1)],
        marks: Box::new([7; MARKS]),
    }
}

#[test]
fn codes_are_what_the_model_says() {
    let set = TableSet::new(&small()).expect("the model is sound");
    // In the first context "ab" has the code 0: the escape has the highest number, so it is the last one.
    let mut codes = Vec::new();
    assert_eq!(set.encode(b"abab", &mut codes), 2);
    assert_eq!(codes, [0b0000_0000]);
    // An escape, 'a' in the shared code of 8 bits, then 'c' in the context after 'a'.
    codes.clear();
    assert_eq!(set.encode(b"ac", &mut codes), 10);
    assert_eq!(codes, [0b1011_0000, 0b1000_0000]);
    for body in [&b"abab"[..], b"ac", b"aacabacb", b"\xff\xfe"] {
        assert_round_trip(&set, body);
    }
}

#[test]
fn a_cut_body_is_found_out() {
    let set = TableSet::new(&small()).expect("the model is sound");
    let mut codes = Vec::new();
    set.encode(b"ac", &mut codes);
    assert_eq!(set.decode(&codes[..1], 0, 100), Err(DecodeError::Truncated));
    assert_eq!(set.decode(&codes[..1], 4, 100), Err(DecodeError::Truncated));
    assert_eq!(set.decode(&codes[..1], 5, 100), Err(DecodeError::Corrupt));
    // Without its last phrase it is a shorter body.
    assert_eq!(set.decode(&codes, 7, 100).as_deref(), Ok(&b"a"[..]));
    assert_eq!(set.decode(&[], 0, 100), Ok(Vec::new()));
    assert_eq!(set.decode(&[], 1, 100), Err(DecodeError::Corrupt));
}

#[test]
fn faulty_models_are_refused() {
    let refused = |change: fn(&mut Model)| {
        let mut model = small();
        change(&mut model);
        matches!(TableSet::new(&model), Err(TableError::Invalid(_)))
    };
    assert!(!refused(|_| ()));
    assert!(refused(|model| model.phrases[0] = b"a".to_vec()), "a phrase of one byte");
    assert!(refused(|model| model.phrases[0] = vec![b'a'; 17]), "a phrase that is too long");
    assert!(refused(|model| model.after[9] = 2), "a context that is not there");
    assert!(refused(|model| model.start = 2), "a start that is not there");
    assert!(refused(|model| model.shared[7] = 0), "a phrase without a code");
    assert!(refused(|model| model.shared[7] = 7), "an overfull code");
    assert!(refused(|model| model.shared[7] = 9), "an incomplete code");
    assert!(refused(|model| model.shared[7] = 255), "an impossible code");
    assert!(refused(|model| model.contexts[1].escape = 0), "a context without an escape");
    assert!(refused(|model| model.contexts[1].escape = 2), "an incomplete context");
    assert!(refused(|model| {
        model.phrases.push(b"ab".to_vec());
        model.after.push(0);
    }));
    assert!(refused(|model| model.phrases = vec![vec![1, 2]; usize::from(ESCAPE)]), "too many phrases");
}

#[test]
fn faulty_files_are_refused() {
    let file = file::pack(&small());
    assert_eq!(file::unpack(&file).map(|(model, _)| model), Ok(small()));
    assert_eq!(file::unpack(b"").err(), Some(TableError::Foreign));
    assert_eq!(file::unpack(b"%PDF-1.7 and more").err(), Some(TableError::Foreign));
    for at in 4..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert_eq!(file::unpack(&damaged).err(), Some(TableError::Damaged), "byte {at}");
    }
    for len in 4..file.len() {
        assert_eq!(file::unpack(&file[..len]).err(), Some(TableError::Damaged), "{len} bytes");
    }
    assert_eq!(
        OwnTables::new([&file, &file]).err().map(|error| matches!(error, TableError::Ambiguous { .. })),
        Some(true)
    );
    assert!(OwnTables::new([&file]).is_ok());
}

proptest! {
    #[test]
    fn shipped_sets_round_trip(body in prop::collection::vec(any::<u8>(), 0..600), index in 0..shipped::COUNT) {
        assert_round_trip(shipped::set(index), &body);
    }

    #[test]
    fn shipped_sets_round_trip_text(body in "[a-zA-Z ,.!?äéñçğłшиとは在]{0,400}", index in 0..shipped::COUNT) {
        assert_round_trip(shipped::set(index), body.as_bytes());
    }

    #[test]
    fn any_codes_decode_within_the_limit_or_not_at_all(
        codes in prop::collection::vec(any::<u8>(), 0..400),
        pad in 0_u8..8,
        limit in 0_usize..3000,
        index in 0..shipped::COUNT,
    ) {
        if let Ok(body) = shipped::set(index).decode(&codes, pad, limit) {
            prop_assert!(body.capacity() <= limit);
            assert_round_trip(shipped::set(index), &body);
        }
    }

    /// A file can have a valid checksum and invalid content.
    #[test]
    fn any_packed_bytes_are_a_set_or_refused(
        packed in prop::collection::vec(any::<u8>(), 0..400),
        count in BYTES as u16..BYTES as u16 + 20,
        contexts in 0_u8..70,
    ) {
        let file = file::with_checksum(count, contexts, &packed);
        let _ = OwnTables::new([file]);
    }
}
