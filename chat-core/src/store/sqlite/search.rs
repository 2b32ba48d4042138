//! The search index: an FTS5 table without the texts, which only records the terms of each row.
//!
//! The rowid is the place of the message. Each stored term begins with the key of its conversation, so that every
//! conversation has its own terms. A search therefore reads only the conversations that it is about, however many
//! others there are, and a prefix is looked up only among the words of one conversation.

use std::fmt::Write as _;

use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::SqliteStore;
use super::damage::{self, skip};
use super::ops::{End, Writing};
use super::rows::{self, MAX_BYTES_AT_ONCE, place, seq_of};
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::search::{ContentKind, Filter, Query, Terms, Wanted};
use crate::store::{CHANGED, Lookup, Match, Matches, SearchIndex, SearchProgress, StoreError};

#[async_trait]
impl SearchIndex for SqliteStore {
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError> {
        self.read(|db| progress(db, conversation))
    }

    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError> {
        self.read_long(move |db| progress_of(db, user)).await
    }

    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError> {
        let indexed = self.writer.write(move |writing| writing.index(conversation, after, &terms)).await?;
        match indexed {
            Some(Indexed::UpTo(seq)) => Ok(Some(seq)),
            Some(Indexed::TooMany) => Err(StoreError::Refused("there are fewer messages than terms".into())),
            None => Ok(None),
        }
    }

    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError> {
        let (conversations, lookup) = (conversations.to_vec(), lookup.clone());
        self.read_long(move |db| search(db, &conversations, &lookup, before, limit)).await
    }

    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        let (conversations, terms) = (conversations.to_vec(), terms.to_vec());
        self.read_long(move |db| count_terms(db, &conversations, &terms, at_most)).await
    }
}

/// The result of indexing a batch of terms.
pub(super) enum Indexed {
    /// The index now ends here.
    UpTo(Seq),
    /// The conversation has fewer messages; nothing has changed.
    TooMany,
}

impl Writing<'_> {
    fn index(
        &mut self,
        id: ConversationId,
        after: Seq,
        terms: &[Terms],
    ) -> rusqlite::Result<Option<Indexed>> {
        let Some(End { key, seq: last }) = self.end_of(id)? else { return Ok(None) };
        let db = self.db;
        let sql = "SELECT indexed_seq FROM conversations WHERE key = ?";
        let indexed = Seq(db.prepare_cached(sql)?.query_row([key], |row| row.get(0))?);
        if indexed != after {
            return Ok(Some(Indexed::UpTo(indexed)));
        }
        let Some(end) = u32::try_from(terms.len()).ok().filter(|more| *more <= last - after.0) else {
            return Ok(Some(Indexed::TooMany));
        };
        let end = Seq(after.0 + end);
        let mut insert = db.prepare_cached("INSERT INTO message_terms (rowid, terms) VALUES (?, ?)")?;
        let mut tokens = String::new();
        for (terms, seq) in terms.iter().zip(after.0 + 1..).filter(|(terms, _)| !terms.is_empty()) {
            tokens.clear();
            for term in terms.iter() {
                push_token(&mut tokens, key, term);
                tokens.push(' ');
            }
            insert.execute(params![place(key, seq), tokens])?;
        }
        let sql = "UPDATE conversations SET indexed_seq = ? WHERE key = ?";
        db.prepare_cached(sql)?.execute(params![end.0, key])?;
        Ok(Some(Indexed::UpTo(end)))
    }
}

/// Adds terms to a message that is in the index. The index then has a second row for the message. FTS5 reports a term
/// that both rows have once.
pub(super) fn add_terms(db: &Connection, (key, seq): (i64, Seq), terms: &Terms) -> rusqlite::Result<()> {
    let mut tokens = String::new();
    for term in terms.iter() {
        push_token(&mut tokens, key, term);
        tokens.push(' ');
    }
    let mut insert = db.prepare_cached("INSERT INTO message_terms (rowid, terms) VALUES (?, ?)")?;
    insert.execute(params![place(key, seq.0), tokens]).map(drop)
}

