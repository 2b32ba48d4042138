//! The only task of a store that changes the database. All changes that arrive during one commit share the next
//! transaction.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::OPERATION_TIMEOUT;
use super::changes::Change;
use super::commit::Committer;
use super::writing::Writing;
use crate::store::StoreError;
use crate::store::tx::Reads;

/// The most jobs in one transaction. It limits how long the first job waits for the last.
const MAX_PER_COMMIT: usize = 256;

/// The approximate limit for the bytes of one transaction, because MongoDB keeps the writes of a transaction in memory
/// until the commit. A larger job gets a transaction of its own.
const MAX_BYTES_PER_COMMIT: usize = 4 << 20;

/// A change and its caller. It can run several times; only the result of the last run counts.
pub(super) trait Job: Send {
    fn reads(&self, reads: &mut Reads);
    fn most_logged(&self) -> u64;
    fn size(&self) -> usize;
    fn run(&mut self, writing: &mut Writing);
    /// Sends the result to the caller: that of the last run if it was committed, or the error.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
    /// After this moment the caller no longer waits.
    fn deadline(&self) -> Instant;
}

struct Waiting<C: Change> {
    change: C,
    result: Option<Result<C::Done, StoreError>>,
    reply: oneshot::Sender<Result<C::Done, StoreError>>,
    deadline: Instant,
}

impl<C: Change> Job for Waiting<C> {
    fn reads(&self, reads: &mut Reads) {
        self.change.reads(reads);
    }

    fn most_logged(&self) -> u64 {
        self.change.most_logged()
    }

    fn size(&self) -> usize {
        self.change.size()
    }

    fn run(&mut self, writing: &mut Writing) {
        self.result = Some(self.change.run(writing));
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let lost = || Err(StoreError::Unavailable("the change was not run".into()));
        let Self { result, reply, .. } = *self;
        // The send fails when the caller was dropped. The change is committed all the same.
        let _ = reply.send(outcome.and_then(|()| result.unwrap_or_else(lost)));
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }
}

type Queue = mpsc::UnboundedSender<Box<dyn Job>>;

/// Submits changes to the task.
pub(super) struct Writer {
    /// `None` once the store is closed.
    queue: Mutex<Option<Queue>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the task on the current runtime.
    pub(super) fn start(committer: Committer) -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        let task = tokio::spawn(write_until_closed(committer, jobs));
        Self { queue: Mutex::new(Some(queue)), task: tokio::sync::Mutex::new(Some(task)) }
    }

    /// Submits a change and waits until it is durable, for at most `OPERATION_TIMEOUT`.
    pub(super) async fn write<C: Change>(&self, change: C) -> Result<C::Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let job = Box::new(Waiting { change, result: None, reply, deadline });
        self.queue.lock().as_ref().and_then(|queue| queue.send(job).ok()).ok_or_else(closed)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(|_| closed())?,
            Err(_) => Err(too_late()),
        }
    }

    /// Finishes the pending jobs and ends the task.
    pub(super) async fn close(&self) {
        self.queue.lock().take();
        if let Some(task) = self.task.lock().await.take() {
            // When the task panicked, its pending callers have already got an error, because the jobs were dropped.
            let _ = task.await;
        }
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

fn too_late() -> StoreError {
    StoreError::Unavailable("the database did not answer in time".into())
}

async fn write_until_closed(mut committer: Committer, mut queue: mpsc::UnboundedReceiver<Box<dyn Job>>) {
    let mut received = Vec::new();
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut received, MAX_PER_COMMIT).await == 0 {
            break;
        }
        waiting.extend(received.drain(..));
        while waiting.len() < MAX_PER_COMMIT
            && let Ok(job) = queue.try_recv()
        {
            waiting.push_back(job);
        }
        let jobs = batch(&mut waiting);
        if !jobs.is_empty() {
            committer.commit(jobs).await;
        }
    }
    committer.end().await;
}

/// The next jobs for one transaction. Jobs past their deadline are not run, because their callers were told that they
/// failed.
fn batch(waiting: &mut VecDeque<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let now = Instant::now();
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    while let Some(job) = waiting.pop_front() {
        if job.deadline() <= now {
            job.finish(Err(too_late()));
            continue;
        }
        bytes += job.size();
        if !jobs.is_empty() && bytes > MAX_BYTES_PER_COMMIT {
            waiting.push_front(job);
            break;
        }
        jobs.push(job);
    }
    jobs
}
