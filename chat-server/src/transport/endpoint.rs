//! The endpoint `/socket.io/`: it decides who may open a session, and ends sessions. This file handles websocket
//! upgrades; [`super::polling`] handles long-polling requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use smallvec::SmallVec;
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::admission::{Admission, Admissions, HANDSHAKE_TIMEOUT};
use super::affinity;
use super::connect::{self, Arriving, Polling};
use super::connections::Connection;
use super::guard::{Guarded, OnFailed, OnUpgraded, Takeover, Wires};
use super::handshake::{handshake, slot};
use super::http_stream::HttpStream;
use super::unauthenticated::{Leave, Unauthenticated, UnauthenticatedLimits};
use super::upgrade::{self, Attempt};
use super::wire::Wire;
use crate::address::Address;
use crate::app::App;
use crate::http::error::HttpError;
use crate::memory::Owner;

/// The payload limit given to engineioxide: larger than any poll answer. If a packet exceeded it during a takeover by a
/// websocket, engineioxide would lose that packet. The server checks the size of requests itself and tells clients the
/// true limit.
pub(super) const ENGINE_MAX_PAYLOAD: u64 = 1 << 40;

pub(super) type Engine = SocketIoService<NotSocketIo>;

/// Maximum total size of the binary attachments of one packet, in bytes.
const MAX_BINARY_BYTES: usize = 64 << 10;

/// How often the sweep looks for sessions that must end.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The Socket.IO endpoint. Mount it at `/socket.io/`.
#[derive(Clone)]
pub struct SocketIoEndpoint {
    pub(super) gate: Gate,
    io: SocketIo,
    pub(super) app: Arc<App>,
    pub(super) polling: Polling,
    /// Counts and limits the unauthenticated sessions.
    unauthenticated: Arc<Unauthenticated>,
}

/// What is needed to end a session.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) engine: Engine,
    pub(super) wires: Wires,
    pub(super) admissions: Arc<Admissions>,
}

impl SocketIoEndpoint {
    /// Creates the endpoint. Connections are authenticated with the tokens of `app`.
    pub fn new(app: &Arc<App>) -> Self {
        let config = app.config.transport;
        let (wires, polling) = (Wires::default(), Polling::default());
        let (engine, io) = SocketIo::builder()
            .ping_interval(config.ping_interval)
            .ping_timeout(config.ping_timeout)
            .max_payload(ENGINE_MAX_PAYLOAD)
            // This timeout ends only Engine.IO 4 sessions that never send a CONNECT. `sweep` ends all others, and must
            // come first.
            .connect_timeout(HANDSHAKE_TIMEOUT)
            .max_buffer_size(config.max_queue)
            // No dialect uses binary attachments, and socketioxide keeps incomplete ones in memory.
            .with_parser(
                ParserConfig::common()
                    .max_incoming_binary_buf_size(MAX_BINARY_BYTES)
                    .max_incoming_binaries(8),
            )
            .ws_max_message_size(config.max_packet)
            .ws_max_frame_size(config.max_packet)
            .ws_read_buffer_size(1024)
            .build_with_inner_svc(NotSocketIo);
        let gate = Gate { engine, wires, admissions: Arc::default() };
        let arriving = Arriving::default();
        connect::register_handlers(&io, app, &gate, (&polling, &arriving));
        app.spawn(sweep(Arc::downgrade(app), gate.clone(), polling.clone(), arriving));
        // The engine keeps the state of a session for some time after its client has gone.
        let limits = UnauthenticatedLimits::shared_by(config.max_unauthenticated, 4);
        let limits = limits.with_address(config.max_per_address).lingering();
        let unauthenticated = Unauthenticated::new(limits);
        Self { gate, io, app: app.clone(), polling, unauthenticated }
    }

    /// Admits a new unauthenticated session.
    ///
    /// # Errors
    /// 503 when there are too many unauthenticated sessions.
    pub(super) fn admit(&self, parts: &Parts, wire: Weak<Wire>) -> Result<Arc<Admission>, HttpError> {
        let address = Address::of(parts, self.app.config.trust_proxy);
        let leave = Arc::new(Leave::default());
        if let Some(wire) = wire.upgrade() {
            leave.becomes(&wire);
        }
        let Ok(permit) = self.unauthenticated.acquire(Some(address.0), Some(leave.clone())) else {
            tracing::debug!("too many sessions that nobody has logged in to: one was refused");
            return Err(HttpError::unavailable("too many connections", HANDSHAKE_TIMEOUT / 9));
        };
        let connection = parts.extensions.get::<Arc<Connection>>();
        // With long polling, each request authenticates its own TCP connection, so the session keeps none.
        let connection =
            connection.filter(|_| wire.strong_count() > 0).map(Arc::downgrade).unwrap_or_default();
        let account = (self.app.memory.clone(), Owner::Address(address.0));
        let admission =
            Admission::new((permit, leave), account, self.app.config.transport.max_packet, wire, connection);
        self.gate.admissions.watch(&admission);
        Ok(admission)
    }

