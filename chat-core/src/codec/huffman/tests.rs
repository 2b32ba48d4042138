//! Frames: what was once written stays readable, and which frames are written.

use proptest::prelude::*;

use super::*;

/// Decodes a frame without tables of one's own.
fn decode(frame: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    crate::codec::decode(BlobRef { encoding: Encoding::Huffman, bytes: frame }, limit)
}

fn encode(body: &[u8]) -> Vec<u8> {
    encode_message(body, &OwnTables::default())
}

/// Messages and their frames. Add to them; never change one.
const FIXTURES: &[(&str, &str)] = &[];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_stay_what_they_are() {
    let found: Vec<(String, &str)> =
        FIXTURES.iter().map(|&(_, text)| (hex(&encode(text.as_bytes())), text)).collect();
    let expected: Vec<(String, &str)> = FIXTURES.iter().map(|&(hex, text)| (hex.to_owned(), text)).collect();
    assert_eq!(found, expected);
}

#[test]
fn old_frames_stay_readable() {
    for (hex, text) in FIXTURES {
        let frame: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a fixture is hexadecimal"))
            .collect();
        assert_eq!(decode(&frame, text.len()).as_deref(), Ok(text.as_bytes()), "{text}");
    }
}

proptest! {
    #[test]
    fn a_cut_frame_gives_a_beginning_or_an_error(text in "[ -~]{51,200}", cut in any::<prop::sample::Index>()) {
        let frame = encode(text.as_bytes());
        let cut = cut.index(frame.len());
        if let Ok(body) = decode(&frame[..cut], text.len()) {
            prop_assert!(body.len() < text.len() && text.as_bytes().starts_with(&body));
        }
    }

    #[test]
    fn damage_never_panics_or_exceeds_the_limit(
        body in "[a-z ,.!?äéшиとは在]{51,900}",
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        limit in 0_usize..4000,
    ) {
        let mut frame = encode(body.as_bytes());
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
