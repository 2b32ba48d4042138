//! Tests for [`admission`](super).

use super::super::unauthenticated::{Unauthenticated, UnauthenticatedLimits};
use super::*;

fn admission() -> (Arc<Unauthenticated>, Arc<Admission>) {
    let unauthenticated = Unauthenticated::new(UnauthenticatedLimits::shared_by(8, 2));
    let permit = unauthenticated.acquire(None, None).unwrap();
    (unauthenticated, Admission::for_tests(permit, Weak::new()))
}

const USER: UserId = UserId::from_bytes([7; 12]);

#[tokio::test(start_paused = true)]
async fn who_says_nothing_ends_after_the_handshake_timeout() {
    let (unauthenticated, admission) = admission();
    let admissions = Admissions::default();
    admissions.watch(&admission);
    tokio::time::advance(HANDSHAKE_TIMEOUT - Duration::from_millis(1)).await;
    assert!(admissions.due().is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(admissions.due().len(), 1);
    assert!(admissions.due().is_empty(), "once");
    assert_eq!(unauthenticated.len(), 1, "it is here as long as it lives");
    drop(admission);
    assert_eq!(unauthenticated.len(), 0);
}

/// `count` admissions of one address, of at most `all` in total.
fn crowd(all: usize, count: usize) -> Vec<Arc<Admission>> {
    let limits = UnauthenticatedLimits { all, address: all, site: all, few: Some(1) };
    let unauthenticated = Unauthenticated::new(limits);
    let admission = |_| {
        let leave = Arc::new(Leave::default());
        let permit = unauthenticated.acquire(Some([10, 0, 0, 1].into()), Some(leave.clone())).unwrap();
        let account = (Memory::new(1 << 30), Owner::Address([10, 0, 0, 1].into()));
        Admission::new((permit, leave), account, 16 << 20, Weak::new(), Weak::new())
    };
    (0..count).map(admission).collect()
}

#[tokio::test(start_paused = true)]
async fn where_there_is_hardly_any_room_strangers_stay_for_seconds() {
    let (admissions, crowd) = (Admissions::default(), crowd(10, 10));
    crowd.iter().for_each(|one| admissions.watch(one));
    let busy = crowd[0].leave.busy();
    tokio::time::advance(SHORTEST_HANDSHAKE_TIMEOUT - Duration::from_millis(1)).await;
    assert!(admissions.due().is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(admissions.due().len(), 9, "who is being looked up has more time");
    drop(busy);
    let roomy = self::crowd(10, 5);
    roomy.iter().for_each(|one| admissions.watch(one));
    tokio::time::advance(HANDSHAKE_TIMEOUT - Duration::from_millis(1)).await;
    assert_eq!(admissions.due().len(), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(admissions.due().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_make_room_ends_at_once() {
    let (admissions, crowd) = (Admissions::default(), crowd(4, 4));
    crowd.iter().for_each(|one| admissions.watch(one));
    let all = crowd[0].state.lock().permit.as_ref().unwrap().holders().clone();
    let newcomer = all.acquire(Some([10, 0, 0, 2].into()), Some(Arc::default())).unwrap();
    let due = admissions.due();
    assert!(due.len() == 1 && Arc::ptr_eq(&due[0], &crowd[0]));
    crowd[1].set_ended();
    assert_eq!(all.len(), 3, "whoever has ended leaves its place");
    drop((newcomer, due, crowd));
    assert_eq!(all.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_known_stays_until_it_leaves() {
    let (unauthenticated, admission) = admission();
    let admissions = Admissions::default();
    admissions.watch(&admission);
    admission.set_known(USER);
    assert_eq!(unauthenticated.len(), 0);
    tokio::time::advance(10 * HANDSHAKE_TIMEOUT).await;
    assert!(admissions.due().is_empty());
    admissions.leave(&admission);
    admissions.leave(&admission);
    assert!(admissions.due().is_empty());
    tokio::time::advance(LEAVE_TIMEOUT).await;
    assert_eq!(admissions.due().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_ends_soon() {
    let (_unauthenticated, admission) = admission();
    let admissions = Admissions::default();
    admissions.watch(&admission);
    admissions.leave(&admission);
    tokio::time::advance(LEAVE_TIMEOUT).await;
    assert_eq!(admissions.due().len(), 1);
    admission.set_known(USER);
    assert!(!admission.is_known(), "it is too late");
}

#[test]
fn long_polling_finds_its_sessions_as_long_as_they_live() {
    let (_all, one) = admission();
    let admissions = Arc::new(Admissions::default());
    admissions.register("a", &one);
    assert!(Arc::ptr_eq(&admissions.find("a").unwrap(), &one) && one.sid() == Some("a"));
    assert!(admissions.find("b").is_none());
    drop(one);
    assert!(admissions.find("a").is_none() && admissions.polling.lock().is_empty());
}

#[test]
fn frames_are_few_and_small_until_it_is_known_whose_they_are() {
    let text = |admission: &Admission, length, head: &[u8]| {
        admission.frame(length)?;
        admission.packet(head, Kind::Text)
    };
    let (_all, one) = admission();
    assert_eq!(text(&one, MAX_UNAUTHENTICATED_BYTES as u64 + 1, b"40"), Err(OverBudget));
    let (_all, one) = admission();
    assert!(text(&one, MAX_UNAUTHENTICATED_BYTES as u64, b"40").is_ok());
    assert!(text(&one, MAX_UNAUTHENTICATED_BYTES as u64, b"40").is_ok());
    assert_eq!(text(&one, 1, b"3"), Err(OverBudget), "all together");
    let (_all, one) = admission();
    assert!((0..2).all(|_| text(&one, 2, b"40").is_ok()));
    assert_eq!(text(&one, 2, b"40"), Err(OverBudget), "CONNECT packets");
    let (_all, one) = admission();
    assert!((0..32).all(|_| text(&one, 1, b"3").is_ok()));
    assert_eq!(text(&one, 1, b"3"), Err(OverBudget), "packets");
    let (_all, one) = admission();
    assert_eq!(one.packet(b"x", Kind::Binary), Err(OverBudget), "binary data");
    one.set_known(USER);
    assert!((0..10_000).all(|_| text(&one, 1 << 20, b"42").is_ok()));
    assert!((0..MAX_CONNECTS).all(|_| text(&one, 2, b"40").is_ok()));
    assert_eq!(text(&one, 2, b"40"), Err(OverBudget), "each costs a task, also of who is known");
    assert!((0..100).all(|_| one.packet(b"40", Kind::More).is_ok()), "the middle of a message");
}

#[tokio::test(start_paused = true)]
async fn who_is_known_may_not_say_nothing_without_end() {
    for (head, kind) in [(&b""[..], Kind::Control), (b"3", Kind::Text), (b"", Kind::More)] {
        let (_all, one) = admission();
        one.set_known(USER);
        for _ in 0..3 {
            assert!((0..MAX_CONTROLS).all(|_| one.packet(head, kind).is_ok()));
            tokio::time::advance(CONTROLS_WITHIN).await;
        }
        assert!((0..MAX_CONTROLS).all(|_| one.packet(head, kind).is_ok()));
        assert_eq!(one.packet(head, kind), Err(OverBudget));
        assert!(one.packet(b"42", Kind::Text).is_ok());
    }
}

#[test]
fn requests_are_small_until_it_is_known_whose_they_are() {
    let (_all, one) = admission();
    assert_eq!(one.request_limit(1 << 24), MAX_UNAUTHENTICATED_BYTES);
    let given = one.begin_request(MAX_UNAUTHENTICATED_BYTES);
    let mut left = given;
    left.spend(b"40").unwrap();
    one.spent(given, left);
    one.begin_request(MAX_UNAUTHENTICATED_BYTES - 10);
    assert_eq!(one.request_limit(1 << 24), 10);
    assert_eq!(one.begin_request(1).connects, UNAUTHENTICATED_PACKETS.connects - 1);
    one.set_known(USER);
    assert_eq!(one.request_limit(1 << 24), 1 << 24);
    for _ in 0..3 {
        let given = one.begin_request(1 << 20);
        let mut left = given;
        assert_eq!(left.packets, MAX_PACKETS_AT_ONCE);
        left.spend(b"40").unwrap();
        one.spent(given, left);
    }
    assert_eq!(one.begin_request(0).connects, MAX_CONNECTS - 3);
}
