//! Counting what is unread.
//!
//! Whether a message is deleted stands behind its body, which may be a file that fills thousands of pages. So deleted
//! messages are looked for in their index, and of all others only the beginning of the row is read.

use std::cmp::Reverse;

use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Statement, params};

use super::damage::skip;
use super::rows::{self, place};
use super::{SqliteStore, members};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{JoinOrder, Member, Position, Seq};
use crate::store::read_marks::{LookingAt, counted_after};
use crate::store::{ReadMarkStore, StoreError, UNREAD_MOST, UnreadCount};

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

/// Whether a row is what was written, as far as its beginning and the types of its columns say: SQLite knows the types without
/// reading what stands behind the body.
macro_rules! is_sound {
    () => {
        "typeof(m.id) = 'blob' AND length(m.id) = 12 AND typeof(m.sender) = 'blob' AND length(m.sender) = 12
        AND typeof(m.encoding) = 'integer' AND m.encoding BETWEEN 0 AND 1 AND typeof(m.body) = 'blob'
        AND typeof(m.file_name) IN ('text', 'null') AND typeof(m.image) IN ('text', 'null')
        AND typeof(m.created_at) = 'integer' AND typeof(m.updated_at) = 'integer'"
    };
}

/// How many are unread, and how many of these, and of the deleted ones, have a name of a file or an image. A damaged row that is
/// deleted is counted first, since it is taken off with the deleted ones.
const COUNT: &str = concat!(
    "SELECT count(*) - (SELECT count(*) FROM messages INDEXED BY messages_deleted
        WHERE place BETWEEN ?1 AND ?2 AND deleted_at IS NOT NULL AND sender <> ?3),
    count(*) FILTER (WHERE typeof(m.file_name) = 'text' OR typeof(m.image) = 'text')
    FROM messages m WHERE m.place BETWEEN ?1 AND ?2 AND m.sender <> ?3 AND (",
    is_sound!(),
    " OR EXISTS (
        SELECT 1 FROM messages d INDEXED BY messages_deleted WHERE d.place = m.place AND d.deleted_at IS NOT NULL
    ))"
);

/// The names of files and images of those that are unread. They stand behind the body, so only where that is short: a large file
/// with a damaged name counts as unread.
const NAMES: &str = concat!(
    "SELECT m.file_name, m.image FROM messages m WHERE m.place BETWEEN ?1 AND ?2 AND m.sender <> ?3 AND ",
    is_sound!(),
    " AND (typeof(m.file_name) = 'text' OR typeof(m.image) = 'text') AND length(m.body) <= 32768 AND NOT EXISTS (
        SELECT 1 FROM messages d INDEXED BY messages_deleted WHERE d.place = m.place AND d.deleted_at IS NOT NULL
    )"
);

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [CANDIDATES, LATEST, COUNT, NAMES];

#[async_trait]
impl ReadMarkStore for SqliteStore {
    async fn marks(
        &self,
        conversation: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member, Seq)>, StoreError> {
        self.read_long(move |db| members::marks(db, conversation, after, limit)).await
    }

    async fn sent_at(&self, message: MessageId) -> Result<Option<Position>, StoreError> {
        self.read(|db| rows::sent_at(db, message))
    }

    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError> {
        self.read_long(move |db| unread(db, user, limit)).await
    }
}

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
    let mut count = Counting::new(&reading)?;
    let (mut found, mut looking_at) = (Vec::new(), LookingAt::new());
    for Candidate { id, read, last, from, to, .. } in candidates {
        // There is one thread for long reads, for everybody.
        if found.len() == limit || !looking_at.may(read, last) {
            break;
        }
        let unread = count.unread(user, from, to)?;
        if unread > 0 {
            found.push(UnreadCount { conversation: id, last_seq: last, read_seq: read, unread });
        }
    }
    Ok(found)
}

/// The statements that count the unread messages of a conversation.
pub(super) struct Counting<'a> {
    count: CachedStatement<'a>,
    names: CachedStatement<'a>,
}

impl<'a> Counting<'a> {
    pub(super) fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self { count: db.prepare_cached(COUNT)?, names: db.prepare_cached(NAMES)? })
    }

    /// The number of unread messages between two places, at most [`UNREAD_MOST`].
    pub(super) fn unread(&mut self, user: UserId, from: i64, to: i64) -> rusqlite::Result<u32> {
        let messages = params![from, to, user.as_bytes()];
        let (mut unread, named): (u32, u32) =
            self.count.query_row(messages, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if unread > 0 && named > 0 {
            unread = unread.saturating_sub(count_unreadable_names(&mut self.names, messages)?);
        }
        Ok(unread.min(UNREAD_MOST))
    }
}

/// How many messages have a name that is no text.
fn count_unreadable_names(select: &mut Statement<'_>, messages: impl Params) -> rusqlite::Result<u32> {
    let (mut rows, mut count) = (select.query(messages)?, 0);
    while let Some(row) = rows.next()? {
        let is_readable = |column| row.get_ref(column).is_ok_and(|name| name.as_str_or_null().is_ok());
        if !is_readable(0) || !is_readable(1) {
            count += 1;
        }
    }
    Ok(count)
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
mod tests;
