//! Tests of [`unread`](super).

use super::*;
use crate::store::sqlite::SqliteOptions;
use crate::store::{ReadMarkStore, SqliteStore, UNREAD_LOOKED_AT, UNREAD_LOOKED_AT_IN_ALL};

const ANN: UserId = UserId::from_bytes([7; 12]);
const BOB: UserId = UserId::from_bytes([8; 12]);

/// The cost of one list is limited. It depends neither on the number of unread conversations nor on the senders.
#[tokio::test]
async fn only_so_many_messages_are_looked_at_in_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    let db = Connection::open(&path).unwrap();
    let bound = i64::from(UNREAD_LOOKED_AT_IN_ALL / UNREAD_LOOKED_AT);
    // The conversations with the latest messages come first. Bob is a member of all of them, and in those with even
    // keys he has sent nothing.
    for key in 1..=2 * bound {
        let mut id = [0; 12];
        id[4..].copy_from_slice(&key.to_be_bytes());
        let sql =
            "INSERT INTO conversations (key, id, name, visibility, created_at) VALUES (?, ?, 'r', 0, 1)";
        db.execute(sql, params![key, id]).unwrap();
        let sql = "INSERT INTO members (conversation, user, role, joined_at) VALUES (?, ?, 0, 1)";
        db.execute(sql, params![key, BOB.as_bytes()]).unwrap();
        let sql = "INSERT INTO messages (place, id, position, sender, encoding, body, created_at, updated_at)
                VALUES (?, ?, ?, ?, 0, x'', 1, 1)";
        let sender = if key % 2 == 0 { ANN } else { BOB };
        let at = place(key, UNREAD_LOOKED_AT);
        db.execute(sql, params![at, id, key, sender.as_bytes()]).unwrap();
    }
    let found = store.unread(BOB, usize::MAX).await.unwrap();
    assert_eq!(found.len() as i64, bound / 2 + bound % 2);
    assert!(found.iter().all(|count| count.unread == 1), "{found:?}");
    assert_eq!(store.unread(BOB, 2).await.unwrap(), found[..2]);
}
