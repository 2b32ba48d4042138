//! What holds for [`backup`](super).

use super::*;
use crate::chat::{Chat, Registration};
use crate::command::{Actor, Destination, SendMessage};
use crate::model::{Content, PasswordHash, UserKey};
use crate::store::sqlite::SqliteStore;
use crate::store::{ChangeLog, Store};
use std::sync::Arc;

fn store(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, SqliteOptions::default()).unwrap())
}

async fn say(chat: &Chat, from: &Actor, text: &str) {
    let to = Destination::Person(UserKey::Id(from.user));
    let send = SendMessage {
        to,
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    chat.execute(from, send).await.unwrap();
}

/// The copy is of one moment, while the store goes on, and a store opens it.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_whole_while_the_store_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = store(&path);
    let chat = Arc::new(Chat::new(store.clone() as Arc<dyn Store>));
    let ann = chat.register(Registration::named("ann", PasswordHash::new("x"))).await.unwrap().user.id;
    let ann = Actor { user: ann };
    say(&chat, &ann, "first").await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = tokio::spawn({
        let (chat, stop) = (chat.clone(), stop.clone());
        async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                say(&chat, &ann, &"word ".repeat(500)).await;
            }
        }
    });
    for n in 0..5 {
        let before = store.last_position().await.unwrap();
        let copy = folder.path().join(format!("copy-{n}.db"));
        let taken = tokio::task::spawn_blocking({
            let (path, copy) = (path.clone(), copy.clone());
            move || back_up(&path, &copy).unwrap()
        });
        let taken = taken.await.unwrap();
        assert!(taken.position >= before, "what was acknowledged is in it");
        assert_eq!(taken.epoch, Some(store.epoch().await.unwrap()));
        assert!(!copy.with_extension("db-wal").exists(), "it is one file");
        let restored = prepare_restored(&copy).unwrap();
        assert_eq!(restored.position, taken.position);
        assert_ne!(restored.epoch, taken.epoch);
        let log = self::store(&copy).changes_after(Position(0), usize::MAX).await.unwrap().unwrap();
        assert_eq!(log.len() as u64, taken.position.0, "without a gap");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.await.unwrap();
}

#[tokio::test]
async fn what_is_damaged_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = store(&path);
    let chat = Chat::new(store.clone() as Arc<dyn Store>);
    let ann = chat.register(Registration::named("ann", PasswordHash::new("x"))).await.unwrap().user.id;
    for n in 0..300 {
        say(&chat, &Actor { user: ann }, &format!("message {n}")).await;
    }
    store.close().await.unwrap();
    drop((chat, store));
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(0xa5);
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(prepare_restored(&path), Err(StoreError::Corrupt { .. })));
    std::fs::write(&path, "something else").unwrap();
    assert!(prepare_restored(&path).is_err());
    assert!(matches!(look_at(&folder.path().join("none")), Err(StoreError::Refused(_))));
    std::fs::write(&path, whole).unwrap();
    prepare_restored(&path).unwrap();
}

#[test]
fn what_is_being_put_back_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    std::fs::write(unfinished_note(&path), "").unwrap();
    let refused = SqliteStore::open(&path, SqliteOptions::default()).err();
    assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    std::fs::remove_file(unfinished_note(&path)).unwrap();
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    assert!(Lock::acquire(&path).is_err());
    drop(store);
    Lock::acquire(&path).unwrap();
}
