//! The accept loop. It is our own so that small packets are sent at once, shutdown happens in order, and no peer holds
//! so many connections that others cannot connect (see [`super::connections`]).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::accept_queue::{AcceptQueue, FEW};
use super::arrivals::{LOOK_EVERY, WaitingRoom};
use super::connections::{AcceptError, Connections, default_max_connections};
use super::http_stream::HttpStream;
use super::newcomers::{Newcomers, Turn, Work};
use crate::config::Config;
use crate::listeners::{Listeners, Stream};

/// How long a connection may stay idle between two requests. It is longer than the timeout of proxies (nginx: 60 s), so
/// that the proxy closes first. Reading one request head has a shorter limit, see [`super::http_stream`].
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The same timeout for a connection from the reserve, which is used when the server is almost full.
const RESERVE_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum size of a request head in bytes. It also limits how much of a body is read ahead at once.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long shutdown waits for the first request of a connection. A client that was accepted just before shutdown has
/// most likely sent its request already; without the wait it would get a connection reset instead of an answer.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// Maximum number of connections that are accepted before one of them is served.
const ACCEPTS_IN_A_ROW: u32 = 32;

/// How long the server accepts nothing after it could not accept a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Minimum time between two log lines about refused connections.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Accepts and serves connections until `stop`, then lets running requests finish. Returns when no connection is left.
pub(crate) fn serve_connections(
    listeners: Listeners,
    router: Router,
    config: &Config,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let max = config.transport.max_connections.unwrap_or_else(default_max_connections);
    let connections = Connections::new(max, config.transport.max_per_address, config.trust_proxy > 0);
    accept_and_serve(listeners, router, connections, config.transport.stall_timeout, stop)
}

async fn accept_and_serve(
    listeners: Listeners,
    router: Router,
    counted: Arc<Connections>,
    stall_timeout: Duration,
    stop: CancellationToken,
) {
    let turn = Turn::new();
    let accepting = Accepting {
        turn: turn.clone(),
        queue: AcceptQueue::default(),
        waiting: WaitingRoom::default(),
        newcomers: Newcomers::new(turn.clone()),
        known: JoinSet::new(),
        accept_from: None,
        refused: Refused::default(),
        router,
        counted,
        stall_timeout,
        stop,
    };
    turn.renewed(accepting.run(listeners)).await;
}

/// The accept loop and what it serves.
struct Accepting {
    turn: Arc<Turn>,
    queue: AcceptQueue<Stream>,
    waiting: WaitingRoom<Stream>,
    newcomers: Newcomers,
    /// The connections that are authenticated.
    known: JoinSet<()>,
    /// Set after a failure to accept.
    accept_from: Option<Instant>,
    refused: Refused,
    router: Router,
    counted: Arc<Connections>,
    stall_timeout: Duration,
    stop: CancellationToken,
}

