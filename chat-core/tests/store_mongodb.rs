//! The store in MongoDB passes every clause and answers as the one in memory does. Needs the URI of a server in
//! `MONGO_TEST_URI`; `./test` starts one.
//!
//! `STORE_RANDOM_SEED`, `STORE_RANDOM_SEEDS` and `STORE_RANDOM_STEPS` are those of `store_random`.
#![cfg(all(feature = "mongodb", feature = "contract"))]

#[path = "store_mongodb/database.rs"]
mod database;
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

use std::task::Poll;

use chat_core::clock::Timestamp;
use chat_core::codec::{Blob, Encoding};
use chat_core::history::Window;
use chat_core::id::ConversationId;
use chat_core::model::{
    ClientId, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Role, RoomInfo, Seq, User,
    UserKey, Visibility,
};
use chat_core::store::{
    Appended, Change, ChangeLog, CreatedUser, LoggedChange, MongoStore, NewMessage, NewRoom, SetDeleted,
    StoreError, UNREAD_LOOKED_AT, UNREAD_LOOKED_AT_IN_ALL, UnreadCount,
};
use futures_util::TryStreamExt;
use futures_util::future::{join, join_all, poll_fn};
use mongodb::bson::{Bson, Document, doc};

use self::mongodb_scratch::Scratch;
use self::mongodb_scratch::load::{Load, message, person};
use self::random::{Run, seeds, steps};

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn mongodb_answers_as_memory_does() {
    for seed in seeds(2) {
        let scratch = Scratch::new();
        Run::new(seed).go(steps(400), async || scratch.open().await).await;
    }
}

fn account(n: u32, text: &str) -> NewUser {
    let now = Timestamp::from_millis(1);
    let user = User {
        id: person(n),
        username: Some(text.into()),
        email: Some(text.into()),
        full_name: text.into(),
        picture: text.into(),
        created_at: now,
        updated_at: now,
        last_seen: None,
    };
    NewUser { user, password_hash: PasswordHash::new(text), name_key: None }
}

/// In a database from before there were read marks nothing is unread, and nothing but one number is written for that.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn what_was_said_before_there_were_marks_is_read() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    for n in 0..3 {
        store.append(message(conversation, 0, n)).await.expect("a message");
    }
    store.close().await.expect("closing must work");
    let database = scratch.database().await;
    let members = database.collection::<Document>("chat_members");
    members.update_many(doc! {}, doc! { "$unset": { "read_seq": "" } }).await.expect("a change");
    let counters = database.collection::<Document>("chat_counters");
    counters.update_one(doc! {}, doc! { "$unset": { "read_up_to": "" } }).await.expect("a change");

    // Two nodes, of which the second comes after more was said.
    let (first, at) = (scratch.open().await, Timestamp::from_millis(1));
    assert_eq!(first.unread(person(1), 9).await.expect("a count"), []);
    first.append(message(conversation, 0, 3)).await.expect("a message");
    let second = scratch.open().await;
    for store in [&first, &second] {
        let count = UnreadCount { conversation, last_seq: Seq(4), read_seq: Seq(3), unread: 1 };
        assert_eq!(store.unread(person(1), 9).await.expect("a count"), [count]);
        let marked = store.mark_read(conversation, person(1), Some(Seq(2)), at).await;
        assert_eq!(marked.expect("a mark"), Some((None, Seq(3))), "the mark does not go back");
    }
    let marks = doc! { "read_seq": { "$exists": true } };
    assert_eq!(members.count_documents(marks.clone()).await.expect("a count"), 0, "nothing was rewritten");
    let marked = second.mark_read(conversation, person(1), None, at).await;
    assert_eq!(marked.expect("a mark"), Some((Some(Position(5)), Seq(4))));
    assert_eq!(members.count_documents(marks).await.expect("a count"), 1);
    assert_eq!(first.unread(person(1), 9).await.expect("a count"), []);
    // Whoever an older node lets in has their mark where everybody else's was.
    members.delete_one(doc! { "read_seq": { "$exists": true } }).await.expect("a change");
    let older = doc! {
        "_id": { "conversation": object_id(&conversation), "user": object_id(&person(1)) },
        "role": "member", "place": 1_i64, "joined_at": mongodb::bson::DateTime::from_millis(1),
    };
    members.insert_one(older).await.expect("a member");
    let unread = first.unread(person(1), 9).await.expect("a count");
    assert_eq!(unread.first().map(|count| (count.read_seq, count.unread)), Some((Seq(3), 1)));
}

fn object_id(id: &impl ToString) -> mongodb::bson::oid::ObjectId {
    id.to_string().parse().expect("24 hexadecimal digits")
}

