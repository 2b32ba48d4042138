//! What holds for a database as a whole: who else writes it, who begins and who ends.

use super::*;

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

        let info = RoomInfo::new(text, Visibility::Public);
        let member = Member { user: person(0), role: Role::Admin, joined_at: at };
        let id = ConversationId::from_bytes(*person(100 + n).as_bytes());
        let room = NewRoom { id, info: info.clone(), members: vec![member], by: person(0), at };
        let made = store.create_room(room).await.expect("a room");
        let (_, made) = made.expect("nobody blocks anybody");
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