/// Adds a term of a conversation as one token for the table's tokenizer. In that tokenizer lower-case ASCII letters and
/// digits, the underscore and all non-ASCII characters belong to a token. Terms from [`Terms::of`] already have this
/// form. In other terms, any other ASCII character, and the underscore, becomes an underscore and two digits. So
/// different terms stay different, and a prefix stays a prefix. A key ends with a letter that is not a hex digit.
fn push_token(tokens: &mut String, key: i64, term: &str) {
    // Writing to a string cannot fail.
    let _ = write!(tokens, "{key:x}z");
    for c in term.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || !c.is_ascii() {
            tokens.push(c);
        } else {
            let _ = write!(tokens, "_{:02x}", u32::from(c));
        }
    }
}

/// The query in FTS5 syntax.
fn expression(key: i64, query: &Query) -> String {
    let mut expression = String::new();
    push_terms(&mut expression, key, query.wanted(), " AND ");
    if !query.unwanted().is_empty() {
        expression.insert(0, '(');
        expression.push_str(") NOT ((");
        push_terms(&mut expression, key, query.unwanted(), " OR ");
        expression.push_str(") NOT ");
        let changed = Wanted { term: CHANGED.to_owned(), is_prefix: false };
        push_terms(&mut expression, key, &[changed], "");
        expression.push(')');
    }
    expression
}

fn push_terms(expression: &mut String, key: i64, terms: &[Wanted], operator: &str) {
    for (at, wanted) in terms.iter().enumerate() {
        if at > 0 {
            expression.push_str(operator);
        }
        // A token never contains a quotation mark.
        expression.push('"');
        push_token(expression, key, &wanted.term);
        expression.push_str(if wanted.is_prefix { "\" *" } else { "\"" });
    }
}

fn progress(db: &Connection, id: ConversationId) -> rusqlite::Result<Option<SearchProgress>> {
    let sql = "SELECT indexed_seq, (
            SELECT max(place) FROM messages WHERE place BETWEEN key << 32 AND (key << 32) + 4294967295
        ) FROM conversations WHERE id = ?";
    let mut select = db.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        let last = row.get::<_, Option<i64>>(1)?.map_or(0, seq_of);
        Ok(SearchProgress { conversation: id, indexed: Seq(row.get(0)?), last: Seq(last) })
    };
    select.query_row([id.as_bytes()], row).optional()
}

fn progress_of(db: &Connection, user: UserId) -> rusqlite::Result<Vec<SearchProgress>> {
    let sql = "SELECT spoken.id, spoken.indexed_seq, spoken.last, spoken.key FROM (
            SELECT c.id, c.indexed_seq, c.key, (
                SELECT max(place) FROM messages WHERE place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295
            ) AS last
            FROM members JOIN conversations c ON c.key = members.conversation WHERE members.user = ?
        ) AS spoken JOIN messages m ON m.place = spoken.last ORDER BY m.position DESC";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([user.as_bytes()])?;
    let mut progress = Vec::new();
    while let Some(row) = rows.next()? {
        let read = || {
            Ok(SearchProgress {
                conversation: ConversationId::from_bytes(row.get(0)?),
                indexed: Seq(row.get(1)?),
                last: Seq(seq_of(row.get(2)?)),
            })
        };
        progress.extend(skip(db, "conversations", row, 3, read())?);
    }
    Ok(progress)
}

/// The position is stored before the body, which may fill thousands of pages. The deletion time is stored after it, so
/// the index of deleted messages is read instead.
const POSITION: &str = "SELECT position FROM messages WHERE place = ?";
const IS_DELETED: &str = "SELECT EXISTS (
        SELECT 1 FROM messages INDEXED BY messages_deleted WHERE place = ? AND deleted_at IS NOT NULL
    )";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [POSITION, IS_DELETED, PLACES, AUTHOR];

/// A conversation with at least one message.
struct Spoken {
    id: ConversationId,
    key: i64,
    last: u32,
    /// The position of its last message.
    newest: i64,
}

