//! Threads that own a connection and run what is handed to them.
//!
//! The writer is one of them: whatever waits while it commits goes into the next transaction together (group
//! commit), which is what makes durable sends cheap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::AnswerOn;
use super::ops::Writing;
use crate::store::StoreError;

/// Most jobs in one transaction. Bounds how long the first of them waits for the last.
const MOST_PER_COMMIT: usize = 512;

/// After so many pages (64 MiB) the log file is copied back into the database, beside the running writer. The more
/// seldom, the more often a page was written in between and is copied once only.
const PAGES_PER_CHECKPOINT: usize = 16_384;

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
        answer_on: AnswerOn,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let checkpoints = Checkpointer::start(checkpointer, shared.clone())?;
        let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn({
            let shared = shared.clone();
            move || {
                let _closes = CloseAtEnd(shared.clone());
                write_until_closed(db, &shared, &checkpoints, &answer_on);
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

fn write_until_closed(mut db: Connection, shared: &Shared, checkpoints: &Checkpointer, answer_on: &AnswerOn) {
    let mut state = super::ops::State::default();
    if let Err(error) = state.fingerprints.load(&db) {
        // Tried again when the first of them is needed.
        tracing::warn!(%error, "the fingerprints of the newest messages could not be read");
    }
    let mut jobs = Vec::new();
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
    let mut checkpointed_at = 0;
    loop {
        {
            let mut queue = shared.queue.lock();
            while queue.jobs.is_empty() && !queue.closed {
                queue.sleeping = true;
                shared.filled.wait(&mut queue);
            }
            queue.sleeping = false;
            if queue.jobs.is_empty() {
                break;
            }
            let most = queue.jobs.len().min(MOST_PER_COMMIT);
            jobs.extend(queue.jobs.drain(..most));
        }
        commit(&mut db, &mut state, &mut jobs, shared, answer_on);
        if shared.restart_log.swap(false, Ordering::Relaxed) {
            // Readers may hold the log's end for a moment; then this is tried again at the next checkpoint. Nobody waits
            // for them meanwhile.
            let _ = db.busy_timeout(Duration::ZERO);
            let _ = checkpoint(&db, "RESTART");
            let _ = db.busy_timeout(super::BUSY_TIMEOUT);
        }
        let pages = pages.load(Ordering::Relaxed);
        if pages < checkpointed_at {
            // The log was started afresh.
            checkpointed_at = 0;
        }
        if pages >= checkpointed_at + PAGES_PER_CHECKPOINT {
            checkpointed_at = pages;
            checkpoints.wanted();
        }
    }
    // What is not copied now is copied at the next start.
    let _ = db.busy_timeout(Duration::from_millis(500));
    let _ = checkpoint(&db, "TRUNCATE");
}

fn commit(
    db: &mut Connection,
    state: &mut super::ops::State,
    jobs: &mut Vec<Box<dyn Job>>,
    shared: &Shared,
    answer_on: &AnswerOn,
) {
    match transact(db, state, jobs) {
        Ok(()) => {
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
                commit(db, state, &mut alone, shared, answer_on);
            }
        }
        Err(error) => {
            for job in jobs.drain(..) {
                job.finish(Err(super::fault(&error)));
            }
        }
    }
}

fn transact(
    db: &mut Connection,
    state: &mut super::ops::State,
    jobs: &mut [Box<dyn Job>],
) -> rusqlite::Result<()> {
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
    outcome
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
                        Err(error) => tracing::warn!(%error, "the SQLite log could not be checkpointed"),
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

/// Returns the pages of the log file.
fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<usize> {
    let pages: i64 = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))?;
    Ok(usize::try_from(pages).unwrap_or(0))
}
