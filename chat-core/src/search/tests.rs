use proptest::prelude::*;

use super::*;

fn terms(text: &str) -> Vec<String> {
    Terms::of(text, None).iter().map(str::to_owned).collect()
}

fn finds(query: &str, text: &str) -> bool {
    Query::parse(query).unwrap().finds(&Terms::of(text, None))
}

#[test]
fn words_are_letters_and_digits() {
    assert_eq!(terms("Hello, hello WORLD! 2 + 2 = 4"), ["2", "4", "hello", "world"]);
    assert_eq!(
        terms("l'été user_name a.b@example.com 3.14"),
        ["14", "3", "a", "b", "com", "ete", "example", "l", "name", "user"]
    );
    assert_eq!(terms(" \n …—👩‍👩‍👧 :-) \u{0}\u{301}"), [""; 0]);
}

#[test]
fn what_reads_alike_is_alike() {
    for (one, other) in [
        ("ŽOFIE", "zofie"),
        ("e\u{301}te\u{301}", "Été"),
        ("Straße", "STRASSE"),
        ("STRAẞE", "strasse"),
        ("Łódź", "lodz"),
        ("Ærøskøbing", "aeroskobing"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("İstanbul", "istanbul"),
        ("ısı", "ISI"),
        ("ﬁle", "file"),
        ("Ａｂｃ１", "abc1"),
        ("한국어", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165}"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("ｶﾞｽ", "ガス"),
        ("co\u{ad}operate", "cooperate"),
        ("می\u{200c}خواهم", "میخواهم"),
    ] {
        assert_eq!(terms(one), terms(other), "{one} {other}");
        assert!(!terms(one).is_empty(), "{one}");
    }
    for (one, other) in [("か", "が"), ("कि", "की"), ("क्ष", "कष"), ("und", "und1"), ("a b", "ab")]
    {
        assert_ne!(terms(one), terms(other), "{one} {other}");
    }
}

#[test]
fn without_spaces_every_two_are_one() {
    assert_eq!(terms("我们去北京吧"), ["京吧", "们去", "北京", "去北", "吧", "我们"]);
    assert_eq!(terms("火"), ["火"]);
    assert_eq!(terms("iPhone手机16"), ["16", "iphone", "手机", "机"]);
    for found in ["北京", "北", "吧", "去北京", "我", "我们 京吧"] {
        assert!(finds(found, "我们去北京吧"), "{found}");
    }
    for other in ["京北", "上海", "们我", "北吧"] {
        assert!(!finds(other, "我们去北京吧"), "{other}");
    }
    assert!(finds("สวัสดี", "สวัสดีครับ"));
    assert!(finds("배우", "한국어를 배우는 중"));
}

#[test]
fn all_words_are_wanted_and_the_last_may_be_begun() {
    let text = "Shall we meet at the station?";
    for found in ["station", "STATION meet", "meet stat", "s", "the ", "at the st"] {
        assert!(finds(found, text), "{found}");
    }
    for other in ["stat ", "stat meet", "station trains", "tation", "meet stat.", "stat,"] {
        assert!(!finds(other, text), "{other}");
    }
}

#[test]
fn a_file_name_is_found_and_an_image_is_not() {
    let named = Terms::of("nothing", Some("Report-2024.PDF"));
    assert_eq!(named.iter().collect::<Vec<_>>(), ["2024", "nothing", "pdf", "report"]);
}

#[test]
fn sizes_are_bounded() {
    let long = "ä".repeat(100);
    assert_eq!(terms(&long), ["a".repeat(64)]);
    assert!(finds(&"ä".repeat(70), &long));
    let odd = "x".to_owned() + &"я".repeat(40);
    assert_eq!(terms(&odd)[0].len(), 63, "no half of a letter");
    let many: String = (0..10_000).map(|n| format!("w{n} ")).collect();
    assert_eq!(terms(&many).len(), Terms::MAX);
    let unspaced: String = (0..10_000).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
    assert_eq!(terms(&unspaced).len(), Terms::MAX);
    let late = " ".repeat(Terms::MAX_TEXT) + "late";
    assert!(terms(&late).is_empty());
    // A short text that becomes long by normalization.
    let grows = |count: usize| terms(&("\u{fdfa}".repeat(count) + " late")).contains(&"late".to_owned());
    assert!(grows(Terms::MAX_CHARS / 18 - 1) && !grows(Terms::MAX_CHARS / 18 + 1));
    // The limit also applies if nothing remains.
    assert!(terms(&("\u{344}".repeat(Terms::MAX_CHARS / 2) + " late")).is_empty());

    let refused = |text: &str| Query::parse(text).unwrap_err().to_string();
    assert_eq!(refused(&"a".repeat(257)), "query is larger than 256 bytes");
    assert_eq!(
        refused(&(0..33).map(|n| format!("{n} ")).collect::<String>()),
        "query is larger than 32 words"
    );
    for nothing in ["", " ", "?!", "…", "👍"] {
        assert_eq!(refused(nothing), "query must have a letter or a digit");
    }
    assert_eq!(Query::parse(&"北京".repeat(16)).unwrap().wanted().len(), 2);
}

#[test]
fn nothing_of_it_shows_in_a_log() {
    let shown = format!(
        "{:?} {:?} {:?}",
        Terms::of("secret", None),
        Query::parse("secret"),
        Search { text: "secret".into(), limit: 1, ..Search::default() }
    );
    assert!(!shown.contains("secret"), "{shown}");
}

/// Letters of many scripts with spaces and punctuation between them.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), r"[\p{L}\p{M}\p{N}\p{P}\p{Zs}]{0,40}", "[a-zA-ZäöüßÄÖÜ0-9 .,'-]{0,80}"]
}

