//! Counting what is unread.
//!
//! Whether a message is deleted stands behind its body, which may be a file that fills thousands of pages. So deleted
//! messages are looked for in their index, and of all others only the beginning of the row is read.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, params};

use super::damage::skip;
use super::rows::place;
use crate::id::{ConversationId, UserId};
use crate::model::Seq;
use crate::store::read_marks::{LookingAt, counted_after};
use crate::store::{UNREAD_MOST, UnreadCount};

/// Notes to oneself are the pair of equal halves.
const CANDIDATES: &str = "SELECT key, id, read_seq, last FROM (
        SELECT c.key AS key, c.id AS id, members.read_seq AS read_seq, (
            SELECT m.place & 4294967295 FROM messages m
            WHERE m.place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295
            ORDER BY m.place DESC LIMIT 1
        ) AS last
        FROM members JOIN conversations c ON c.key = members.conversation
        WHERE members.user = ? AND (c.pair IS NULL OR substr(c.pair, 1, 12) <> substr(c.pair, 13))
    ) WHERE last > read_seq";

const LATEST: &str = "SELECT m.position FROM messages m WHERE m.place BETWEEN ? AND ? AND NOT EXISTS (
        SELECT 1 FROM messages d INDEXED BY messages_deleted WHERE d.place = m.place AND d.deleted_at IS NOT NULL
    ) ORDER BY m.place DESC LIMIT 1";

const COUNT: &str = "SELECT (SELECT count(*) FROM messages WHERE place BETWEEN ?1 AND ?2 AND sender <> ?3)
    - (SELECT count(*) FROM messages INDEXED BY messages_deleted
        WHERE place BETWEEN ?1 AND ?2 AND deleted_at IS NOT NULL AND sender <> ?3)";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [CANDIDATES, LATEST, COUNT];

/// A conversation in which something may be unread.
struct Candidate {
    id: ConversationId,
    read: Seq,
    last: Seq,
    /// The places of the messages that are looked at.
    from: i64,
    to: i64,
    /// The position of the last of them that is not deleted.
    latest: i64,
}

pub(super) fn unread(db: &Connection, user: UserId, limit: usize) -> rusqlite::Result<Vec<UnreadCount>> {
    // All in one view: marks and messages may change at any time.
    let reading = db.unchecked_transaction()?;
    let mut candidates = candidates(&reading, user)?;
    candidates.sort_unstable_by_key(|candidate| Reverse(candidate.latest));
    let mut count = reading.prepare_cached(COUNT)?;
    let (mut found, mut looking_at) = (Vec::new(), LookingAt::new());
    for Candidate { id, read, last, from, to, .. } in candidates {
        // There is one thread for long reads, for everybody.
        if found.len() == limit || !looking_at.may(read, last) {
            break;
        }
        let unread: u32 = count.query_row(params![from, to, user.as_bytes()], |row| row.get(0))?;
        let unread = unread.min(UNREAD_MOST);
        if unread > 0 {
            found.push(UnreadCount { conversation: id, last_seq: last, read_seq: read, unread });
        }
    }
    Ok(found)
}

fn candidates(db: &Connection, user: UserId) -> rusqlite::Result<Vec<Candidate>> {
    let (mut select, mut latest) = (db.prepare_cached(CANDIDATES)?, db.prepare_cached(LATEST)?);
    let mut rows = select.query([user.as_bytes()])?;
    let mut candidates = Vec::new();
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let Some(id) = skip(db, "conversations", row, 0, row.get(1))? else { continue };
        let Some(read) = skip(db, "members", row, 0, row.get(2))? else { continue };
        let (read, last) = (Seq(read), Seq(row.get(3)?));
        let (from, to) = (place(key, counted_after(read, last).0) + 1, place(key, last.0));
        if let Some(latest) = latest.query_row([from, to], |row| row.get(0)).optional()? {
            candidates.push(Candidate { id: ConversationId::from_bytes(id), read, last, from, to, latest });
        }
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteOptions;
    use crate::store::{ReadMarkStore, SqliteStore, UNREAD_LOOKED_AT, UNREAD_LOOKED_AT_IN_ALL};

    const ANN: UserId = UserId::from_bytes([7; 12]);
    const BOB: UserId = UserId::from_bytes([8; 12]);

    /// However many conversations somebody has never read, and whoever spoke in them, one list costs only so much.
    #[tokio::test]
    async fn only_so_many_messages_are_looked_at_in_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let db = Connection::open(&path).unwrap();
        let bound = i64::from(UNREAD_LOOKED_AT_IN_ALL / UNREAD_LOOKED_AT);
        // The conversations of the latest messages come first. Bob is in all of them, and silent in those of even keys.
        for key in 1..=2 * bound {
            let mut id = [0; 12];
            id[4..].copy_from_slice(&key.to_be_bytes());
            let sql =
                "INSERT INTO conversations (key, id, name, visibility, created_at) VALUES (?, ?, 'r', 0, 1)";
            db.execute(sql, params![key, id]).unwrap();
            let sql = "INSERT INTO members (conversation, user, role, joined_at) VALUES (?, ?, 0, 1)";
            db.execute(sql, params![key, BOB.as_bytes()]).unwrap();
            let sql =
                "INSERT INTO messages (place, id, position, sender, encoding, body, created_at, updated_at)
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
}
