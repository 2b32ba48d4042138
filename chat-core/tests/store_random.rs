//! Holds the embedded store to the one in memory: the same random requests to both, every answer compared, the
//! whole contents compared now and then, and the embedded one closed, dropped and opened again in between.
//!
//! A failure names its seed. `STORE_RANDOM_SEED=<seed>` runs that one alone, `STORE_RANDOM_SEEDS=<count>` runs more,
//! `STORE_RANDOM_STEPS=<count>` makes each longer.
#![cfg(all(feature = "sqlite", feature = "contract"))]

mod random;

use std::collections::VecDeque;
use std::path::Path;
use std::str::FromStr;

use chat_core::clock::Timestamp;
use chat_core::store::contract::{Everything, Scratch};
use chat_core::store::sqlite::SqliteOptions;
use chat_core::store::{ChangeLog, MemoryStore, SqliteStore, Store};

use self::random::{Answer, CONVERSATIONS, Request, Requests, ask, conversation_id};

const SEEDS: u64 = 8;
const STEPS: u64 = 1500;

fn from_env<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store must open")
}

async fn everything(store: &dyn Store, now: Timestamp) -> Everything {
    let conversations = (0..CONVERSATIONS).map(conversation_id);
    Everything::of(store, conversations, now).await.expect("the store must be readable")
}

/// One run: what is compared, and what to say when it differs.
struct Run {
    seed: u64,
    step: u64,
    last: VecDeque<String>,
}

impl Run {
    fn check<T: PartialEq + std::fmt::Debug>(&self, what: &str, memory: &T, sqlite: &T) {
        if memory == sqlite {
            return;
        }
        let Self { seed, step, last } = self;
        let last = last.iter().map(|request| format!("\n  {request}")).collect::<String>();
        panic!(
            "seed {seed}, step {step}: {what} differs\nmemory: {memory:#?}\nsqlite: {sqlite:#?}\n\
             the last requests:{last}\nrun it alone with STORE_RANDOM_SEED={seed}"
        );
    }

    async fn go(&mut self, steps: u64) {
        let place = Scratch::new();
        let memory = MemoryStore::new();
        let mut sqlite = open(&place.path());
        let mut requests = Requests::new(self.seed);
        while self.step < steps {
            self.step += 1;
            if self.last.len() == 20 {
                self.last.pop_front();
            }
            if requests.chance(100) {
                let closing = requests.chance(2);
                self.last.push_back(format!("(opened again, closed before: {closing})"));
                if closing {
                    sqlite.close().await.expect("closing must work");
                }
                drop(sqlite);
                sqlite = open(&place.path());
            }
            let request: Request = requests.next();
            self.last.push_back(format!("{request:?}"));
            let (expected, answer): (Answer, Answer) =
                (ask(&memory, &request).await, ask(&sqlite, &request).await);
            self.check("the answer", &expected, &answer);
            requests.learn(&request, &expected);
            // The first steps see everything after each, when there is little and mistakes are plain to see.
            if self.step < 20 || self.step == steps || requests.chance(100) {
                let now = requests.now();
                self.check("everything", &everything(&memory, now).await, &everything(&sqlite, now).await);
            }
        }
    }
}

#[tokio::test]
async fn sqlite_answers_as_memory_does() {
    let steps = from_env("STORE_RANDOM_STEPS").unwrap_or(STEPS);
    let seeds = match from_env("STORE_RANDOM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=from_env("STORE_RANDOM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        // Shown only when the test fails, also when it is a driver that panics.
        println!("STORE_RANDOM_SEED={seed}");
        Run { seed, step: 0, last: VecDeque::new() }.go(steps).await;
    }
}
