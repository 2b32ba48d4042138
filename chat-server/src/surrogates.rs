//! Halves of surrogate pairs in JSON.
//!
//! JavaScript counts texts in UTF-16, so a page that cuts one in the middle of an emoji sends `"\ud83d"`. That is JSON, but no
//! text: `serde_json` refuses it, and with it the whole message. Node keeps it, and writes U+FFFD when it stores or sends it. So
//! each half is replaced by the escape of U+FFFD, which is as long, before anything of ours reads the JSON.

use std::borrow::Cow;

use memchr::memmem;

/// The escape that stands for what is no character.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// The same JSON with U+FFFD in the place of each half of a surrogate pair that stands alone. Without one nothing is copied.
/// Takes linear time; what is no JSON stays as it is otherwise.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let mut read = start(json.as_bytes());
    let Some(mut half) = next_half(json.as_bytes(), &mut read) else { return Cow::Borrowed(json) };
    let mut mended = String::with_capacity(json.len());
    let mut copied = 0;
    loop {
        mended.push_str(&json[copied..half]);
        mended.push_str("\\ufffd");
        copied = half + REPLACEMENT.len();
        let Some(next) = next_half(json.as_bytes(), &mut read) else { break };
        half = next;
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// The same where it stands.
pub(crate) fn mend(json: &mut [u8]) {
    let mut read = start(json);
    while let Some(half) = next_half(json, &mut read) {
        json[half..][..REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
    }
}

/// From where on escapes have to be looked at: nearly no text has any of a half, since clients write characters as they are.
fn start(json: &[u8]) -> usize {
    let has_any = [&b"\\ud"[..], b"\\uD"].iter().any(|begin| memmem::find(json, begin).is_some());
    if has_any { 0 } else { json.len() }
}

/// Where the next escape of a half begins that no other half makes a pair with; all before `read` has been looked at.
fn next_half(json: &[u8], read: &mut usize) -> Option<usize> {
    loop {
        let here = *read + memchr::memchr(b'\\', &json[*read..])?;
        let behind = (here + REPLACEMENT.len()).min(json.len());
        *read = behind;
        match escaped(&json[here..]) {
            None => *read = (here + 2).min(json.len()),
            Some(0xd800..=0xdbff) if matches!(escaped(&json[behind..]), Some(0xdc00..=0xdfff)) => {
                *read = behind + REPLACEMENT.len();
            }
            Some(0xd800..=0xdfff) => return Some(here),
            Some(_) => {}
        }
    }
}

/// The code unit of an escape with which this begins.
fn escaped(json: &[u8]) -> Option<u16> {
    let digits = json.get(..REPLACEMENT.len())?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_are_not() {
        for (json, expected) in [
            (r#""""#, r#""""#),
            (r#""a\n\u00e9\\""#, r#""a\n\u00e9\\""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uD83D""#, r#""\ufffd""#),
            (r#""\ude00""#, r#""\ufffd""#),
            (r#""\uDE00a""#, r#""\ufffda""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
            // Three in a row: the last two are a pair, or the first two.
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\ude00\ude00""#, r#""\ud83d\ude00\ufffd""#),
            (r#""\ud83d\ud83d\ud83d""#, r#""\ufffd\ufffd\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            // An escaped backslash, and no escape behind it.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\\\\ud83d""#, r#""\\\\ud83d""#),
            (r#""\"\ud83d\"""#, r#""\"\ufffd\"""#),
            (r#"{"\ud83d":["\ude00",{"a\udfffb":null}]}"#, r#"{"\ufffd":["\ufffd",{"a\ufffdb":null}]}"#),
            // The first and the last code units, and their neighbours.
            (r#""\ud7ff\ue000""#, r#""\ud7ff\ue000""#),
            (r#""\ud800\udbff\udfff""#, r#""\ufffd\udbff\udfff""#),
            // What is no JSON is for others to refuse.
            (r#""\ud83"#, r#""\ud83"#),
            (r#""\udéé"#, r#""\udéé"#),
            (r#"\"#, r#"\"#),
            (r#"\ud83d\"#, r#"\ufffd\"#),
            (r#"\é\ud83d"#, r#"\é\ufffd"#),
        ] {
            assert_eq!(mended(json), expected);
            assert_eq!(matches!(mended(json), Cow::Borrowed(_)), json == expected, "{json}");
            let mut bytes = json.as_bytes().to_vec();
            mend(&mut bytes);
            assert_eq!(bytes, expected.as_bytes());
        }
    }

    #[test]
    fn it_takes_linear_time() {
        let started = std::time::Instant::now();
        for part in [
            r"\ud83d",
            r"\uD83D",
            r"\uDE00",
            r"\uD83Dabc",
            r"\ud83d\uDE00",
            r"\uD83D\n",
            r"\\",
            r"\",
            "é",
            r"\ud83d\ud83d\ude00",
            r"\u0041",
        ] {
            let json = part.repeat((4 << 20) / part.len());
            let mut bytes = mended(&json).into_owned().into_bytes();
            mend(&mut bytes);
            let mut bytes = json.into_bytes();
            mend(&mut bytes);
        }
        assert!(started.elapsed().as_secs() < 30, "it took {:?}", started.elapsed());
    }

    proptest! {
        /// As JavaScript reads it, which is as UTF-16 with U+FFFD for what is none.
        #[test]
        fn it_is_what_javascript_would_store(units in prop::collection::vec(
            prop_oneof![Just(0x41_u16), 0xd800..=0xdbff_u16, 0xdc00..=0xdfff_u16, Just(0xe9), Just(0x5c)], 0..12,
        )) {
            let escapes: String = units.iter().map(|unit| match unit {
                0x41 => "A".to_owned(),
                0x5c => r"\\".to_owned(),
                0xd800.. => format!("\\u{unit:04x}"),
                _ => "é".to_owned(),
            }).collect();
            let read: String = serde_json::from_str(&mended(&format!("\"{escapes}\""))).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
