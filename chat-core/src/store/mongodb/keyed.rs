//! Keyed tables, all in one collection.
//!
//! The `_id` of a row is the name of its table, a slash, and the key in hexadecimal digits. As a text it is ordered by its bytes,
//! so a range of keys is a range of the index on `_id`. (MongoDB orders binary values by their length first.)

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::Database;
use mongodb::bson::{RawArrayBuf, RawDocument, cstr, doc, rawdoc};

use super::collections::ROWS;
use super::documents::binary;
use super::faults::Fault;
use super::fields::{Reading, as_bytes};
use super::reads::{batch_size, limit, raw};
use super::transaction::Transaction;
use super::writing::Writing;
use crate::damage;
use crate::id::ConversationId;
use crate::store::StoreError;
use crate::store::keyed::{Row, Table, start_of};
use crate::store::tx::Reads;

/// So many ranges are asked for at once.
const AT_ONCE: usize = 8;

/// Greater than every hexadecimal digit.
const BEHIND_DIGITS: char = 'g';

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id_of(table: Table, key: &[u8]) -> String {
    format!("{}/{}", table.name(), hex(key))
}

fn read_id(id: &str) -> Option<(Table, Vec<u8>)> {
    let (table, digits) = id.split_once('/')?;
    let key = digits.as_bytes().chunks(2).map(|pair| {
        let is_pair = pair.len() == 2 && pair.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let pair = std::str::from_utf8(pair).ok().filter(|_| is_pair)?;
        u8::from_str_radix(pair, 16).ok()
    });
    Some((Table::from_name(table)?, key.collect::<Option<_>>()?))
}

/// The first and the last text between which the ids of a range are; the first is in it.
fn ends_of(table: Table, prefix: &[u8], after: Option<&[u8]>) -> (String, String) {
    let end = format!("{}{BEHIND_DIGITS}", id_of(table, prefix));
    (id_of(table, &start_of(prefix, after)), end)
}

pub(super) fn read_row(doc: &RawDocument) -> Result<(Table, Row), StoreError> {
    let fields = Reading::new("row", doc);
    let (table, key) = fields.required("_id", |id| read_id(id.as_str()?))?;
    let value = fields.required("value", as_bytes)?.to_vec();
    Ok((table, Row { key, value }))
}

/// What a row is known by: its table and the ids in its key, without what may be behind them.
pub(super) fn name_of(doc: &RawDocument) -> String {
    match doc.get_str("_id").ok().and_then(read_id) {
        Some((table, key)) => format!("{} {}", table.name(), hex(&key[..key.len().min(24)])),
        None => "(unnamed)".into(),
    }
}

#[cfg(feature = "sqlite")]
pub(super) fn document(table: Table, row: &Row) -> mongodb::bson::RawDocumentBuf {
    let mut doc = rawdoc! { "_id": id_of(table, &row.key) };
    doc.append(cstr!("value"), binary(&row.value));
    doc
}

// ---- Reading ----

pub(super) async fn rows(
    db: &Database,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    most: usize,
) -> Result<Vec<Row>, Fault> {
    let mut found = Vec::new();
    if most == 0 {
        return Ok(found);
    }
    let (from, to) = ends_of(table, prefix, after);
    let all = raw(db, ROWS);
    // Without a limit there: damaged ones do not count.
    let find = all.find(doc! { "_id": { "$gte": from, "$lt": to } }).sort(doc! { "_id": 1 });
    let mut cursor = find.batch_size(batch_size(most)).await?;
    while found.len() < most && cursor.advance().await? {
        match read_row(cursor.current()) {
            Ok((_, row)) => found.push(row),
            Err(error) => damage::report(db.name(), ROWS, &name_of(cursor.current()), &error),
        }
    }
    Ok(found)
}

pub(super) async fn rows_of(
    db: &Database,
    table: Table,
    prefixes: &[Vec<u8>],
    most: usize,
) -> Result<Vec<Vec<Row>>, Fault> {
    let mut ranges = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        ranges.push(rows(db, table, prefix, None, most));
    }
    stream::iter(ranges).buffered(AT_ONCE).try_collect().await
}

