//! Tests of [`fit`](super).

use super::*;

fn facts(given: &[(&str, &str)]) -> Facts {
    let usual = [
        (NODE, "a"),
        (HOST, "h"),
        (PROCESS, "1"),
        (SECRET, "s"),
        (VERSION, "0.1.0"),
        ("CHAT_DIALECTS", "push"),
    ];
    let all = usual.iter().chain(given);
    all.map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect()
}

#[test]
fn what_cannot_be_is_refused_with_both_names() {
    let a = facts(&[]);
    let b = facts(&[(NODE, "b"), (PROCESS, "2")]);
    assert_eq!(problem(&a, &b), None);
    assert_eq!(differences(&a, &b), Vec::<String>::new());
    let twin = problem(&a, &facts(&[(HOST, "other")])).unwrap();
    assert!(
        twin.starts_with("CHAT_NODE: node a on other (process 1)") && twin.contains("node a on h "),
        "{twin}"
    );
    let nameless = facts(&[(NODE, "")]);
    assert_eq!(problem(&nameless, &nameless), None, "nobody has to have a name");
    let stranger = problem(&a, &facts(&[(NODE, "b"), (SECRET, "t")])).unwrap();
    assert!(
        stranger.starts_with("JWT_SECRET: ") && stranger.contains("node a") && stranger.contains("node b")
    );
}

#[test]
fn a_secret_may_be_changed_node_by_node() {
    let before = facts(&[]);
    let after = facts(&[(NODE, "b"), (SECRET, "t"), (OLD_SECRETS, "q,s")]);
    assert_eq!(problem(&after, &before), None);
    assert!(differences(&after, &before)[0].starts_with("JWT_SECRET: only one"));
    let prepared = facts(&[(OLD_SECRETS, "t")]);
    assert_eq!(problem(&after, &prepared), None);
    assert_eq!(differences(&after, &prepared), Vec::<String>::new());
}

#[test]
fn what_is_only_odd_is_warned_of() {
    let (a, b) = (facts(&[]), facts(&[(NODE, "b"), (VERSION, "0.2.0"), ("CHAT_DIALECTS", "camel")]));
    let warned = differences(&a, &b);
    assert_eq!(warned.len(), 2);
    assert!(warned[0].starts_with("CHAT_DIALECTS is push at node a on h (process 1), and camel at node b"));
    assert!(warned[1].starts_with("version is 0.1.0 at "));
    let of_newer = facts(&[(NODE, "b"), ("CHAT_NEW_LIMIT", "5")]);
    assert_eq!(differences(&a, &of_newer), Vec::<String>::new());
    assert_eq!(differences(&of_newer, &a), Vec::<String>::new());
}

#[test]
fn a_fingerprint_shows_no_secret() {
    let of = |secret: &str| fingerprint(&Secret::new(secret.into()));
    assert_eq!(of("one"), of("one"));
    assert_ne!(of("one"), of("other"));
    assert_eq!(of("hush").len(), 24);
}

#[test]
fn a_process_that_is_over_is_known_on_its_own_machine() {
    let mut over = std::process::Command::new("true").spawn().unwrap();
    let process = over.id().to_string();
    over.wait().unwrap();
    let (me, boot) = (std::process::id().to_string(), (BOOT, "b"));
    let mine = facts(&[(PROCESS, &me), boot]);
    assert!(is_gone(&mine, &facts(&[(PROCESS, &process), boot])));
    assert!(!is_gone(&mine, &facts(&[(PROCESS, &me), boot])));
    assert!(!is_gone(&mine, &facts(&[(PROCESS, &process), boot, (HOST, "other")])));
}
