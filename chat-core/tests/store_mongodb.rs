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

/// Texts that would be operators, paths or code if they were taken for anything but texts.
const OPERATORS: [&str; 10] = [
    r#"{"$gt": ""}"#,
    r#"{"$ne": null}"#,
    r#"{ "$where": "sleep(1000)" }"#,
    "$gt",
    "$set",
    "$$ROOT",
    "$username",
    "a.$[].b",
    "_id",
    "position",
];

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn nothing_from_a_client_is_an_operator() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    store.create_user(account(0, "ann")).await.expect("an account");
    store.create_user(account(1, "bob")).await.expect("an account");
    let conversation = Load::conversation(&*store).await;
    for (n, text) in (2..).zip(OPERATORS) {
        for key in [UserKey::Username(text.into()), UserKey::Email(text.into())] {
            assert_eq!(store.user(&key).await.expect("a look-up"), None, "{text} finds nobody");
        }
        assert!(matches!(store.create_user(account(n, text)).await, Ok(CreatedUser::Created(_))), "{text}");
        let found =
            store.user(&UserKey::Username(text.into())).await.expect("a look-up").expect("an account");
        assert_eq!((found.id, &*found.full_name), (person(n), text));
        let patch = ProfilePatch { full_name: Some(text.into()), picture: Some(text.into()) };
        let at = Timestamp::from_millis(2);
        let (_, now) = store.update_profile(person(n), patch, at).await.expect("a change").expect("somebody");
        assert_eq!((&*now.full_name, &*now.picture), (text, text));

        let info = RoomInfo { name: text.into(), visibility: Visibility::Public };
        let member = Member { user: person(0), role: Role::Admin, joined_at: at };
        let id = ConversationId::from_bytes(*person(100 + n).as_bytes());
        let room = NewRoom { id, info: info.clone(), members: vec![member], by: person(0), at };
        let (_, made) = store.create_room(room).await.expect("a room");
        assert_eq!(made.kind, chat_core::model::ConversationKind::Room(info));

        let new = NewMessage {
            body: Blob { encoding: Encoding::Stored, bytes: text.into() },
            file_name: Some(text.into()),
            image: Some(text.into()),
            client_id: ClientId::new(text),
            ..message(conversation, 0, n)
        };
        assert!(matches!(store.append(new.clone()).await, Ok(Appended::New { .. })), "{text} is no old id");
        match store.append(NewMessage { id: message(conversation, 0, 1000).id, ..new.clone() }).await {
            Ok(Appended::Repeated(first)) => assert_eq!((first.id, first.image), (new.id, new.image)),
            other => panic!("{text} is the client id of one message, but: {other:?}"),
        }
    }
    // In the database they are texts.
    let database = scratch.database().await;
    let users = database.collection::<Document>("chat_users");
    let stored: Vec<Document> = users
        .find(doc! { "place": { "$exists": true } })
        .sort(doc! { "place": 1 })
        .await
        .expect("a cursor")
        .try_collect()
        .await
        .expect("all users");
    for (user, text) in stored[2..].iter().zip(OPERATORS) {
        for field in ["username", "email", "full_name", "picture", "password_hash"] {
            assert_eq!(user.get(field), Some(&Bson::String(text.into())), "{field}");
        }
    }
}

/// What waits goes into one transaction.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn changes_that_wait_are_committed_together() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    let batches = async || {
        let counters = scratch.database().await.collection::<Document>("chat_counters");
        let counter =
            counters.find_one(doc! { "_id": "log" }).await.expect("a look-up").expect("the counter");
        counter.get_i64("batches").expect("a number")
    };
    let before = batches().await;
    let answers = join_all((0..600).map(|n| store.append(message(conversation, 0, n)))).await;
    for (n, answer) in (1..).zip(answers) {
        let Ok(Appended::New { position, .. }) = answer else { panic!("message {n}: {answer:?}") };
        assert_eq!(position, Position(n), "in order of asking");
    }
    let used = batches().await - before;
    assert!((3..=4).contains(&used), "600 changes at 256 a transaction take {used} transactions");
}

