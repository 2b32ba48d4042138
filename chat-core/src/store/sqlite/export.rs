//! Everything in the file, table by table, for [`copy_to_mongodb`](crate::store::copy_to_mongodb).

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::{SqliteOptions, connect, fault, keyed, lock, rows, schema};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::id::{ConversationId, MessageId};
use crate::model::{ClientId, NewUser, Position, Seq};
use crate::store::copy::{CopiedConversation, CopiedMessage, LogEnds, Record};
use crate::store::{MessageRef, StoreError};

/// So many rows are read at once, and of messages fewer when they are long.
const ROWS: usize = 1_000;
const BYTES: usize = 8 << 20;

/// Reads a whole file. It is locked meanwhile: no server may be using it.
pub struct SqliteExport {
    db: Connection,
    table: Table,
    /// Up to which key the table was read.
    key: i64,
    /// Up to which row the keyed tables were read.
    row: (u8, Vec<u8>),
    _lock: File,
}

/// In the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Users,
    RevokedTokens,
    Conversations,
    Messages,
    Keyed,
    Log,
    End,
}

impl Table {
    fn next(self) -> Self {
        match self {
            Self::Users => Self::RevokedTokens,
            Self::RevokedTokens => Self::Conversations,
            Self::Conversations => Self::Messages,
            Self::Messages => Self::Keyed,
            Self::Keyed => Self::Log,
            Self::Log | Self::End => Self::End,
        }
    }
}

