//! What the store in MongoDB makes of a server that fails. Every test has a server of its own, started by the program of
//! `MONGO_TEST_SERVER`; `./test` installs one.
#![cfg(all(feature = "mongodb", feature = "contract"))]

mod mongodb_scratch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::model::UserKey;
use chat_core::store::{MongoStore, Store, StoreError};
use futures_util::future::{join, join_all};
use mongodb::bson::{Document, doc};

use self::mongodb_scratch::load::{Load, MAX_CALL, Progress, message, person};
use self::mongodb_scratch::proxy::{Cut, Proxy};
use self::mongodb_scratch::server::Server;

/// Three people send at once after `trouble` was prepared, until all is sent.
async fn under_load(store: &Arc<dyn Store>, load: Load, each: u32, trouble: impl Future<Output = ()>) {
    let conversation = Load::conversation(&**store).await;
    trouble.await;
    let sending = (0..3).map(|sender| load.send(store.clone(), conversation, sender, each));
    join_all(sending).await;
    load.verify(&**store, conversation).await;
}

#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn errors_of_every_step_lose_and_double_nothing() {
    let server = Server::start().await;
    let transient = ["TransientTransactionError"];
    let unknown = ["UnknownTransactionCommitResult"];
    let labelled = |code: i32, labels: &[&str]| doc! { "errorCode": code, "errorLabels": labels };
    let closed = || doc! { "closeConnection": true };
    let concern = |code: i32| doc! { "writeConcernError": { "code": code, "errmsg": "not by a majority" } };
    let (first, last) = ("findAndModify", "commitTransaction");
    let troubles = [
        // The first step of a transaction and those between: in conflict, without a transaction, cut off.
        (first, 3, labelled(112, &transient)),
        (first, 1, closed()),
        (first, 3, closed()),
        ("find", 2, labelled(251, &transient)),
        ("insert", 3, labelled(112, &transient)),
        ("insert", 1, closed()),
        ("insert", 3, closed()),
        ("update", 2, closed()),
        // The last step: not made, or nobody knows.
        (last, 2, labelled(251, &transient)),
        (last, 3, labelled(89, &unknown)),
        (last, 1, labelled(91, &unknown)),
        (last, 2, labelled(50, &unknown)),
        (last, 1, closed()),
        (last, 3, closed()),
        // Made, but not by a majority so far, or never.
        (last, 2, concern(64)),
        (last, 2, concern(100)),
    ];
    for (command, times, mut data) in troubles {
        println!("{command}, {times} times: {data}");
        let scratch = server.scratch();
        let store = scratch.open().await;
        data.insert("failCommands", [command]);
        under_load(&store, Load::default(), 8, server.fail(doc! { "times": times }, data)).await;
        server.fail("off", doc! {}).await;
        store.close().await.expect("closing must work");
    }
}

/// An error that would come again for the same change fails that change, and no other.
#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn one_bad_change_does_not_fail_the_others() {
    let server = Server::start().await;
    let scratch = server.scratch();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    store.append(message(conversation, 0, 0)).await.expect("a message");

    // The id is taken, which the database alone knows: the store does not look.
    let taken = chat_core::store::NewMessage { client_id: None, ..message(conversation, 0, 0) };
    let sends =
        [message(conversation, 1, 0), taken, message(conversation, 2, 0)].map(|new| store.append(new));
    let answers = join_all(sends).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(StoreError::Refused(_))), "{answers:?}");

    // What is no fault of a change and may pass is tried once more for each.
    server.fail(doc! { "times": 1 }, doc! { "failCommands": ["insert"], "errorCode": 8 }).await;
    let sends = [message(conversation, 1, 1), message(conversation, 2, 1)].map(|new| store.append(new));
    let answers = join_all(sends).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    server.fail("alwaysOn", doc! { "failCommands": ["insert"], "errorCode": 8 }).await;
    let asked = Instant::now();
    let failed = store.append(message(conversation, 1, 2)).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))) && asked.elapsed() < MAX_CALL, "{failed:?}");
    server.fail("off", doc! {}).await;
    store.append(message(conversation, 1, 2)).await.expect("works again");
}

