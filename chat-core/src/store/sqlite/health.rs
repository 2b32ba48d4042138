//! Whether the file can be written and read, as far as the last attempts have shown. What fails for the reason of one
//! command (a constraint, a row) says nothing of it.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::ErrorCode;

use super::DATABASE_FILE;
use crate::store::StoreError;

/// What is known of the file.
#[derive(Default)]
pub(super) struct Health {
    /// Whether there is anything in `ills`, so that a healthy store takes no lock.
    is_ill: AtomicBool,
    ills: Mutex<Ills>,
}

#[derive(Default)]
struct Ills {
    /// Why the last change was not written; over when one is.
    unwritable: Option<StoreError>,
    /// What SQLite has found in the file. Nothing mends that while the program runs.
    damaged: Option<StoreError>,
}

impl Health {
    /// A change was written.
    pub(super) fn wrote(&self) {
        if self.is_ill.load(Ordering::Relaxed) {
            self.note(|ills| ills.unwritable = None);
        }
    }

    /// A change was not written, which means this.
    pub(super) fn could_not_write(&self, error: &rusqlite::Error, fault: &StoreError) {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.could_not_read(fault),
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen,
            ) => self.note(|ills| ills.unwritable = Some(fault.clone())),
            _ => {}
        }
    }

    /// Something could not be read.
    pub(super) fn could_not_read(&self, error: &StoreError) {
        if let StoreError::Corrupt { what: DATABASE_FILE, .. } = error {
            self.note(|ills| ills.damaged = Some(error.clone()));
        }
    }

    /// # Errors
    /// What is wrong with the file.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if !self.is_ill.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ills = self.ills.lock();
        ills.damaged.iter().chain(&ills.unwritable).next().cloned().map_or(Ok(()), Err)
    }

    /// Whether the last change was not written.
    pub(super) fn is_unwritable(&self) -> bool {
        self.is_ill.load(Ordering::Relaxed) && self.ills.lock().unwritable.is_some()
    }

    fn note(&self, change: impl FnOnce(&mut Ills)) {
        let mut ills = self.ills.lock();
        change(&mut ills);
        self.is_ill.store(ills.unwritable.is_some() || ills.damaged.is_some(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;
    use crate::store::sqlite::fault;

    fn error(code: std::ffi::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    fn could_not_write(health: &Health, code: std::ffi::c_int) {
        let error = error(code);
        health.could_not_write(&error, &fault(&error));
    }

    #[test]
    fn a_full_disk_is_over_when_something_was_written() {
        let health = Health::default();
        could_not_write(&health, ffi::SQLITE_FULL);
        assert!(health.is_unwritable());
        assert!(matches!(health.check(), Err(StoreError::Full(_))));
        health.wrote();
        assert!(!health.is_unwritable() && health.check().is_ok());
    }

    #[test]
    fn damage_stays() {
        let health = Health::default();
        health.could_not_read(&fault(&error(ffi::SQLITE_CORRUPT)));
        health.wrote();
        assert!(matches!(health.check(), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn what_one_command_did_wrong_says_nothing_of_the_file() {
        let health = Health::default();
        could_not_write(&health, ffi::SQLITE_CONSTRAINT);
        health.could_not_read(&StoreError::Corrupt { what: "row", id: "7".into() });
        assert!(health.check().is_ok());
    }
}
