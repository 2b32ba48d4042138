//! Tests of [`sync`](super).

use std::sync::Arc;

use super::*;
use crate::chat::Registration;
use crate::command::{Actor, Destination, SendMessage, UpdateProfile};
use crate::model::{Content, PasswordHash, UserKey};
use crate::store::ChangeLog;

async fn person(chat: &Chat, name: &str) -> UserId {
    let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
    chat.register(registration).await.unwrap().user.id
}

async fn say(chat: &Chat, from: UserId, to: UserId, text: &str) {
    let to = Destination::Person(UserKey::Id(to));
    let content = Content::text(text);
    let send = SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
    chat.execute(&Actor { user: from }, send).await.unwrap();
}

async fn sync(chat: &Chat, user: UserId, since: u64, limit: usize) -> Changes {
    let command = ReadChanges { since: Some(Position(since).into()), limit };
    chat.execute(&Actor { user }, command).await.unwrap().reply
}

/// The positions of all deliveries to a user, read until there are no more, and the number of requests.
async fn everything(chat: &Chat, user: UserId, limit: usize) -> (Vec<u64>, usize) {
    let (mut told, mut next, mut asked) = (Vec::new(), 0, 0);
    loop {
        let changes = sync(chat, user, next, limit).await;
        assert!(changes.deliveries.len() <= limit && !changes.reset);
        told.extend(changes.deliveries.iter().filter_map(|delivery| delivery.position).map(|at| at.0));
        asked += 1;
        if !changes.more {
            return (told, asked);
        }
        assert!(changes.next.0 > next, "every answer leads on");
        next = changes.next.0;
    }
}

#[tokio::test]
async fn everything_is_told_once_in_parts_of_any_size() {
    let chat = Chat::in_memory();
    let [ann, bob, cid] =
        [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "cid").await];
    const ALL: u64 = 3_000;
    for n in 0..ALL {
        say(&chat, ann, if n % 100 == 7 { cid } else { bob }, "hello").await;
    }
    let all: Vec<u64> = (1..=ALL).collect();
    let cids: Vec<u64> = all.iter().copied().filter(|at| at % 100 == 8).collect();
    for limit in [1, 7, 64, 65, 5_000] {
        assert_eq!(everything(&chat, cid, limit).await.0, cids, "cid, {limit} at once");
        if limit > 1 {
            assert_eq!(everything(&chat, ann, limit).await.0, all, "ann, {limit} at once");
        }
    }
    assert_eq!(everything(&chat, cid, 5_000).await.1, 1, "what is for others is passed over at once");
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes() {
    let limits = crate::policy::Limits::default();
    let chat = Chat::in_memory().with_limits(limits);
    let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
    let text: Arc<str> = "x".repeat(60_000).into();
    for _ in 0..300 {
        say(&chat, ann, bob, &text).await;
    }
    let first = sync(&chat, bob, 0, 1_000).await;
    assert!(first.more);
    assert_eq!(first.deliveries.len(), limits.answer_bytes / text.len());
    assert_eq!(everything(&chat, bob, 1_000).await.0.len(), 300);
}

#[tokio::test]
async fn of_many_changes_of_a_profile_the_last_is_told() {
    let chat = Chat::in_memory();
    let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
    say(&chat, ann, bob, "hello").await;
    for n in 0..500 {
        let patch = crate::model::ProfilePatch { full_name: Some(format!("Ann {n}")), picture: None };
        chat.execute(&Actor { user: ann }, UpdateProfile { patch }).await.unwrap();
    }
    say(&chat, ann, bob, "and").await;
    assert_eq!(everything(&chat, bob, 1_000).await, (vec![1, 501, 502], 1));
}

#[tokio::test]
async fn what_was_told_before_a_backup_was_put_back_is_a_reset() {
    let store = Arc::new(crate::store::MemoryStore::new());
    let chat = Chat::new(store.clone());
    let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
    for _ in 0..3 {
        say(&chat, ann, bob, "hello").await;
    }
    assert!(!sync(&chat, ann, 2, 10).await.reset);
    store.renew_epoch().await.unwrap();
    // A new chat, as after a restart.
    let chat = Chat::new(store);
    let fresh = sync(&chat, ann, 2, 10).await;
    assert!(fresh.reset && fresh.deliveries.is_empty() && fresh.next == Position(3));
    let since = Some(fresh.epoch.unwrap().at(Position(2)));
    let command = ReadChanges { since, limit: 10 };
    let changes = chat.execute(&Actor { user: ann }, command).await.unwrap().reply;
    assert_eq!((changes.reset, changes.deliveries.len(), changes.next), (false, 1, Position(3)));
}

#[tokio::test]
async fn what_is_not_known_is_a_reset() {
    let chat = Chat::in_memory();
    let [ann, bob] = [person(&chat, "ann").await, person(&chat, "bob").await];
    for _ in 0..3 {
        say(&chat, ann, bob, "hello").await;
    }
    let future = sync(&chat, ann, 4, 10).await;
    assert!(future.reset && future.next == Position(3) && !future.more && future.deliveries.is_empty());
    chat.store().forget_before(crate::clock::Timestamp::from_millis(i64::MAX)).await.unwrap();
    assert!(sync(&chat, ann, 1, 10).await.reset);
    assert!(!sync(&chat, ann, 2, 10).await.reset);
}
