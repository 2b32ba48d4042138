//! Keyed tables, all in one table of the file.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::damage::{hex, sound};
use super::rows::unreadable;
use super::{LongReads, SqliteStore};
use crate::store::StoreError;
use crate::store::keyed::{KeyedStore, Row, Table, start_of};

/// A range is one range of the table, in its own order.
const RANGE: &str = "SELECT key, value FROM keyed WHERE tbl = ? AND key >= ? ORDER BY key";
const VALUE: &str = "SELECT value FROM keyed WHERE tbl = ? AND key = ?";
const PUT: &str = "INSERT INTO keyed VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM keyed WHERE tbl = ? AND key = ?";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [RANGE, VALUE];

#[async_trait]
impl KeyedStore for SqliteStore {
    async fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if limit <= LongReads::FROM {
            return self.read(|db| rows(db, table, prefix, after, limit));
        }
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        self.read_long(move |db| rows(db, table, &prefix, after.as_deref(), limit)).await
    }

    async fn rows_of(
        &self,
        table: Table,
        prefixes: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if prefixes.len().saturating_mul(limit) <= LongReads::FROM {
            return self.read(|db| rows_of(db, table, prefixes, limit));
        }
        let prefixes = prefixes.to_vec();
        self.read_long(move |db| rows_of(db, table, &prefixes, limit)).await
    }

    async fn values(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.len() <= LongReads::FROM {
            return self.read(|db| values(db, table, keys));
        }
        let keys = keys.to_vec();
        self.read_long(move |db| values(db, table, &keys)).await
    }
}

pub(super) fn rows(
    db: &Connection,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut found = Vec::new();
    let mut select = db.prepare_cached(RANGE)?;
    let mut rows = select.query(params![table.code(), start_of(prefix, after)])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let key: Vec<u8> = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        let value = sound(db, "keyed", &name_of(table, &key), row.get(1))?;
        found.extend(value.map(|value| Row { key, value }));
    }
    Ok(found)
}

pub(super) fn rows_of(
    db: &Connection,
    table: Table,
    prefixes: &[Vec<u8>],
    limit: usize,
) -> rusqlite::Result<Vec<Vec<Row>>> {
    // All in one view.
    let db = &*db.unchecked_transaction()?;
    prefixes.iter().map(|prefix| rows(db, table, prefix, None, limit)).collect()
}

fn values(db: &Connection, table: Table, keys: &[Vec<u8>]) -> rusqlite::Result<Vec<Option<Vec<u8>>>> {
    let one = |key: &Vec<u8>| Ok(sound(db, "keyed", &name_of(table, key), value(db, table, key))?.flatten());
    keys.iter().map(one).collect()
}

pub(super) fn value(db: &Connection, table: Table, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached(VALUE)?.query_row(params![table.code(), key], |row| row.get(0)).optional()
}

pub(super) fn put(db: &Connection, table: Table, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached(PUT)?.execute(params![table.code(), key, value]).map(drop)
}

pub(super) fn delete(db: &Connection, table: Table, key: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached(DELETE)?.execute(params![table.code(), key]).map(drop)
}

/// What a row is known by: its table and the ids in its key, without what may be behind them.
pub(super) fn name_of(table: Table, key: &[u8]) -> String {
    format!("{} {}", table.name(), hex(&key[..key.len().min(24)]))
}

/// A row of whichever table, from the columns `tbl`, `key` and `value`.
pub(super) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<(Table, Row)> {
    let table = Table::from_code(row.get(0)?).ok_or_else(|| unreadable(0, "table"))?;
    Ok((table, Row { key: row.get(1)?, value: row.get(2)? }))
}