proptest! {
    #[test]
    fn any_text_has_terms_that_are_their_own_terms(text in any_text()) {
        for term in terms(&text) {
            prop_assert!(!term.is_empty() && term.len() <= Terms::MAX_BYTES);
            // A term of a script without spaces can be a mark, which has no meaning alone.
            if term.starts_with(char::is_alphanumeric) {
                prop_assert!(terms(&term).contains(&term), "{term:?} of {text:?}");
            }
        }
    }

    #[test]
    fn a_message_is_found_by_its_own_words(text in any_text()) {
        let all = Terms::of(&text, None);
        for word in text.split_whitespace().filter(|word| word.len() <= Query::MAX_BYTES) {
            if let Ok(query) = Query::parse(word) {
                prop_assert!(query.finds(&all), "{word:?} in {text:?}");
            }
        }
    }

    #[test]
    fn a_message_is_found_by_the_beginnings_of_its_words(text in r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Han}\p{Hiragana}0-9 .]{0,40}") {
        let all = Terms::of(&text, None);
        for word in text.split_whitespace().filter(|word| word.len() <= Query::MAX_BYTES) {
            for end in word.char_indices().map(|(end, _)| end) {
                if let Ok(query) = Query::parse(&word[..end]) {
                    prop_assert!(query.finds(&all), "{:?} in {text:?}", &word[..end]);
                }
            }
        }
    }

    #[test]
    fn case_makes_no_difference(text in any_text()) {
        use unicode_normalization::UnicodeNormalization;
        // The iota below a letter is an accent, but its capital is a separate letter.
        prop_assume!(text.nfd().all(|c| c != '\u{345}'));
        prop_assert_eq!(terms(&text), terms(&text.to_uppercase()));
    }

    #[test]
    fn forms_make_no_difference(text in any_text()) {
        use unicode_normalization::UnicodeNormalization;
        let whole = terms(&text);
        prop_assert_eq!(&whole, &terms(&text.nfc().collect::<String>()));
        prop_assert_eq!(&whole, &terms(&text.nfd().collect::<String>()));
        prop_assert_eq!(&whole, &terms(&text.nfkd().collect::<String>()));
    }
}
