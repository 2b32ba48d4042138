//! One run: the same random requests to a driver and to the store in memory, every answer compared, the whole contents
//! compared now and then, and the driver's store closed or dropped and opened again in between.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::store::contract::Everything;
use chat_core::store::{MemoryStore, Store};

use super::{Answer, CONVERSATIONS, Request, Requests, ask, conversation_id};

/// A number in the environment.
pub(crate) fn from_env<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// The seeds to run, of `usual` many.
pub(crate) fn seeds(usual: u64) -> impl Iterator<Item = u64> {
    let seeds = match from_env("STORE_RANDOM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=from_env("STORE_RANDOM_SEEDS").unwrap_or(usual),
    };
    // Shown only when the test fails, also when it is a driver that panics.
    seeds.inspect(|seed| println!("STORE_RANDOM_SEED={seed}"))
}

/// How long a run is.
pub(crate) fn steps(usual: u64) -> u64 {
    from_env("STORE_RANDOM_STEPS").unwrap_or(usual)
}

async fn everything(store: &dyn Store, now: Timestamp) -> Everything {
    let conversations = (0..CONVERSATIONS).map(conversation_id);
    Everything::of(store, conversations, now).await.expect("the store must be readable")
}

/// What is compared, and what to say when it differs.
pub(crate) struct Run {
    seed: u64,
    step: u64,
    requests: Requests,
    last: VecDeque<String>,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, step: 0, requests: Requests::new(seed), last: VecDeque::new() }
    }

    /// Without the index of searches, for stores that leave it behind.
    // Not every test binary has one.
    #[allow(dead_code)]
    pub(crate) fn without_index(self) -> Self {
        Self { requests: self.requests.without_index(), ..self }
    }

    fn check<T: PartialEq + std::fmt::Debug>(&self, what: &str, memory: &T, driver: &T) {
        if memory == driver {
            return;
        }
        let Self { seed, step, last, .. } = self;
        let last = last.iter().map(|request| format!("\n  {request}")).collect::<String>();
        panic!(
            "seed {seed}, step {step}: {what} differs\nmemory: {memory:#?}\ndriver: {driver:#?}\n\
             the last requests:{last}\nrun it alone with STORE_RANDOM_SEED={seed}"
        );
    }

    /// Makes so many requests. `open` opens the same store again each time, empty at first.
    pub(crate) async fn go(&mut self, steps: u64, open: impl AsyncFn() -> Arc<dyn Store>) {
        let memory = MemoryStore::new();
        let mut store = open().await;
        let mut requests = std::mem::take(&mut self.requests);
        while self.step < steps {
            self.step += 1;
            if self.last.len() == 20 {
                self.last.pop_front();
            }
            if requests.chance(100) {
                let closing = requests.chance(2);
                self.last.push_back(format!("(opened again, closed before: {closing})"));
                if closing {
                    store.close().await.expect("closing must work");
                }
                drop(store);
                store = open().await;
            }
            let request: Request = requests.next();
            self.last.push_back(format!("{request:?}"));
            let (expected, answer): (Answer, Answer) =
                (ask(&memory, &request).await, ask(&*store, &request).await);
            self.check("the answer", &expected, &answer);
            requests.learn(&request, &expected);
            // The first steps see everything after each, when there is little and mistakes are plain to see.
            if self.step < 20 || self.step == steps || requests.chance(100) {
                let now = requests.now();
                self.check("everything", &everything(&memory, now).await, &everything(&*store, now).await);
            }
        }
    }
}
