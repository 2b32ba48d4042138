//! The store in MongoDB passes every clause and answers as the one in memory does. Needs the URI of a server in
//! `MONGO_TEST_URI`; `./test` starts one.
//!
//! `STORE_RANDOM_SEED`, `STORE_RANDOM_SEEDS` and `STORE_RANDOM_STEPS` are those of `store_random`.
#![cfg(all(feature = "mongodb", feature = "contract"))]

mod mongodb_scratch;
mod random;

mod clauses {
    use std::path::Path;

    use crate::mongodb_scratch::Scratch;

    chat_core::store_contract!(
        ignore = "needs a server in MONGO_TEST_URI: ./test starts one";
        async {
            let scratch = Scratch::new();
            (scratch.open().await, scratch)
        }
    );

    chat_core::store_durability_contract!(
        ignore = "needs a server in MONGO_TEST_URI: ./test starts one";
        {
            let (closed, dropped) = (Scratch::new(), Scratch::new());
            async move |path: &Path| match path.extension().and_then(|extension| extension.to_str()) {
                Some("closed") => closed.open().await,
                Some("dropped") => dropped.open().await,
                other => panic!("no clause asks for a store at {other:?}"),
            }
        }
    );
}

use self::mongodb_scratch::Scratch;
use self::random::{Run, seeds, steps};

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn mongodb_answers_as_memory_does() {
    for seed in seeds(2) {
        let scratch = Scratch::new();
        Run::new(seed).go(steps(400), async || scratch.open().await).await;
    }
}
