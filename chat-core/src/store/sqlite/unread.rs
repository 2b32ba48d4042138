//! Counting what is unread.
//!
//! Whether a message is deleted stands behind its body, which may be a file that fills thousands of pages. So deleted
//! messages are looked for in their index, and of all others only the beginning of the row is read.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::place;
use crate::id::{ConversationId, UserId};
use crate::model::Seq;
use crate::store::read_marks::counted_after;
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
    let mut found = Vec::new();
    for Candidate { id, read, last, from, to, .. } in candidates {
        if found.len() == limit {
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
        let (key, id): (i64, _) = (row.get(0)?, row.get(1)?);
        let (read, last) = (Seq(row.get(2)?), Seq(row.get(3)?));
        let (from, to) = (place(key, counted_after(read, last).0) + 1, place(key, last.0));
        if let Some(latest) = latest.query_row([from, to], |row| row.get(0)).optional()? {
            candidates.push(Candidate { id: ConversationId::from_bytes(id), read, last, from, to, latest });
        }
    }
    Ok(candidates)
}