    /// Answers a request of long polling or a websocket upgrade.
    pub async fn answer(self, mut request: Request) -> Response {
        if self.app.is_draining() {
            // If the engine answered, the client would get "Invalid namespace" and not retry.
            return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response();
        }
        let node = self.app.config.node.as_deref();
        if let Some(uri) = node.and_then(|node| affinity::unmarked(request.uri(), node)) {
            *request.uri_mut() = uri;
        }
        match is_upgrade(request.headers()) {
            true => self.upgrade(request),
            false => self.poll(request).await,
        }
    }

    /// Closes all connections in a way that makes their clients reconnect automatically.
    pub(crate) async fn close(&self) {
        self.gate.admissions.cancel_upgrades();
        self.io.close().await;
    }

    fn upgrade(self, mut request: Request) -> Response {
        let headers = request.headers();
        let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
        let version_is_13 = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let (Some(key), true, &Method::GET) = (key, version_is_13, request.method()) else {
            return HttpError::bad_request("this is no websocket upgrade (RFC 6455)").into_response();
        };
        let query = request.uri().query().unwrap_or_default();
        if !query.split('&').any(|pair| pair == "transport=websocket") {
            return HttpError::bad_request("Transport unknown").into_response();
        }
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            return HttpError::bad_request("this connection cannot be upgraded").into_response();
        };
        let mut small = axum::http::Request::new(());
        *small.uri_mut() = copied(request.uri());
        let (parts, _) = request.into_parts();
        let sid = sid(&parts.uri).map(str::to_owned);
        let wire = Arc::new(if sid.is_none() { Wire::new() } else { Wire::upgrade() });
        let (admission, attempt) = match &sid {
            None => match self.admit(&parts, Arc::downgrade(&wire)) {
                Ok(admission) => (admission, None),
                Err(refused) => return refused.into_response(),
            },
            Some(sid) => {
                let found = self.gate.admissions.find(sid).filter(|_| !self.gate.wires.is_doomed(sid));
                let Some(admission) = found else {
                    return HttpError::bad_request("Session ID unknown").into_response();
                };
                // The engine would also refuse a wrong version, but only after the upgrade.
                if !query_says_version(&parts.uri) {
                    return HttpError::bad_request("Unsupported protocol version").into_response();
                }
                let Some(attempt) = Attempt::begin(&admission, &wire) else {
                    return HttpError::bad_request("this session cannot be upgraded again").into_response();
                };
                if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
                    admission.carried_by(connection);
                }
                if !admission.is_known() {
                    admission.late.offer(|| handshake(&parts, &self.app.config));
                }
                (admission, Some(attempt))
            }
        };
        if sid.is_none() {
            small.extensions_mut().insert(slot(handshake(&parts, &self.app.config)));
            small.extensions_mut().insert(crate::links::Base::of(&parts.headers, &self.app.config));
            small.extensions_mut().insert(wire.clone());
            small.extensions_mut().insert(admission.clone());
        }
        wire.set_admission(&admission);
        if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
            connection.leave().becomes(&wire);
        }
        let accept = accept_key(key.as_bytes());
        drop(parts);
        tokio::spawn(async move {
            let upgrade = async {
                match &attempt {
                    Some(attempt) => attempt.in_time(upgrade).await.ok(),
                    None => Some(upgrade.await),
                }
            };
            let Some(Ok(upgraded)) = upgrade.await else { return };
            let patience = self.app.config.transport.stall_timeout;
            let upgrading = sid.zip(attempt).map(|(sid, attempt)| (sid, attempt, admission.clone()));
            // If the HTTP server is ours or axum's, this unwraps the bare stream; otherwise it keeps the stream as it
            // is. The bytes read early are copied, because even an empty slice would keep the whole read buffer of the
            // HTTP server alive.
            let upgraded = match upgraded.downcast::<TokioIo<HttpStream>>() {
                Ok(parts) => {
                    let (stream, early) =
                        (parts.io.into_inner().into_websocket(), Bytes::copy_from_slice(&parts.read_buf));
                    let stream = Guarded::new(stream, early, wire.clone(), patience, admission);
                    return self.carry(stream, wire, upgrading, small).await;
                }
                Err(upgraded) => upgraded,
            };
            match upgraded.downcast::<TokioIo<TcpStream>>() {
                Ok(parts) => {
                    let (stream, early) = (parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf));
                    let stream = Guarded::new(stream, early, wire.clone(), patience, admission);
                    self.carry(stream, wire, upgrading, small).await;
                }
                Err(upgraded) => {
                    let stream: TokioIo<Upgraded> = TokioIo::new(upgraded);
                    let stream = Guarded::new(stream, Bytes::new(), wire.clone(), patience, admission);
                    self.carry(stream, wire, upgrading, small).await;
                }
            }
        });
        let headers = [
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }

    /// Hands a websocket to the engine. A websocket that takes over from long polling is handed over after its client
    /// has completed the upgrade.
    async fn carry<S>(
        mut self,
        mut stream: Guarded<S>,
        wire: Arc<Wire>,
        upgrading: Option<(String, Attempt, Arc<Admission>)>,
        request: axum::http::Request<()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some((sid, attempt, admission)) = upgrading else { return self.hand_over(stream, request) };
        let Ok(replayed) = attempt.probe(&mut stream, &wire).await else {
            return tracing::debug!("a websocket does not take over from long polling");
        };
        let (polling, takes_over) = (self.polling.clone(), wire.clone());
        let on_upgraded: OnUpgraded = Box::new(move |sid| polling.upgraded(sid, &takes_over));
        // From here on, queued packets leave by the websocket, so the session cannot continue without it.
        let gate = self.gate.clone();
        let on_failed: OnFailed = Box::new(move || gate.end(&admission));
        let then = (on_upgraded, on_failed);
        let Some(takeover) = Takeover::new(&self.gate.wires, sid.clone(), &wire, attempt, then) else {
            return;
        };
        if let Some(pid) = self.polling.pid(&sid) {
            wire.set_pid(&pid);
        }
        upgrade::drain_queue(&self.gate.engine, &sid, &wire).await;
        stream.take_over(takeover, replayed);
        self.hand_over(stream, request);
    }

    fn hand_over<S>(&mut self, stream: Guarded<S>, request: axum::http::Request<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The engine refuses the stream if the query is not a valid Engine.IO query. Dropping the stream is then the
        // answer.
        drop(Service::<(Guarded<S>, axum::http::Request<()>)>::call(
            &mut self.gate.engine,
            (stream, request),
        ));
    }
}

