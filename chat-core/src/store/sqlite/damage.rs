//! Unreadable rows: they are left out, and reported once.

use std::fmt;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Row};

use crate::damage;

/// Whether a single row is damaged. SQLite itself finds no error in the file then.
pub(super) fn is_of_row(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// The value of a row; `None` when the row is damaged, which is reported. The column `id` identifies the row.
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

/// The same for a row that was looked up by its key.
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

/// An identifier for a row: a number or bytes. Never a text, because a text may be personal data.
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

/// The error of a row, without its content.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidColumnType(_, column, kind) => format!("{}: of type {kind}", column_name(column)),
        Error::IntegralValueOutOfRange(column, _) => format!("column {column}: out of range"),
        Error::Utf8Error(column, _) => format!("column {column}: not UTF-8"),
        Error::FromSqlConversionFailure(column, _, what) => format!("column {column}: {what}"),
        error => error.to_string(),
    }
}

/// Turns `m.sender` into `sender`.
fn column_name(column: &str) -> &str {
    column.rsplit('.').next().unwrap_or(column)
}
