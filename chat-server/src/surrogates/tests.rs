//! What holds for [`surrogates`](super).

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
