//! Slots for searches.
//!
//! A search may have to load much into the index first. So a node runs only a few at once, and only one per account: no
//! account waits behind many searches of another.

use std::collections::HashMap;
use std::sync::Arc;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Concurrent searches.
const AT_ONCE: usize = 2;

/// Hands out search slots.
pub(crate) struct SearchSlots {
    of_all: Arc<Semaphore>,
    people: Arc<People>,
}

/// The slot of each account that is searching or waiting.
type People = Mutex<HashMap<UserId, Arc<Semaphore>>>;

/// The slot of an account. It is released on drop.
pub(crate) struct PersonsSearchPermit {
    user: UserId,
    people: Arc<People>,
    permit: Option<OwnedSemaphorePermit>,
    own: Option<Arc<Semaphore>>,
}

/// The right to search. It ends on drop.
pub(crate) struct SearchPermit {
    _of_person: PersonsSearchPermit,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Default for SearchSlots {
    fn default() -> Self {
        Self { of_all: Arc::new(Semaphore::new(AT_ONCE)), people: Arc::default() }
    }
}

impl SearchSlots {
    /// The slot of an account, unless it is in use or other requests wait for it.
    pub(crate) fn try_of(&self, user: UserId) -> Option<PersonsSearchPermit> {
        let mut turn = self.asked_by(user);
        turn.permit = turn.own.clone()?.try_acquire_owned().ok();
        turn.permit.is_some().then_some(turn)
    }

    /// Waits for the slot of an account, in order of arrival.
    pub(crate) async fn of(&self, user: UserId) -> PersonsSearchPermit {
        let mut turn = self.asked_by(user);
        if let Some(own) = turn.own.clone() {
            // Fails only if the semaphore is closed, which never happens.
            turn.permit = own.acquire_owned().await.ok();
        }
        turn
    }

    /// Waits for one of the node's slots, in order of arrival. Dropping the future stops the wait.
    pub(crate) async fn among_all(&self, of_person: PersonsSearchPermit) -> SearchPermit {
        let of_all = self.of_all.clone().acquire_owned().await.ok();
        SearchPermit { _of_person: of_person, _of_all: of_all }
    }

    fn asked_by(&self, user: UserId) -> PersonsSearchPermit {
        let own = self.people.lock().entry(user).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        PersonsSearchPermit { user, people: self.people.clone(), permit: None, own: Some(own) }
    }
}

impl Drop for PersonsSearchPermit {
    fn drop(&mut self) {
        let mut people = self.people.lock();
        self.permit = None;
        self.own = None;
        // Every waiting request holds a reference, so with only one reference left the slot is unused.
        if people.get(&self.user).is_some_and(|own| Arc::strong_count(own) == 1) {
            people.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 12])
    }

    #[tokio::test]
    async fn nobody_has_two_turns() {
        let turns = SearchSlots::default();
        let (ann, bob) = (user(1), user(2));
        let first = turns.among_all(turns.try_of(ann).unwrap()).await;
        assert!(turns.try_of(ann).is_none());
        let mut second = Box::pin(turns.of(ann));
        assert!(second.as_mut().now_or_never().is_none());
        let others = turns.among_all(turns.try_of(bob).unwrap()).now_or_never();
        assert!(others.is_some(), "others need not wait");
        drop(first);
        assert!(turns.try_of(ann).is_none(), "who waits comes first");
        let second = second.await;
        drop((second, others));
        assert!(turns.people.lock().is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn who_gives_up_waits_no_more() {
        let turns = SearchSlots::default();
        let mut running = Vec::new();
        for n in 0..AT_ONCE as u8 {
            running.push(turns.among_all(turns.try_of(user(n)).unwrap()).await);
        }
        for n in 10..20 {
            assert!(turns.among_all(turns.try_of(user(n)).unwrap()).now_or_never().is_none());
        }
        let mut last = Box::pin(turns.among_all(turns.try_of(user(30)).unwrap()));
        assert!(last.as_mut().now_or_never().is_none());
        running.pop();
        assert!(last.as_mut().now_or_never().is_some(), "nobody is before them");
        drop((last, running));
        assert!(turns.people.lock().is_empty(), "nobody is remembered");
    }
}
