//! Tests of [`usage`](super).

use super::*;

fn somebody(n: u8) -> UserId {
    UserId::from_bytes([n; 12])
}

#[test]
fn the_total_survives_and_the_quota_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path().into(), 100).unwrap();
    let (ann, bob) = (somebody(1), somebody(2));
    assert!(ledger.acquire(ann, 60).unwrap());
    assert!(!ledger.acquire(ann, 41).unwrap(), "what is refused does not count");
    assert!(ledger.acquire(ann, 40).unwrap());
    assert!(ledger.acquire(bob, 100).unwrap(), "everybody has their own");
    drop(ledger);
    let ledger = Ledger::open(dir.path().into(), 100).unwrap();
    assert_eq!(ledger.usage(ann).bytes, 100);
    assert!(!ledger.acquire(ann, 1).unwrap());
    ledger.release(ann, 60).unwrap();
    assert!(ledger.acquire(ann, 60).unwrap());
    ledger.release(ann, 1_000).unwrap();
    assert_eq!(ledger.usage(ann).bytes, 0, "never below nothing");
    let unlimited = Ledger::open(dir.path().into(), 0).unwrap();
    assert!(unlimited.acquire(ann, u64::MAX).unwrap());
}

#[test]
fn a_profile_picture_takes_the_place_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path().into(), 100).unwrap();
    let ann = somebody(1);
    for bytes in [30, 50, 20] {
        assert!(ledger.acquire(ann, bytes).unwrap());
        ledger.replace_picture(ann, bytes).unwrap();
        assert_eq!(ledger.usage(ann), Usage { bytes, picture: bytes });
    }
}

#[test]
fn what_cannot_be_read_begins_at_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path().into(), 100).unwrap();
    let ann = somebody(1);
    ledger.file(ann).unwrap().write_all(b"half a li").unwrap();
    assert!(ledger.acquire(ann, 10).unwrap());
    assert_eq!(ledger.usage(ann).bytes, 10);
}

#[test]
fn many_at_once_are_counted_all() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path().into(), 100).unwrap();
    let let_in: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..20).filter(|_| ledger.acquire(somebody(1), 7).unwrap()).count()))
            .collect();
        tries.into_iter().map(|tries| tries.join().unwrap()).sum()
    });
    assert_eq!((let_in, ledger.usage(somebody(1)).bytes), (14, 98));
}

#[test]
fn the_rate_gives_back_over_time() {
    let rate = ByteRate::new(3_600);
    let start = Timestamp::from_millis(0);
    let after = |seconds| start.after(Duration::from_secs(seconds));
    assert!(rate.acquire(somebody(1), 3_000, start).is_ok());
    let refused = rate.acquire(somebody(1), 1_000, start).unwrap_err();
    let expected = RateLimit { limit: 3_600, remaining: 600, reset: Duration::from_secs(400) };
    assert_eq!(refused, expected);
    assert!(rate.acquire(somebody(1), 1_000, after(399)).is_err());
    assert!(rate.acquire(somebody(1), 1_000, after(400)).is_ok());
    assert!(rate.acquire(somebody(2), 1_000, start).is_ok());
    assert!(rate.acquire(somebody(3), 10_000, start).is_ok(), "it could never be stored otherwise");
    assert!(rate.acquire(somebody(3), 1, start).is_err());
    assert!(ByteRate::new(0).acquire(somebody(1), u64::MAX, start).is_ok());
}

#[test]
fn what_was_not_stored_is_given_back_and_a_clock_set_back_locks_nobody_out() {
    let rate = ByteRate::new(3_600);
    let (later, now) = (Timestamp::from_millis(86_400_000), Timestamp::from_millis(0));
    assert!(rate.acquire(somebody(1), 3_600, later).is_ok());
    assert!(rate.acquire(somebody(1), 3_600, now).is_err());
    assert!(rate.acquire(somebody(1), 3_600, now.after(Duration::from_secs(3_600))).is_ok());
    rate.release(somebody(1), 3_600);
    assert!(rate.acquire(somebody(1), 3_600, now.after(Duration::from_secs(3_600))).is_ok());
}

#[test]
fn small_images_count_as_what_they_take() {
    assert_eq!((counted(0), counted(67), counted(5_000)), (4096, 4096, 5_000));
}
