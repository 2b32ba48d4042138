use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn user(n: u64) -> UserId {
    let mut id = [0; 12];
    id[4..].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(id)
}

#[test]
fn one_is_slowed_and_then_refused_and_told_when_to_come_back() {
    let budgets = Budgets::new(Rates::new(60, 60, 60), Memory::new(1 << 30));
    let ann = budgets.of(user(1), at(0));
    for n in 0..60 {
        assert_eq!(ann.admit(Cost::Change(1), at(0)).unwrap(), Duration::ZERO, "{n}");
    }
    let slowed: Vec<_> = (0..2).map(|_| ann.admit(Cost::Change(1), at(0)).unwrap().as_millis()).collect();
    assert_eq!(slowed, [1, 1_001], "one a second");
    let refused = ann.admit(Cost::Change(1), at(0)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(2_001)));
    assert!(ann.admit(Cost::Change(1), at(1_000)).is_ok(), "who was refused has spent nothing");
    assert_eq!(ann.admit(Cost::Read, at(0)).unwrap(), Duration::ZERO, "reading is another bucket");
    let bob = budgets.of(user(2), at(0));
    assert_eq!(bob.admit(Cost::Change(1), at(0)).unwrap(), Duration::ZERO, "and bob another person");
}

#[test]
fn what_was_read_is_paid_afterwards() {
    let budgets = Budgets::new(Rates::new(60, 0, 0), Memory::new(1 << 30));
    let ann = budgets.of(user(1), at(0));
    for _ in 0..23 {
        assert_eq!(ann.admit(Cost::Read, at(0)).unwrap(), Duration::ZERO);
        ann.has_read(10_000_000, at(0));
    }
    assert!(ann.may_read_on(at(0)).is_ok());
    ann.has_read(20_000_000, at(0));
    assert!(ann.may_read_on(at(0)).is_err(), "it is seen by those who were admitted before");
    let refused = ann.admit(Cost::Read, at(0)).unwrap_err();
    let wait = refused.retry_after().unwrap();
    assert!(wait > Duration::from_secs(10) && wait < Duration::from_secs(11), "{wait:?}: 1 MB a second");
    assert!(ann.admit(Cost::Read, at(10_100)).is_ok());
}

#[test]
fn a_profile_changes_twenty_times_and_then_every_half_minute() {
    let budgets = Budgets::new(Rates::new(60, 1_200, 200), Memory::new(1 << 30));
    let ann = budgets.of(user(1), at(0));
    let mut made = 0;
    for second in 0..600 {
        for _ in 0..10 {
            made += u32::from(ann.admit(Cost::Profile, at(second * 1_000)).is_ok());
        }
    }
    assert!((40..=41).contains(&made), "{made} in ten minutes");
}

#[test]
fn zero_is_no_limit() {
    let budgets = Budgets::new(Rates::new(0, 0, 0), Memory::new(1 << 30));
    let ann = budgets.of(user(1), at(0));
    for _ in 0..10_000 {
        for cost in [Cost::Read, Cost::Send(1 << 30), Cost::Change(1_000), Cost::Profile] {
            assert_eq!(ann.admit(cost, at(0)).unwrap(), Duration::ZERO);
        }
        ann.has_read(1 << 40, at(0));
        assert_eq!(ann.connects(at(0)), Duration::ZERO);
    }
}

#[test]
fn the_largest_numbers_that_can_be_configured_are_no_trouble() {
    let budgets = Budgets::new(Rates::new(u32::MAX, u32::MAX, u32::MAX), Memory::new(1 << 30));
    let ann = budgets.of(user(1), at(0));
    for cost in [Cost::Read, Cost::Send(u64::MAX), Cost::Change(1), Cost::Profile] {
        assert_eq!(ann.admit(cost, at(0)).unwrap(), Duration::ZERO);
    }
    assert!(ann.admit(Cost::Send(1), at(0)).is_err(), "as much as fits is spent");
}

#[test]
fn quiet_people_are_dropped() {
    let budgets = Budgets::new(Rates::new(60, 60, 60), Memory::new(1 << 30));
    let connected = budgets.of(user(u64::MAX), at(0));
    for n in 0..3 * SWEEP_AT as u64 {
        let now = at(n as i64);
        budgets.of(user(n), now).admit(Cost::Change(1), now).unwrap();
        assert!(budgets.people.lock().known.len() <= SWEEP_AT + 1, "{n}");
    }
    assert!(Arc::ptr_eq(&connected, &budgets.of(user(u64::MAX), at(0))), "but not those who are connected");
}

#[test]
fn what_waits_of_one_person_is_bounded_over_all_connections() {
    let budgets = Budgets::new(Rates::new(60, 60, 60), Memory::new(1 << 30));
    let (ann, again) = (budgets.of(user(1), at(0)), budgets.of(user(1), at(0)));
    let huge = ann.hold(MAX_INBOX_BYTES + 1).expect("one always has room");
    assert!(again.hold(1).is_none());
    drop(huge);
    let half = ann.hold(MAX_INBOX_BYTES / 2).unwrap();
    let rest = again.hold(MAX_INBOX_BYTES / 2).unwrap();
    assert!(again.hold(1).is_none());
    drop((half, rest));
    assert!(again.hold(1).is_some());
}

#[test]
fn what_waits_is_held_in_the_memory_of_the_server() {
    let memory = Memory::new(1 << 20);
    let budgets = Budgets::new(Rates::new(60, 60, 60), memory.clone());
    let ann = budgets.of(UserId::from_bytes([1; 12]), Timestamp::from_millis(0));
    let small = ann.hold(1_000).unwrap();
    assert_eq!(memory.held(), 0, "it is not worth it");
    let large = ann.hold(100_000).unwrap();
    assert_eq!(memory.held(), 101_000);
    assert!(ann.hold(1 << 20).is_none(), "there is no more");
    drop(large);
    assert_eq!(memory.held(), 0);
    drop(small);
}

#[test]
fn large_mistakes_are_dear() {
    let budgets = Budgets::new(Rates::new(60, 60, 60), Memory::new(1 << 30));
    let ann = budgets.of(UserId::from_bytes([1; 12]), at(0));
    (0..1_000).for_each(|_| ann.was_mistaken(100, at(0)));
    assert_eq!(ann.may_say_more(at(0)).unwrap(), Duration::ZERO, "a page of another backend");
    (0..3).for_each(|_| ann.was_mistaken(2 << 20, at(0)));
    let refused = ann.may_say_more(at(0)).unwrap_err();
    assert_eq!(refused.kind(), chat_core::error::ErrorKind::RateLimited);
    assert!(ann.may_say_more(at(60_000)).is_ok(), "it is forgiven");
}
