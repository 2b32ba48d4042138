//! Threads that own a connection and run the jobs that they receive.
//!
//! The writer thread commits in groups: all jobs that arrive during one commit share the next transaction. This makes
//! durable sends cheap.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::AnswerOn;
use super::epoch::HighWater;
use super::health::Health;
use super::ops::Writing;
use super::space::{Reserve, available_bytes};
use crate::store::StoreError;

/// The most jobs in one transaction. It limits how long the first job waits for the last.
const MAX_PER_COMMIT: usize = 512;

/// The log file is checkpointed into the database after at most this many pages (64 MiB), while the writer goes on. The
/// rarer the checkpoints, the more often a page was written several times in between and is copied only once.
const MAX_PAGES_PER_CHECKPOINT: usize = 16_384;
/// The log file is checkpointed after at least this many pages (4 MiB), if the disk has room for them.
const MIN_PAGES_PER_CHECKPOINT: usize = 1_024;
/// The size of a page of the log file in bytes.
const PAGE_BYTES: u64 = 4_096;
/// After this long without a write the log file is checkpointed and emptied, so that a copy of the database file alone
/// is complete.
const IDLE: Duration = Duration::from_secs(1);
/// After the disk was full and no room could be made, the next attempt is made no earlier than this.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// A change that can be repeated: when a transaction fails as a whole, each job runs again in its own transaction.
trait Job: Send {
    fn run(&mut self, writing: &mut Writing<'_>) -> rusqlite::Result<()>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Change<T, F> {
    change: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: Fn(&mut Writing<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, writing: &mut Writing<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.change)(writing)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let lost = || StoreError::Unavailable("the change was not run".into());
        let Self { result, reply, .. } = *self;
        // The send fails when the caller was dropped. The change is committed all the same.
        let _ = reply.send(outcome.and_then(|()| result.ok_or_else(lost)));
    }
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    /// The writer sleeps and must be woken.
    sleeping: bool,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Set by the checkpointer after each checkpoint: the writer may now restart the log file.
    restart_log: AtomicBool,
    commits: AtomicU64,
    health: Health,
}

/// The only thread that changes the database.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `db` must be the only connection that writes; `checkpointer` runs beside it.
    pub(super) fn start(
        db: Connection,
        checkpointer: Connection,
        (reserve, high_water): (Reserve, HighWater),
        answer_on: AnswerOn,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let checkpoints = Checkpointer::start(checkpointer, shared.clone())?;
        let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn({
            let shared = shared.clone();
            move || {
                let _closes = CloseAtEnd(shared.clone());
                write_until_closed(Log::new(db, reserve, high_water, checkpoints), &shared, &answer_on);
            }
        });
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Submits a change and waits until it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl Fn(&mut Writing<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock();
            if queue.closed {
                return Err(closed());
            }
            queue.jobs.push(Box::new(Change { change, result: None, reply }));
            if std::mem::take(&mut queue.sleeping) {
                self.shared.filled.notify_one();
            }
        }
        answer.await.map_err(|_| closed())?
    }

    /// The number of transactions committed since the start.
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// The known state of the file.
    pub(super) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Finishes the pending jobs and ends the thread.
    pub(super) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// Fails all pending callers when the thread ends, for whatever reason.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        // Dropping the jobs tells their callers that no result will come.
        queue.jobs.clear();
    }
}

fn write_until_closed(mut log: Log, shared: &Shared, answer_on: &AnswerOn) {
    let mut state = super::ops::State::default();
    if let Err(error) = state.fingerprints.load(&log.db) {
        // Loading is tried again when the first fingerprint is needed.
        tracing::warn!(%error, "the fingerprints of the newest messages could not be read");
    }
    let mut jobs = Vec::new();
    loop {
        let is_closed = loop {
            let mut queue = shared.queue.lock();
            let mut is_idle = false;
            while queue.jobs.is_empty() && !queue.closed && !is_idle {
                queue.sleeping = true;
                match log.is_in_order {
                    true => shared.filled.wait(&mut queue),
                    false => is_idle = shared.filled.wait_for(&mut queue, IDLE).timed_out(),
                }
            }
            queue.sleeping = false;
            if !queue.jobs.is_empty() || queue.closed {
                let most = queue.jobs.len().min(MAX_PER_COMMIT);
                jobs.extend(queue.jobs.drain(..most));
                break queue.closed;
            }
            drop(queue);
            log.put_in_order(shared);
        };
        if jobs.is_empty() && is_closed {
            break;
        }
        commit(&mut log, &mut state, &mut jobs, shared, answer_on);
        log.after_commit(shared);
    }
    log.high_water.note(&log.db);
    // What is not copied now is copied at the next start.
    let _ = log.db.busy_timeout(Duration::from_millis(500));
    let _ = checkpoint(&log.db, "TRUNCATE");
}

