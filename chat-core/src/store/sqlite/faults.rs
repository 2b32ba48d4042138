//! Translates SQLite's errors.

use std::path::Path;

use rusqlite::ErrorCode;

use super::{DATABASE_FILE, damage, space};
use crate::store::StoreError;

/// Whether the disk is full. When SQLite cannot grow the shared-memory file, the error has a code of its own.
pub(super) fn is_out_of_room(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_SHMSIZE};
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| code == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE)
}

/// The same for a write to this file. If a quota is used up, SQLite reports an I/O error without the cause. So this
/// tries to write some bytes to find out whether there is space.
pub(super) fn is_out_of_room_at(path: &Path, error: &rusqlite::Error) -> bool {
    let may_be =
        || matches!(error.sqlite_error_code(), Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen));
    is_out_of_room(error) || (may_be() && space::is_used_up(path))
}

/// The error for a failed write to this file.
pub(super) fn fault_of_write(path: &Path, error: &rusqlite::Error) -> StoreError {
    match is_out_of_room_at(path, error) {
        true => StoreError::Full(error.to_string()),
        false => fault(error),
    }
}

/// The error for a failed read. Unlike in [`fault`], a value out of range is damage here and not the fault of the
/// request.
pub(super) fn fault_of_read(error: &rusqlite::Error) -> StoreError {
    if damage::is_of_row(error) {
        return StoreError::Corrupt { what: "row", id: damage::reason(error) };
    }
    fault(error)
}

/// Translates a SQLite error for the caller. SQLite's messages contain no data of rows.
pub(super) fn fault(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::QueryReturnedNoRows => StoreError::Refused("there is no such conversation".into()),
        rusqlite::Error::IntegralValueOutOfRange(..) => {
            StoreError::Refused("the conversation is full".into())
        }
        rusqlite::Error::FromSqlConversionFailure(column, _, what) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: {what}") }
        }
        // A retry does not help, so this must not be reported as an unavailable database.
        rusqlite::Error::InvalidColumnType(column, _, kind) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: of type {kind}") }
        }
        rusqlite::Error::Utf8Error(column, _) => {
            StoreError::Corrupt { what: "row", id: format!("column {column}: not UTF-8") }
        }
        error if is_out_of_room(error) => StoreError::Full(error.to_string()),
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

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(code: std::ffi::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn where_there_is_room_only_sqlites_own_words_say_that_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(fault(&error(code)), StoreError::Full(_)), "{code}");
            assert!(matches!(fault_of_write(&path, &error(code)), StoreError::Full(_)), "{code}");
        }
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CANTOPEN, ffi::SQLITE_BUSY]
        {
            assert!(matches!(fault_of_write(&path, &error(code)), StoreError::Unavailable(_)), "{code}");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "what is written for a test is removed");
    }

    /// `/dev/full` is a disk that is always full.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_error_of_writing_is_one_of_room_where_nothing_else_can_be_written_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let full = || std::os::unix::fs::symlink("/dev/full", folder.path().join("chat.db.room")).unwrap();
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CANTOPEN] {
            full();
            assert!(matches!(fault_of_write(&path, &error(code)), StoreError::Full(_)), "{code}");
        }
        full();
        assert!(matches!(fault_of_write(&path, &error(ffi::SQLITE_BUSY)), StoreError::Unavailable(_)));
    }
}
