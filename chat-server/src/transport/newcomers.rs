//! Limits the CPU time of unauthenticated connections: however many are ready at once, other tasks wait at most about
//! half a millisecond for them.
//!
//! The runtime runs tasks in the order in which they became ready. A thousand connections that open at once would be a
//! thousand tasks, and an event of an authenticated client would wait behind all of them. So all unauthenticated
//! connections are one task, that of the accept loop, which has one [`TURN`] each time the runtime has polled its sockets. A
//! connection
//! that is authenticated leaves it and becomes a task of its own.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

/// How long unauthenticated connections are accepted and served in one turn.
const TURN: Duration = Duration::from_micros(500);

/// The current turn. It is measured with the runtime's clock, so that a test on virtual time runs in the same way each
/// time.
#[derive(Debug)]
pub(super) struct Turn {
    created: Instant,
    /// When the turn began, in nanoseconds since `created`.
    began: AtomicU64,
}

impl Turn {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { created: Instant::now(), began: AtomicU64::new(0) })
    }

    /// Runs `work` in turns. After a turn that was used up, the next one begins when the runtime has polled its sockets.
    pub(super) async fn renewed<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        let mut pause: Option<Arc<Pause>> = None;
        std::future::poll_fn(|cx| {
            if pause.as_ref().is_some_and(|pause| !pause.is_over.load(Ordering::Acquire)) {
                return Poll::Pending;
            }
            self.began.store(self.now(), Ordering::Relaxed);
            let polled = work.as_mut().poll(cx);
            pause = (polled.is_pending() && self.is_over()).then(|| Pause::begin(cx.waker()));
            polled
        })
        .await
    }

    /// Waits for the next turn if this one is used up. To be called by what [`Self::renewed`] runs.
    pub(super) async fn next(&self) {
        std::future::poll_fn(|_| match self.is_over() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// Whether the turn is used up.
    pub(super) fn is_over(&self) -> bool {
        self.now() - self.began.load(Ordering::Relaxed) >= TURN.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.created.elapsed().as_nanos() as u64
    }
}

/// The pause after a turn. The task would otherwise run again at once, because the connections that had no time have woken it:
/// the runtime polls its sockets only every 61 tasks while there are any to run.
struct Pause {
    is_over: AtomicBool,
    task: Waker,
}

impl Pause {
    fn begin(task: &Waker) -> Arc<Self> {
        let pause = Arc::new(Self { is_over: AtomicBool::new(false), task: task.clone() });
        // The first poll has the runtime wake the task after it has polled its sockets.
        let yielding = std::pin::pin!(tokio::task::yield_now());
        let _ = yielding.poll(&mut Context::from_waker(&Waker::from(pause.clone())));
        pause
    }
}

impl Wake for Pause {
    fn wake(self: Arc<Self>) {
        self.is_over.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

/// What serves one connection.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The unauthenticated connections.
pub(super) struct Newcomers {
    turn: Arc<Turn>,
    connections: FuturesUnordered<Newcomer>,
}

impl Newcomers {
    pub(super) fn new(turn: Arc<Turn>) -> Self {
        Self { turn, connections: FuturesUnordered::new() }
    }

    /// Adds a connection. It is served here until `is_known` returns true.
    pub(super) fn serve(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
        is_known: impl Fn() -> bool + Send + 'static,
    ) {
        let (turn, work, is_known) = (self.turn.clone(), Some(Box::pin(work) as Work), Box::new(is_known));
        self.connections.push(Newcomer { turn, work, is_known });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Serves them until one of them ends, which is none, or is known. The remaining work of that one is returned.
    /// Never returns while there are no connections.
    pub(super) async fn next(&mut self) -> Option<Work> {
        match self.connections.next().await {
            Some(left) => left,
            None => std::future::pending().await,
        }
    }
}

struct Newcomer {
    turn: Arc<Turn>,
    /// None when it has ended, or was handed over.
    work: Option<Work>,
    is_known: Box<dyn Fn() -> bool + Send>,
}

impl Future for Newcomer {
    type Output = Option<Work>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if (this.is_known)() {
            return Poll::Ready(this.work.take());
        }
        if this.turn.is_over() {
            // `FuturesUnordered` returns to the runtime soon after it has seen this.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(work) = &mut this.work else { return Poll::Ready(None) };
        // A panic ends this connection only. The panic hook has reported it.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx).is_ready()));
        if polled.unwrap_or(true) {
            this.work = None;
            return Poll::Ready(None);
        }
        match (this.is_known)() {
            true => Poll::Ready(this.work.take()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    /// Keeps the thread busy.
    fn compute(time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {}
    }

    #[tokio::test]
    async fn an_authenticated_client_waits_for_one_turn_of_newcomers() {
        let served = Arc::new(Mutex::new(0));
        let mut newcomers = Newcomers::new(Turn::new());
        for _ in 0..500 {
            let served = served.clone();
            // Each needs several polls, and is ready at once for each.
            let work = async move {
                for _ in 0..3 {
                    compute(TURN / 8);
                    yield_now().await;
                }
                *served.lock() += 1;
            };
            newcomers.serve(work, || false);
        }
        let turn = newcomers.turn.clone();
        let serving = tokio::spawn(async move {
            let all = async {
                while !newcomers.is_empty() {
                    assert!(newcomers.next().await.is_none());
                }
            };
            turn.renewed(all).await;
        });
        let mut longest = Duration::ZERO;
        while !serving.is_finished() {
            let asked = Instant::now();
            yield_now().await;
            longest = longest.max(asked.elapsed());
        }
        serving.await.unwrap();
        assert_eq!(*served.lock(), 500, "every connection was served");
        // In all they take 375 turns; the others are what a busy machine may add.
        assert!(longest < 120 * TURN, "waited for {longest:?}");
    }

    #[tokio::test]
    async fn a_panic_ends_one_connection() {
        let mut newcomers = Newcomers::new(Turn::new());
        let (panics, lives) = (std::iter::once(true), std::iter::once(false));
        for panics in panics.chain(lives) {
            newcomers.serve(async move { assert!(!panics, "as this test wants") }, || false);
        }
        let turn = newcomers.turn.clone();
        for _ in 0..2 {
            assert!(turn.renewed(newcomers.next()).await.is_none());
        }
        assert!(newcomers.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_is_known_is_handed_over_with_the_rest_of_its_work() {
        let known = Arc::new(AtomicBool::new(false));
        let (answer, question) = oneshot::channel();
        let mut newcomers = Newcomers::new(Turn::new());
        let is_known = known.clone();
        let work = async move {
            known.store(true, Ordering::Relaxed);
            assert_eq!(question.await, Ok(42));
        };
        newcomers.serve(work, move || is_known.load(Ordering::Relaxed));
        let turn = newcomers.turn.clone();
        let rest = turn.renewed(newcomers.next()).await.unwrap();
        assert!(newcomers.is_empty());
        let rest = tokio::spawn(rest);
        answer.send(42).unwrap();
        rest.await.unwrap();
    }
}
