//! Holds the embedded store to the one in memory: the same random requests to both, every answer compared, the
//! whole contents compared now and then, and the embedded one closed, dropped and opened again in between.
//!
//! A failure names its seed. `STORE_RANDOM_SEED=<seed>` runs that one alone, `STORE_RANDOM_SEEDS=<count>` runs more,
//! `STORE_RANDOM_STEPS=<count>` makes each longer.
#![cfg(all(feature = "sqlite", feature = "contract"))]

mod random;

use std::sync::Arc;

use chat_core::store::contract::Scratch;
use chat_core::store::sqlite::SqliteOptions;
use chat_core::store::{SqliteStore, Store};

use self::random::{Run, seeds, steps};

#[tokio::test]
async fn sqlite_answers_as_memory_does() {
    for seed in seeds(8) {
        let place = Scratch::new();
        let open = async || {
            let store = SqliteStore::open(&place.path(), SqliteOptions::default());
            Arc::new(store.expect("the store must open")) as Arc<dyn Store>
        };
        Run::new(seed).go(steps(1_500), open).await;
    }
}
