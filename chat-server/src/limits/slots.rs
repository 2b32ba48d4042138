//! Slots for what is dear, such as reading. A node does so much of it at once, and so much of it for one person; those who
//! wait take turns by person, so that whoever asks for a thousand things at once holds up themselves and nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Gives out permits.
#[derive(Clone)]
pub(crate) struct FairSlots(Arc<Mutex<Slots>>);

/// Too many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Of this person.
    OfPerson,
    /// Of all.
    OfAll,
}

struct Slots {
    at_once: usize,
    of_person: usize,
    max_waiting: usize,
    max_waiting_of_person: usize,
    reading: usize,
    waiting: usize,
    people: HashMap<UserId, Person>,
    /// People who wait and may read, in the order of their turns.
    turns: VecDeque<UserId>,
}

#[derive(Default)]
struct Person {
    reading: usize,
    waiting: VecDeque<oneshot::Sender<SlotPermit>>,
    /// In the list of turns.
    has_turn: bool,
}

/// Reads; over when it is dropped.
pub(crate) struct SlotPermit {
    slots: FairSlots,
    user: UserId,
}

impl FairSlots {
    /// So many read at once, and so many of them are of one person; so many more may wait, and so many of one person.
    pub(crate) fn new(
        (at_once, of_person): (usize, usize),
        (max_waiting, max_waiting_of_person): (usize, usize),
    ) -> Self {
        Self(Arc::new(Mutex::new(Slots {
            at_once,
            of_person,
            max_waiting,
            max_waiting_of_person,
            reading: 0,
            waiting: 0,
            people: HashMap::new(),
            turns: VecDeque::new(),
        })))
    }

    /// A permit, when it is this person's turn. Whoever gives up waiting waits no more.
    ///
    /// # Errors
    /// When too many wait.
    pub(crate) async fn acquire(&self, user: UserId) -> Result<SlotPermit, Full> {
        let turn = {
            let mut slots = self.0.lock();
            let of_person = slots.of_person;
            if slots.reading < slots.at_once && slots.turns.is_empty() {
                let person = slots.people.entry(user).or_default();
                if person.reading < of_person {
                    person.reading += 1;
                    slots.reading += 1;
                    return Ok(SlotPermit { slots: self.clone(), user });
                }
            }
            if slots.waiting >= slots.max_waiting {
                return Err(Full::OfAll);
            }
            let max_waiting = slots.max_waiting_of_person;
            let person = slots.people.entry(user).or_default();
            person.waiting.retain(|turn| !turn.is_closed());
            if person.waiting.len() >= max_waiting {
                return Err(Full::OfPerson);
            }
            let (give, turn) = oneshot::channel();
            person.waiting.push_back(give);
            slots.waiting += 1;
            slots.join_turns(user);
            turn
        };
        let waiting = Waiting(self);
        let permit = turn.await;
        drop(waiting);
        // Fails only if it is dropped, which nobody does.
        permit.map_err(|_| Full::OfAll)
    }

    /// Gives the slots that are free to those whose turn it is.
    fn give(&self) {
        loop {
            let (give, permit) = {
                let mut slots = self.0.lock();
                let Some((user, give)) = slots.next() else { return };
                (give, SlotPermit { slots: self.clone(), user })
            };
            // Whoever has given up gives it back, and the next one gets it.
            drop(give.send(permit));
        }
    }
}

/// Somebody who waits.
struct Waiting<'a>(&'a FairSlots);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.lock().waiting -= 1;
    }
}

impl Slots {
    fn join_turns(&mut self, user: UserId) {
        let Some(person) = self.people.get_mut(&user) else { return };
        if !person.has_turn && person.reading < self.of_person && !person.waiting.is_empty() {
            person.has_turn = true;
            self.turns.push_back(user);
        }
    }

    /// The next one who reads.
    fn next(&mut self) -> Option<(UserId, oneshot::Sender<SlotPermit>)> {
        if self.reading >= self.at_once {
            return None;
        }
        while let Some(user) = self.turns.pop_front() {
            let Some(person) = self.people.get_mut(&user) else { continue };
            person.has_turn = false;
            person.waiting.retain(|turn| !turn.is_closed());
            let next = person.waiting.pop_front();
            if next.is_some() {
                person.reading += 1;
                self.reading += 1;
            }
            self.join_turns(user);
            if let Some(next) = next {
                return Some((user, next));
            }
            self.forget_idle(user);
        }
        None
    }

    fn forget_idle(&mut self, user: UserId) {
        let is_idle = |person: &Person| person.reading == 0 && person.waiting.is_empty();
        if self.people.get(&user).is_some_and(is_idle) {
            self.people.remove(&user);
        }
    }
}

impl Drop for SlotPermit {
    fn drop(&mut self) {
        {
            let mut slots = self.slots.0.lock();
            slots.reading -= 1;
            if let Some(person) = slots.people.get_mut(&self.user) {
                person.reading -= 1;
            }
            slots.join_turns(self.user);
            slots.forget_idle(self.user);
        }
        self.slots.give();
    }
}

#[cfg(test)]
mod tests {
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
        // Ann asks for five things before anybody else asks.
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
        // One who has been given a permit and never looks gives it back.
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
}
