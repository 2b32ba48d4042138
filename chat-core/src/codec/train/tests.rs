//! Trains on generated messages, as an operator does, and checks which samples each set learns from.

use std::sync::{Arc, LazyLock};

use super::*;
use crate::codec::{Codec, HuffmanCodec, Kind, OwnTables};

/// A small file, trained on the jargon. Without optimization training is slow.
pub(in crate::codec) static TRAINED: LazyLock<Vec<u8>> =
    LazyLock::new(|| train_on_jargon(0..300).expect("there are enough messages"));

fn train_on_jargon(numbers: std::ops::Range<u64>) -> Result<Vec<u8>, TrainError> {
    let messages: Vec<String> = numbers.map(jargon).collect();
    train(&plan(), &messages.iter().map(String::as_bytes).collect::<Vec<_>>())
}

fn plan() -> Plan {
    Plan { name: "jargon".to_owned(), phrases: 600, contexts: 8 }
}

/// A message of a deployment with its own vocabulary: hosts, tickets, states and names. Equal numbers give equal
/// messages.
pub(in crate::codec) fn jargon(number: u64) -> String {
    const HOSTS: [&str; 6] =
        ["krx-ingest", "vlt-gateway", "zq-broker", "mdw-cache", "pylon-auth", "grb-batch"];
    const ZONES: [&str; 4] = ["euw3b", "apn1c", "usq2a", "sxk9d"];
    const STATES: [&str; 6] = ["OOMKILL", "DRAINING", "QRM_LOST", "BACKPRESS", "FLAPPING", "CERT_EXP"];
    const ASKS: [&str; 5] = [
        "plz ack in #ops-krx",
        "runbook RB-7741 step 3",
        "rolled back to prev canary",
        "paging L2 oncall (hvz)",
        "silenced til next sync",
    ];
    let mut state = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % limit
    };
    format!(
        "[{}-{:02}.{}] {} q={}k, INC{:05}: {}",
        HOSTS[below(6)],
        below(40),
        ZONES[below(4)],
        STATES[below(6)],
        below(900),
        below(100_000),
        ASKS[below(5)],
    )
}

#[test]
fn training_pays() {
    let own = Arc::new(OwnTables::new([&*TRAINED]).expect("the file is sound"));
    let (shipped, trained) = (HuffmanCodec::new(), HuffmanCodec::with_tables(own));
    let (mut raw, mut without, mut with) = (0, 0, 0);
    for number in 1_000_000..1_000_300 {
        let body = jargon(number);
        let encode = |codec: &HuffmanCodec| {
            let blob = codec.encode(Kind::Message, body.as_bytes());
            assert_eq!(codec.decode((&blob).into(), body.len()).as_deref(), Ok(body.as_bytes()));
            blob.bytes.len()
        };
        raw += body.len();
        without += encode(&shipped);
        with += encode(&trained);
    }
    assert!(with * 3 < without, "{raw} bytes became {with}, and {without} without training");
}

/// Training on jargon does not make other texts larger: the shipped sets are chosen for those.
#[test]
fn training_costs_nothing_elsewhere() {
    let own = Arc::new(OwnTables::new([&*TRAINED]).expect("the file is sound"));
    for body in [
        "Shall we meet at the station at half past six? I can bring the tickets.",
        "Wollen wir uns um halb sieben am Bahnhof treffen? Ich bringe die Karten mit.",
        "Давай встретимся на вокзале в половине седьмого? Я принесу билеты.",
    ] {
        let encode = |codec: HuffmanCodec| codec.encode(Kind::Message, body.as_bytes()).bytes;
        assert_eq!(encode(HuffmanCodec::with_tables(own.clone())), encode(HuffmanCodec::new()));
    }
}

#[test]
fn equal_messages_give_an_equal_file() {
    assert!(train_on_jargon(0..300).as_ref() == Ok(&*TRAINED), "two runs differ");
    assert!(train_on_jargon(1..301).is_ok_and(|file| file != *TRAINED), "other messages give the same");
    let own = OwnTables::new([&*TRAINED]).expect("the file is sound");
    assert_eq!(own.sets().map(|(name, _)| name).collect::<Vec<_>>(), ["jargon"]);
}

#[test]
fn plans_that_no_set_can_follow_are_refused() {
    let refused = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        // There are no messages, because the plan is checked first.
        train(&plan, &[]).unwrap_err().to_string()
    };
    assert_eq!(refused(|plan| plan.phrases = 256), "phrases must be 257 to 4095");
    assert_eq!(refused(|plan| plan.phrases = 4096), "phrases must be 257 to 4095");
    assert_eq!(refused(|plan| plan.contexts = 1), "contexts must be 2 to 64");
    assert_eq!(refused(|plan| plan.contexts = 65), "contexts must be 2 to 64");
    assert_eq!(refused(|plan| plan.name = "n".repeat(256)), "the length of the name must be 0 to 255");
    let bounds = TrainError::OutOfBounds { field: "contexts", from: *CONTEXTS.start(), to: *CONTEXTS.end() };
    assert_eq!(train(&Plan { contexts: 0, ..plan() }, &[]), Err(bounds));
}

