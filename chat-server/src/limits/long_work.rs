//! Long computations: compressing a large file, parsing a large packet, encoding a large answer. They run outside the
//! threads that serve connections. One core is kept free, accounts take turns, and where the system supports it the
//! computations run with a lower priority.

use std::sync::Arc;

use chat_core::chat::Work;
use chat_core::id::UserId;
use tokio::sync::Semaphore;

use super::slots::{FairSlots, SlotPermit};

/// Work on at least this many bytes of input or output counts as long: it takes some tenths of a millisecond.
pub(crate) const LONG_BYTES: usize = 64 << 10;

/// Maximum number of waiting computations: in total, and of one account. Work beyond that runs without a turn. The
/// inboxes and the number of concurrent answers already limit it.
const MAX_WAITING: (usize, usize) = (10_000, 1_000);

/// Runs long computations.
#[derive(Clone)]
pub(crate) struct LongWork {
    turns: FairSlots,
    cores: Arc<Semaphore>,
}

impl LongWork {
    /// Creates it for a machine with this number of cores.
    pub(crate) fn new(cores: usize) -> Self {
        let at_once = cores.saturating_sub(1).max(1);
        let turns = FairSlots::new((at_once, at_once.div_ceil(2)), MAX_WAITING);
        Self { turns, cores: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for this account's turn, for work that runs elsewhere. The holder of a turn must not wait for another one.
    pub(crate) async fn turn(&self, user: UserId) -> Option<SlotPermit> {
        self.turns.acquire(user).await.ok()
    }

    /// Runs work that belongs to no account, or whose account already has a turn.
    pub(crate) fn run_next(&self, work: Work) {
        let cores = self.cores.clone();
        tokio::spawn(async move {
            let core = cores.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _core = core;
                lower_priority();
                work();
            });
        });
    }

    /// Runs the work when it is this account's turn. `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        user: UserId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.turn(user).await;
        // Fails only if the semaphore is closed, which never happens.
        let core = self.cores.clone().acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _held = (turn, core);
            lower_priority();
            work()
        });
        done.await.ok()
    }
}

/// How much the priority of long computations is lowered. They get a third of the CPU time of a competing thread
/// (`sched(7)`: 1.25 to the power of this). With much less they would make no progress on a busy machine.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Permanently lowers the priority of the current thread, which must be one for background work. Does nothing on
/// systems that have priorities only for whole processes.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        thread_local! {
            static IS_LOWERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        }
        if IS_LOWERED.replace(true) {
            return;
        }
        // Some sandboxes forbid it. The priority is unchanged then.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 12])
    }

    #[tokio::test]
    async fn whoever_has_little_to_do_does_not_wait_for_all_of_another() {
        let (work, order) = (LongWork::new(2), Arc::new(Mutex::new(Vec::new())));
        let first = work.turn(user(1)).await.unwrap();
        let waiting: Vec<_> = [1, 1, 1, 2]
            .into_iter()
            .map(|n| {
                let (work, order) = (work.clone(), order.clone());
                let run = async move { work.run(user(n), move || order.lock().push(n)).await };
                Box::pin(run)
            })
            .collect();
        let all = futures_util::future::join_all(waiting);
        let (_, done) = tokio::join!(async { drop(first) }, all);
        assert!(done.iter().all(Option::is_some));
        assert_eq!(*order.lock(), [1, 2, 1, 1]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn long_work_takes_what_the_others_leave() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = niceness();
        assert_eq!(LongWork::new(2).run(user(1), niceness).await, Some(NICENESS.max(before)));
        assert_eq!(niceness(), before, "the threads that serve others keep theirs");
    }

    #[tokio::test]
    async fn a_panic_gives_the_turn_back() {
        let work = LongWork::new(1);
        assert_eq!(work.run(user(1), || panic!("as it may")).await, None::<()>);
        assert_eq!(work.run(user(1), || 1).await, Some(1));
    }
}
