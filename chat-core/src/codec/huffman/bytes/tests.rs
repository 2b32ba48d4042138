//! Frames of earlier releases stay readable, and inconsistent frames are detected.

use proptest::prelude::*;

use super::code::{Lengths, MAX_LEN};
use super::tables::{LENGTHS, StaticTable};
use crate::codec::{BlobRef, DecodeError, Encoding};

/// Decodes a frame.
fn decode(frame: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    crate::codec::decode(BlobRef { encoding: Encoding::Huffman, bytes: frame }, limit)
}

/// Frames of earlier releases and their bodies. Add to them; never change one.
const FIXTURES: &[(&str, &str)] = &[
    ("00", ""),
    ("00c3a9f09f9982", "é🙂"),
    (
        "a5f930e7d058e45cc6953d3a89a98b36d009683cfbad61b1c8ccb4ea25872d808a3e98ba2e24e078fb80",
        "Sure, let me check the logs and I'll get back to you in 5 minutes :)",
    ),
    (
        "a8f9b66eb6cb8f60fc461083b59703bfc62846e5d076478125f887099748098124aaa741dfed11841d88f1",
        "Bonjour ! On se voit à la gare vers dix heures et demie, ça te va ?",
    ),
    (
        "b1f637f6ebcef4dfca37f91f4dfdd8d377bf8d7e718effcdbff782be1cb7771e377ef6bcb69be78d79857beed7a04eec2be0531f5255f1d7e2305498ebd7c6b7606a",
        "Příliš žluťoučký kůň úpěl ďábelské ódy, schöne Grüße aus München",
    ),
    (
        "ba3e0ef2a6451cbb91f7c999393bc9a324f0286cf8a78a3628e4ef23722c5110762675337c0c899e8bf3be1fdec8",
        "Привет! Завтра в семь у метро, не опаздывай 🙂",
    ),
    (
        "c46726fb2d5f232b2e732b3f33204918e78b748caba55488952db21d2359168a7788a250963d6159e15efe9d92beb7b332d77ad104d10d9280",
        "明日の朝九時に駅の前で会いましょう。我也去，到时候见！",
    ),
    (
        "ca34413f309ac5e9e413592edf9c2aed5b3505b3eb09bb56cd49968386934397759303578ac27070a53325dd67a8",
        "내일 아침 아홉 시에 역 앞에서 만나요. 늦지 마세요!",
    ),
    (
        "d32b9caeb42b5197095e82b5a1598cb2215e82be732c6857495dc57595532c6856b32e32b8beea15fa4cbc8573a15accb8fef8",
        "कल सुबह नौ बजे मिलते हैं, ठीक है?",
    ),
    (
        "da00b6112773ec4edc83952fa073c72a5f2cae548cf46547e37a45aa93d0774c0000b056dc7e1cc3952fcb723e7a382600ef98",
        "    for (index, item) in items.iter().enumerate() {\n        total += item.len();\n    }\n",
    ),
    ("eb0f0f440f0f0f0e13440c30f0f0f0f0f0f0f0f0c04ae7a568", "abracadabra!"),
    ("eb0f0f0f0f0f0f0f0910f0f0f0f0f0f0f0f04000", "zzzzz"),
];

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("a fixture is hexadecimal") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// FNV-1a with 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn old_frames_stay_readable() {
    for (hex, body) in FIXTURES {
        assert_eq!(decode(&unhex(hex), body.len()).as_deref(), Ok(body.as_bytes()), "{hex}");
    }
}

#[test]
fn static_tables_never_change() {
    assert_eq!(hash(LENGTHS.iter().flatten().copied()), 0x653a_b351_6f8b_e425);
}

#[test]
fn static_tables_are_complete_and_cover_every_byte() {
    for (index, table) in (0_u8..).zip(StaticTable::ALL) {
        assert_eq!(table.index(), index);
        assert!(LENGTHS[usize::from(index)].iter().all(|len| (1..=MAX_LEN).contains(len)));
        assert!(Lengths::new(LENGTHS[usize::from(index)]).is_some(), "{table:?}");
    }
}

#[test]
fn padding_must_be_there_and_zero() {
    assert_eq!(decode(&[], 100), Err(DecodeError::Truncated));
    assert_eq!(decode(&[1], 100), Err(DecodeError::Corrupt));
    assert_eq!(decode(&[20 << 3], 100), Ok(Vec::new()));
    assert_eq!(decode(&[20 << 3 | 1], 100), Err(DecodeError::Corrupt));
    for pad in 1..8 {
        assert_eq!(decode(&[20 << 3 | pad, 0, 1 << (pad - 1)], 100), Err(DecodeError::Corrupt));
    }
}

#[test]
fn tables_in_frames_must_be_codes() {
    // "ab" three times: two codes of one bit, 0 and 1.
    let table = |middle: &[u8]| [&[29 << 3 | 2], middle].concat();
    let runs = [0x0f; 6];
    let good = [&runs[..], &[0x00, 0x11, 0x0f], &[0x0f; 8], &[0x0c], &[0b0101_0100]].concat();
    assert_eq!(decode(&table(&good), 100).as_deref(), Ok(&b"ababab"[..]));

    let mut too_long = good.clone();
    too_long[7] = 0xf1;
    assert_eq!(decode(&table(&too_long), 100), Err(DecodeError::Corrupt));
    let mut incomplete = good.clone();
    incomplete[7] = 0x12;
    assert_eq!(decode(&table(&incomplete), 100), Err(DecodeError::Corrupt));
    let mut overfull = good.clone();
    overfull[6..8].copy_from_slice(&[0x11, 0x11]);
    assert_eq!(decode(&table(&overfull), 100), Err(DecodeError::Corrupt));
    let mut past_the_end = good.clone();
    past_the_end[17] = 0x0d;
    assert_eq!(decode(&table(&past_the_end), 100), Err(DecodeError::Corrupt));
    for len in 0..18 {
        assert_eq!(decode(&table(&good[..len]), 100), Err(DecodeError::Truncated));
    }
    // A table without codes, and a bit that the code of a single value does not have.
    assert_eq!(decode(&table(&[0x0f; 17]), 100), Err(DecodeError::Corrupt));
    let single = [&[0x10][..], &[0xf0; 15], &[0xe0], &[0b0000_0100]].concat();
    assert_eq!(decode(&table(&single), 100), Err(DecodeError::Corrupt));
}

proptest! {
    #[test]
    fn damage_never_panics_or_exceeds_the_limit(
        which in prop::sample::select(FIXTURES),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        limit in 0_usize..4000,
    ) {
        let mut frame = unhex(which.0);
        for (at, byte) in damage {
            *at.get_mut(&mut frame) = byte;
        }
        for frame in [&frame[..], &frame[..cut.index(frame.len())]] {
            if let Ok(body) = decode(frame, limit) {
                prop_assert!(body.capacity() <= limit);
            }
        }
    }
}
