//! Rows that cannot be read: left out, and named once.

use std::fmt;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Row};

use crate::damage;

/// Whether one row is not what was written. SQLite itself finds nothing wrong with the file then.
pub(super) fn is_of_row(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// What was read of a row; none when the row is damaged, which is said. Its name is in the column `id`.
pub(super) fn skip<T>(
    db: &Connection,
    table: &str,
    row: &Row<'_>,
    id: usize,
    read: rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match read {
        Err(error) if is_of_row(&error) => {
            report(db, table, &name(row, id), &error);
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The same of a row that was looked up by its key.
pub(super) fn sound<T>(
    db: &Connection,
    table: &str,
    id: &dyn fmt::Display,
    read: rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match read {
        Err(error) if is_of_row(&error) => {
            report(db, table, id, &error);
            Ok(None)
        }
        read => read.map(Some),
    }
}

pub(super) fn report(db: &Connection, table: &str, id: &dyn fmt::Display, error: &Error) {
    damage::report(db.path().unwrap_or_default(), table, id, &reason(error));
}

/// What a row is known by: a number, or bytes. Never a text, which may be somebody's.
pub(super) fn name(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(key)) => key.to_string(),
        Ok(ValueRef::Blob(bytes)) => hex(bytes),
        _ => "(unnamed)".into(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong with a row, without what is in it.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidColumnType(_, column, kind) => format!("{}: of type {kind}", column_name(column)),
        Error::IntegralValueOutOfRange(column, _) => format!("column {column}: out of range"),
        Error::Utf8Error(column, _) => format!("column {column}: not UTF-8"),
        Error::FromSqlConversionFailure(column, _, what) => format!("column {column}: {what}"),
        error => error.to_string(),
    }
}

/// `m.sender` is known as `sender`.
fn column_name(column: &str) -> &str {
    column.rsplit('.').next().unwrap_or(column)
}
