//! What SQLite's errors mean.

use super::{DATABASE_FILE, damage};
use crate::store::StoreError;

/// Whether there was no room on the disk. The file that the processes share with SQLite is grown with an error of its own.
pub(super) fn is_out_of_room(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| code == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE)
}

/// The same of reading: what is out of range there is nobody's request.
pub(super) fn fault_of_read(error: &rusqlite::Error) -> StoreError {
    if damage::is_of_row(error) {
        return StoreError::Corrupt { what: "row", id: damage::reason(error) };
    }
    fault(error)
}

/// What SQLite's words mean for the one who has to act. SQLite's messages hold no data of rows.
pub(super) fn fault(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    match error {
        rusqlite::Error::QueryReturnedNoRows => StoreError::Refused("there is no such conversation".into()),
        rusqlite::Error::IntegralValueOutOfRange(..) => {
            StoreError::Refused("the conversation is full".into())
        }
        rusqlite::Error::FromSqlConversionFailure(column, _, what) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: {what}") }
        }
        // Trying again does not help, so it must not pass for a database that is away.
        rusqlite::Error::InvalidColumnType(column, _, kind) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: of type {kind}") }
        }
        rusqlite::Error::Utf8Error(column, _) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: not UTF-8") }
        }
        error => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { what: DATABASE_FILE, id: error.to_string() }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::ConstraintViolation) => {
                StoreError::Refused(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        },
    }
}
