//! Threads.

use std::sync::Arc;

use super::parallel::{Spawn, all as at_once};
use super::support::{
    add, at, client_id, deleting, direct, everything, last_position, message_id, new_message, people, remove,
    room, say, user_id, whole_log,
};
use crate::aspects::context::AppendWith;
use crate::aspects::threads::{
    DeletedInThread, Follow, FollowChange, MAX_LOOKED_AT, MAX_SHOWN, SetDeletedInThread, Thread,
    ThreadChange, row_of, threads_of,
};
use crate::change::Change;
use crate::chat::Chat;
use crate::id::{ConversationId, UserId};
use crate::model::Position;
use crate::policy::Refusal;
use crate::store::write::{Append, make};
use crate::store::{Appended, NewMessage, Store, StoredMessage, Table};

/// A message in the thread of message 1, which was sent by user 1.
fn replying(new: NewMessage) -> AppendWith {
    let row = row_of(new.id, message_id(1), user_id(1));
    AppendWith { append: Append(new), rows: vec![row] }
}

async fn reply(store: &dyn Store, n: u16, conversation: ConversationId, by: UserId) -> Appended {
    make(store, replying(new_message(n, conversation, by))).await.expect("the store works")
}

/// Deletes or restores a message in the thread of message 1.
async fn set_deleted(
    store: &dyn Store,
    n: u16,
    by: UserId,
    delete: bool,
) -> Result<DeletedInThread, Refusal> {
    let message = store.message(message_id(n)).await.unwrap().expect("the message");
    let set = deleting(message.id, message.conversation, by, delete, 500);
    make(store, SetDeletedInThread { set, seq: message.seq, root: message_id(1) })
        .await
        .expect("the store works")
}

async fn root(store: &dyn Store) -> StoredMessage {
    store.message(message_id(1)).await.unwrap().expect("the root")
}

/// What message 1 shows of its thread.
async fn shown(store: &Arc<dyn Store>) -> Option<Thread> {
    let thread = threads_of(&Chat::new(store.clone()), &[message_id(1)]).await.unwrap().pop().flatten();
    let facets = root(&**store).await.facets;
    for table in [Table::Threads, Table::ThreadMessages] {
        assert_eq!(facets.contains(table), thread.is_some(), "the root knows whether it has a thread");
    }
    let rows = store.rows(Table::ThreadMessages, message_id(1).as_bytes(), None, 999).await.unwrap();
    assert_eq!(thread.as_ref().map_or(0, |thread| thread.replies), rows.len() as u32);
    thread
}

async fn follows(store: &dyn Store, user: UserId) -> Option<bool> {
    let rows = store.rows(Table::FollowedThreads, user.as_bytes(), None, 2).await.unwrap();
    assert!(rows.len() < 2, "there is one thread");
    rows.first().map(|row| row.value == [1])
}

/// A root shows how many messages there are in its thread, when the last was sent and who has written last, whatever is deleted
/// and restored.
pub async fn a_root_shows_what_is_in_its_thread(store: Arc<dyn Store>) {
    let numbers: Vec<u16> = (1..=MAX_SHOWN as u16 + 2).collect();
    let users = numbers.iter().map(|n| user_id(*n)).collect::<Vec<_>>();
    let [ann] = people(&*store, [1]).await;
    let club = room(&*store, 1, ann).await;
    for n in &numbers[1..] {
        people(&*store, [*n]).await;
        add(&*store, club, ann, user_id(*n), 1).await;
    }
    say(&*store, 1, club, ann).await;
    assert_eq!(shown(&store).await, None);
    let plain = root(&*store).await;
    let last = last_position(&*store).await.0;
    for (n, by) in users.iter().enumerate() {
        let n = n as u16;
        let appended = reply(&*store, 10 + n, club, *by).await;
        let Appended::New { position, .. } = appended else { panic!("{appended:?}") };
        assert_eq!(position, Position(last + 1 + u64::from(n)), "it is one change");
        let message = store.message(message_id(10 + n)).await.unwrap().expect("the message");
        assert!(message.facets.contains(Table::InThread));
        let mut latest: Vec<_> = users[..=usize::from(n)].iter().rev().copied().collect();
        latest.truncate(MAX_SHOWN);
        let expected = Thread { replies: u32::from(n) + 1, last_at: message.created_at, users: latest };
        assert_eq!(shown(&store).await, Some(expected));
    }
    let full = shown(&store).await.unwrap();
    // The last one is deleted, twice, and restored.
    let (newest, writer) = (10 + users.len() as u16 - 1, *users.last().unwrap());
    let last = last_position(&*store).await.0;
    let done = set_deleted(&*store, newest, writer, true).await.unwrap();
    assert_eq!((done.position, done.of_root), (Some(Position(last + 1)), Some(Position(last + 2))));
    assert!(done.message.deleted.is_some());
    let log = whole_log(&*store).await;
    let message = root(&*store).await;
    let changed = Change::MessageChanged { message: message.clone(), by: writer, what: ThreadChange.into() };
    assert_eq!(log[log.len() - 2].change, Change::MessageDeleted(done.message.clone()));
    assert_eq!(log[log.len() - 1].change, changed);
    let left = shown(&store).await.unwrap();
    let before = store.message(message_id(newest - 1)).await.unwrap().expect("the message");
    assert_eq!((left.replies, left.last_at), (full.replies - 1, before.created_at));
    assert!(!left.users.contains(&writer) && left.users.len() == MAX_SHOWN);
    let again = set_deleted(&*store, newest, writer, true).await.unwrap();
    assert_eq!((again.position, again.of_root), (None, None));
    assert_eq!(shown(&store).await, Some(left));
    set_deleted(&*store, newest, writer, false).await.unwrap();
    assert_eq!(shown(&store).await, Some(full.clone()));
    // Of many messages the last ones say who has written.
    for n in 0..MAX_LOOKED_AT as u16 {
        reply(&*store, 100 + n, club, ann).await;
    }
    assert_eq!(shown(&store).await.unwrap().users, [ann]);
    for n in 0..MAX_LOOKED_AT as u16 {
        set_deleted(&*store, 100 + n, ann, true).await.unwrap();
    }
    assert_eq!(shown(&store).await, Some(full));
    for (n, by) in users.iter().enumerate() {
        set_deleted(&*store, 10 + n as u16, *by, true).await.unwrap();
    }
    assert_eq!((shown(&store).await, root(&*store).await), (None, plain), "nothing is left");
    set_deleted(&*store, 10, ann, false).await.unwrap();
    assert_eq!(shown(&store).await.unwrap().users, [ann]);
}

