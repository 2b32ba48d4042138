//! The simulation's own timers, and its chance.
//!
//! Whatever the harness does later (a chunk of bytes arrives, the store answers, a page acts) waits in one list and is
//! taken from it in the order of time, then of its owner, then of asking. So two things of the same millisecond always
//! happen in the same order, whoever asked first, and a seed tells one story.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Milliseconds since the simulation began.
pub(crate) type Millis = u64;

/// Whose timer it is: decides between timers of the same millisecond.
pub(crate) type Owner = u32;

type Place = (Millis, Owner, u64);
type Action = Box<dyn FnOnce() + Send>;

/// What is to be done when.
#[derive(Clone)]
pub(crate) struct Agenda(Arc<Shared>);

struct Shared {
    began: Instant,
    list: Mutex<List>,
    changed: Notify,
}

#[derive(Default)]
struct List {
    entries: BTreeMap<Place, Action>,
    asked: u64,
}

impl Agenda {
    /// An empty agenda, and the task that works it off.
    pub(crate) fn start() -> Self {
        let shared = Shared { began: Instant::now(), list: Mutex::default(), changed: Notify::new() };
        let agenda = Self(Arc::new(shared));
        tokio::spawn(agenda.clone().work_off());
        agenda
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Millis {
        self.0.began.elapsed().as_millis() as Millis
    }

    /// Does something at `at`, or as soon as possible if that is over.
    pub(crate) fn at(&self, at: Millis, owner: Owner, action: impl FnOnce() + Send + 'static) {
        self.insert(at, owner, Box::new(action));
    }

    /// Waits until `at`. Whoever stops waiting leaves nothing behind.
    pub(crate) async fn sleep_until(&self, at: Millis, owner: Owner) {
        if at <= self.now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let place = self.insert(
            at,
            owner,
            Box::new(move || {
                let _ = wake.send(());
            }),
        );
        let _removed = Removed { agenda: self, place };
        let _ = woken.await;
    }

    /// Waits so many milliseconds.
    pub(crate) async fn sleep(&self, millis: Millis, owner: Owner) {
        self.sleep_until(self.now() + millis, owner).await;
    }

    fn insert(&self, at: Millis, owner: Owner, action: Action) -> Place {
        let mut list = self.0.list.lock().unwrap();
        list.asked += 1;
        let place = (at, owner, list.asked);
        let first = list.entries.first_key_value().is_none_or(|(first, _)| place < *first);
        list.entries.insert(place, action);
        drop(list);
        if first {
            self.0.changed.notify_one();
        }
        place
    }

    async fn work_off(self) {
        loop {
            let now = self.now();
            let next = {
                let mut list = self.0.list.lock().unwrap();
                match list.entries.first_entry() {
                    Some(entry) if entry.key().0 <= now => Ok(entry.remove()),
                    Some(entry) => Err(Some(entry.key().0)),
                    None => Err(None),
                }
            };
            match next {
                Ok(action) => action(),
                Err(Some(at)) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(self.0.began + Duration::from_millis(at)) => {}
                    () = self.0.changed.notified() => {}
                },
                Err(None) => self.0.changed.notified().await,
            }
        }
    }
}

struct Removed<'a> {
    agenda: &'a Agenda,
    place: Place,
}

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let removed = self.agenda.0.list.lock().unwrap().entries.remove(&self.place);
        drop(removed);
    }
}

/// Chance, as a seed decides it. Everybody has dice of their own, so that nobody's throws shift those of others.
pub(crate) struct Dice(SmallRng);

impl Dice {
    /// The dice of somebody under a seed.
    pub(crate) fn of(seed: u64, whose: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, whose).hash(&mut hasher);
        Self(SmallRng::seed_from_u64(hasher.finish()))
    }

    /// Whether something happens that happens `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.0.random_range(0..1_000) < per_mille
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most.max(least))
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.random_range(0..of.len())]
    }

    /// One of several, each as likely as its weight says.
    pub(crate) fn weigh<T: Copy>(&mut self, of: &[(u32, T)]) -> T {
        let all: u32 = of.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.random_range(0..all);
        for (weight, item) in of {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *item,
            }
        }
        unreachable!("the weights were added up")
    }
}
