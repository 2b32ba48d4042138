//! Accepting connections: our own loop, so that small packets leave at once, everything ends in order, and nobody holds
//! more connections than is good for the others (see [`super::connections`]).

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
use crate::config::Config;
use crate::listeners::{Listeners, Stream};

/// How long a connection stays open between two requests: longer than proxies keep theirs (60 s, nginx). What a head may take
/// is less, see [`super::http_stream`].
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The same where there is hardly any room left.
const RESERVE_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of a request's head; also of what is read ahead of a body at once.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long the first request of a connection is waited for at the end. Whoever was accepted at the last moment has
/// most likely sent it already, and would be told by a reset that it was not answered.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// So many are accepted, or seen to have ended, before others have their turn on this thread.
const ACCEPTS_IN_A_ROW: u32 = 16;

/// Refused connections are logged once in this time.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Accepts and serves until `stop`, then lets requests under way finish. Returns when none is left.
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
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        in_a_row += 1;
        if in_a_row >= ACCEPTS_IN_A_ROW {
            // However many come, those that are here are served in between.
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
                let stream = HttpStream::accepted(stream, connection, stall_timeout);
                connections.spawn(serve_connection(stream, peer, router.clone(), stop.clone()));
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
                // Too many open files, most likely: those that wait are served when some are closed.
                chat_core::log_throttled!(warn, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listeners);
    while connections.join_next().await.is_some() {}
}

/// Refused connections since they were logged last.
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
        // Somebody else needs the room, and this connection does nothing.
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
mod tests {
    use std::io;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;

    fn serve() -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(4096);
        let connection = Connections::new(100, None, true).accept([127, 0, 0, 1].into()).unwrap();
        let stream = HttpStream::new(ours, connection, Duration::from_secs(8));
        let slowly = get(async || {
            tokio::time::sleep(Duration::from_secs(50)).await;
            "slow"
        });
        let router = Router::new().route("/", get(async || "here")).route("/slow", slowly);
        tokio::spawn(serve_connection(stream, ([127, 0, 0, 1], 1).into(), router, CancellationToken::new()));
        theirs
    }

    async fn ask(client: &mut DuplexStream, path: &str) -> String {
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let (mut answer, mut some) = (Vec::new(), [0; 512]);
        loop {
            let read = client.read(&mut some).await.unwrap();
            assert_ne!(read, 0, "it is answered");
            answer.extend_from_slice(&some[..read]);
            let text = String::from_utf8(answer.clone()).unwrap();
            if text.ends_with("\r\n\r\nhere") || text.ends_with("\r\n\r\nslow") {
                return text;
            }
        }
    }

    /// After how many seconds the server has closed the connection.
    async fn closed(client: &mut DuplexStream) -> io::Result<u64> {
        let started = Instant::now();
        client.read_to_end(&mut Vec::new()).await?;
        Ok(started.elapsed().as_secs())
    }

    #[tokio::test]
    async fn what_comes_too_fast_waits_and_is_served() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let connections = Connections::new(10_000, None, false);
        let router = Router::new().route("/", get(async || "here"));
        let stop = CancellationToken::new();
        let serving = accept_and_serve(
            listener.into(),
            router,
            connections.clone(),
            Duration::from_secs(8),
            stop.clone(),
        );
        let serving = tokio::spawn(serving);
        let asking = async |from: u8| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 7, from], 0).into()).unwrap();
            let mut client = socket.connect(to).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{answer}");
        };
        while connections.accept([127, 0, 7, 1].into()).is_ok() {}
        let all = futures_util::future::join_all([1, 1, 2, 1, 1, 1, 2, 1].map(asking));
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("all of them are served");
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_outlives_a_proxys_patience() {
        let mut client = serve();
        for pause in [74, 60, 74] {
            ask(&mut client, "/").await;
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        // An answer may take longer than a head.
        ask(&mut client, "/slow").await;
        assert_eq!(closed(&mut client).await.unwrap(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_time_on_a_new_connection_and_on_an_old_one() {
        assert_eq!(closed(&mut serve()).await.unwrap(), 30, "nothing comes at all");

        let mut client = serve();
        client.write_all(b"GET / HT").await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        client.write_all(b"TP/1.1\r\n").await.unwrap();
        assert_eq!(closed(&mut client).await.unwrap(), 10, "pieces do not make it longer");

        let mut client = serve();
        ask(&mut client, "/").await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        client.write_all(b"GET / HT").await.unwrap();
        assert_eq!(closed(&mut client).await.unwrap(), 30);
    }
}