impl Gate {
    /// Ends a session, whatever its client does. A session that began with long polling is closed by sending the engine
    /// a close packet on behalf of its client.
    pub(super) fn end(&self, admission: &Admission) {
        admission.set_ended();
        if let Some(wire) = admission.wire() {
            return wire.kill();
        }
        let Some(sid) = admission.sid() else { return };
        if let Some(wire) = self.wires.of_session(sid) {
            wire.kill();
        }
        self.wires.doom_session(sid);
        let mut close = Request::new(Body::from("1"));
        *close.method_mut() = Method::POST;
        let uri = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        *close.uri_mut() = uri.parse().unwrap_or_default();
        let (engine, wires, sid) = (self.engine.clone(), self.wires.clone(), sid.to_owned());
        tokio::spawn(async move {
            // If the session has already ended, the engine answers that it does not know it.
            let Ok(_) = engine.oneshot(close).await;
            wires.forget(&sid);
        });
    }
}

/// Ends sessions that are due, until the server stops.
async fn sweep(app: Weak<App>, gate: Gate, polling: Polling, arriving: Arriving) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if app.strong_count() == 0 {
            return;
        }
        polling.sweep();
        arriving.sweep();
        for admission in gate.admissions.due() {
            tracing::debug!("a session ends that nobody has logged in to, or that its client has left");
            gate.end(&admission);
        }
    }
}

pub(super) fn sid(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Computes `Sec-WebSocket-Accept` (RFC 6455, section 4.2.2).
fn accept_key(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::from_str(&BASE64_STANDARD.encode(hash.finalize())).unwrap_or(HeaderValue::from_static(""))
}

/// Copies only the parameters that the engine needs into a new URI. The client controls the length of the original.
pub(super) fn copied(uri: &Uri) -> Uri {
    let mut wanted: SmallVec<[&str; 4]> = SmallVec::new();
    for name in ["EIO=", "transport=", "sid=", "b64="] {
        // The engine uses the first occurrence of each parameter.
        let given = uri.query().and_then(|query| query.split('&').find(|pair| pair.starts_with(name)));
        wanted.extend(given.filter(|pair| pair.len() <= MAX_PARAMETER_BYTES));
    }
    format!("/socket.io/?{}", wanted.join("&")).parse().unwrap_or_default()
}

/// Maximum length of a copied parameter in bytes. The longest valid value is a session id of 16 characters.
const MAX_PARAMETER_BYTES: usize = 64;

/// Whether the request names a supported Engine.IO version.
fn query_says_version(uri: &Uri) -> bool {
    let given = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("EIO=")));
    matches!(given, Some("3" | "4"))
}

/// The inner service of socketioxide for requests of other paths. It is never reached, because only `/socket.io/` is
/// routed here.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotSocketIo;

impl Service<Request> for NotSocketIo {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Response, std::convert::Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Ok(HttpError::not_found().into_response()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