pub(super) async fn values(
    db: &Database,
    table: Table,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = keys.iter().map(|key| id_of(table, key)).collect();
    let all = raw(db, ROWS);
    let find = all.find(doc! { "_id": { "$in": ids } });
    let mut cursor = find.batch_size(batch_size(keys.len())).await?;
    let mut found = HashMap::new();
    while cursor.advance().await? {
        match read_row(cursor.current()) {
            Ok((_, row)) => drop(found.insert(row.key, row.value)),
            Err(error) => damage::report(db.name(), ROWS, &name_of(cursor.current()), &error),
        }
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

// ---- Transactions ----

impl Transaction<'_> {
    pub(super) async fn load_rows(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        let unknown = reads.rows.iter().filter(|key| !writing.known_rows.contains(key));
        let unknown: Vec<_> = unknown.map(|(table, key)| id_of(*table, key)).collect();
        self.load_named(unknown, writing).await?;
        // Of a room that is changed in this transaction it is not known what will hold there.
        let ruled = reads.ruled_rows.iter().filter(|(_, key)| {
            let Some(room) = key.first_chunk::<12>() else { return false };
            let has_rules = writing.rows.contains_key(&(Table::RoomRules, room.to_vec()));
            has_rules || writing.rooms.contains_key(&ConversationId::from_bytes(*room))
        });
        let ruled: Vec<_> = ruled.map(|(table, key)| id_of(*table, key)).collect();
        self.load_named(ruled, writing).await?;
        let ranges = &reads.ranges;
        for (n, (table, prefix, _)) in ranges.iter().enumerate() {
            if ranges[..n].iter().any(|(of, begin, _)| of == table && begin == prefix) {
                continue;
            }
            let (from, to) = ends_of(*table, prefix, None);
            let command = rawdoc! {
                "find": ROWS,
                "filter": { "_id": { "$gte": from, "$lt": to } },
                "sort": { "_id": 1 },
                "limit": limit(needed(reads, *table, prefix)),
            };
            self.find(command, |doc| know(writing, doc)).await?;
        }
        Ok(())
    }

    async fn load_named(&mut self, names: Vec<String>, writing: &mut Writing) -> Result<(), Fault> {
        if names.is_empty() {
            return Ok(());
        }
        let mut ids = RawArrayBuf::new();
        for name in names {
            ids.push(name);
        }
        self.find(rawdoc! { "find": ROWS, "filter": { "_id": { "$in": ids } } }, |doc| know(writing, doc))
            .await
    }

    pub(super) async fn store_rows(&mut self, writing: &Writing) -> Result<(), Fault> {
        let (mut puts, mut deletes) = (Vec::new(), RawArrayBuf::new());
        for changed in &writing.writes.rows {
            let id = rawdoc! { "_id": id_of(changed.0, &changed.1) };
            match writing.rows.get(changed) {
                Some(value) => {
                    let mut set = rawdoc! {};
                    set.append(cstr!("value"), binary(value));
                    puts.push(rawdoc! { "q": id, "u": { "$set": set }, "upsert": true });
                }
                None => deletes.push(rawdoc! { "q": id, "limit": 1 }),
            }
        }
        self.update(ROWS, puts).await?;
        if deletes.is_empty() {
            return Ok(());
        }
        self.command(rawdoc! { "delete": ROWS, "deletes": deletes }).await.map(drop)
    }
}

fn know(writing: &mut Writing, doc: &RawDocument) -> Result<(), StoreError> {
    let (table, row) = read_row(doc)?;
    writing.rows.insert((table, row.key), row.value);
    Ok(())
}

/// How many rows of a range must be loaded so that its limit is there whatever the writes of the transaction delete of it: each
/// deletes only what it has named or found in a range.
fn needed(reads: &Reads, table: Table, prefix: &[u8]) -> usize {
    let meets =
        |of: &Table, other: &[u8]| *of == table && (other.starts_with(prefix) || prefix.starts_with(other));
    let ranges = reads.ranges.iter().filter(|(of, begin, _)| meets(of, begin));
    let most = reads.ranges.iter().filter(|(of, begin, _)| *of == table && begin == prefix);
    let most = most.map(|(.., limit)| *limit).max().unwrap_or_default();
    let named = reads
        .rows
        .iter()
        .chain(&reads.ruled_rows)
        .filter(|(of, key)| *of == table && key.starts_with(prefix))
        .count();
    ranges.fold(most.saturating_add(named), |sum, (.., limit)| sum.saturating_add(*limit))
}

#[cfg(test)]
mod tests;
