//! The accept loop. It is our own so that small packets are sent at once, shutdown happens in order, and no peer holds
//! so many connections that others cannot connect (see [`super::connections`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::arrivals::{LOOK_EVERY, WaitingRoom};
use super::connections::{AcceptError, Connections, default_max_connections};
use super::http_stream::HttpStream;
use super::newcomers::Turns;
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

/// Number of loop iterations (connections accepted or reaped) before the loop yields to other tasks on this thread.
const ACCEPTS_IN_A_ROW: u32 = 16;

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
    let mut connections = JoinSet::new();
    let mut refused = Refused::default();
    let mut in_a_row = 0;
    let mut waiting = WaitingRoom::default();
    let turns = Arc::new(Turns::default());
    // Connections that remain after `stop` still need turns, so this token is cancelled last.
    let all_left = CancellationToken::new();
    tokio::spawn(turns.clone().begin_next(all_left.clone()));
    let _all_left = all_left.drop_guard();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        in_a_row += 1;
        if in_a_row >= ACCEPTS_IN_A_ROW {
            // Even during a flood of new connections, the existing ones must be served.
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = looks.tick(), if waiting.len() > 0 => None,
            accepted = listeners.accept() => Some(accepted),
        };
        let mut serve = |stream: Stream, peer: SocketAddr, waiting: &mut WaitingRoom<Stream>| match counted
            .accept(peer.ip())
        {
            Ok(connection) => {
                let stream = HttpStream::accepted(stream, connection.clone(), stall_timeout);
                let serving = serve_connection(stream, peer, router.clone(), stop.clone());
                connections.spawn(turns.clone().serve(serving, move || !connection.is_known()));
            }
            Err(AcceptError::TooFast)
                if counted.has_room_for(waiting.len() + 1) && waiting.enter(stream, peer) => {}
            Err(_) => refused.one_more(counted.open()),
        };
        let Some(accepted) = accepted else {
            for (stream, peer) in waiting.take() {
                serve(stream, peer, &mut waiting);
            }
            continue;
        };
        match accepted {
            Ok((stream, peer)) => serve(stream, peer, &mut waiting),
            Err(error) => {
                // The usual cause is too many open files. Waiting connections are accepted when some are closed.
                chat_core::log_throttled!(warn, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listeners);
    while connections.join_next().await.is_some() {}
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