/// A document that somebody has spoilt is named, and nothing else suffers.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn a_spoilt_document_is_named() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    for n in 0..2 {
        store.append(message(conversation, 0, n)).await.expect("a message");
    }
    let id = message(conversation, 0, 0).id;
    let messages = scratch.database().await.collection::<Document>("chat_messages");
    let spoil = doc! { "$set": { "sender": "somebody" } };
    messages.update_one(doc! { "seq": 1_i64 }, spoil).await.expect("a change");
    match store.message(id).await {
        Err(StoreError::Corrupt { what: "message", id: which }) => {
            assert!(which.contains(&id.to_string()) && which.contains("sender"), "{which}");
        }
        other => panic!("it must be named: {other:?}"),
    }
    assert!(matches!(store.message(message(conversation, 0, 1).id).await, Ok(Some(_))));
    assert!(matches!(
        store.changes_after(Position(1), 9).await,
        Ok(Some(changes)) if matches!(&changes[..], [LoggedChange { change: Change::MessageSent(_), .. }])
    ));
}

/// What cannot be read in the log is passed over alone, be it damaged or from a newer version: neither what comes before it
/// nor what comes after it is lost, whichever of the two collections either is in.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn an_entry_that_cannot_be_read_ends_the_list_before_it() {
    let spoilt = [
        (4, "chat_log", doc! { "_id": 4_i64 }, doc! { "kind": "of_a_newer_version" }),
        (4, "chat_log", doc! { "_id": 4_i64 }, doc! { "user": "somebody" }),
        (3, "chat_messages", doc! { "position": 3_i64 }, doc! { "sender": "somebody" }),
        (3, "chat_messages", doc! { "position": 3_i64 }, doc! { "position": 3.0 }),
        (5, "chat_messages", doc! { "position": 5_i64 }, doc! { "body": "spoilt" }),
        (6, "chat_log", doc! { "_id": 6_i64 }, doc! { "message": object_id(&person(9)) }),
    ];
    for (position, collection, which, spoil) in spoilt {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        let conversation = Load::conversation(&*store).await;
        let at = Timestamp::from_millis(1);
        for n in 0..3 {
            store.append(message(conversation, 0, n)).await.expect("a message");
        }
        store.mark_read(conversation, person(1), None, at).await.expect("a mark");
        store.append(message(conversation, 0, 3)).await.expect("a message");
        let message_id = message(conversation, 0, 3).id;
        let deletion = SetDeleted { message: message_id, conversation, by: person(0), delete: true, at };
        store.set_deleted(deletion).await.expect("a deletion").expect("it is theirs");
        store.append(message(conversation, 0, 4)).await.expect("a message");
        let read = async |after, most| match store.changes_after(Position(after), most).await {
            Ok(Some(changes)) => Ok(changes.iter().map(|logged| logged.position.0).collect::<Vec<_>>()),
            Ok(None) => panic!("nothing was forgotten"),
            Err(error) => Err(error),
        };
        assert_eq!(read(0, 9).await.expect("the log"), [1, 2, 3, 4, 5, 6, 7], "before it is spoilt");

        let collection = scratch.database().await.collection::<Document>(collection);
        collection.update_one(which, doc! { "$set": &spoil }).await.expect("a change");
        // The deletion of a message that cannot be read cannot be read either.
        let unreadable = |at| at == position || (position == 5 && at == 6);
        for after in 0..7 {
            for most in [1, 2, 9] {
                let rest = (after + 1..=7).take(most).take_while(|at| !unreadable(*at));
                let readable: Vec<u64> = rest.collect();
                match read(after, most).await {
                    Ok(found) if !readable.is_empty() => {
                        assert_eq!(found, readable, "{most} after {after}, {spoil}");
                    }
                    Err(StoreError::Corrupt { .. }) if readable.is_empty() => {}
                    other => panic!("{most} after {after}, {spoil}: {other:?}"),
                }
            }
        }
    }
}

/// Where nothing was said since there are marks, whoever has none of their own costs nothing: no message is looked at.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn what_is_read_without_a_mark_is_not_looked_at() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    for n in 0..2 {
        store.append(message(conversation, 0, n)).await.expect("a message");
    }
    let database = scratch.database().await;
    let (of_all, of) = (|| doc! {}, |name: &str| database.collection::<Document>(name));
    of("chat_members").update_many(of_all(), doc! { "$unset": { "read_seq": "" } }).await.expect("a change");
    let up_to = doc! { "$set": { "read_up_to": 2_i64 } };
    of("chat_counters").update_one(of_all(), up_to).await.expect("a change");
    // Whoever looks at this message stumbles.
    let spoil = doc! { "$set": { "seq": 2.0 } };
    of("chat_messages").update_one(doc! { "seq": 2_i64 }, spoil).await.expect("a change");
    assert_eq!(store.unread(person(1), 9).await.expect("a count"), []);

    // What was said since and deleted is no reason to look either.
    let third = message(conversation, 0, 2);
    store.append(third.clone()).await.expect("a message");
    assert!(
        matches!(store.unread(person(1), 9).await, Err(StoreError::Corrupt { .. })),
        "now it is looked at"
    );
    let at = Timestamp::from_millis(1);
    of("chat_messages")
        .update_one(doc! { "seq": 2.0 }, doc! { "$set": { "seq": 2_i64 } })
        .await
        .expect("a change");
    let deletion = SetDeleted { message: third.id, conversation, by: person(0), delete: true, at };
    store.set_deleted(deletion).await.expect("a deletion").expect("it is theirs");
    let spoil = doc! { "$set": { "seq": 2.0 } };
    of("chat_messages").update_one(doc! { "seq": 2_i64 }, spoil).await.expect("a change");
    assert_eq!(store.unread(person(1), 9).await.expect("a count"), []);
}

