//! Whose turn it is to search.
//!
//! A search may have to bring much into the index first, so a node makes only so many at once, and for one person only one:
//! nobody waits behind all that somebody else can think of.

use std::collections::HashMap;
use std::sync::Arc;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Searches at once.
const AT_ONCE: usize = 2;

/// Gives out turns.
pub(crate) struct SearchSlots {
    of_all: Arc<Semaphore>,
    people: Arc<People>,
}

/// The turn of everybody who searches or waits for it.
type People = Mutex<HashMap<UserId, Arc<Semaphore>>>;

/// The turn of a person; over when it is dropped.
pub(crate) struct PersonsSearchPermit {
    user: UserId,
    people: Arc<People>,
    permit: Option<OwnedSemaphorePermit>,
    own: Option<Arc<Semaphore>>,
}

/// A turn to search; over when it is dropped.
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
    /// The turn of a person, unless they have it already or wait for it.
    pub(crate) fn try_of(&self, user: UserId) -> Option<PersonsSearchPermit> {
        let mut turn = self.asked_by(user);
        turn.permit = turn.own.clone()?.try_acquire_owned().ok();
        turn.permit.is_some().then_some(turn)
    }

    /// The turn of a person, once they do not have it any more; first come, first served.
    pub(crate) async fn of(&self, user: UserId) -> PersonsSearchPermit {
        let mut turn = self.asked_by(user);
        if let Some(own) = turn.own.clone() {
            // Fails only if somebody closes it, which nobody does.
            turn.permit = own.acquire_owned().await.ok();
        }
        turn
    }

    /// A turn among all; first come, first served. Whoever gives up waiting waits no more.
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
        // Everybody who waits has it too; only the one that is kept is left when nobody does.
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
