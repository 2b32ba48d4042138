//! What was copied from SQLite to MongoDB is what it was, and goes on as if nothing had happened. Needs the URI of a server
//! in `MONGO_TEST_URI`; `./test` starts one.
#![cfg(all(feature = "sqlite", feature = "mongodb", feature = "contract"))]

mod mongodb_scratch;
mod random;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_core::store::contract::Scratch as Folder;
use chat_core::store::sqlite::{SqliteExport, SqliteOptions};
use chat_core::store::{Copied, MongoStore, SqliteStore, Store, StoreError, copy_to_mongodb};

use self::mongodb_scratch::Scratch;
use self::mongodb_scratch::load::{Load, message};
use self::random::{Run, seeds, steps};

fn sqlite(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, SqliteOptions::default()).expect("the store must open"))
}

async fn copy(path: &Path, to: &Scratch) -> Result<Copied, StoreError> {
    let store = MongoStore::open(&to.uri()).await.expect("the database must open");
    copy_to_mongodb(SqliteExport::open(path)?, &store, |_| {}).await
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn a_copy_answers_as_the_original_would() {
    // A run that moves house the third time it is opened again.
    const MOVE: usize = 3;
    for seed in seeds(3) {
        let (folder, scratch, opened) = (Folder::new(), Scratch::new(), AtomicUsize::new(0));
        let open = async || {
            let times = opened.fetch_add(1, Ordering::Relaxed);
            if times < MOVE {
                return sqlite(&folder.path());
            }
            if times == MOVE {
                let copied = copy(&folder.path(), &scratch).await.expect("a copy");
                assert!(copied.messages > 0 && copied.users > 0 && copied.conversations > 0, "{copied:?}");
            }
            scratch.open().await
        };
        // A copy has no index: it is made again where it is needed.
        Run::new(seed).without_index().go(steps(900), open).await;
        assert!(opened.into_inner() > MOVE, "it has moved");
    }
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn many_messages_are_copied_whole() {
    let (folder, scratch, load) = (Folder::new(), Scratch::new(), Load::default());
    let original = sqlite(&folder.path());
    let conversation = Load::conversation(&*original).await;
    // More than are read at once.
    let senders = (0..20).map(|sender| load.send(original.clone(), conversation, sender, 120));
    futures_util::future::join_all(senders).await;
    original.close().await.expect("closing must work");
    drop(original);

    let copied = copy(&folder.path(), &scratch).await.expect("a copy");
    assert_eq!((copied.messages, copied.conversations), (2_400, 1));
    let store = scratch.open().await;
    load.verify(&*store, conversation).await;
    // A send that is repeated after the move is still known, and a new one follows on.
    load.send(store.clone(), conversation, 7, 121).await;
    load.verify(&*store, conversation).await;
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn only_an_empty_database_is_filled() {
    let (folder, scratch) = (Folder::new(), Scratch::new());
    let original = sqlite(&folder.path());
    let here = Load::conversation(&*original).await;
    original.append(message(here, 0, 0)).await.expect("a message");

    // Somebody is using the file.
    let error = copy(&folder.path(), &scratch).await.expect_err("the file is in use");
    assert!(matches!(&error, StoreError::Refused(_)), "{error}");
    drop(original);
    copy(&folder.path(), &scratch).await.expect("a copy");
    let error = copy(&folder.path(), &scratch).await.expect_err("there is something in it now");
    assert!(matches!(&error, StoreError::Refused(problem) if problem.contains("not empty")), "{error}");
    // What is left when somebody drops all collections but the counter.
    let half_dropped = scratch.database().await;
    for name in half_dropped.list_collection_names().await.expect("its collections") {
        if name != "chat_counters" {
            half_dropped
                .collection::<mongodb::bson::Document>(&name)
                .drop()
                .await
                .expect("it can be dropped");
        }
    }
    let error = copy(&folder.path(), &scratch).await.expect_err("the log has begun");
    assert!(matches!(&error, StoreError::Refused(problem) if problem.contains("not empty")), "{error}");
    let nowhere = folder.path().with_extension("missing");
    assert!(matches!(SqliteExport::open(&nowhere), Err(StoreError::Refused(_))));
    assert!(!nowhere.exists(), "nothing is made of what is not there");
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn what_was_copied_by_half_is_not_opened() {
    let (folder, scratch) = (Folder::new(), Scratch::new());
    let original = sqlite(&folder.path());
    let here = Load::conversation(&*original).await;
    original.append(message(here, 0, 0)).await.expect("a message");
    drop(original);

    // The copy is dropped when the first records have been written: its process was killed.
    let store = MongoStore::open(&scratch.uri()).await.expect("the database must open");
    let export = SqliteExport::open(&folder.path()).expect("the file");
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let copying = copy_to_mongodb(export, &store, |_| {
        let _ = started.send(());
    });
    tokio::select! {
        biased;
        _ = has_started.recv() => {}
        done = copying => panic!("it is not finished before it has begun: {done:?}"),
    }
    let error = MongoStore::open(&scratch.uri()).await.err().expect("it must not open");
    assert!(matches!(&error, StoreError::Refused(problem) if problem.contains("not finished")), "{error}");

    scratch.database().await.drop().await.expect("the database is dropped");
    copy(&folder.path(), &scratch).await.expect("a copy");
    assert!(scratch.open().await.message(message(here, 0, 0).id).await.expect("it opens").is_some());
}