/// The database and its log file. Checkpoints keep the log file short.
struct Log {
    db: Connection,
    path: PathBuf,
    reserve: Reserve,
    high_water: HighWater,
    checkpoints: Checkpointer,
    /// The number of pages in the log file after the last commit.
    pages: Arc<AtomicUsize>,
    checkpointed_at: usize,
    /// The limit for the number of pages, and the number of pages when the limit was computed.
    limit: usize,
    looked_at: usize,
    /// The whole log file is copied into the database, and the reserve exists if there is room for it.
    is_in_order: bool,
    /// A checkpoint runs because nothing was written for a while.
    is_being_copied: bool,
    full_at: Option<Instant>,
}

impl Log {
    fn new(mut db: Connection, reserve: Reserve, high_water: HighWater, checkpoints: Checkpointer) -> Self {
        let pages = Arc::new(AtomicUsize::new(0));
        let hook = {
            let pages = pages.clone();
            move |_: &mut rusqlite::hooks::Wal, now: std::ffi::c_int| {
                pages.store(usize::try_from(now).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            }
        };
        if let Err(error) = db.wal_hook(Some(hook)) {
            tracing::warn!(%error, "the SQLite log will not be checkpointed before the end");
        }
        let path = db.path().map(PathBuf::from).unwrap_or_default();
        Self {
            db,
            path,
            reserve,
            high_water,
            checkpoints,
            pages,
            checkpointed_at: 0,
            limit: MIN_PAGES_PER_CHECKPOINT,
            looked_at: 0,
            is_in_order: false,
            is_being_copied: false,
            full_at: None,
        }
    }

    /// Requests a checkpoint when the log file has grown, and restarts the log file after one.
    fn after_commit(&mut self, shared: &Shared) {
        self.is_in_order = false;
        self.high_water.note_now_and_then(&self.db);
        let limit = self.limit();
        if shared.restart_log.swap(false, Ordering::Relaxed) {
            // Readers may hold the log's end for a moment; then the next checkpoint tries again. The writer does not
            // wait for them. Truncating costs time, so it is done only where disk space is short.
            let mode = if limit < MIN_PAGES_PER_CHECKPOINT { "TRUNCATE" } else { "RESTART" };
            let _ = self.checkpoint_now(mode);
        }
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.checkpointed_at {
            // The log file was restarted.
            self.checkpointed_at = 0;
        }
        if pages >= self.checkpointed_at + limit {
            self.checkpointed_at = pages;
            self.checkpoints.wanted();
        }
    }

    /// The limit for the size of the log file in pages, relative to the size of the database and to the free space of
    /// the disk. It is computed again only when the size of the log file has changed.
    fn limit(&mut self) -> usize {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages.abs_diff(self.looked_at) < MIN_PAGES_PER_CHECKPOINT / 4 {
            return self.limit;
        }
        self.looked_at = pages;
        let stored = self.db.prepare_cached("PRAGMA page_count");
        let stored = stored.and_then(|mut count| count.query_row([], |row| row.get::<_, i64>(0)));
        let stored = stored.ok().and_then(|pages| usize::try_from(pages).ok()).unwrap_or_default();
        let wanted = (2 * stored).clamp(MIN_PAGES_PER_CHECKPOINT, MAX_PAGES_PER_CHECKPOINT);
        let available = available_bytes(&self.path).map_or(u64::MAX, |bytes| bytes / PAGE_BYTES / 4);
        let room = usize::try_from(available).unwrap_or(usize::MAX);
        self.limit = wanted.min(room).max(MIN_PAGES_PER_CHECKPOINT / 4);
        self.limit
    }

    /// There is nothing to write: checkpoints and empties the log file, and restores the reserve.
    fn put_in_order(&mut self, shared: &Shared) {
        if !self.is_being_copied {
            // The first checkpoint runs on the other thread, so that this one stays free for writes.
            self.is_being_copied = true;
            self.checkpoints.wanted();
            return;
        }
        self.is_being_copied = false;
        if shared.restart_log.swap(false, Ordering::Relaxed) && self.checkpoint_now("TRUNCATE") {
            self.reserve.fill();
            self.high_water.note(&self.db);
            self.is_in_order = true;
        }
    }

    /// Tries to make room on a full disk. Returns whether there is room now.
    fn make_room(&mut self) -> bool {
        if self.full_at.is_some_and(|at| at.elapsed() < FULL_PAUSE) {
            return false;
        }
        let reserve = self.reserve.release();
        let emptied = self.log_bytes() > 0 && self.checkpoint_now("TRUNCATE");
        if reserve {
            crate::log_throttled!(warn, "the disk is full: what was held in reserve is in use");
        }
        if reserve || emptied {
            return true;
        }
        self.full_at = Some(Instant::now());
        false
    }

    fn log_bytes(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        std::fs::metadata(path).map_or(0, |log| log.len())
    }

    /// Returns whether the whole log file was copied, and emptied if the mode asks for it.
    fn checkpoint_now(&mut self, mode: &str) -> bool {
        let _ = self.db.busy_timeout(Duration::ZERO);
        let is_done = checkpoint(&self.db, mode);
        let _ = self.db.busy_timeout(super::BUSY_TIMEOUT);
        let is_done = is_done.unwrap_or(false);
        if is_done {
            self.pages.store(0, Ordering::Relaxed);
            self.checkpointed_at = 0;
        }
        is_done
    }
}

fn commit(
    log: &mut Log,
    state: &mut super::ops::State,
    jobs: &mut Vec<Box<dyn Job>>,
    shared: &Shared,
    answer_on: &AnswerOn,
) {
    let mut outcome = transact(&mut log.db, state, jobs);
    let is_out_of_room = |error: &rusqlite::Error| super::is_out_of_room_at(&log.path, error);
    if outcome.as_ref().is_err_and(is_out_of_room) && log.make_room() {
        outcome = transact(&mut log.db, state, jobs);
    }
    match outcome {
        Ok(has_written) => {
            if has_written {
                shared.health.wrote();
            }
            shared.commits.fetch_add(1, Ordering::Relaxed);
            let done = std::mem::take(jobs);
            if done.len() == 1 {
                done.into_iter().for_each(|job| job.finish(Ok(())));
            } else {
                answer_on.run(move || done.into_iter().for_each(|job| job.finish(Ok(()))));
            }
        }
        // One failing job must not fail the others, so each job gets a transaction of its own.
        Err(_) if jobs.len() > 1 => {
            for job in jobs.drain(..) {
                let mut alone = vec![job];
                commit(log, state, &mut alone, shared, answer_on);
            }
        }
        Err(error) => {
            let fault = super::fault_of_write(&log.path, &error);
            shared.health.could_not_write(&error, &fault);
            for job in jobs.drain(..) {
                job.finish(Err(fault.clone()));
            }
        }
    }
}

/// Returns whether anything was written.
fn transact(
    db: &mut Connection,
    state: &mut super::ops::State,
    jobs: &mut [Box<dyn Job>],
) -> rusqlite::Result<bool> {
    let before = db.total_changes();
    let run = |db: &Connection, state: &mut super::ops::State, jobs: &mut [Box<dyn Job>]| {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut writing = Writing::new(db, state)?;
        for job in jobs {
            job.run(&mut writing)?;
        }
        db.prepare_cached("COMMIT")?.execute([]).map(drop)
    };
    let outcome = run(db, state, jobs);
    if outcome.is_ok() {
        state.fingerprints.committed();
    } else {
        state.rolled_back();
        if !db.is_autocommit() {
            let _ = db.execute_batch("ROLLBACK");
        }
    }
    outcome.map(|()| db.total_changes() != before)
}

/// Copies the log file into the database while the writer goes on.
struct Checkpointer {
    wanted: std::sync::mpsc::SyncSender<()>,
}

impl Checkpointer {
    fn start(db: Connection, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let (wanted, wants) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("sqlite-checkpoint".into())
            .spawn(move || {
                while wants.recv().is_ok() {
                    match checkpoint(&db, "PASSIVE") {
                        Ok(_) => shared.restart_log.store(true, Ordering::Relaxed),
                        // The writer has met and reported the same error.
                        Err(error) => tracing::debug!(%error, "the SQLite log could not be checkpointed"),
                    }
                }
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { wanted })
    }

    fn wanted(&self) {
        // A full channel means that a checkpoint is already requested.
        let _ = self.wanted.try_send(());
    }
}

/// Returns whether the whole log file was copied.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<bool> {
    // The columns are: busy, pages in the log file, pages copied.
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, pages, copied): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && pages == copied)
    })
}

#[cfg(test)]
mod tests;