/// A message that may be among the newest results.
struct Candidate {
    position: i64,
    place: i64,
    /// The index of its conversation in the list of searched conversations.
    which: usize,
}

/// All messages of a conversation up to a place, for a query without terms.
const PLACES: &str =
    "SELECT place FROM messages WHERE place BETWEEN ?1 & ~4294967295 AND ?1 ORDER BY place DESC";
/// The messages with the wanted terms up to a place.
const WITH_TERMS: &str =
    "SELECT rowid FROM message_terms WHERE message_terms MATCH ?2 AND rowid <= ?1 ORDER BY rowid DESC";
/// The columns that a filter needs. The author is stored before the body, the others after it.
const AUTHOR: &str = "SELECT sender FROM messages WHERE place = ?";
const FACTS: &str =
    "SELECT sender, created_at, file_name IS NOT NULL, image IS NOT NULL FROM messages WHERE place = ?";

fn search(
    db: &Connection,
    ids: &[ConversationId],
    lookup: &Lookup,
    before: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Matches> {
    // All reads use one snapshot.
    let db = &*db.unchecked_transaction()?;
    let before = before.map_or(i64::MAX, |before| i64::try_from(before.0).unwrap_or(i64::MAX));
    let mut spoken = Vec::new();
    for id in ids {
        spoken.extend(spoken_in(db, *id)?);
    }
    spoken.sort_unstable_by_key(|spoken| std::cmp::Reverse(spoken.newest));

    // One more than wanted shows whether there are more. The newest come first.
    let most = limit.saturating_add(1);
    let mut best: Vec<Candidate> = Vec::new();
    let (mut look, mut is_deleted) = (db.prepare_cached(POSITION)?, db.prepare_cached(IS_DELETED)?);
    let mut admits = Admission::new(db, &lookup.filter)?;
    let sql = if lookup.query.is_everything() { PLACES } else { WITH_TERMS };
    // The number of messages to look at per conversation. `floor` is the position from which on all conversations were
    // searched completely.
    let share = (lookup.max_looked_at / spoken.len().max(1)).max(1);
    let mut floor = None;
    for (which, conversation) in spoken.iter().enumerate() {
        // When all messages of this conversation are older than the results so far, neither it nor the following ones
        // can improve them.
        if best.len() == most && best.last().is_some_and(|worst| worst.position > conversation.newest) {
            break;
        }
        let end = place(conversation.key, end_before(&mut look, conversation, before)?);
        let mut select = db.prepare_cached(sql)?;
        let mut rows = match lookup.query.is_everything() {
            true => select.query([end])?,
            false => select.query(params![end, expression(conversation.key, &lookup.query)])?,
        };
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let place = row.get(0)?;
            // A missing message cannot be a result, and must not block the others.
            let Some(position) = looked_up(&mut look, place).optional()? else { continue };
            if best.len() == most && best.last().is_some_and(|worst| worst.position > position)
                || floor.is_some_and(|floor| floor > position)
            {
                break;
            }
            if !is_deleted.query_row([place], |row| row.get::<_, bool>(0))? && admits.admits(place)? {
                let at = best.partition_point(|other| other.position > position);
                best.insert(at, Candidate { position, place, which });
                best.truncate(most);
            }
            looked_at += 1;
            if looked_at == share {
                floor = floor.max(Some(position));
                break;
            }
        }
    }
    best.retain(|candidate| floor.is_none_or(|floor| candidate.position >= floor));

    let (mut found, mut bytes) = (Vec::with_capacity(limit.min(best.len())), 0);
    for Candidate { position, place, which } in &best {
        if found.len() == limit || bytes > MAX_BYTES_AT_ONCE {
            return Ok(Matches { found, has_more: true, looked_at_from: None });
        }
        let read = rows::message_of(db, *place, spoken[*which].id);
        let Some(message) = damage::sound(db, "messages", place, read)? else { continue };
        bytes += message.body.bytes.len();
        found.push(Match { position: Position(position.unsigned_abs()), message });
    }
    let looked_at_from = floor.map(|floor| Position(floor.unsigned_abs()));
    Ok(Matches { found, has_more: floor.is_some(), looked_at_from })
}