/// A disk that is full is told from a database that is away, whichever step meets it, and is over when there is room again.
#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn a_full_disk_is_said_to_be_one() {
    let server = Server::start().await;
    let scratch = server.scratch();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    for (n, command) in (0..).zip(["findAndModify", "insert", "update", "commitTransaction"]) {
        server.fail("alwaysOn", doc! { "failCommands": [command], "errorCode": 14_031 }).await;
        let failed = store.append(message(conversation, 0, n)).await;
        assert!(matches!(failed, Err(StoreError::Full(_))), "{command}: {failed:?}");
        // It changes the counter and nothing else.
        if matches!(command, "findAndModify" | "commitTransaction") {
            let check = store.check().await;
            assert!(matches!(check, Err(StoreError::Full(_))), "{command}: {check:?}");
        }
        server.fail("off", doc! {}).await;
        store.check().await.expect("it is well again");
        store.append(message(conversation, 0, n)).await.expect("there is room again");
    }
}

/// A commit that took place although its answer was lost is not made again, even if the server knows nothing more of it
/// when it is asked again.
#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn lost_answers_double_nothing() {
    use Cut::{After, Before};
    let server = Server::start().await;
    let commit = "commitTransaction";
    let plans: [&[Cut]; 7] = [
        &[After(commit)],
        &[Before(commit)],
        &[After(commit), Before(commit), Before(commit), After(commit)],
        &[Before(commit), Before(commit), After(commit)],
        &[After("insert"), After("findAndModify"), After(commit)],
        &[After("update"), After(commit), After("findAndModify")],
        &[Before("findAndModify"), After("find"), Before("insert")],
    ];
    for plan in plans {
        for forgetful in [false, true] {
            println!("{plan:?}, forgetful: {forgetful}");
            let scratch = server.scratch();
            let proxy = Proxy::start(server.port()).await;
            let store: Arc<dyn Store> =
                Arc::new(MongoStore::open(&proxy.uri(scratch.name())).await.expect("a store"));
            let trouble = async {
                proxy.cut(plan.iter().copied());
                if forgetful {
                    // Asked again, the server answers as one that was replaced by another meanwhile.
                    let forgot = doc! {
                        "failCommands": [commit],
                        "errorCode": 251,
                        "errorLabels": ["TransientTransactionError"],
                    };
                    server.fail(doc! { "skip": 1, "times": 1 }, forgot).await;
                }
            };
            under_load(&store, Load::nameless(), 6, trouble).await;
            server.fail("off", doc! {}).await;
            store.close().await.expect("closing must work");
            if !forgetful {
                assert_eq!(proxy.made(), plan.len(), "all cuts were made");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn a_killed_server_comes_back_without_a_new_store() {
    // A real server keeps what it has acknowledged with `j: true`; the substitute only when told to.
    let mut server = Server::start_with(&["--sync-on-commit"]).await;
    let scratch = server.scratch();
    let store = scratch.open().await;
    let load = Load::default();
    let conversation = Load::conversation(&*store).await;
    let sending = (0..3).map(|sender| load.send(store.clone(), conversation, sender, 100));
    let trouble = async {
        for round in 1..=2 {
            let before = load.progress();
            let more = |now: Progress| now.acknowledged > before.acknowledged + 10;
            load.until("messages must be acknowledged", more).await;
            server.kill();
            let reads = async {
                let asked = Instant::now();
                let read = store.user(&UserKey::Id(person(0))).await;
                assert!(matches!(read, Err(StoreError::Unavailable(_))), "round {round}: {read:?}");
                assert!(asked.elapsed() < MAX_CALL, "a read took {:?}", asked.elapsed());
            };
            let sends = load.until("sends must fail", |now| now.failed >= before.failed + 3);
            join(reads, sends).await;
            let check = store.check().await;
            assert!(matches!(check, Err(StoreError::Unavailable(_))), "round {round}: {check:?}");
            let before = load.progress();
            server.restart().await;
            let back = Instant::now();
            let more = |now: Progress| now.acknowledged > before.acknowledged;
            load.until("messages must be acknowledged again", more).await;
            assert!(back.elapsed() < Duration::from_secs(5), "it took {:?} to recover", back.elapsed());
        }
    };
    join(join_all(sending), trouble).await;
    load.verify(&*store, conversation).await;
    store.check().await.expect("the store works");
}

/// A server that is there and says nothing is no better than one that is gone.
#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn a_silent_server_is_unavailable_in_time() {
    let server = Server::start().await;
    let scratch = server.scratch();
    let store = scratch.open().await;
    let load = Load::default();
    let conversation = Load::conversation(&*store).await;
    let sending = (0..3).map(|sender| load.send(store.clone(), conversation, sender, 20));
    let trouble = async {
        load.until("messages must be acknowledged", |now| now.acknowledged > 10).await;
        server.signal("STOP");
        let asked = Instant::now();
        let read = store.history(conversation, chat_core::history::Window::Latest { limit: 9 }, true).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        assert!(asked.elapsed() < MAX_CALL, "a read took {:?}", asked.elapsed());
        load.until("sends must fail", |now| now.failed >= 3).await;
        server.signal("CONT");
    };
    join(join_all(sending), trouble).await;
    load.verify(&*store, conversation).await;
}

/// A node that dies in the middle of a transaction is in nobody's way for long: neither for a store that is open nor for
/// one that opens.
#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn a_dead_nodes_transaction_is_cleared_away() {
    let server = Server::start().await;
    let scratch = server.scratch();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    store.append(message(conversation, 0, 0)).await.expect("a message");
    let counters = scratch.database().await.collection::<Document>("chat_counters");
    for round in 1..3 {
        let mut dead = counters.client().start_session().await.expect("a session");
        let session = dead.id().get("id").cloned();
        let writer = format!("writers.00000000000000000000000{round}.session");
        let register = counters.update_one(doc! { "_id": "log" }, doc! { "$set": { writer: session } });
        register.await.expect("a dead node was alive before");
        dead.start_transaction().await.expect("a transaction");
        let take =
            counters.update_one(doc! { "_id": "log" }, doc! { "$inc": { "position": 1, "batches": 1 } });
        take.session(&mut dead).await.expect("the first step of a transaction");

        let asked = Instant::now();
        if round == 1 {
            store.append(message(conversation, 0, 1)).await.expect("the way must be cleared");
        } else {
            scratch.open().await.close().await.expect("closing must work");
        }
        assert!(asked.elapsed() < MAX_CALL, "round {round} took {:?}", asked.elapsed());
    }
    store.append(message(conversation, 0, 2)).await.expect("the store works");
    assert_eq!(store.last_position().await.expect("a position").0, 3, "what the dead left open never was");
}

#[tokio::test]
#[ignore = "needs a server program in MONGO_TEST_SERVER: ./test installs one"]
async fn a_server_without_transactions_is_refused() {
    let server = Server::start_with(&["--standalone"]).await;
    match MongoStore::open(&server.scratch().uri()).await {
        Err(StoreError::Refused(why)) => assert!(why.contains("--replSet"), "it must say what to do: {why}"),
        other => panic!("it must be refused: {:?}", other.err()),
    }
}

#[tokio::test]
async fn an_absent_server_is_unavailable_in_time_and_no_password_shows() {
    // Nobody listens on port 9 of this machine.
    let asked = Instant::now();
    let absent = MongoStore::open("mongodb://ann:hush-hush@127.0.0.1:9/chat").await.err();
    assert!(asked.elapsed() < MAX_CALL, "it took {:?}", asked.elapsed());
    assert!(matches!(absent, Some(StoreError::Unavailable(_))), "{absent:?}");
    assert!(!format!("{absent:?}").contains("hush"), "{absent:?}");
    for uri in ["mongodb://ann:hush@hush@127.0.0.1/chat", "mongodb://ann:hush-hush@127.0.0.1:0x/?a=b", "hush"]
    {
        let refused = MongoStore::open(uri).await.err();
        assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
        assert!(uri == "hush" || !format!("{refused:?}").contains("hush"), "{refused:?}");
    }
}
