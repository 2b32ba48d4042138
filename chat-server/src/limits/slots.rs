//! Slots for expensive work, such as reads. The number of concurrent operations is limited per node and per account.
//! Waiting accounts take turns, so an account with a thousand requests delays only itself.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Hands out permits.
#[derive(Clone)]
pub(crate) struct FairSlots(Arc<Mutex<Slots>>);

/// Too many requests are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Of this account.
    OfPerson,
    /// In total.
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
    /// Accounts that wait and have a free slot of their own, in the order of their turns.
    turns: VecDeque<UserId>,
}

#[derive(Default)]
struct Person {
    reading: usize,
    waiting: VecDeque<oneshot::Sender<SlotPermit>>,
    /// The account is listed in `turns`.
    has_turn: bool,
}

/// The right to run. It ends on drop.
pub(crate) struct SlotPermit {
    slots: FairSlots,
    user: UserId,
}

impl FairSlots {
    /// Sets the maximum numbers: concurrent operations in total and of one account, then waiting requests in total and
    /// of one.
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

    /// Waits until it is this account's turn. Dropping the future stops the wait.
    ///
    /// # Errors
    /// When too many requests are waiting.
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
        // Fails only if the sender is dropped, which never happens.
        permit.map_err(|_| Full::OfAll)
    }

    /// Hands the free slots to the accounts whose turn it is.
    fn give(&self) {
        loop {
            let (give, permit) = {
                let mut slots = self.0.lock();
                let Some((user, give)) = slots.next() else { return };
                (give, SlotPermit { slots: self.clone(), user })
            };
            // If the receiver is gone, the permit is dropped here, and the next request gets the slot.
            drop(give.send(permit));
        }
    }
}

/// Counts a waiting request.
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

    /// The next request that gets a slot.
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
mod tests;
