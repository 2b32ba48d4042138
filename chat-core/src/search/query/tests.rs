use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn wanted(query: &str) -> Vec<(String, bool)> {
    shown(Query::parse(query).unwrap().wanted())
}

fn shown(terms: &[Wanted]) -> Vec<(String, bool)> {
    terms.iter().map(|wanted| (wanted.term.clone(), wanted.is_prefix)).collect()
}

/// Whether a message matches completely.
fn finds(query: &str, text: &str) -> bool {
    meets(&Query::parse(query).unwrap(), text, None)
}

fn meets(query: &Query, text: &str, file_name: Option<&str>) -> bool {
    let parts = [Tokens::of(text), file_name.map(Tokens::of).unwrap_or_default()];
    query.finds(&Terms::of(text, file_name)) && query.is_met_by(&[&parts[0], &parts[1]])
}

/// The parser of queries before phrases and the minus existed.
fn plain(text: &str) -> BTreeSet<Wanted> {
    let mut wanted = BTreeSet::new();
    each_run(text, |run, is_last| {
        match run {
            Run::Word(word) => {
                wanted.insert(Wanted { term: cut(word).to_owned(), is_prefix: is_last });
            }
            Run::Unspaced(run) => {
                if run.chars().nth(1).is_none() {
                    wanted.insert(Wanted { term: run.to_owned(), is_prefix: true });
                }
                wanted.extend(pairs(run).map(|term| Wanted { term: term.to_owned(), is_prefix: false }));
            }
        }
        true
    });
    wanted
}

#[test]
fn a_phrase_is_words_side_by_side() {
    let text = "The train at six, not the six o'clock bus. Straße nach Köln";
    for found in [
        "\"train at six\"",
        "\"TRAIN AT SIX\"",
        "\"six not the six\"",
        "\"six, not\"",
        "\"strasse nach koln\"",
        "\"six o'clock\" bus ",
        "bus \"the train\"",
        "\"the train\" \"six o clock\"",
        "“train at” koln",
        "„nach Köln“",
        "« train at »",
        "\"at si",
        "\"at six",
        "\"bus\"",
        "\"bu",
        "\"the train\"bus",
        "\"\" bus",
    ] {
        assert!(finds(found, text), "{found}");
    }
    for other in [
        "\"at train\"",
        "\"train six\"",
        "\"at si\"",
        "\"at si ",
        "\"bu\"",
        "\"the bus\"",
        "\"koln the train\"",
        "\"train at\" tram",
        "\"rain at six\"",
    ] {
        assert!(!finds(other, text), "{other}");
    }
}

#[test]
fn where_there_are_no_spaces_a_phrase_is_characters_side_by_side() {
    // The text contains all pairs of the query, but not adjacent.
    let scattered = "北京大 京大学";
    assert!(finds("北京大学", scattered) && !finds("\"北京大学\"", scattered));
    assert!(finds("\"北京大学\"", "我在北京大学上学"));
    assert!(finds("\"手机16 pro\"", "iPhone手机16 Pro"));
    assert!(finds("\"北，京\"", "北-京") && !finds("\"北京\"", "北，京"));
    assert!(finds("\"京\"", "北京"));
}

#[test]
fn what_stands_behind_a_minus_is_left_out() {
    let text = "The e-mail about the train at six";
    for found in [
        "train -seven",
        "train -mai",
        "train -\"at train\"",
        "train - six",
        "train -",
        "train - -",
        "train -\"six at\" -bus",
        "-tram train",
        "-? train",
        "train -\"\"",
    ] {
        assert!(finds(found, text), "{found}");
    }
    for other in [
        "train -six",
        "train -SIX",
        "train −six",
        "train －six",
        "-six train",
        "train -\"at six\"",
        "train -e-mail",
        "train -\"e mail",
        "train -mail.",
        "train -about -seven",
    ] {
        assert!(!finds(other, text), "{other}");
    }
    // An excluded word must match completely: neither its beginning nor a longer word is excluded.
    assert!(finds("train -si", text) && finds("train -sixty", text));
    for (left_out, is_found) in
        [("-火", false), ("-火车", false), ("-车火", true), ("-火车站", false), ("-火站", true)]
    {
        assert_eq!(finds(&format!("去 {left_out}"), "我去火车站"), is_found, "{left_out}");
    }
    assert!(finds("北 -北京大学", "北京大 京大学"), "not side by side");
}

#[test]
fn a_phrase_does_not_reach_from_the_text_into_the_file_name() {
    let query = Query::parse("\"annual report\"").unwrap();
    assert!(meets(&query, "see", Some("annual-report.pdf")));
    assert!(meets(&query, "the annual report", Some("x.pdf")));
    assert!(!meets(&query, "report", Some("annual")) && !meets(&query, "annual", Some("report")));
    let without = Query::parse("see -\"annual report\"").unwrap();
    assert!(
        !meets(&without, "see", Some("annual-report.pdf")) && meets(&without, "see annual", Some("report"))
    );
}

