//! A copy of the file while a server writes it, and what has to happen to a copy before a server uses it again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, DATABASE_FILE, SqliteOptions, connect, epoch, fault, lock, rows, schema};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::model::Position;
use crate::store::StoreError;

/// So many pages (16 MiB) are copied at once.
const PAGES: std::ffi::c_int = 4_096;

/// The pause when somebody holds the file.
const PAUSE: Duration = Duration::from_millis(20);

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of its tables.
    pub layout: u32,
    /// The log's epoch; none in a file from before there were epochs.
    pub epoch: Option<Epoch>,
    /// The last position of the log.
    pub position: Position,
    /// When that change or an account was made, whichever was the last, if that is known.
    pub changed_at: Option<Timestamp>,
}

/// A database that nobody else may use: neither a server nor another command.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it; it is given back when this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when somebody else has it.
    pub fn acquire(database: &Path) -> Result<Self, StoreError> {
        lock(database).map(|file| Self { _file: file })
    }
}

/// Where it is noted that a database is being put back, with what belongs to it: a store does not open it meanwhile.
pub fn unfinished_note(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".restore-unfinished");
    name.into()
}

/// Copies a database as it is at one moment into a new file, with all that is in its log file. A server may be using it, and
/// waits for nothing.
///
/// # Errors
/// [`StoreError::Refused`] when there is no such file or it is another program's; otherwise as reads and writes fail.
pub fn back_up(from: &Path, to: &Path) -> Result<Snapshot, StoreError> {
    let source = open(from)?;
    let copy = || -> rusqlite::Result<()> {
        // One view of it, held until the end: it goes on being written, and would otherwise be copied from the beginning again
        // and again.
        let view = source.unchecked_transaction()?;
        view.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let mut target = Connection::open(to)?;
        {
            let backup = Backup::new(&view, &mut target)?;
            loop {
                match backup.step(PAGES)? {
                    StepResult::Done => break,
                    StepResult::More => {}
                    _ => std::thread::sleep(PAUSE),
                }
            }
        }
        // One file, without a log file beside it.
        target.pragma_update(None, "journal_mode", "DELETE")
    };
    copy().map_err(|error| fault(&error))?;
    look_at(to)
}

/// What a database holds. It is not changed, but what is in its log file may be copied into it.
///
/// # Errors
/// [`StoreError::Refused`] when there is no such file or it is another program's; otherwise as reads fail.
pub fn look_at(path: &Path) -> Result<Snapshot, StoreError> {
    let db = open(path)?;
    let look = || -> rusqlite::Result<Snapshot> {
        let layout = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let epoch = if layout >= schema::WITH_EPOCH { Some(epoch::read(&db)?) } else { None };
        let changed_at = if layout >= schema::WITH_TIMES { last_change_at(&db)? } else { None };
        Ok(Snapshot { layout, epoch, position: rows::last_position(&db)?, changed_at })
    };
    look().map_err(|error| fault(&error))
}

/// Makes a copy ready to be used: looks whether it is whole, brings it up to date, and begins another [epoch](Epoch).
///
/// # Errors
/// [`StoreError::Corrupt`] when SQLite finds something wrong in it, [`StoreError::Refused`] when it is another program's or of
/// a newer version; otherwise as reads and writes fail.
pub fn prepare_restored(path: &Path) -> Result<Snapshot, StoreError> {
    let fault = |error: rusqlite::Error| fault(&error);
    let problem: String = {
        let db = open(path)?;
        db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(fault)?
    };
    if problem != "ok" {
        return Err(StoreError::Corrupt { what: DATABASE_FILE, id: problem });
    }
    let mut db = connect(path, &SqliteOptions::default())?;
    schema::migrate(&mut db, false)?;
    epoch::renew(&db).map_err(fault)?;
    // One file, without a log file beside it.
    db.pragma_update(None, "journal_mode", "DELETE").map_err(fault)?;
    drop(db);
    look_at(path)
}

/// The URLs of all images that messages and profiles name.
///
/// # Errors
/// As reads fail.
pub fn images_named(path: &Path, mut each: impl FnMut(&str)) -> Result<(), StoreError> {
    let db = open(path)?;
    let mut read = || -> rusqlite::Result<()> {
        let sql = "SELECT image FROM messages WHERE image IS NOT NULL UNION ALL SELECT picture FROM users WHERE picture <> ''";
        let mut select = db.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            each(row.get_ref(0)?.as_str()?);
        }
        Ok(())
    };
    read().map_err(|error| fault(&error))
}

/// Opens a file that is there and is ours.
fn open(path: &Path) -> Result<Connection, StoreError> {
    if !path.is_file() {
        return Err(StoreError::Refused(format!("there is no file {}", path.display())));
    }
    let open = || {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        Ok((db, application))
    };
    let (db, application) = open().map_err(|error: rusqlite::Error| fault(&error))?;
    if application != schema::APPLICATION_ID {
        return Err(StoreError::Refused(format!("{} is no database of this program", path.display())));
    }
    Ok(db)
}

fn last_change_at(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    // Accounts are not in the log.
    let sql = "SELECT max(at) FROM (SELECT * FROM (SELECT at FROM log ORDER BY position DESC LIMIT 1)
        UNION ALL SELECT max(created_at) FROM users UNION ALL SELECT max(updated_at) FROM users)";
    let at: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
    Ok(at.filter(|at| *at > 0).map(Timestamp::from_millis))
}

#[cfg(test)]
mod tests;
