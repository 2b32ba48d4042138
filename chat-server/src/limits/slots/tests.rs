//! Tests for [`slots`](super).

use futures_util::FutureExt;

use super::*;

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 12])
}

fn slots() -> FairSlots {
    FairSlots::new((3, 2), (100, 5))
}

fn is_empty(slots: &FairSlots) -> bool {
    let slots = slots.0.lock();
    slots.people.is_empty() && slots.turns.is_empty() && slots.reading == 0 && slots.waiting == 0
}

#[tokio::test]
async fn one_person_reads_so_much_and_others_need_not_wait() {
    let slots = slots();
    let (ann, bob) = (user(1), user(2));
    let (first, second) = (slots.acquire(ann).await.unwrap(), slots.acquire(ann).await.unwrap());
    let mut third = Box::pin(slots.acquire(ann));
    assert!(third.as_mut().now_or_never().is_none());
    let others = slots.acquire(bob).now_or_never().expect("there is a slot that is not ann's").unwrap();
    drop(first);
    let third = third.await.unwrap();
    drop((second, third, others));
    assert!(is_empty(&slots), "nobody is remembered");
}

#[tokio::test]
async fn those_who_wait_take_turns_by_person() {
    let slots = FairSlots::new((1, 1), (100, 100));
    let reading = slots.acquire(user(9)).await.unwrap();
    // Ann sends five requests before any other account does.
    let asked = [1, 1, 1, 1, 1, 2, 3, 2].map(|n| {
        let mut asked = Box::pin(slots.acquire(user(n)));
        assert!(asked.as_mut().now_or_never().is_none());
        (n, asked)
    });
    let mut waiting = Vec::from(asked);
    drop(reading);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let mut ready = None;
        for (index, (_, asked)) in waiting.iter_mut().enumerate() {
            if let Some(permit) = asked.as_mut().now_or_never() {
                ready = Some((index, permit.unwrap()));
                break;
            }
        }
        let (index, permit) = ready.expect("somebody's turn");
        order.push(waiting.remove(index).0);
        drop(permit);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1, 1, 1]);
    assert!(is_empty(&slots));
}

#[tokio::test]
async fn who_gives_up_waits_no_more() {
    let slots = slots();
    let ann = user(1);
    let reading = (slots.acquire(ann).await.unwrap(), slots.acquire(ann).await.unwrap());
    for _ in 0..20 {
        assert!(slots.acquire(ann).now_or_never().is_none(), "the places of those who gave up are free");
    }
    let mut last = Box::pin(slots.acquire(ann));
    assert!(last.as_mut().now_or_never().is_none());
    drop(reading);
    let last = last.now_or_never().expect("nobody is before them").unwrap();
    // A request that was given a permit but is never polled returns it on drop.
    let others = (slots.acquire(ann).await.unwrap(), slots.acquire(user(2)).await.unwrap());
    let mut unlooked = Box::pin(slots.acquire(ann));
    assert!(unlooked.as_mut().now_or_never().is_none());
    drop((last, others));
    drop(unlooked);
    assert!(is_empty(&slots));
}

#[tokio::test]
async fn so_many_may_wait() {
    let slots = FairSlots::new((1, 1), (6, 5));
    let reading = slots.acquire(user(9)).await.unwrap();
    let wait = |n: u8| {
        let mut asked = Box::pin(slots.acquire(user(n)));
        let refused = asked.as_mut().now_or_never().map(|refused| refused.err());
        (asked, refused)
    };
    let waiting: Vec<_> = (0..5).map(|_| wait(1)).collect();
    assert!(waiting.iter().all(|(_, refused)| refused.is_none()));
    assert_eq!(wait(1).1, Some(Some(Full::OfPerson)));
    let other = wait(2);
    assert_eq!(other.1, None);
    assert_eq!(wait(3).1, Some(Some(Full::OfAll)));
    drop((waiting, other, reading));
    assert!(is_empty(&slots));
}