impl SqliteExport {
    /// Opens a file that is there. One of an older version is brought up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](super::SqliteStore::open); [`StoreError::Refused`] also when there is no such file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Refused(format!("there is no file {}", path.display())));
        }
        let lock = lock(path)?;
        let mut db = connect(path, &SqliteOptions::default())?;
        schema::migrate(&mut db, true)?;
        // Client ids lie in a table of their own, in another order than the messages.
        let sort = "CREATE TEMP TABLE sends_by_place (place INTEGER PRIMARY KEY, client_id TEXT NOT NULL);
            INSERT INTO sends_by_place SELECT place, client_id FROM sends ORDER BY place;";
        db.execute_batch(sort).map_err(|error| fault(&error))?;
        Ok(Self { db, table: Table::Users, key: i64::MIN, row: (0, Vec::new()), _lock: lock })
    }

    /// The next records, of which there is at least one; none at the end.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Vec<Record>>, StoreError> {
        while self.table != Table::End {
            if self.table == Table::Keyed {
                let records = self.keyed().map_err(|error| fault(&error))?;
                if !records.is_empty() {
                    return Ok(Some(records));
                }
                self.table = self.table.next();
                continue;
            }
            let (records, key) = self.read().map_err(|error| fault(&error))?;
            if !records.is_empty() {
                self.key = key;
                return Ok(Some(records));
            }
            (self.table, self.key) = (self.table.next(), i64::MIN);
        }
        Ok(None)
    }

    pub(in crate::store) fn log_ends(&self) -> Result<LogEnds, StoreError> {
        let ends = || Ok(LogEnds { begin: rows::log_begin(&self.db)?, last: rows::last_position(&self.db)? });
        ends().map_err(|error: rusqlite::Error| fault(&error))
    }

    pub(in crate::store) fn epoch(&self) -> Result<Epoch, StoreError> {
        super::epoch::read(&self.db).map_err(|error| fault(&error))
    }

    fn read(&self) -> rusqlite::Result<(Vec<Record>, i64)> {
        match self.table {
            Table::Users => {
                let sql =
                    format!("SELECT {}, key, name_key FROM users WHERE key > ? ORDER BY key", rows::USER);
                self.rows(&sql, |row| {
                    let (user, password_hash) = rows::read_user(row)?;
                    let place = row.get(9)?;
                    let account = NewUser { user, password_hash, name_key: row.get(10)? };
                    Ok((Record::User { account, place }, place, 0))
                })
            }
            Table::RevokedTokens => {
                let sql = "SELECT fingerprint, until, row_number() OVER (ORDER BY fingerprint) AS place
                    FROM revoked_tokens";
                self.rows(&format!("SELECT * FROM ({sql}) WHERE place > ? ORDER BY place"), |row| {
                    let until = Timestamp::from_millis(row.get(1)?);
                    Ok((Record::RevokedToken { fingerprint: row.get(0)?, until }, row.get(2)?, 0))
                })
            }
            Table::Conversations => {
                let sql = "SELECT id, key FROM conversations WHERE key > ? ORDER BY key";
                self.rows(sql, |row| {
                    let key = row.get(1)?;
                    let conversation = self.conversation(ConversationId::from_bytes(row.get(0)?), key)?;
                    Ok((Record::Conversation(conversation), key, 0))
                })
            }
            Table::Messages => {
                let sql = format!(
                    "SELECT {}, c.id, m.position, m.fingerprint, s.client_id FROM messages m
                     JOIN conversations c ON c.key = m.place >> 32
                     LEFT JOIN sends_by_place s ON s.place = m.place WHERE m.place > ? ORDER BY m.place",
                    rows::MESSAGE
                );
                self.rows(&sql, read_message)
            }
            Table::Log => {
                let sql = "SELECT l.position, l.kind, l.place, l.room, l.user, l.role, l.detail, m.id, l.at FROM log l
                    LEFT JOIN messages m ON m.place = l.place WHERE l.position > ? AND l.kind <> 1
                    ORDER BY l.position";
                self.rows(sql, read_entry)
            }
            Table::Keyed | Table::End => Ok((Vec::new(), 0)),
        }
    }

    /// The rows of keyed tables after the last one.
    fn keyed(&mut self) -> rusqlite::Result<Vec<Record>> {
        let sql = "SELECT tbl, key, value FROM keyed WHERE (tbl, key) > (?, ?) ORDER BY tbl, key";
        let mut select = self.db.prepare_cached(sql)?;
        let mut found = select.query(params![self.row.0, self.row.1])?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < ROWS
            && bytes < BYTES
            && let Some(row) = found.next()?
        {
            let (table, row) = keyed::read_row(row)?;
            bytes += row.value.len();
            self.row = (table.code(), row.key.clone());
            records.push(Record::Row { table, row });
        }
        Ok(records)
    }

    /// Rows after the last key, as `read` makes a record, its key and its size of them.
    fn rows(
        &self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<(Record, i64, usize)>,
    ) -> rusqlite::Result<(Vec<Record>, i64)> {
        let mut select = self.db.prepare_cached(sql)?;
        let mut found = select.query([self.key])?;
        let (mut records, mut last, mut bytes) = (Vec::new(), self.key, 0);
        while records.len() < ROWS
            && bytes < BYTES
            && let Some(row) = found.next()?
        {
            let (record, key, size) = read(row)?;
            records.push(record);
            (last, bytes) = (key, bytes + size);
        }
        Ok((records, last))
    }

    fn conversation(&self, id: ConversationId, key: i64) -> rusqlite::Result<CopiedConversation> {
        let conversation =
            rows::conversation(&self.db, id)?.ok_or_else(|| rows::unreadable(0, "conversation"))?;
        let sql = "SELECT read_seq FROM members WHERE conversation = ? ORDER BY key";
        let mut marks = self.db.prepare_cached(sql)?;
        let read = marks.query_map([key], |row| row.get(0).map(Seq))?.collect::<Result<_, _>>()?;
        let (first, last) = (rows::place(key, 0), rows::place(key, u32::MAX));
        let mut end =
            self.db.prepare_cached("SELECT max(place) FROM messages WHERE place BETWEEN ? AND ?")?;
        let end: Option<i64> = end.query_row(params![first, last], |row| row.get(0))?;
        let sql = "SELECT max(position) FROM messages WHERE place BETWEEN ? AND ? AND deleted_at IS NULL";
        let latest: Option<i64> =
            self.db.prepare_cached(sql)?.query_row(params![first, last], |row| row.get(0))?;
        let mut blockers = self.db.prepare_cached("SELECT blockers FROM conversations WHERE key = ?")?;
        let blockers = blockers.query_row([key], |row| rows::read_blockers(row, 0))?;
        Ok(CopiedConversation {
            conversation,
            read,
            blockers,
            last_seq: Seq(end.map_or(0, rows::seq_of)),
            latest: latest.map(|position| Position(position.unsigned_abs())),
        })
    }
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<(Record, i64, usize)> {
    let message = rows::read_message(row, ConversationId::from_bytes(row.get(12)?))?;
    let size = message.body.bytes.len();
    let client_id = match row.get::<_, Option<String>>(15)? {
        Some(id) => Some(ClientId::new(id).ok_or_else(|| rows::unreadable(15, "client id"))?),
        None => None,
    };
    let copied = CopiedMessage {
        message,
        position: Position(row.get::<_, i64>(13)?.unsigned_abs()),
        client_id,
        fingerprint: row.get::<_, Option<i64>>(14)?.map(super::fingerprints::read),
    };
    Ok((Record::Message(Box::new(copied)), row.get(0)?, size))
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<(Record, i64, usize)> {
    let (id, room, place) =
        (row.get::<_, Option<_>>(7)?, row.get::<_, Option<_>>(3)?, row.get::<_, Option<i64>>(2)?);
    let message = id.zip(room).zip(place).map(|((id, room), place)| MessageRef {
        id: MessageId::from_bytes(id),
        conversation: ConversationId::from_bytes(room),
        seq: Seq(rows::seq_of(place)),
    });
    let change = rows::read_entry(row, message)?;
    let (position, at) = (row.get(0)?, Timestamp::from_millis(row.get(8)?));
    Ok((Record::LogEntry { position: rows::read_position(position), at, change }, position, 0))
}
