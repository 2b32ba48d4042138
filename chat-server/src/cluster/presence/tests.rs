//! Tests of [`presence`](super).

use super::*;

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 12])
}

fn online(others: &RemotePresence) -> Vec<UserId> {
    let mut online = others.online();
    online.sort_unstable();
    online
}

#[test]
fn somebody_is_online_while_any_node_says_so() {
    let (others, now) = (RemotePresence::default(), Instant::now());
    let (a, b) = (NodeId::random(), NodeId::random());
    let came = others.told(a, Told::Changed(1, vec![user(1), user(2)], vec![]), now);
    assert_eq!(came, Moves { any_came: true, ..Moves::default() });
    let again = others.told(b, Told::Changed(1, vec![user(1)], vec![]), now);
    assert_eq!(again, Moves::default(), "she was online already");
    let went = others.told(a, Told::Changed(2, vec![], vec![user(1), user(2)]), now);
    assert_eq!(went, Moves { went: vec![user(2)], ..Moves::default() });
    assert_eq!(online(&others), [user(1)]);
    assert_eq!(others.left(b), [user(1)]);
    assert_eq!(online(&others), []);
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let (others, now, a) = (RemotePresence::default(), Instant::now(), NodeId::random());
    others.told(a, Told::Changed(1, vec![user(1)], vec![]), now);
    others.told(a, Told::Changed(2, vec![], vec![user(1)]), now);
    for late in [Told::Changed(1, vec![user(1)], vec![]), Told::Everybody(1, vec![user(1)]), Told::Alive(1)] {
        assert_eq!(others.told(a, late, now), Moves::default());
    }
    assert_eq!(online(&others), []);
}

#[test]
fn what_was_missed_is_asked_for() {
    let (others, now, a) = (RemotePresence::default(), Instant::now(), NodeId::random());
    let ask = Moves { ask: true, ..Moves::default() };
    assert_eq!(others.told(a, Told::Changed(7, vec![user(1)], vec![]), now), ask);
    assert_eq!(others.told(a, Told::Alive(7), now), Moves::default(), "it has been asked just now");
    assert_eq!(others.told(a, Told::Alive(7), now + ASK_AGAIN), ask);
    let all = others.told(a, Told::Everybody(8, vec![user(1), user(2)]), now);
    assert_eq!(all, Moves { any_came: true, ..Moves::default() });
    assert_eq!(others.told(a, Told::Changed(8, vec![user(2)], vec![]), now), Moves::default());
    assert!(others.told(a, Told::Changed(10, vec![], vec![user(1)]), now + 3 * ASK_AGAIN).ask);
    let gone = others.told(a, Told::Everybody(10, vec![user(2)]), now);
    assert_eq!(gone, Moves { went: vec![user(1)], ..Moves::default() });
    assert_eq!(online(&others), [user(2)]);
}

#[test]
fn a_silent_node_is_not_believed_for_ever() {
    let (others, now, a) = (RemotePresence::default(), Instant::now(), NodeId::random());
    others.told(a, Told::Changed(1, vec![user(1)], vec![]), now);
    assert_eq!(others.expire(now + LEASE), []);
    others.told(a, Told::Alive(1), now + LEASE);
    assert_eq!(others.expire(now + 2 * LEASE), []);
    others.renew_all(now + 2 * LEASE);
    assert_eq!(others.expire(now + 3 * LEASE), []);
    let silent = LEASE + Duration::from_secs(1);
    assert_eq!(others.expire(now + 2 * LEASE + silent), [(vec![user(1)], silent)]);
    assert_eq!(online(&others), []);
    // The node was only slow.
    assert!(others.told(a, Told::Alive(1), now + 4 * LEASE).ask);
}
