//! The part of the log that concerns one user, found through the user's conversations.
//!
//! In each conversation positions grow with the places of its messages. So a binary search finds the first message
//! after a position, without reading what came before or what is for other users. Everything else is found in indexes.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::damage::skip;
use super::fault;
use super::rows::{self, MAX_BYTES_AT_ONCE, place, seq_of};
use crate::id::{ConversationId, UserId};
use crate::model::Position;
use crate::store::{PersonalChanges, StoreError};

const CONVERSATIONS: &str = "SELECT c.key, c.id, (
        SELECT m.place FROM messages m
        WHERE m.place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295
        ORDER BY m.place DESC LIMIT 1
    ) FROM members JOIN conversations c ON c.key = members.conversation WHERE members.user = ?";
/// The position is stored before the body.
const POSITION: &str = "SELECT position FROM messages WHERE place = ?";
const SENT: &str = "SELECT position FROM messages WHERE place BETWEEN ? AND ? ORDER BY place";
const IN_ROOM: &str = "SELECT position FROM log WHERE room = ? AND position > ? ORDER BY position";
const REMOVALS: &str =
    "SELECT position, room FROM log WHERE kind = 6 AND user = ? AND position > ? ORDER BY position";
/// See [`ChangeKind::FIRST_PERSONAL`](crate::change::ChangeKind::FIRST_PERSONAL).
const OWN: &str = "SELECT position FROM log WHERE kind >= 64 AND user = ? AND position > ? ORDER BY position";
const COUNT_OWN: &str =
    "SELECT count(*) FROM (SELECT 1 FROM log WHERE kind >= 64 AND user = ? AND position > ? LIMIT ?)";
const PROFILES: &str =
    "SELECT profile_position FROM users WHERE profile_position > ? ORDER BY profile_position";
const COUNT_IN_ROOM: &str =
    "SELECT count(*) FROM (SELECT 1 FROM log WHERE room = ? AND position > ? LIMIT ?)";
const COUNT_PROFILES: &str = "SELECT count(*) FROM (SELECT 1 FROM users WHERE profile_position > ? LIMIT ?)";
const ENTRY: &str = "SELECT position, kind, place, room, user, role, detail FROM log WHERE position = ?";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] = [CONVERSATIONS, POSITION, SENT, IN_ROOM, REMOVALS, OWN, PROFILES];

/// A conversation of the user.
struct Mine {
    id: ConversationId,
    /// The first and the last place of the messages after the position; `None` when there are none.
    sent: Option<(i64, i64)>,
}