#[test]
fn only_what_the_index_does_not_tell_is_read() {
    for (query, needs_text) in [
        ("word other", false),
        ("\"word\"", false),
        ("\"word", false),
        ("word -other", false),
        ("word -\"other\"", false),
        ("word -北京", false),
        ("\"北京\" -京", false),
        ("\"two words\"", true),
        ("word -e-mail", true),
        ("word -北京站", true),
        ("\"北京站\"", true),
    ] {
        assert_eq!(Query::parse(query).unwrap().needs_text(), needs_text, "{query}");
    }
}

#[test]
fn signs_that_are_no_operators_are_boundaries() {
    for (query, expected) in [
        ("5\" pipe", vec![("5", false), ("pipe", true)]),
        ("e-mail", vec![("e", false), ("mail", true)]),
        ("a - b", vec![("a", false), ("b", true)]),
        ("AND (b", vec![("and", false), ("b", true)]),
        ("{\"$gt\": \"\"}", vec![("gt", false)]),
        ("\"a", vec![("a", true)]),
        ("\"a\"", vec![("a", false)]),
        ("'a b'", vec![("a", false), ("b", false)]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(term, begun)| (term.to_owned(), begun)).collect();
        assert_eq!(wanted(query), expected, "{query}");
    }
}

#[test]
fn sizes_of_queries_are_bounded() {
    let refused = |text: &str| Query::parse(text).unwrap_err().to_string();
    let many = |count: usize| (0..count).map(|n| format!("{n} ")).collect::<String>();
    assert_eq!(refused(&"\"".repeat(257)), "query is larger than 256 bytes");
    assert_eq!(refused(&format!("\"{}\"", many(33))), "query is larger than 32 words in one phrase");
    assert_eq!(
        refused(&format!("a -\"{}\"", "1 ".repeat(33))),
        "query is larger than 32 words in one phrase"
    );
    let some = (10..42).map(|n| format!("-{n} ")).collect::<String>();
    assert_eq!(refused(&format!("a {some}")), "query is larger than 32 words");
    assert!(Query::parse(&format!("\"{}\"", many(32))).is_ok());
    assert!(Query::parse(&format!("a {}", &some[4..])).is_ok());
    let nothing = "query must have a word that is looked for, besides those that are left out";
    for text in ["-a", "-\"a b\"", " -a -b ", "-a \"\"", "−火"] {
        assert_eq!(refused(text), nothing, "{text}");
    }
    for text in ["\"\"", "-", "--", "\" \"", "-\"", "“”", "-?"] {
        assert_eq!(refused(text), "query must have a letter or a digit", "{text}");
    }
}

#[test]
fn nothing_of_a_query_shows_in_a_log() {
    let shown = format!("{:?}", Query::parse("secret \"secret words\" -secret -\"secret thing\"").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

/// Random queries of words, operators and scripts without spaces.
fn any_query() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\"".to_owned()),
        Just("-".to_owned()),
        Just(" ".to_owned()),
        Just("“".to_owned()),
        Just("−".to_owned()),
        Just("\u{a0}".to_owned()),
        "[a-cA-C]{1,3}",
        "[京北火车站]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_a_clear_error(text in any_query()) {
        match Query::parse(&text) {
            Ok(query) => {
                prop_assert!((1..=Query::MAX).contains(&(query.wanted().len())));
                prop_assert!(query.wanted().len() + query.unwanted().len() <= Query::MAX);
                prop_assert!(query.wanted().iter().chain(query.unwanted()).all(|wanted| !wanted.term.is_empty()));
                prop_assert!((1..=Query::MAX).contains(&query.sought().len()));
                prop_assert!(query.sought().iter().all(|(_, terms)| !terms.is_empty()));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("query "), "{error}"),
        }
    }

    #[test]
    fn without_its_signs_a_query_is_what_it_was(text in any_query()) {
        let text: String = text.chars().map(|c| if is_quote(c) || is_minus(c) { '.' } else { c }).collect();
        let expected: Vec<Wanted> = plain(&text).into_iter().collect();
        match Query::parse(&text) {
            Ok(query) => prop_assert_eq!(query.wanted(), &expected[..]),
            Err(_) => prop_assert!(expected.is_empty() || expected.len() > Query::MAX),
        }
    }

    #[test]
    fn a_message_is_found_by_its_own_words_as_a_phrase(
        before in "[a-c ,.京北]{0,12}",
        phrase in "[a-c ,.'京北ß]{1,12}",
        after in "[a-c ,.京北]{0,12}",
    ) {
        let text = format!("{before} {phrase} {after}");
        if let Ok(query) = Query::parse(&format!("\"{phrase}\"")) {
            prop_assert!(meets(&query, &text, None), "{phrase:?} in {text:?}");
            let without = Query::parse(&format!("zz -\"{phrase}\"")).unwrap();
            prop_assert!(!meets(&without, &format!("zz {text}"), None), "{phrase:?} in {text:?}");
        }
    }

    /// Compared with a short reference: a phrase matches if the text contains it, with single spaces.
    #[test]
    fn a_phrase_is_where_its_words_are(words in prop::collection::vec("[ab]{1,2}", 1..20),
        phrase in prop::collection::vec("[ab]{1,2}", 1..4)) {
        let spaced = |words: &[String]| format!(" {} ", words.join(" "));
        let expected = spaced(&words).contains(&spaced(&phrase));
        prop_assert_eq!(finds(&format!("\"{}\"", phrase.join(" ")), &words.join("  ")), expected);
    }
}
