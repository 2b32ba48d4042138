//! The embedded store: one SQLite file, no server to install.
//!
//! # Durability
//! The file is in WAL mode with `synchronous=FULL` by default: every commit is followed by an `fsync` of the log
//! before it is acknowledged, so an acknowledged change survives both the death of the process and the loss of
//! power. [`Synchronous::Normal`] leaves the `fsync` to the checkpoints: an acknowledged change still survives the
//! death of the process, even by `kill -9` (the kernel has it), but the last moments before a *power failure* may
//! be lost; the file is never corrupted by it. See <https://www.sqlite.org/pragma.html#pragma_synchronous>.
//! Group commit makes `FULL` affordable: all changes that are submitted while a transaction commits share the next
//! transaction.
//!
//! # Threads
//! One thread writes, one runs checkpoints, and a few run long reads (histories, lists, counts), so that one long read
//! does not delay another. Short reads run on the calling thread, on a small pool of connections: they take some 20 µs
//! from the page cache, less than a hand-over to another thread and back. In WAL mode readers never block the writer.
//!
//! # One process
//! The store locks the file (with `chat.db.lock` beside it). It counts positions in memory, so there must be no second
//! writer.

mod backup;
mod chats;
mod damage;
mod epoch;
#[cfg(feature = "mongodb")]
mod export;
mod faults;
mod fingerprints;
mod health;
mod inspect;
mod keyed;
mod long_reads;
mod members;
mod ops;
mod personal;
mod rooms;
mod rows;
mod schema;
mod search;
mod space;
mod tx;
mod unread;
mod worker;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;

pub use self::backup::{Lock, Snapshot, back_up, images_named, look_at, prepare_restored, unfinished_note};
use self::epoch::HighWater;
#[cfg(feature = "mongodb")]
pub use self::export::SqliteExport;
use self::faults::{fault, fault_of_read, fault_of_write, is_out_of_room_at};
pub use self::inspect::SqliteInspector;
pub(crate) use self::long_reads::LongReads;
use self::ops::Writing;
use self::space::Reserve;
use self::worker::Writer;
use super::tx::Abort;
use super::{
    ChangeLog, LoggedChange, MessageStore, Opened, PersonalChanges, StoreError, StoredMessage, UserStore,
    Write, WriteStore, Written,
};
use crate::clock::Timestamp;
use crate::damage::REMEDY;
use crate::epoch::Epoch;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{PasswordHash, Position, User, UserKey};

/// How a [`SqliteStore`] is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// When a change is durable. Default: [`Synchronous::Full`].
    pub synchronous: Synchronous,
    /// The number of read connections (default 4).
    pub readers: usize,
    /// Page cache of each connection in KiB (default 16 MiB).
    pub cache_kib: usize,
    /// The size in bytes of the reserve files beside the database, which are deleted when the disk is full (default 0:
    /// none). An eighth of the reserve is used only to open the database.
    pub reserve_bytes: u64,
    /// Where callers get their results (default: on the writer thread).
    pub answer_on: AnswerOn,
    /// Whether a missing database is created (default); otherwise opening it fails.
    pub may_make_new: bool,
}

/// Runs the closure that sends the results to the callers of a transaction. Waking many tasks of a runtime from a
/// thread outside of it costs a lock and perhaps a system call each. A caller with a runtime can run the closure inside
/// it: `AnswerOn::new(move |answer| drop(handle.spawn(async move { answer() })))`.
#[derive(Clone, Default)]
pub struct AnswerOn(Option<Arc<Run>>);

type Run = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

impl AnswerOn {
    /// Sends results through this function. It must soon run the closure that it gets, or drop it.
    pub fn new(run: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(run)))
    }

    fn run(&self, answer: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(run) => run(Box::new(answer)),
            None => answer(),
        }
    }
}

impl std::fmt::Debug for AnswerOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "AnswerOn(…)" } else { "AnswerOn(the writing thread)" })
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            readers: 4,
            cache_kib: 16 << 10,
            reserve_bytes: 0,
            answer_on: AnswerOn::default(),
            may_make_new: true,
        }
    }
}

/// SQLite's `synchronous` setting; see the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// Changes survive the death of the process.
    Normal,
    /// Changes also survive a power failure.
    Full,
}