#[test]
fn too_little_to_learn_from_is_refused() {
    assert_eq!(train(&plan(), &[]), Err(TrainError::TooLittle { bytes: 0 }));
    let [half, less] = [vec![b'a'; MIN_BYTES / 2], vec![b'a'; MIN_BYTES / 2 - 1]];
    let bytes = MIN_BYTES - 1;
    assert_eq!(train(&plan(), &[&half, &less]), Err(TrainError::TooLittle { bytes }));
    let error = TrainError::TooLittle { bytes }.to_string();
    assert_eq!(error, "9999 bytes of messages are too few to learn from; 10000 are the least");
}

/// A message may contain anything, or nothing.
#[test]
fn odd_messages_can_be_learnt_from() {
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(MIN_BYTES).collect();
    for messages in [&[&all[..]][..], &[&[], &all, &[0], &[]], &[&[0; MIN_BYTES]], &[&[0xff; MIN_BYTES]]] {
        let file = train(&plan(), messages).expect("there is enough");
        let codec = HuffmanCodec::with_tables(Arc::new(OwnTables::new([file]).expect("the file is sound")));
        for body in [&all[..300], &[0; 300], b"something that is nowhere in the messages, and long enough"] {
            let blob = codec.encode(Kind::Message, body);
            assert!(codec.decode((&blob).into(), body.len()).as_deref() == Ok(body));
        }
    }
}

#[test]
fn shipped_recipes_can_be_followed() {
    let names: std::collections::BTreeSet<_> = SHIPPED.iter().map(|recipe| recipe.name).collect();
    assert_eq!(names.len(), SHIPPED.len());
    for recipe in SHIPPED {
        assert!(PHRASES.contains(&recipe.phrases) && CONTEXTS.contains(&recipe.contexts), "{recipe:?}");
    }
}

#[test]
fn recipes_take_their_groups_and_sources() {
    let takers = |group: &str, source: &str| -> Vec<&str> {
        let sample = Sample { group, source, text: "" };
        SHIPPED.iter().filter(|recipe| recipe.is_for(&sample)).map(|recipe| recipe.name).collect()
    };
    assert_eq!(takers("en", "wherever from"), ["english"]);
    assert_eq!(takers("en-irc", ""), ["english"]);
    assert_eq!(takers("pt", "a list por"), ["iberian"]);
    // In a group of many languages the last word of the source decides.
    assert_eq!(takers("other-latin", "a list swe"), ["germanic"]);
    assert_eq!(takers("other-latin", "swe"), ["germanic"]);
    assert_eq!(takers("other-latin", "a list(cat) cs"), ["slavic"]);
    assert_eq!(takers("other-latin", "swe a list"), [""; 0]);
    assert_eq!(takers("other-latin", "a list sweden"), [""; 0]);
    assert_eq!(takers("other-latin", ""), [""; 0]);
    // A source alone is not enough, and groups match only by their whole name.
    assert_eq!(takers("nowhere", "a list swe"), [""; 0]);
    assert_eq!(takers("EN", ""), [""; 0]);
}

#[test]
fn a_recipe_learns_from_its_own() {
    const RECIPE: Recipe = Recipe { phrases: 400, contexts: 4, ..SHIPPED[0] };
    let jargon: Vec<String> = (0..300).map(jargon).collect();
    let sample = |group, text| Sample { group, source: "", text };
    let mine: Vec<Sample<'_>> = jargon.iter().map(|text| sample("en", text)).collect();
    let file = RECIPE.train(&mine).expect("there is enough");
    assert_eq!(RECIPE.train(&mine).as_ref(), Ok(&file));
    let own = OwnTables::new([&file]).expect("the file is sound");
    assert_eq!(own.sets().map(|(name, _)| name).collect::<Vec<_>>(), ["english"]);

    // A hundredth of the samples of other groups is learned too, beginning with the first.
    let mut others = mine.clone();
    others.push(sample("de", "ein fremdes Wort"));
    assert!(RECIPE.train(&others).is_ok_and(|with| with != file), "the foreign message makes no difference");
    // Samples of other groups alone are too few.
    let foreign: Vec<Sample<'_>> = jargon.iter().map(|text| sample("de", text)).collect();
    assert!(matches!(RECIPE.train(&foreign), Err(TrainError::TooLittle { .. })));
}
