//! Tests for [`memory`](super).

use super::*;

fn user(nr: u8) -> Owner {
    Owner::User(UserId::from_bytes([nr; 12]))
}

#[test]
fn who_holds_the_most_is_cut_and_others_go_on() {
    let memory = Memory::new(100);
    let mut greedy = memory.reserve(user(1), 50).unwrap();
    let also_greedy = memory.reserve(user(1), 20).unwrap();
    let mut modest = memory.reserve(user(2), 20).unwrap();
    assert_eq!(greedy.set(61), Err(OutOfMemory), "nobody else holds as much");
    assert_eq!((greedy.bytes(), memory.held()), (50, 90));
    modest.set(40).unwrap();
    assert!(greedy.is_cut() && also_greedy.is_cut() && !modest.is_cut());
    assert_eq!(greedy.set(55), Err(OutOfMemory));
    greedy.set(10).unwrap();
    let again = memory.reserve(user(1), 40).unwrap();
    assert!(!again.is_cut(), "they begin afresh, whatever is still to be let go");
    drop((greedy, also_greedy));
    assert_eq!((memory.held(), memory.held.lock().leaving), (80, 0));
    drop((again, modest));
    assert!(memory.held.lock().owners.is_empty(), "nobody is remembered");
}

#[test]
fn who_is_cut_is_told() {
    let memory = Memory::new(100);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    memory.on_cut(move |owner| telling.lock().push(owner));
    let greedy = memory.reserve(user(1), 80).unwrap();
    let modest = memory.reserve(user(2), 30).unwrap();
    assert_eq!(*told.lock(), [user(1)]);
    drop((greedy, modest));
}

#[test]
fn one_request_that_is_too_large_cuts_nobody() {
    let memory = Memory::new(100);
    let modest = memory.reserve(user(2), 40).unwrap();
    assert!(memory.reserve(user(1), 101).is_err());
    assert!(memory.reserve(user(1), 61).is_err(), "they would hold more than the other");
    assert!(!modest.is_cut());
    assert_eq!(memory.held(), 40);
}

#[test]
fn what_is_not_let_go_is_waited_for_in_the_end() {
    let memory = Memory::new(100);
    let stuck: Vec<_> = (1..=4).map(|nr| memory.reserve(user(nr), 25).unwrap()).collect();
    let next = memory.reserve(user(5), 20).unwrap();
    assert_eq!(stuck.iter().filter(|it| it.is_cut()).count(), 1);
    let another = memory.reserve(user(6), 20);
    assert_eq!(stuck.iter().filter(|it| it.is_cut()).count(), 2);
    let refused = memory.reserve(user(7), 20);
    assert!(refused.is_err() && memory.held() <= 150, "{} bytes", memory.held());
    drop((stuck, next, another));
    assert!(memory.reserve(user(7), 100).is_ok());
    assert_eq!(memory.held(), 0);
}

#[test]
fn what_is_let_go_at_once_is_not_waited_for() {
    let memory = Memory::new(100);
    let held: Vec<_> = (1..=10).map(|nr| memory.reserve(user(nr), 10).unwrap()).collect();
    let mut newcomer = memory.begin(user(11));
    newcomer.set(5).unwrap();
    newcomer.set(9).unwrap();
    assert_eq!(held.iter().filter(|it| it.is_cut()).count(), 1, "one is enough");
}

#[test]
fn a_limit_is_always_found() {
    assert!(default_limit() >= MIN_LIMIT);
}