fn count_terms(
    db: &Connection,
    ids: &[ConversationId],
    terms: &[Wanted],
    at_most: u64,
) -> rusqlite::Result<Vec<u64>> {
    let db = &*db.unchecked_transaction()?;
    let mut find = db.prepare_cached("SELECT key FROM conversations WHERE id = ?")?;
    let mut keys: Vec<i64> = Vec::new();
    for id in ids {
        keys.extend(find.query_row([id.as_bytes()], |row| row.get::<_, i64>(0)).optional()?);
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM message_terms WHERE message_terms MATCH ? LIMIT ?)";
    let mut count = db.prepare_cached(sql)?;
    let mut counts = vec![0; terms.len()];
    for (counted, term) in counts.iter_mut().zip(terms) {
        for key in &keys {
            let mut expression = String::new();
            push_terms(&mut expression, *key, std::slice::from_ref(term), "");
            let left = i64::try_from(at_most - *counted).unwrap_or(i64::MAX);
            *counted +=
                count.query_row(params![expression, left], |row| row.get::<_, i64>(0))?.unsigned_abs();
        }
    }
    Ok(counts)
}

/// Checks whether a filter accepts a message, and reads only the columns that this needs.
struct Admission<'a> {
    db: &'a Connection,
    filter: &'a Filter,
    /// `None` when the filter accepts every message.
    facts: Option<CachedStatement<'a>>,
    is_author_only: bool,
}

impl<'a> Admission<'a> {
    fn new(db: &'a Connection, filter: &'a Filter) -> rusqlite::Result<Self> {
        let is_author_only = *filter == Filter { author: filter.author, ..Filter::default() };
        let sql = if is_author_only { AUTHOR } else { FACTS };
        let facts = if filter.is_all() { None } else { Some(db.prepare_cached(sql)?) };
        Ok(Self { db, filter, facts, is_author_only })
    }

    fn admits(&mut self, place: i64) -> rusqlite::Result<bool> {
        let Some(facts) = &mut self.facts else { return Ok(true) };
        let admitted = facts.query_row([place], |row| {
            let author = UserId::from_bytes(row.get(0)?);
            if self.is_author_only {
                return Ok(Some(author) == self.filter.author);
            }
            let (sent_at, kind) = (row.get(1)?, ContentKind::new(row.get(2)?, row.get(3)?));
            Ok(self.filter.admits(author, kind, Timestamp::from_millis(sent_at)))
        });
        Ok(damage::sound(self.db, "messages", &place, admitted)?.unwrap_or(false))
    }
}

fn spoken_in(db: &Connection, id: ConversationId) -> rusqlite::Result<Option<Spoken>> {
    let sql = "SELECT c.key, m.place, m.position FROM conversations c JOIN messages m ON m.place = (
            SELECT max(place) FROM messages WHERE place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295
        ) WHERE c.id = ?";
    let mut select = db.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Spoken { id, key: row.get(0)?, last: seq_of(row.get(1)?), newest: row.get(2)? })
    };
    select.query_row([id.as_bytes()], row).optional()
}

/// The position of a message.
fn looked_up(look: &mut CachedStatement<'_>, place: i64) -> rusqlite::Result<i64> {
    look.query_row([place], |row| row.get(0))
}

/// The last message of a conversation before a position. Positions increase with the places, which have no gaps.
fn end_before(look: &mut CachedStatement<'_>, spoken: &Spoken, before: i64) -> rusqlite::Result<u32> {
    let (mut low, mut high) = (0, spoken.last);
    if spoken.newest < before {
        return Ok(high);
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        // A missing message counts as later. This loses no more than the messages before it.
        if looked_up(look, place(spoken.key, middle)).optional()?.is_some_and(|position| position < before) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests;