/// Those who write follow, and the sender of the root, unless they have stopped. What is refused or repeated changes nothing.
pub async fn those_who_reply_follow_and_can_stop(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let [club, other] = [room(&*store, 1, ann).await, direct(&*store, 2, bob, eve).await];
    add(&*store, club, ann, bob, 1).await;
    say(&*store, 1, club, ann).await;
    let following =
        |by, following| Follow { root: message_id(1), conversation: club, by, following, at: at(70) };
    let follow = async |one: Follow| make(&*store, one).await.expect("the store works");
    let once = NewMessage { client_id: Some(client_id("once")), ..new_message(2, club, bob) };
    assert!(matches!(make(&*store, replying(once.clone())).await.unwrap(), Appended::New { .. }));
    assert_eq!((follows(&*store, ann).await, follows(&*store, bob).await), (Some(true), Some(true)));
    let before = everything(&*store).await;
    let again = make(&*store, replying(NewMessage { id: message_id(3), ..once })).await.unwrap();
    assert!(matches!(again, Appended::Repeated(_)));
    let refused = reply(&*store, 4, club, eve).await;
    assert_eq!(refused, Appended::Refused(Refusal::ConversationNotFound));
    assert_eq!(follow(following(eve, true)).await, Err(Refusal::MessageNotFound));
    let elsewhere = Follow { conversation: other, ..following(bob, true) };
    assert_eq!(follow(elsewhere).await, Err(Refusal::MessageNotFound), "it is not there");
    let missing = Follow { root: message_id(9), ..following(bob, true) };
    assert_eq!(follow(missing).await, Err(Refusal::MessageNotFound));
    let nested = Follow { root: message_id(2), ..following(bob, true) };
    assert!(matches!(follow(nested).await, Err(Refusal::Forbidden(_))));
    assert_eq!(set_deleted(&*store, 2, eve, true).await, Err(Refusal::MessageNotFound));
    assert_eq!(set_deleted(&*store, 1, ann, true).await, Err(Refusal::MessageNotFound), "it is in no thread");
    assert_eq!(follow(following(ann, true)).await, Ok((None, root(&*store).await)), "she does already");
    assert_eq!(everything(&*store).await, before);
    let last = last_position(&*store).await.0;
    for (wanted, position) in [(false, Some(1)), (false, None), (true, Some(2)), (false, Some(3))] {
        let (done, _) = follow(following(ann, wanted)).await.unwrap();
        assert_eq!((done, follows(&*store, ann).await), (position.map(|n| Position(last + n)), Some(wanted)));
    }
    let what = FollowChange { following: false }.into();
    let logged = whole_log(&*store).await.pop().unwrap().change;
    assert_eq!(logged, Change::MessageChanged { message: root(&*store).await, by: ann, what });
    reply(&*store, 5, club, bob).await;
    assert_eq!(follows(&*store, ann).await, Some(false), "she has stopped");
    reply(&*store, 6, club, ann).await;
    assert_eq!(follows(&*store, ann).await, Some(true));
    remove(&*store, club, ann, bob, 8).await;
    assert_eq!(follow(following(bob, false)).await, Err(Refusal::MessageNotFound));
    assert_eq!(set_deleted(&*store, 2, bob, true).await, Err(Refusal::MessageNotFound));
    assert_eq!(shown(&store).await.unwrap().replies, 3);
}

/// Messages that are sent and deleted at once are all counted.
pub async fn replies_at_once_are_all_counted(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const MANY: u16 = MAX_LOOKED_AT as u16 + 10;
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    say(&*store, 1, id, ann).await;
    let all = |first: u16| {
        let store = store.clone();
        (first..first + MANY).map(move |n| {
            let store = store.clone();
            async move { drop(reply(&*store, n, id, bob).await) }
        })
    };
    at_once(spawn, all(10)).await;
    assert_eq!(shown(&store).await.unwrap().replies, u32::from(MANY));
    let deletions = |delete| {
        let store = store.clone();
        (10..10 + MANY).map(move |n| {
            let store = store.clone();
            async move { drop(set_deleted(&*store, n, bob, delete).await.unwrap()) }
        })
    };
    at_once(spawn, deletions(true)).await;
    assert_eq!(shown(&store).await, None);
    at_once(spawn, deletions(false)).await;
    at_once(spawn, deletions(true)).await;
    at_once(spawn, all(100)).await;
    let thread = shown(&store).await.unwrap();
    assert_eq!((thread.replies, thread.users), (u32::from(MANY), vec![bob]));
}