/// However many conversations somebody has never read, one list costs only so much.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn only_so_many_messages_are_looked_at_in_all() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let bound = UNREAD_LOOKED_AT_IN_ALL / UNREAD_LOOKED_AT;
    let conversations = 2 * bound;
    for n in 1..=conversations {
        let (pair, at) = (Pair::new(person(0), person(n)), Timestamp::from_millis(0));
        let mut id = [0; 12];
        id[8..].copy_from_slice(&n.to_be_bytes());
        let direct =
            store.open_direct(pair, ConversationId::from_bytes(id), at).await.expect("a conversation");
        store.append(NewMessage { sender: person(n), ..message(direct.id, n, n) }).await.expect("a message");
    }
    assert_eq!(store.unread(person(0), usize::MAX).await.expect("a count").len() as u32, conversations);

    // As if there were as many messages in each as are looked at.
    let last = i64::from(UNREAD_LOOKED_AT);
    let database = scratch.database().await;
    for name in ["chat_conversations", "chat_messages"] {
        let field = if name == "chat_messages" { "seq" } else { "last_seq" };
        let set = doc! { "$set": { field: last } };
        database.collection::<Document>(name).update_many(doc! {}, set).await.expect("a change");
    }
    let found = store.unread(person(0), usize::MAX).await.expect("a count");
    assert_eq!(found.len() as u32, bound);
    assert!(found.iter().all(|count| count.unread == 1 && count.last_seq == Seq(UNREAD_LOOKED_AT)));
    assert_eq!(store.unread(person(0), 3).await.expect("a count"), found[..3]);
}

/// Closing leaves nothing behind that runs on.
#[test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
fn a_closed_store_leaves_no_task() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        Load::conversation(&*store).await;
        store.close().await.expect("closing must work");
        drop(store);
        let metrics = tokio::runtime::Handle::current().metrics();
        let started = std::time::Instant::now();
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(5));
        while metrics.num_alive_tasks() > 0 {
            assert!(started.elapsed().as_secs() < 5, "{} tasks are left", metrics.num_alive_tasks());
            looks.tick().await;
        }
    });
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn names_from_before_there_were_keys_stay_and_are_taken() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let named = |n: u32, text: &str| {
        let mut user = account(n, text).user;
        user.email = None;
        NewUser::new(user, PasswordHash::new("hash"))
    };
    for (n, name) in (0..).zip(["coco", "bob"]) {
        assert!(matches!(store.create_user(named(n, name)).await, Ok(CreatedUser::Created(_))), "{name}");
    }
    // One that looks like the first, made by an older node.
    let twin = NewUser { name_key: None, ..named(2, "сосо") };
    assert!(matches!(store.create_user(twin).await, Ok(CreatedUser::Created(_))));
    store.close().await.expect("closing must work");
    let users = scratch.database().await.collection::<Document>("chat_users");
    users.update_many(doc! {}, doc! { "$unset": { "name_key": "" } }).await.expect("a change");

    for opened in 1..=2 {
        let store = scratch.open().await;
        let keyed = users.count_documents(doc! { "name_key": { "$exists": true } }).await.expect("a count");
        assert_eq!(keyed, 2, "the first of two gets the key, opened {opened}");
        for (n, name) in (0..).zip(["coco", "bob", "сосо"]) {
            let found = store.user(&UserKey::Username(name.into())).await.expect("a look-up");
            assert_eq!(found.map(|user| user.id), Some(person(n)), "{name}, opened {opened}");
        }
        for name in ["ｃｏｃｏ", "ｂｏｂ", "COCO"] {
            let refused = store.create_user(named(9, name)).await.expect("an answer");
            assert_eq!(refused, CreatedUser::UsernameTaken, "{name}, opened {opened}");
        }
        store.close().await.expect("closing must work");
    }
}