/// The record type in [`StoreError::Corrupt`] when SQLite reports that the file itself is corrupt.
const DATABASE_FILE: &str = "database file";

/// A disk that was full counts as full until it has at least this much free space.
const MIN_FREE_BYTES: u64 = 1 << 20;

/// How long SQLite waits for a lock that another connection of this process holds.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    long_reads: LongReads,
    closed: AtomicBool,
    path: PathBuf,
    opened: Opened,
    _lock: File,
}

impl SqliteStore {
    /// Opens the file. Creates the file and its tables if necessary and allowed. The folder must exist.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the file does not exist and may not be created. [`StoreError::Refused`] when the
    /// file belongs to another program, is from a newer version, or is in use by another process. [`StoreError::Full`]
    /// when there is no room to upgrade it. [`StoreError::Unavailable`] when it cannot be opened or written.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        if unfinished_note(path).exists() {
            return Err(StoreError::Refused(format!(
                "{} was being restored from a backup, and that was not finished: run `chat-server restore` again",
                path.display()
            )));
        }
        // Checked before any file is created beside it.
        if !options.may_make_new && !std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Err(StoreError::Missing(format!("no file {}", path.display())));
        }
        let lock = lock(path)?;
        let reserve = Reserve::of(path, options.reserve_bytes);
        let prepare = || {
            let mut db = connect(path, &options)?;
            let opened = schema::migrate(&mut db, options.may_make_new)?;
            Ok((db, opened))
        };
        let (db, opened) = match prepare() {
            // SQLite reports a full disk with several different errors.
            Err(StoreError::Unavailable(why) | StoreError::Full(why)) if reserve.release_to_start() => {
                tracing::warn!(why, "the database could not be opened; what was held in reserve is given up");
                prepare()?
            }
            prepared => prepared?,
        };
        let unavailable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let mut high_water = HighWater::of(lock.try_clone().map_err(unavailable)?);
        if high_water.is_ahead_of(&db).map_err(|error| fault(&error))? {
            epoch::renew(&db).map_err(|error| fault(&error))?;
            tracing::warn!(
                "the database is older than the one that was here before: open pages will load afresh what they show"
            );
        }
        high_water.note(&db);
        let long_readers = (0..LongReads::THREADS).map(|_| connect(path, &options));
        let long_readers = long_readers.collect::<Result<Vec<_>, _>>()?;
        let readers = (0..options.readers.max(1))
            .map(|_| connect(path, &options).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            writer: Writer::start(db, connect(path, &options)?, (reserve, high_water), options.answer_on)?,
            readers,
            next_reader: AtomicUsize::new(0),
            long_reads: LongReads::start(long_readers)?,
            closed: AtomicBool::new(false),
            path: path.to_owned(),
            opened,
            _lock: lock,
        })
    }

    /// The path of the database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the store found when it opened the file.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// The number of transactions committed since the store was opened. Compared with the number of changes it shows
    /// how well group commit works.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    async fn read_long<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        self.noting(self.long_reads.read(read).await)
    }

    /// Records damage that a read has met.
    fn noting<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        read.map_err(|error| {
            self.writer.health().could_not_read(&error);
            match error {
                StoreError::Corrupt { what, id } => {
                    let id = format!("{id} (in {}; {REMEDY})", self.path.display());
                    StoreError::Corrupt { what, id }
                }
                error => error,
            }
        })
    }

    fn read<T>(&self, read: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        let first = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let count = self.readers.len();
        let free = (0..count).find_map(|i| self.readers[(first + i) % count].try_lock());
        let db = free.unwrap_or_else(|| self.readers[first % count].lock());
        self.noting(read(&db).map_err(|error| fault_of_read(&error)))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.writer.close();
    }
}

