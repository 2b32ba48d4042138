//! Entries of the log, read one by one.

use super::*;
use crate::store::sqlite::SqliteOptions;
use crate::store::{ChangeLog, MessageStore, NewMessage, ReadMarkStore, RoomStore, SqliteStore};

const ANN: UserId = UserId::from_bytes([7; 12]);
const BOB: UserId = UserId::from_bytes([8; 12]);
const ROOM: ConversationId = ConversationId::from_bytes([1; 12]);
const NOW: Timestamp = Timestamp::from_millis(1);

fn message(n: u8) -> NewMessage {
    NewMessage {
        id: MessageId::from_bytes([n; 12]),
        conversation: ROOM,
        sender: ANN,
        body: Blob { encoding: Encoding::Stored, bytes: vec![n] },
        file_name: None,
        image: None,
        client_id: None,
        fingerprint: None,
        at: NOW,
    }
}

#[test]
fn a_detail_comes_back_as_it_was_and_old_entries_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    drop(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
    let db = Connection::open(&path).unwrap();
    let mut state = super::super::ops::State::default();
    let mut writing = super::super::Writing::new(&db, &mut state).unwrap();
    let details = [None, Detail::new(&[]), Detail::new(&[0, 255]), Detail::new(&[7; 64])];
    let kind = ChangeKind::ProfileUpdated;
    for detail in details {
        let entry =
            super::super::ops::Entry { kind, place: None, room: None, user: Some(ANN), role: None, detail };
        writing.add_entry(NOW, &entry).unwrap();
    }
    let mut select = db.prepare("SELECT position, kind, place, room, user, role, detail FROM log").unwrap();
    let found = select.query_map([], |row| read_fields::<()>(row, None)).unwrap();
    let found: Vec<_> = found.map(|fields| fields.unwrap().1).collect();
    assert_eq!(found.iter().map(|fields| fields.detail).collect::<Vec<_>>(), details);
    assert!(found.iter().all(|fields| fields.user == Some(ANN)));
    db.execute("UPDATE log SET detail = zeroblob(65) WHERE position = 3", []).unwrap();
    let mut select = db.prepare("SELECT position, kind, place, room, user, role, detail FROM log").unwrap();
    let found = select.query_map([], |row| read_fields::<()>(row, None)).unwrap();
    assert_eq!(found.map(|read| read.is_ok()).collect::<Vec<_>>(), [true, true, false, true]);
}

/// What cannot be read is passed over alone: neither what comes before it nor what comes after it is lost.
#[tokio::test]
async fn an_entry_that_cannot_be_read_ends_the_list_before_it() {
    for spoil in [
        "UPDATE log SET kind = 99 WHERE position = 4",
        "UPDATE log SET kind = 999 WHERE position = 4",
        "UPDATE log SET user = NULL WHERE position = 4",
        "UPDATE log SET kind = 1, place = NULL WHERE position = 4",
        "UPDATE log SET kind = 1, place = 4294967300 WHERE position = 4;
         UPDATE messages SET encoding = 99 WHERE position = 5;
         UPDATE log SET kind = 8, user = x'070707070707070707070707' WHERE position = 5",
        "UPDATE log SET kind = 1, place = 4294967396 WHERE position = 4",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        store.open_direct(Pair::new(ANN, BOB), ROOM, NOW).await.unwrap();
        for n in 1..=3 {
            store.append(message(n)).await.unwrap();
        }
        store.mark_read(ROOM, BOB, None, NOW).await.unwrap();
        store.append(message(4)).await.unwrap();
        let read = async |after, limit| {
            let read = store.changes_after(Position(after), limit).await;
            read.map(|changes| changes.unwrap().iter().map(|logged| logged.position.0).collect::<Vec<_>>())
        };
        assert_eq!(read(0, 9).await.unwrap(), [1, 2, 3, 4, 5], "before it is spoilt");
        Connection::open(&path).unwrap().execute_batch(spoil).unwrap();
        for limit in [9, 300] {
            assert_eq!(read(0, limit).await.unwrap(), [1, 2, 3], "{spoil}");
            assert_eq!(read(2, limit).await.unwrap(), [3], "{spoil}");
            let first = read(3, limit).await;
            assert!(matches!(first, Err(StoreError::Corrupt { .. })), "{spoil}: {first:?}");
            assert_eq!(read(4, limit).await.unwrap(), [5], "{spoil}");
        }
        let alone = read(3, 1).await;
        assert!(matches!(alone, Err(StoreError::Corrupt { .. })), "{spoil}: {alone:?}");
        assert_eq!(read(2, 1).await.unwrap(), [3], "{spoil}");
    }
}