/// One damaged document takes nothing else with it, and an inspection names it.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn a_damaged_document_is_left_out_and_named() {
    use std::sync::Arc;

    use chat_core::codec::HuffmanCodec;
    use chat_core::store::inspect::{Finding, Inspection};
    use chat_core::store::mongodb::MongoInspector;

    const MESSAGES: &str = "chat_messages";
    let seventh = || doc! { "seq": 7_i64 };
    let nothing =
        mongodb::bson::Binary { subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: vec![] };
    // What is damaged, how, as what it is named, and which of the messages, members and users are left out.
    let cases = [
        (MESSAGES, seventh(), doc! {}, "", (0, 0, 0)),
        (MESSAGES, seventh(), doc! { "sender": "somebody" }, "message", (1, 0, 0)),
        (MESSAGES, seventh(), doc! { "body": "spoilt" }, "message", (1, 0, 0)),
        (MESSAGES, seventh(), doc! { "encoding": 99 }, "message", (1, 0, 0)),
        (MESSAGES, seventh(), doc! { "created_at": "then" }, "message", (1, 0, 0)),
        // These are read by the store, and judged above it.
        (MESSAGES, seventh(), doc! { "sender": object_id(&person(9)) }, "message", (0, 0, 0)),
        (MESSAGES, seventh(), doc! { "encoding": 1, "body": nothing }, "message", (0, 0, 0)),
        (MESSAGES, seventh(), doc! { "image": 7 }, "message", (0, 0, 0)),
        ("chat_users", doc! { "_id": object_id(&person(1)) }, doc! { "full_name": 7 }, "user", (0, 0, 1)),
        (
            "chat_members",
            doc! { "_id.user": object_id(&person(1)) },
            doc! { "role": "king" },
            "member",
            (0, 1, 0),
        ),
        (
            "chat_members",
            doc! { "_id.user": object_id(&person(1)) },
            doc! { "read_seq": 99_i64 },
            "read mark",
            (0, 0, 0),
        ),
        ("chat_log", doc! { "_id": 13_i64 }, doc! { "kind": "unknown" }, "log entry", (0, 0, 0)),
        ("chat_conversations", doc! {}, doc! { "last_seq": 99_i64 }, "conversation", (0, 0, 0)),
    ];
    for (collection, which, spoil, kind, (messages, members, users)) in cases {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        for n in 0..2 {
            store.create_user(account(n, &format!("n{n}"))).await.expect("an account");
        }
        let conversation = Load::conversation(&*store).await;
        for n in 0..12 {
            store.append(message(conversation, 0, n)).await.expect("a message");
        }
        let (second, now) = (Some(Seq(2)), Timestamp::from_millis(1));
        store.mark_read(conversation, person(1), second, now).await.expect("a mark");
        if !spoil.is_empty() {
            let documents = scratch.database().await.collection::<Document>(collection);
            let spoilt = documents.update_one(which, doc! { "$set": &spoil }).await.expect("a change");
            assert_eq!(spoilt.modified_count, 1, "{spoil}");
        }
        let mut found = Vec::new();
        {
            let tell = |finding: &Finding| found.push(finding.clone());
            let mut inspection = Inspection::new(Arc::new(HuffmanCodec::new()), tell);
            let inspector = MongoInspector::open(&scratch.uri()).await.expect("an inspector");
            inspector.run(&mut inspection).await.expect("a look");
        }
        assert!(found.iter().all(|finding| finding.kind == kind), "{spoil}: {found:#?}");
        assert_eq!(found.is_empty(), kind.is_empty(), "{spoil}");

        let (mut seqs, mut window) = (Vec::new(), Window::Latest { limit: 2 });
        loop {
            let (page, has_more) = store.history(conversation, window, true).await.expect("a page");
            seqs.splice(0..0, page.iter().map(|message| message.seq.0));
            if !has_more {
                break;
            }
            window = Window::Before { seq: page[0].seq, limit: 2 };
        }
        let there: Vec<u32> = (1..=12).filter(|seq| messages == 0 || *seq != 7).collect();
        assert_eq!(seqs, there, "{spoil}");
        assert_eq!(store.users(9).await.expect("people").len(), 2 - users, "{spoil}");
        let opened = store.conversation(conversation).await.expect("a conversation").expect("it is there");
        assert_eq!(opened.members.len(), 2 - members, "{spoil}");
        store.chat_partners(person(1), 9).await.expect("partners");
        let counts = store.unread(person(1), 9).await.expect("counts");
        let unread: u32 = counts.iter().map(|count| count.unread).sum();
        assert_eq!(unread, if kind == "read mark" { 0 } else { 10 - messages }, "{spoil}: what is unread");
        store.changes_for(person(1), Position(7), 9).await.expect("changes");
        store.append(message(conversation, 0, 12)).await.expect("it goes on");
    }
}
