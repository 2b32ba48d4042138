//! Tests for [`limit`](super).

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_window_slides_and_keys_are_apart() {
    let limiter = Limiter::new(2, MINUTE);
    let start = Timestamp::from_millis(0);
    limiter.count("a", start);
    assert!(limiter.check(&"a", start).is_ok());
    limiter.count("a", start.after(MINUTE / 2));
    assert_eq!(limiter.check(&"a", start.after(MINUTE / 2)), Err(MINUTE / 2));
    assert!(limiter.check(&"b", start).is_ok());
    assert!(limiter.check(&"a", start.after(MINUTE)).is_ok());
    limiter.count("a", start.after(MINUTE));
    assert!(limiter.check(&"a", start.after(MINUTE)).is_err());
    limiter.forget(&"a");
    assert!(limiter.check(&"a", start.after(MINUTE)).is_ok());
}

#[test]
fn it_is_told_how_a_limit_stands() {
    let limiter = Limiter::new(2, MINUTE);
    let start = Timestamp::from_millis(0);
    let rate = |remaining, reset| Some(RateLimit { limit: 2, remaining, reset });
    assert_eq!(limiter.rate(&"a", start), rate(2, MINUTE));
    limiter.count("a", start);
    limiter.count("a", start.after(MINUTE / 4));
    assert_eq!(limiter.rate(&"a", start.after(MINUTE / 2)), rate(0, MINUTE / 2));
    assert_eq!(limiter.rate(&"a", start.after(MINUTE)), rate(1, MINUTE / 4));
    assert_eq!(limiter.rate(&"b", start), rate(2, MINUTE));
    assert_eq!(Limiter::new(0, MINUTE).rate(&"a", start), None);
}

#[test]
fn an_attempt_counts_only_if_it_is_said_so() {
    let limiter = Arc::new(Limiter::new(2, MINUTE));
    let start = Timestamp::from_millis(0);
    // Concurrent attempts: a running one counts until it ends.
    let (first, second) = (limiter.acquire("a", start).unwrap(), limiter.acquire("a", start).unwrap());
    assert_eq!(limiter.acquire("a", start).err(), Some(MINUTE));
    drop(first);
    limiter.acquire("a", start).unwrap().count();
    assert!(limiter.acquire("a", start).is_err());
    second.count();
    assert!(limiter.acquire("a", start).is_err());
    assert!(limiter.acquire("a", start.after(MINUTE)).is_ok(), "the window slides");
    for _ in 0..9 {
        assert!(limiter.acquire("b", start).is_ok(), "what is dropped was no attempt");
    }
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let limiter = Arc::new(Limiter::new(1, MINUTE));
    let (later, now) = (Timestamp::from_millis(86_400_000), Timestamp::from_millis(0));
    limiter.count("a", later);
    assert_eq!(limiter.check(&"a", now), Err(MINUTE));
    assert!(limiter.check(&"a", now.after(MINUTE)).is_ok());
    let permit = limiter.acquire("b", later).unwrap();
    assert!(limiter.acquire("b", now).is_err());
    drop(permit);
    assert!(limiter.acquire("b", now).is_ok());
}

#[test]
fn memory_is_bounded_by_who_tried_lately() {
    let limiter = Limiter::new(1, MINUTE);
    let mut now = Timestamp::from_millis(0);
    for key in 0..100_000 {
        now = now.after(Duration::from_millis(60));
        limiter.count(key, now);
    }
    assert!(limiter.seen.lock().times.len() <= SWEEP_AT);
}

#[test]
fn zero_is_no_limit() {
    let limiter = Limiter::new(0, MINUTE);
    let now = Timestamp::from_millis(0);
    (0..100).for_each(|_| limiter.count(1, now));
    assert!(limiter.check(&1, now).is_ok());
    let limiter = Arc::new(limiter);
    let permits: Vec<_> = (0..100).map(|_| limiter.acquire(1, now).unwrap()).collect();
    permits.into_iter().for_each(Permit::count);
}