impl Accepting {
    async fn run(mut self, listeners: Listeners) {
        let stop = self.stop.clone();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.turn.is_over() {
                // Even during a flood of new connections, the existing ones must be served.
                self.turn.next().await;
            }
            self.accept_some(&listeners);
            if let Some((stream, peer)) = self.queue.pop() {
                self.serve(stream, peer);
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = self.known.join_next(), if !self.known.is_empty() => {}
                left = self.newcomers.next() => self.continue_known(left),
                _ = looks.tick(), if self.waiting.len() > 0 => {
                    for (stream, peer) in self.waiting.take() {
                        self.serve(stream, peer);
                    }
                }
                accepted = accept(&listeners, self.accept_from), if self.may_accept() => {
                    self.accepted(accepted);
                }
                () = std::future::ready(()), if self.queue.len() > 0 => {}
            }
        }
        drop(listeners);
        while let Some((stream, peer)) = self.queue.pop() {
            self.serve(stream, peer);
        }
        while !self.newcomers.is_empty() {
            let left = self.newcomers.next().await;
            self.continue_known(left);
        }
        while self.known.join_next().await.is_some() {}
    }

    /// Accepts what has arrived, up to a limit, or up to a connection that need not wait behind many of its address.
    fn accept_some(&mut self, listeners: &Listeners) {
        for _ in 0..ACCEPTS_IN_A_ROW {
            if self.accept_from.is_some() || !self.may_accept() {
                return;
            }
            let Some(accepted) = accept(listeners, None).now_or_never() else { return };
            let of_address = self.accepted(accepted);
            if of_address <= FEW {
                return;
            }
        }
    }

    /// Whether another connection may be accepted before those in the queue are served.
    fn may_accept(&self) -> bool {
        self.queue.len() == 0 || self.counted.has_room_for(self.queue.len() + self.waiting.len() + 1)
    }

    /// Puts the connection into the queue. Returns how many of its address are there.
    fn accepted(&mut self, accepted: io::Result<(Stream, SocketAddr)>) -> usize {
        match accepted {
            Ok((stream, peer)) => {
                self.accept_from = None;
                self.queue.push(stream, peer)
            }
            Err(error) => {
                // The usual cause is too many open files. Waiting connections are accepted when some are closed.
                chat_core::log_throttled!(warn, %error, "a connection could not be accepted");
                self.accept_from = Some(Instant::now() + ACCEPT_RETRY);
                0
            }
        }
    }

    fn serve(&mut self, stream: Stream, peer: SocketAddr) {
        match self.counted.accept(peer.ip()) {
            Ok(connection) => {
                let stream = HttpStream::accepted(stream, connection.clone(), self.stall_timeout);
                let serving = serve_connection(stream, peer, self.router.clone(), self.stop.clone());
                self.newcomers.serve(serving, move || connection.is_known());
            }
            Err(AcceptError::TooFast)
                if self.counted.has_room_for(self.waiting.len() + 1) && self.waiting.enter(stream, peer) => {}
            Err(_) => self.refused.one_more(self.counted.open()),
        }
    }

    /// Continues with a connection that has left the newcomers, if it has not ended.
    fn continue_known(&mut self, left: Option<Work>) {
        if let Some(work) = left {
            self.known.spawn(work);
        }
    }
}

/// Accepts a connection, from the given time on.
async fn accept(listeners: &Listeners, from: Option<Instant>) -> io::Result<(Stream, SocketAddr)> {
    if let Some(from) = from {
        tokio::time::sleep_until(from).await;
    }
    listeners.accept().await
}

/// Counts refused connections since the last log line.
#[derive(Default)]
struct Refused {
    count: u64,
    logged: Option<tokio::time::Instant>,
}

impl Refused {
    fn one_more(&mut self, open: usize) {
        self.count += 1;
        if self.logged.is_none_or(|logged| logged.elapsed() >= WARN_EVERY) {
            tracing::warn!(refused = self.count, open, "too many connections: some were refused");
            *self = Self { count: 0, logged: Some(tokio::time::Instant::now()) };
        }
    }
}

async fn serve_connection<S>(stream: HttpStream<S>, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = stream.connection().clone();
    let leave = connection.leave().clone();
    let is_reserve = connection.is_reserve();
    let asked = Arc::new(Notify::new());
    let asks = asked.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        asks.notify_one();
        connection.begin_request();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(connection.clone());
        let busy = connection.leave().busy();
        let answering = router.clone().oneshot(request.map(axum::body::Body::new));
        let answering = connection.clone().scope(answering);
        async move {
            let answer = answering.await;
            drop(busy);
            answer
        }
    });
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(if is_reserve { RESERVE_HEAD_TIMEOUT } else { IDLE_TIMEOUT })
            .keep_alive(!is_reserve)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let end = async {
        stop.cancelled().await;
        let _ = tokio::time::timeout(LAST_PATIENCE, asked.notified()).await;
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        // Another connection needs the slot, and this one is idle.
        () = leave.asked() => return,
        () = end => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests;
