//! Tests of [`seal`](super).

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn seals(secret: &str, old: &[&str]) -> Seals {
    let old: Vec<_> = old.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
    Seals::new(NodeId::random(), &Secret::new(secret.to_owned()), &old)
}

#[test]
fn what_a_node_of_the_deployment_has_sealed_is_opened() {
    let (one, two) = (seals("s", &[]), seals("s", &[]));
    for number in 1..=3 {
        let sealed = one.seal(&[Notice::LogAdvanced(7), Notice::Hello], NOW);
        let notices = vec![Notice::LogAdvanced(7), Notice::Hello];
        assert_eq!(two.open(&sealed), Some(Opened { from: one.node, number, at: NOW, notices }));
        assert_eq!(one.open(&sealed), None, "it need not hear itself");
    }
}

#[test]
fn nothing_in_an_envelope_can_be_changed() {
    let (one, two) = (seals("s", &[]), seals("s", &[]));
    let sealed = one.seal(&[Notice::LogAdvanced(7)], NOW);
    for at in 0..sealed.len() {
        let mut forged = sealed.to_vec();
        forged[at] ^= 1;
        assert_eq!(two.open(&forged), None, "byte {at}");
        assert_eq!(two.open(&sealed[..at]), None, "{at} bytes");
    }
    assert_eq!(two.open(&[&sealed[..], b" "].concat()), None);
    assert_eq!(seals("t", &[]).open(&sealed), None, "another deployment");
    let unsealed = notice::write(one.node, 1, NOW, &[Notice::LogAdvanced(7)]);
    assert_eq!(two.open(&unsealed), None);
    let empty = [FORM, &[b'0'; DIGITS], b".", &unsealed[..]].concat();
    assert_eq!(two.open(&empty), None);
    let padded = notice::write(one.node, 1, NOW, &vec![Notice::Hello; MAX_ENVELOPE_BYTES / 8]);
    let huge = [FORM, &[b'0'; DIGITS], b".", &padded[..]].concat();
    assert!(huge.len() > MAX_ENVELOPE_BYTES);
    assert_eq!(two.open(&huge), None);
}

#[test]
fn nodes_hear_each_other_while_the_secret_changes() {
    let (before, after) = (seals("old", &["new"]), seals("new", &["old"]));
    assert!(after.open(&before.seal(&[Notice::Hello], NOW)).is_some());
    assert!(before.open(&after.seal(&[Notice::Hello], NOW)).is_some());
    let done = seals("new", &[]);
    assert!(done.open(&after.seal(&[Notice::Hello], NOW)).is_some());
    assert!(done.open(&before.seal(&[Notice::Hello], NOW)).is_none(), "an old secret is none any more");
}

#[test]
fn nothing_is_taken_twice_and_what_is_late_is_taken() {
    let (mut replays, node) = (Replays::default(), NodeId::random());
    let mut take = |number| replays.is_new(node, number, NOW, NOW);
    assert!(!take(0));
    for number in [1, 2, 5, 4, 3, 900, 6, 1_500, 477] {
        assert!(take(number), "{number}");
        assert!(!take(number), "{number} again");
    }
    assert!(!take(476) && !take(5), "later than the window");
    assert!(take(1_024) && !take(1_024) && !take(900));
    // A jump of more than the window keeps all information that is still needed.
    assert!(take(10_000) && !take(10_000) && !take(1_500) && take(9_999) && !take(9_999));
    assert!(take(10_000 - 1_023) && !take(10_000 - 1_024));
    assert!(take(u64::MAX) && !take(u64::MAX) && take(u64::MAX - 1));
    // Each node has its own numbers.
    assert!(replays.is_new(NodeId::random(), 1, NOW, NOW));
}

#[test]
fn what_was_sealed_long_ago_is_not_taken() {
    let (mut replays, node) = (Replays::default(), NodeId::random());
    let second = Duration::from_secs(1);
    let mut number = 0;
    let mut take = |at: Timestamp| {
        number += 1;
        replays.is_new(node, number, at, NOW)
    };
    for good in [NOW, NOW.before(MAX_SKEW), NOW.after(MAX_SKEW)] {
        assert!(take(good), "{good}");
    }
    for bad in [
        NOW.before(MAX_SKEW + second),
        NOW.after(MAX_SKEW + second),
        Timestamp::from_millis(i64::MIN),
        Timestamp::from_millis(i64::MAX),
    ] {
        assert!(!take(bad));
    }
}

#[test]
fn what_is_remembered_is_bounded_and_nothing_can_be_repeated_by_that() {
    let mut replays = Replays::default();
    let first = NodeId::random();
    assert!(replays.is_new(first, 1, NOW, NOW));
    for _ in 1..MAX_NODES {
        assert!(replays.is_new(NodeId::random(), 1, NOW, NOW));
    }
    assert!(!replays.is_new(NodeId::random(), 1, NOW, NOW), "there is no place left");
    assert!(!replays.is_new(first, 1, NOW, NOW) && replays.is_new(first, 2, NOW, NOW));
    // Silent nodes are removed to make room.
    let later = NOW.after(MAX_SKEW + Duration::from_millis(1));
    assert!(replays.is_new(NodeId::random(), 1, later, later));
    assert_eq!(replays.nodes.len(), 1);
    assert!(!replays.is_new(first, 2, NOW, later), "it is forgotten, and too old");
}