#[async_trait]
impl WriteStore for SqliteStore {
    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let run = move |writing: &mut Writing<'_>| match write.apply(writing) {
            Ok(written) => Ok(Ok(written)),
            // The other changes of the transaction are not affected.
            Err(Abort::Refused(error)) => Ok(Err(error)),
            Err(Abort::Failed(error)) => Err(error),
        };
        self.writer.write(run).await?
    }
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        self.read(|db| rows::user(db, key)).map(|found| found.map(|(user, _)| user.into()))
    }

    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError> {
        self.read(|db| rows::user(db, key)).map(|found| found.map(|(user, hash)| (user.into(), hash)))
    }

    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        let read = move |db: &Connection| rows::users(db, limit);
        let users = if limit > LongReads::FROM { self.read_long(read).await? } else { self.read(read)? };
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn users_by_id(&self, ids: &[UserId]) -> Result<Vec<Arc<User>>, StoreError> {
        let (ids, count) = (ids.to_vec(), ids.len());
        let read = move |db: &Connection| rows::users_by_id(db, &ids);
        let users = if count > LongReads::FROM { self.read_long(read).await? } else { self.read(read)? };
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn users_named(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError> {
        let users = self.read(|db| rows::users_named(db, prefix, after, limit))?;
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError> {
        self.read(|db| rows::revoked_tokens(db, now))
    }
}

#[async_trait]
impl MessageStore for SqliteStore {
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.read(|db| rows::message(db, id)).map(|found| found.map(|(_, message)| message))
    }

    async fn messages(&self, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
        self.read(|db| rows::messages(db, ids))
    }

    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError> {
        let read = move |db: &Connection| rows::history(db, conversation, window, include_deleted);
        // A page with an offset may skip any number of rows, so it counts as a long read.
        if window.limit().saturating_add(window.skip()) > LongReads::FROM {
            return self.read_long(read).await;
        }
        self.read(read)
    }
}

#[async_trait]
impl ChangeLog for SqliteStore {
    async fn last_position(&self) -> Result<Position, StoreError> {
        self.read(rows::last_position)
    }

    async fn log_begin(&self) -> Result<Position, StoreError> {
        self.read(rows::log_begin)
    }

    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError> {
        let read = move |db: &Connection| rows::changes_after(db, position, limit);
        if limit > LongReads::FROM {
            return self.read_long(read).await;
        }
        self.read(read)
    }

    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError> {
        self.read_long(move |db| personal::changes_for(db, user, position, limit)).await
    }

    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError> {
        self.read_long(move |db| personal::count(db, user, position, limit)).await
    }

    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError> {
        // In steps, so that sends do not wait long.
        while self.writer.write(move |writing| writing.forget_before(at)).await? {}
        self.log_begin().await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.read(epoch::read)
    }

    async fn renew_epoch(&self) -> Result<Epoch, StoreError> {
        self.writer.write(|writing| writing.renew_epoch()).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Relaxed);
        self.writer.close();
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read(rows::last_position)?;
        if !self.writer.health().is_unwritable() {
            self.writer.write(|_| Ok(())).await?;
        } else if space::available_bytes(&self.path).is_none_or(|bytes| bytes >= MIN_FREE_BYTES) {
            // Only a write shows whether the disk is still full.
            self.writer.write(|writing| writing.touch()).await?;
        }
        self.writer.health().check()
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let unavailable = |error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "; the folder and the file must belong to the user that the server runs as (chown), and be writable"
            }
            _ => "",
        };
        StoreError::Unavailable(format!("the lock file {}: {error}{remedy}", name.display()))
    };
    let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&name);
    let file = match open() {
        // Another user, most likely root, has started the server once. The content of the lock file helps to detect a
        // database that was replaced by hand, and is written again on each start. So a process that may write to the
        // folder may create the file again, unless another process holds the lock.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && is_free(&name) => {
            std::fs::remove_file(&name).and_then(|()| open()).map_err(|_| unavailable(error))?
        }
        opened => opened.map_err(unavailable)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
            "{} is in use by another process, which holds the lock file {}",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Whether the lock on a file without write permission is free, as far as a reader can tell.
fn is_free(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| file.try_lock().is_ok())
}

fn connect(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let open = || {
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(64);
        db.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match options.synchronous {
            Synchronous::Normal => "NORMAL",
            Synchronous::Full => "FULL",
        };
        db.pragma_update(None, "synchronous", synchronous)?;
        db.pragma_update(None, "cache_size", -i64::try_from(options.cache_kib).unwrap_or(i64::MAX))?;
        // Otherwise SQLite looks at the values bound to a range or limit, and plans the statement again for each value.
        db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.pragma_update(None, "foreign_keys", false)?;
        // The checkpointer does this beside the writer.
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(db)
    };
    open().map_err(|error: rusqlite::Error| fault(&error))
}
