//! An open transaction: what the writer knows by heart, and what it does besides writes.

use rusqlite::{Connection, OptionalExtension, params};

use super::fingerprints::Fingerprints;
use super::rows;
use crate::change::{ChangeKind, Detail};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::hashing::IdMap;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Role};
use crate::store::keyed::Table;
use crate::store::tx::Tx;

/// How many conversations' ends, and how many members' roles, the writer remembers.
const REMEMBERED: usize = 100_000;

/// What the writer knows by heart. True as long as it is the only writer and no transaction has failed.
#[derive(Default)]
pub(super) struct State {
    position: Option<i64>,
    pub(super) ends: IdMap<ConversationId, End>,
    /// Of conversations in `ends`: who of the two blocks the other one, where one does.
    pub(super) blockers: IdMap<ConversationId, Vec<UserId>>,
    /// What members may do, by the key of the conversation. Nobody is here who is no member.
    pub(super) roles: IdMap<(i64, UserId), Role>,
    pub(super) fingerprints: Fingerprints,
    /// Rows of tables that are known by heart, and which are not there.
    pub(super) rows: IdMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl State {
    /// A transaction has failed: what it had counted is not true.
    pub(super) fn rolled_back(&mut self) {
        self.position = None;
        self.forget_ends();
        self.roles.clear();
        self.rows.clear();
        self.fingerprints.rolled_back();
    }

    fn forget_ends(&mut self) {
        self.ends.clear();
        self.blockers.clear();
    }

    pub(super) fn know_blockers(&mut self, id: ConversationId, blockers: Vec<UserId>) {
        match blockers.is_empty() {
            true => self.blockers.remove(&id),
            false => self.blockers.insert(id, blockers),
        };
    }
}

/// Where a conversation ends: its key in the tables, and the place of its last message.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) key: i64,
    pub(super) seq: u32,
}

/// An entry of the log.
pub(super) struct Entry {
    pub(super) kind: ChangeKind,
    /// Of the message that it is about, or up to which somebody has read.
    pub(super) place: Option<i64>,
    pub(super) room: Option<ConversationId>,
    pub(super) user: Option<UserId>,
    pub(super) role: Option<Role>,
    pub(super) detail: Option<Detail>,
}

/// An open transaction.
pub(super) struct Writing<'a> {
    pub(super) db: &'a Connection,
    pub(super) state: &'a mut State,
}

impl<'a> Writing<'a> {
    pub(super) fn new(db: &'a Connection, state: &'a mut State) -> rusqlite::Result<Self> {
        if state.position.is_none() {
            let last = db.query_row("SELECT coalesce(max(position), 0) FROM log", [], |row| row.get(0))?;
            state.position = Some(last);
        }
        if state.ends.len() > REMEMBERED {
            state.forget_ends();
        }
        if state.roles.len() > REMEMBERED {
            state.roles.clear();
        }
        if state.rows.len() > REMEMBERED {
            state.rows.clear();
        }
        Ok(Self { db, state })
    }

    pub(super) fn renew_epoch(&mut self) -> rusqlite::Result<Epoch> {
        super::epoch::renew(self.db)
    }

    /// Writes something and leaves everything as it is.
    pub(super) fn touch(&mut self) -> rusqlite::Result<()> {
        let nobodys = [0; 32];
        self.extend_revocation(&nobodys, Timestamp::from_millis(0))?;
        self.db
            .prepare_cached("DELETE FROM revoked_tokens WHERE fingerprint = ?")?
            .execute([nobodys])
            .map(drop)
    }

    /// Where a conversation ends.
    pub(super) fn end_of(&mut self, id: ConversationId) -> rusqlite::Result<Option<End>> {
        if let Some(end) = self.state.ends.get(&id) {
            return Ok(Some(*end));
        }
        let mut select = self.db.prepare_cached("SELECT key, blockers FROM conversations WHERE id = ?")?;
        let found = select
            .query_row([id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, rows::read_blockers(row, 1)?)))
            .optional()?;
        let Some((key, blockers)) = found else { return Ok(None) };
        let mut last =
            self.db.prepare_cached("SELECT max(place) FROM messages WHERE place BETWEEN ? AND ?")?;
        let last: Option<i64> =
            last.query_row([rows::place(key, 0), rows::place(key, u32::MAX)], |row| row.get(0))?;
        let end = End { key, seq: last.map_or(0, rows::seq_of) };
        self.state.ends.insert(id, end);
        self.state.know_blockers(id, blockers);
        Ok(Some(end))
    }

    /// Forgets some changes at the beginning of the log that were made before `at`; answers whether there may be more.
    pub(super) fn forget_before(&mut self, at: Timestamp) -> rusqlite::Result<bool> {
        const STEP: i64 = 1_000;
        let first: Option<i64> =
            self.db.prepare_cached("SELECT min(position) FROM log")?.query_row([], |row| row.get(0))?;
        let last = self.state.position.unwrap_or_default();
        let Some(first) = first else { return Ok(false) };
        let step_end = (first + STEP).min(last);
        let sql = "SELECT min(position) FROM log WHERE position >= ? AND position < ? AND at >= ?";
        let kept: Option<i64> = self
            .db
            .prepare_cached(sql)?
            .query_row(params![first, step_end, at.as_millis()], |row| row.get(0))?;
        let mut delete = self.db.prepare_cached("DELETE FROM log WHERE position < ?")?;
        delete.execute([kept.unwrap_or(step_end)])?;
        Ok(kept.is_none() && step_end < last)
    }

    /// Adds an entry to the log.
    pub(super) fn add_entry(&mut self, at: Timestamp, entry: &Entry) -> rusqlite::Result<Position> {
        let position = self.state.position.unwrap_or_default() + 1;
        let mut insert = self.db.prepare_cached("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        insert.execute(params![
            position,
            entry.kind.code(),
            entry.place,
            entry.room.map(|id| *id.as_bytes()),
            entry.user.map(|id| *id.as_bytes()),
            entry.role.map(rows::role_code),
            at.as_millis(),
            entry.detail.as_ref().map(Detail::as_bytes)
        ])?;
        self.state.position = Some(position);
        Ok(rows::read_position(position))
    }
}
