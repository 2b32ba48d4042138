//! Backs up the database file while a server writes to it, and prepares a copy for use by a server.

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

/// The number of pages (16 MiB) that are copied at once.
const PAGES: std::ffi::c_int = 4_096;

/// The pause when another connection holds a lock on the file.
const PAUSE: Duration = Duration::from_millis(20);

/// The state of a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of its table layout.
    pub layout: u32,
    /// The log's epoch; `None` in a file from before there were epochs.
    pub epoch: Option<Epoch>,
    /// The last position of the log.
    pub position: Position,
    /// The time of the last change or account creation, whichever is later, if known.
    pub changed_at: Option<Timestamp>,
}

/// Exclusive use of a database: no server and no other command can open it.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Acquires the lock. Dropping the value releases it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when another process holds it.
    pub fn acquire(database: &Path) -> Result<Self, StoreError> {
        lock(database).map(|file| Self { _file: file })
    }
}

/// The marker file that exists while a database and its files are being restored. A store refuses to open such a
/// database.
pub fn unfinished_note(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".restore-unfinished");
    name.into()
}

/// Copies a consistent snapshot of a database, with the content of its log file, into a new file. A server may use the
/// database meanwhile and is not blocked.
///
/// # Errors
/// [`StoreError::Refused`] when the file does not exist or belongs to another program; otherwise any read or write
/// error.
pub fn back_up(from: &Path, to: &Path) -> Result<Snapshot, StoreError> {
    let source = open(from)?;
    let copy = || -> rusqlite::Result<()> {
        // One read transaction until the end. Otherwise SQLite would restart the copy each time the server writes.
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
        // The copy is a single file, without a log file beside it.
        target.pragma_update(None, "journal_mode", "DELETE")
    };
    copy().map_err(|error| fault(&error))?;
    look_at(to)
}

/// Reads the state of a database. Does not change it, but the content of its log file may be copied into it.
///
/// # Errors
/// [`StoreError::Refused`] when the file does not exist or belongs to another program; otherwise any read error.
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

/// Prepares a copy for use: checks its integrity, upgrades it, and begins a new [epoch](Epoch).
///
/// # Errors
/// [`StoreError::Corrupt`] when SQLite's check fails, [`StoreError::Refused`] when the file belongs to another program
/// or is from a newer version; otherwise any read or write error.
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
    // The result is a single file, without a log file beside it.
    db.pragma_update(None, "journal_mode", "DELETE").map_err(fault)?;
    drop(db);
    look_at(path)
}

/// Calls `each` with the URL of every image that messages and profiles refer to.
///
/// # Errors
/// Any read error.
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

/// Opens an existing database of this program.
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
    // The log does not contain account creations.
    let sql = "SELECT max(at) FROM (SELECT * FROM (SELECT at FROM log ORDER BY position DESC LIMIT 1)
        UNION ALL SELECT max(created_at) FROM users UNION ALL SELECT max(updated_at) FROM users)";
    let at: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
    Ok(at.filter(|at| *at > 0).map(Timestamp::from_millis))
}

#[cfg(test)]
mod tests;