/// Several nodes write to one database at once: all of them make one history, and whatever is unique is so among all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn several_nodes_make_one_history() {
    const EACH: u32 = 25;
    let scratch = Scratch::new();
    let nodes = join_all((0..3).map(|_| scratch.open())).await;
    assert!(nodes.iter().all(|node| node.is_shared()), "the clauses go by that");
    let conversation = Load::conversation(&*nodes[0]).await;
    let load = Load::default();
    let sending = nodes.iter().enumerate().flat_map(|(n, node)| {
        let senders = 2 * n as u32..2 * n as u32 + 2;
        senders.map(|sender| load.send(node.clone(), conversation, sender, EACH)).collect::<Vec<_>>()
    });
    // Somebody on another node sees every position once and in order meanwhile.
    let reader = scratch.open().await;
    let reading = async {
        let mut seen = 0;
        while seen < u64::from(6 * EACH) {
            let changes =
                reader.changes_after(Position(seen), 1000).await.expect("a log").expect("all of it");
            for change in changes {
                seen += 1;
                assert_eq!(change.position, Position(seen), "what a reader sees next");
            }
        }
    };
    join(join_all(sending), reading).await;
    load.verify(&*reader, conversation).await;

    let name = |n: usize| ["Žofie", "žofie", "ŽOFIE"][n];
    let asked = nodes.iter().enumerate().map(|(n, node)| node.create_user(account(n as u32, name(n))));
    let answers = join_all(asked).await;
    let made = answers.iter().filter(|answer| matches!(answer, Ok(CreatedUser::Created(_)))).count();
    let taken = answers.iter().filter(|answer| matches!(answer, Ok(CreatedUser::UsernameTaken))).count();
    assert_eq!((made, taken), (1, 2), "{answers:?}");

    let once = |n: u32| NewMessage { client_id: ClientId::new("once"), ..message(conversation, 0, 500 + n) };
    let answers = join_all((0..).zip(&nodes).map(|(n, node)| node.append(once(n)))).await;
    let new = answers.iter().filter(|answer| matches!(answer, Ok(Appended::New { .. }))).count();
    let repeated = answers.iter().filter(|answer| matches!(answer, Ok(Appended::Repeated(_)))).count();
    assert_eq!((new, repeated), (1, 2), "{answers:?}");

    // What one node has remembered of a conversation's end is not true for ever.
    for (n, node) in (0..6).map(|n| (n, &nodes[n as usize % 3])) {
        let appended = node.append(message(conversation, 1, 600 + n)).await;
        let expected = 6 * EACH + 2 + n;
        assert!(matches!(appended, Ok(Appended::New { seq, .. }) if seq.0 == expected), "{appended:?}");
    }
    for node in nodes {
        node.close().await.expect("closing must work");
    }
}

/// A change whose caller has gone is made all the same, and closing waits for it.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn closing_finishes_what_waits() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let conversation = Load::conversation(&*store).await;
    for n in 0..300 {
        let mut send = store.append(message(conversation, 0, n));
        assert!(poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await.is_pending(), "it takes a while");
    }
    store.close().await.expect("closing must work");
    let store = scratch.open().await;
    let (history, _) =
        store.history(conversation, Window::Latest { limit: 1000 }, true).await.expect("a history");
    assert!(history.iter().map(|said| said.id).eq((0..300).map(|n| message(conversation, 0, n).id)));
}

#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn opening_again_changes_nothing_but_clears_old_notes_away() {
    let scratch = Scratch::new();
    let open = scratch.open().await;
    let database = scratch.database().await;
    let counters = database.collection::<Document>("chat_counters");
    let counter = async || counters.find_one(doc! { "_id": "log" }).await.expect("a look-up").expect("it");
    let note = doc! { "$set": { "writers.000000000000000000000001": {
        "session": "x", "batch": 1_i64, "at": mongodb::bson::DateTime::from_millis(1),
    } } };
    counters.update_one(doc! { "_id": "log" }, note).await.expect("an old note");
    let other = scratch.open().await;
    assert_eq!(counter().await.get_document("writers").expect("writers").len(), 2, "one note of each store");
    other.close().await.expect("closing must work");
    let untouched = MongoStore::open(&scratch.uri()).await.expect("the store must open");
    untouched.close().await.expect("closing must work");
    open.close().await.expect("closing must work");
    assert!(counter().await.get_document("writers").expect("writers").is_empty(), "no store is open");

    let indexes =
        database.collection::<Document>("chat_revoked_tokens").list_indexes().await.expect("indexes");
    let indexes: Vec<_> = indexes.try_collect().await.expect("indexes");
    let expires = indexes.iter().filter_map(|index| index.options.as_ref()?.expire_after).collect::<Vec<_>>();
    assert_eq!(expires, [std::time::Duration::ZERO], "tokens go when their time has come");
    let newer = doc! { "$set": { "version": 2_i64 } };
    counters.update_one(doc! { "_id": "log" }, newer).await.expect("a newer version");
    let refused = MongoStore::open(&scratch.uri()).await.err();
    assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
}

/// The database of an old backend can be shared: its collections have names and fields like ours, and stay as they are.
#[tokio::test]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn the_collections_of_another_backend_are_left_alone() {
    let scratch = Scratch::new();
    let database = scratch.database().await;
    let names = ["users", "messages", "conversations", "members"];
    let foreign = || (0..3).map(|n| doc! { "_id": n, "email": "ann@example.org", "text": "Hi" });
    for name in names {
        database.collection::<Document>(name).insert_many(foreign()).await.expect("old documents");
    }
    let store = scratch.open().await;
    assert_eq!(store.users(9).await.expect("users"), []);
    store.create_user(account(0, "ann@example.org")).await.expect("an account");
    let conversation = Load::conversation(&*store).await;
    store.append(message(conversation, 0, 0)).await.expect("a message");
    for name in names {
        let found = database.collection::<Document>(name).find(doc! {}).sort(doc! { "_id": 1 }).await;
        let found: Vec<_> = found.expect("a cursor").try_collect().await.expect("documents");
        assert!(found.into_iter().eq(foreign()), "{name}");
        let indexes = database.collection::<Document>(name).list_index_names().await.expect("indexes");
        assert_eq!(indexes, ["_id_"], "{name}");
    }
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
