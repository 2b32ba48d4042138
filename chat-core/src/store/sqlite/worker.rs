//! Threads that own a connection and run what is handed to them.
//!
//! The writer is one of them: whatever waits while it commits goes into the next transaction together (group
//! commit), which is what makes durable sends cheap.

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

/// Most jobs in one transaction. Bounds how long the first of them waits for the last.
const MAX_PER_COMMIT: usize = 512;

/// After at most so many pages (64 MiB) the log file is copied back into the database, beside the running writer. The more
/// seldom, the more often a page was written in between and is copied once only.
const MAX_PAGES_PER_CHECKPOINT: usize = 16_384;
/// After at least so many (4 MiB), if the disk has room for them.
const MIN_PAGES_PER_CHECKPOINT: usize = 1_024;
/// Bytes of a page of the log file.
const PAGE_BYTES: u64 = 4_096;
/// When nothing was written for so long the log file is copied back and emptied, so that a copy of the database file alone
/// has everything in it.
const IDLE: Duration = Duration::from_secs(1);
/// After a full disk was met, and nothing could be done about it, it is not tried again for so long.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// A change that can be tried again: a transaction that fails as a whole is repeated job by job.
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
        // Nobody waits any more when the caller was dropped; the change stands all the same.
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
    /// Set by the checkpointer when the log file has grown too large.
    restart_log: AtomicBool,
    commits: AtomicU64,
    health: Health,
}

/// The one thread that changes the database.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `db` must be the only connection that writes; `checkpointer` is used beside it.
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

    /// Has a change made and waits until it is durable.
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

    /// Transactions committed since the start.
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// What is known of the file.
    pub(super) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Finishes what waits and ends the thread.
    pub(super) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// Answers everybody who waits when the thread ends, however it ends.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        // Their callers learn that nobody will answer.
        queue.jobs.clear();
    }
}

fn write_until_closed(mut log: Log, shared: &Shared, answer_on: &AnswerOn) {
    let mut state = super::ops::State::default();
    if let Err(error) = state.fingerprints.load(&log.db) {
        // Tried again when the first of them is needed.
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

/// The database and its log file, which is kept short.
struct Log {
    db: Connection,
    path: PathBuf,
    reserve: Reserve,
    high_water: HighWater,
    checkpoints: Checkpointer,
    /// Pages in the log file after the last commit.
    pages: Arc<AtomicUsize>,
    checkpointed_at: usize,
    /// How many pages it may have, and how many it had when that was found.
    limit: usize,
    looked_at: usize,
    /// Nothing is in the log file that is not in the database, and the reserve is there if it can be.
    is_in_order: bool,
    /// The log file is being copied because nothing was written for a while.
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

    /// Has the log file copied when it has grown, and begun anew when that is done.
    fn after_commit(&mut self, shared: &Shared) {
        self.is_in_order = false;
        self.high_water.note_now_and_then(&self.db);
        let limit = self.limit();
        if shared.restart_log.swap(false, Ordering::Relaxed) {
            // Readers may hold the log's end for a moment; then this is tried again at the next checkpoint. Nobody waits
            // for them meanwhile. A short log file is worth more than time only where room is short.
            let mode = if limit < MIN_PAGES_PER_CHECKPOINT { "TRUNCATE" } else { "RESTART" };
            let _ = self.checkpoint_now(mode);
        }
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.checkpointed_at {
            // The log was started afresh.
            self.checkpointed_at = 0;
        }
        if pages >= self.checkpointed_at + limit {
            self.checkpointed_at = pages;
            self.checkpoints.wanted();
        }
    }

    /// How long the log file may become: not many times what is stored, nor what is left of the disk. It is looked only when the
    /// log file has grown.
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

    /// Nothing is to be written: copies the log file, empties it, and sees to the reserve.
    fn put_in_order(&mut self, shared: &Shared) {
        if !self.is_being_copied {
            // First beside this thread, which may be wanted again.
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

    /// Makes room on a full disk. Returns whether there is some.
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

    /// Returns whether all of it is copied, and the log file emptied if that was wanted.
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
        // One job that cannot be done must not fail the others: each gets a transaction of its own.
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

/// Copies the log file back into the database while the writer goes on.
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
                        // The writer has met the same and said so.
                        Err(error) => tracing::debug!(%error, "the SQLite log could not be checkpointed"),
                    }
                }
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { wanted })
    }

    fn wanted(&self) {
        // Full means that one is wanted already.
        let _ = self.wanted.try_send(());
    }
}

/// Returns whether all of the log file was copied.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<bool> {
    // Busy, pages in the log file, pages copied.
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, pages, copied): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && pages == copied)
    })
}

#[cfg(test)]
mod tests;
