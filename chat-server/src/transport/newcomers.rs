//! Limits the CPU time of unauthenticated connections: however many are ready at once, other tasks wait at most about
//! one millisecond for them.
//!
//! The runtime runs tasks in the order in which they became ready. A thousand connections that open at once are a
//! thousand tasks, and an event of an authenticated client would wait behind all of them. So the tasks of
//! unauthenticated connections share one [`TURN`]. When it is used up, the remaining ones go to the end of the queue.
//! The next turn begins after the runtime has polled its sockets.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long unauthenticated connections are served in one turn.
const TURN: Duration = Duration::from_millis(1);

/// The turns of one server.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Nanoseconds of this turn that are used up.
    used: AtomicU64,
    is_over: Notify,
}

impl Turns {
    /// Begins the next turn whenever one is over, until `stop`.
    pub(super) async fn begin_next(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(self.is_over.notified()).await.is_some() {
            // Resumes after the runtime has polled its sockets.
            tokio::task::yield_now().await;
            self.used.store(0, Ordering::Relaxed);
        }
        // Tasks that still wait must be able to finish.
        self.used.store(0, Ordering::Relaxed);
    }

    /// Runs `work`. While `is_stranger` returns true, it makes progress only if the current turn is not used up.
    pub(super) fn serve<F: Future>(
        self: Arc<Self>,
        work: F,
        is_stranger: impl Fn() -> bool,
    ) -> impl Future<Output = F::Output> {
        let mut work = Box::pin(work);
        std::future::poll_fn(move |cx| match is_stranger() {
            true => self.poll(work.as_mut(), cx),
            false => work.as_mut().poll(cx),
        })
    }

    fn poll<F: Future>(&self, work: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.used.load(Ordering::Relaxed) >= TURN.as_nanos() as u64 {
            self.is_over.notify_one();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let started = Instant::now();
        let polled = work.poll(cx);
        self.used.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Keeps the thread busy.
    fn compute(time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {}
    }

    #[tokio::test]
    async fn who_is_known_waits_for_one_turn_of_strangers() {
        let (turns, order) = (Arc::new(Turns::default()), Arc::new(Mutex::new(Vec::new())));
        let stop = CancellationToken::new();
        let turn = tokio::spawn(turns.clone().begin_next(stop.clone()));
        let serve = |name: &'static str, time: Duration| {
            let (turns, order) = (turns.clone(), order.clone());
            tokio::spawn(async move {
                let work = async {
                    compute(time);
                    order.lock().push(name);
                };
                turns.serve(work, move || name == "stranger").await;
            })
        };
        let mut tasks: Vec<_> = (0..100).map(|_| serve("stranger", TURN / 2)).collect();
        tasks.push(serve("known", Duration::ZERO));
        for task in tasks {
            task.await.unwrap();
        }
        let order = std::mem::take(&mut *order.lock());
        assert_eq!(order.len(), 101, "everybody had their turn");
        let before = order.iter().position(|name| *name == "known").unwrap();
        assert!(before <= 2, "{before} strangers were served before");
        stop.cancel();
        turn.await.unwrap();
    }

    #[tokio::test]
    async fn a_used_up_turn_holds_nobody_up_when_the_server_stops() {
        let (turns, stop) = (Arc::new(Turns::default()), CancellationToken::new());
        let serving = turns.clone().serve(async { compute(2 * TURN) }, || true);
        serving.await;
        stop.cancel();
        turns.clone().begin_next(stop).await;
        assert_eq!(turns.used.load(Ordering::Relaxed), 0);
    }
}