pub(super) fn changes_for(
    db: &Connection,
    user: UserId,
    position: Position,
    limit: usize,
) -> rusqlite::Result<Option<PersonalChanges>> {
    // All reads use one snapshot, because the log may be truncated at any time.
    let db = &*db.unchecked_transaction()?;
    if position < rows::log_begin(db)? {
        return Ok(None);
    }
    let after = i64::try_from(position.0).unwrap_or(i64::MAX);
    let mut first = First { limit, positions: BTreeSet::new() };
    for mine in conversations(db, user, after)? {
        if let Some((from, to)) = mine.sent {
            first.add_all(db.prepare_cached(SENT)?.query(params![from, to])?)?;
        }
        first.add_all(db.prepare_cached(IN_ROOM)?.query(params![mine.id.as_bytes(), after])?)?;
    }
    first.add_all(db.prepare_cached(REMOVALS)?.query(params![user.as_bytes(), after])?)?;
    first.add_all(db.prepare_cached(OWN)?.query(params![user.as_bytes(), after])?)?;
    first.add_all(db.prepare_cached(PROFILES)?.query([after])?)?;

    let mut read_to = if first.positions.len() < limit {
        rows::last_position(db)?.max(position)
    } else {
        first.positions.last().map_or(position, |last| rows::read_position(*last))
    };
    let (mut changes, mut bytes) = (Vec::with_capacity(first.positions.len()), 0);
    let mut entry = db.prepare_cached(ENTRY)?;
    let mut before = position;
    for at in first.positions {
        if bytes > MAX_BYTES_AT_ONCE {
            read_to = before;
            break;
        }
        match entry.query_row([at], |row| rows::read_change(db, row)) {
            Ok(change) => {
                bytes += rows::body_bytes(&change.change);
                before = change.position;
                changes.push(change);
            }
            // A damaged change is an error only if it is the next one. The changes before it are not lost.
            Err(error)
                if rows::read_position(at - 1) > position
                    && matches!(fault(&error), StoreError::Corrupt { .. }) =>
            {
                read_to = rows::read_position(at - 1);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(PersonalChanges { changes, read_to }))
}

pub(super) fn count(
    db: &Connection,
    user: UserId,
    position: Position,
    limit: u64,
) -> rusqlite::Result<Option<u64>> {
    let db = &*db.unchecked_transaction()?;
    if position < rows::log_begin(db)? {
        return Ok(None);
    }
    let after = i64::try_from(position.0).unwrap_or(i64::MAX);
    let mut counted = 0;
    // The number of changes that still matter.
    let rest = |counted: u64| i64::try_from(limit.saturating_sub(counted)).unwrap_or(i64::MAX);
    let mut in_room = db.prepare_cached(COUNT_IN_ROOM)?;
    let mut mine = BTreeSet::new();
    for Mine { id, sent } in conversations(db, user, after)? {
        if counted >= limit {
            return Ok(Some(limit));
        }
        counted += sent.map_or(0, |(from, to)| (to - from + 1).unsigned_abs());
        let others: i64 =
            in_room.query_row(params![id.as_bytes(), after, rest(counted)], |row| row.get(0))?;
        counted += others.unsigned_abs();
        mine.insert(id);
    }
    let profiles: i64 =
        db.prepare_cached(COUNT_PROFILES)?.query_row([after, rest(counted)], |row| row.get(0))?;
    counted += profiles.unsigned_abs();
    let own: i64 = db
        .prepare_cached(COUNT_OWN)?
        .query_row(params![user.as_bytes(), after, rest(counted)], |row| row.get(0))?;
    counted += own.unsigned_abs();
    let mut removals = db.prepare_cached(REMOVALS)?;
    let mut removals = removals.query(params![user.as_bytes(), after])?;
    while let Some(row) = removals.next()?
        && counted < limit
    {
        // Removals from rooms that the user has joined again are already counted above.
        let room: Option<[u8; 12]> = skip(db, "log", row, 0, row.get(1))?.flatten();
        counted += u64::from(room.is_none_or(|room| !mine.contains(&ConversationId::from_bytes(room))));
    }
    Ok(Some(counted.min(limit)))
}

fn conversations(db: &Connection, user: UserId, after: i64) -> rusqlite::Result<Vec<Mine>> {
    let (mut select, mut look) = (db.prepare_cached(CONVERSATIONS)?, db.prepare_cached(POSITION)?);
    let mut rows = select.query([user.as_bytes()])?;
    let mut mine = Vec::new();
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let Some(id) = skip(db, "conversations", row, 0, row.get(1))? else { continue };
        let last = row.get::<_, Option<i64>>(2)?;
        let sent = match last {
            Some(last) => first_after(&mut look, key, last, after)?.map(|first| (first, last)),
            None => None,
        };
        mine.push(Mine { id: ConversationId::from_bytes(id), sent });
    }
    Ok(mine)
}

/// The place of the first message of a conversation after a position; `last` is the place of its last message.
fn first_after(
    look: &mut CachedStatement<'_>,
    key: i64,
    last: i64,
    after: i64,
) -> rusqlite::Result<Option<i64>> {
    let mut is_after = |place: i64| -> rusqlite::Result<bool> {
        let position = look.query_row([place], |row| row.get::<_, i64>(0)).optional()?;
        Ok(position.is_some_and(|position| position > after))
    };
    if !is_after(last)? {
        return Ok(None);
    }
    // All messages before `low` are older; `high` and all after it are not.
    let (mut low, mut high) = (1, seq_of(last));
    while low < high {
        let middle = low + (high - low) / 2;
        if is_after(place(key, middle))? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(place(key, high)))
}

/// Collects the lowest positions, up to a limit.
struct First {
    limit: usize,
    positions: BTreeSet<i64>,
}

impl First {
    /// Adds positions, which come in ascending order, while they are among the lowest.
    fn add_all(&mut self, mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<()> {
        while let Some(row) = rows.next()? {
            let position = row.get(0)?;
            if self.positions.contains(&position) {
                continue;
            }
            if self.positions.len() >= self.limit {
                if self.positions.last().is_none_or(|last| *last <= position) {
                    return Ok(());
                }
                self.positions.pop_last();
            }
            self.positions.insert(position);
        }
        Ok(())
    }
}
