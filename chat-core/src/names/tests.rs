//! Tests of [`names`](super).

use super::*;

#[test]
fn names_that_look_the_same_have_one_key() {
    for (one, other) in [
        ("Ann", "aNN"),
        // Other widths, other letters for the same character, and other compositions.
        ("ann", "ａｎｎ"),
        ("ann", "𝐚𝐧𝐧"),
        ("zoé", "zoe\u{301}"),
        ("straße", "STRASSE"),
        ("ｶﾞ", "ガ"),
        // Entirely in another script: Cyrillic, Greek.
        ("coco", "сосо"),
        ("apple", "аррӏе"),
        ("Oo.oO", "Οο.οΟ"),
        // Invisible characters.
        ("ann", "a\u{200b}nn\u{2060}"),
        ("ann", "\u{202e}ann\u{202c}"),
        ("ann", "an\u{ad}n"),
        ("ann", "ann\u{fe0f}"),
        ("ann lee", "ann \u{a0} lee"),
        ("ann", "\u{3164}ann "),
    ] {
        assert_eq!(name_key(one), name_key(other), "{one:?} and {other:?}");
    }
}

#[test]
fn names_that_differ_have_keys_that_differ() {
    let names = [
        "modem",
        "modern",
        "user1",
        "userl",
        "user|",
        "user0",
        "usero",
        "zoe",
        "zoé",
        "zoë",
        "ann",
        "anna",
        "ann lee",
        "annlee",
        "ann.lee",
        "ann-lee",
        "аня",
        "юлия",
        "山田",
        "山本",
        "ひろ",
        "김민수",
        "محمد",
    ];
    for (at, one) in names.iter().enumerate() {
        for other in &names[at + 1..] {
            assert_ne!(name_key(one), name_key(other), "{one} and {other}");
        }
    }
    for nothing in ["", " ", "\u{200b}", "\u{3164}\u{202e}"] {
        assert_eq!(name_key(nothing), None, "{nothing:?}");
    }
}

#[test]
fn keys_of_keys_are_the_same() {
    for name in ["Ann Lee", "Ἀθηνᾶ", "аррӏе", "ǅ\u{130}", "ﬀ", "ÅSA-ΔΈΛΤΑ", "महेश", "℡"]
    {
        let key = name_key(name).unwrap();
        assert_eq!(name_key(&key).as_ref(), Some(&key), "{name}");
    }
}

#[test]
fn scripts_that_are_written_together_may_be_mixed() {
    for good in [
        "ann",
        "Jörg Müller",
        "анна",
        "Αννα",
        "山田taro",
        "ひろカナ漢字",
        "김ann민수",
        "ann123_-.@",
        "महेश 2",
        "ann👩",
        "محمد",
        "ǅ",
        "",
        "๑๒๓ไทย",
    ] {
        assert!(!mixes_scripts(good), "{good}");
    }
    for bad in ["аnn", "pаypal", "αnn", "аня-Ann", "Ꭺnn", "annमहेश", "аΑ", "山аб"] {
        assert!(mixes_scripts(bad), "{bad}");
    }
}

#[test]
fn a_name_shows_what_it_is() {
    let good = [
        "Ann",
        "Jörg Müller",
        "می\u{200c}خواهم",
        "क्\u{200d}ष",
        "👩\u{200d}👩\u{200d}👧",
        "❤\u{fe0f}",
        "👩🏽\u{200d}💻",
        "🏳\u{fe0f}\u{200d}🌈",
        "葛\u{e0100}城",
        "1\u{fe0f}\u{20e3}",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "\u{fffd}",
        "\u{f8ff}",
    ];
    for name in good {
        assert_eq!(problem_in_display_name(name), None, "{name:?}");
    }
    let invisible = Some("must not contain invisible characters");
    for name in [
        "a\u{200b}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200d}b",
        "a\u{200c}b",
        "a\u{ad}b",
        "\u{3164}",
        "a\u{fe0f}",
        "\u{2800}",
        "a\u{e0041}",
        "🏴\u{e0067}",
        "a\u{feff}",
        "a\u{34f}b",
        "a\u{115f}",
        "\u{e0001}",
        "\u{200e}a",
        "a\u{200f}",
        "a\u{061c}",
        "a\u{2060}",
        "👩\u{200d}",
        "\u{200d}👩",
    ] {
        assert_eq!(problem_in_display_name(name), invisible, "{name:?}");
        assert_eq!(problem_in_user_name(name), invisible, "{name:?}");
    }
    for name in ["a\0", "a\nb", "\u{85}", "\u{2028}", "a\u{7f}"] {
        assert_eq!(problem_in_display_name(name), Some("must not contain control characters"), "{name:?}");
    }
    assert_eq!(problem_in_user_name("ann❤\u{fe0f}"), None);
    for name in ["a\u{f8ff}", "a\u{378}", "\u{10ffff}"] {
        let nameless = Some("must not contain characters that have no meaning");
        assert_eq!(problem_in_user_name(name), nameless, "{name:?}");
    }
    assert_eq!(problem_in_user_name("می\u{200c}خواهم"), invisible, "no joiners in user names");
}
