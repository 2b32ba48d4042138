//! `/socket.io/`: polling requests go to socketioxide as they are, upgrades are answered here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Limited;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use socketioxide::SocketIo;
use socketioxide::service::SocketIoService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::affinity;
use super::connect::{self, Polling};
use super::guard::{Guarded, OnUpgraded, Upgrade, Wires};
use super::wire::{Wire, with_pid};
use crate::app::App;
use crate::http::HttpError;

/// What Engine.IO is told it may put into one poll answer: more than it ever will. It loses the packet that does not fit
/// when a websocket takes over. Requests are limited here, and clients are told the true limit.
const ENGINE_MAX_PAYLOAD: u64 = 1 << 40;

/// How long a client may take from opening a connection to saying who it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

type Engine = SocketIoService<NotSocketIo>;

/// The Socket.IO endpoint, to be put at `/socket.io/`.
#[derive(Clone)]
pub struct SocketIoEndpoint {
    engine: Engine,
    io: SocketIo,
    app: Arc<App>,
    wires: Wires,
    polling: Polling,
}

/// What a connection keeps of the request that opened it. The request itself is not kept: its headers and address are
/// slices of the HTTP server's read buffer and would pin all of it (16 KiB) for the life of the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshake {
    pub(super) cookies: Vec<String>,
    pub(super) bearer: Option<String>,
}

/// Taken out when the connection is authenticated, so that the token does not stay in memory.
pub(super) type HandshakeSlot = Arc<parking_lot::Mutex<Option<Handshake>>>;

impl SocketIoEndpoint {
    /// Prepares the endpoint; connections are let in as the app's tokens say.
    pub fn new(app: &Arc<App>) -> Self {
        let config = app.config.transport;
        let (wires, polling) = (Wires::default(), Polling::default());
        let (engine, io) = SocketIo::builder()
            .ping_interval(config.ping_interval)
            .ping_timeout(config.ping_timeout)
            .max_payload(ENGINE_MAX_PAYLOAD)
            .connect_timeout(CONNECT_TIMEOUT)
            .max_buffer_size(config.max_queue)
            .ws_max_message_size(config.max_packet)
            .ws_max_frame_size(config.max_packet)
            .ws_read_buffer_size(1024)
            .build_with_inner_svc(NotSocketIo);
        connect::let_in(&io, app, &wires, &polling);
        Self { engine, io, app: app.clone(), wires, polling }
    }

    /// Answers a request.
    pub async fn answer(self, mut request: Request) -> Response {
        if self.app.is_draining() {
            // Its client would be told "Invalid namespace" and not try again.
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

    /// Closes all connections in a way that makes their clients come back by themselves.
    pub(crate) async fn close(&self) {
        self.io.close().await;
    }

    async fn poll(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let sid = sid(&parts.uri);
        let wires = self.wires.clone();
        let is_doomed = || sid.is_some_and(|sid| wires.is_doomed(sid));
        if is_doomed() {
            return unknown_session();
        }
        let most = self.app.config.transport.max_packet;
        let too_large =
            || HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "the payload is too large").into_response();
        let declared =
            parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > most) {
            return too_large();
        }
        let mut small = Request::new(match parts.method {
            Method::POST => Body::new(Limited::new(body, most)),
            _ => body,
        });
        let fetches = parts.method == Method::GET;
        *small.method_mut() = parts.method;
        *small.uri_mut() = copied(&parts.uri);
        for name in [CONTENT_TYPE, CONTENT_LENGTH] {
            let value =
                parts.headers.get(&name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
            if let Some(value) = value {
                small.headers_mut().insert(name, value);
            }
        }
        small.extensions_mut().insert(handshake(&parts.headers, &self.app));
        let Ok(response) = self.engine.clone().oneshot(small).await;
        if is_doomed() {
            // Doomed while this poll was waiting: what it was answered must not be read any more.
            return unknown_session();
        }
        // An answer of one byte is a NOOP: what waited is still there.
        let is_noop = hyper::body::Body::size_hint(response.body()).exact() == Some(1);
        if let Some(sid) = sid
            && fetches
            && response.status() == StatusCode::OK
            && !is_noop
        {
            self.polling.fetched(sid);
        }
        match sid {
            Some(sid) => match self.polling.pid(sid) {
                Some(pid) => tell_pid(response.map(Body::new), sid, &pid, &self.polling).await,
                None => response.map(Body::new),
            },
            None => {
                let node = self.app.config.node.as_deref();
                introduce(response.map(Body::new), most, node).await
            }
        }
    }

    fn upgrade(mut self, mut request: Request) -> Response {
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
        let sid = sid(request.uri()).map(str::to_owned);
        if sid.as_deref().is_some_and(|sid| self.wires.is_doomed(sid)) {
            return HttpError::bad_request("Session ID unknown").into_response();
        }
        let wire = Arc::new(if sid.is_none() { Wire::new() } else { Wire::upgrade() });
        if sid.is_none() {
            small.extensions_mut().insert(handshake(request.headers(), &self.app));
            small.extensions_mut().insert(wire.clone());
        }
        let accept = accept_key(key.as_bytes());
        drop(request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let takeover = sid.map(|sid| {
                let (polling, takes_over) = (self.polling.clone(), wire.clone());
                let on_upgraded: OnUpgraded = Box::new(move |sid| polling.upgraded(sid, &takes_over));
                Upgrade::new(&self.wires, sid, &wire, on_upgraded)
            });
            let patience = self.app.config.transport.stall_timeout;
            // The bare stream, when the HTTP server is ours or axum's; whatever it is otherwise.
            match upgraded.downcast::<TokioIo<TcpStream>>() {
                Ok(parts) => {
                    // A copy: even an empty slice would keep all of the HTTP server's read buffer.
                    let early = Bytes::copy_from_slice(&parts.read_buf);
                    let stream = parts.io.into_inner();
                    self.hand_over(Guarded::new(stream, early, wire, patience, takeover), small);
                }
                Err(upgraded) => {
                    let stream: TokioIo<Upgraded> = TokioIo::new(upgraded);
                    self.hand_over(Guarded::new(stream, Bytes::new(), wire, patience, takeover), small);
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

    fn hand_over<S>(&mut self, stream: Guarded<S>, request: axum::http::Request<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Refused when the query is none of Engine.IO's; dropping the stream is then the answer.
        drop(Service::<(Guarded<S>, axum::http::Request<()>)>::call(&mut self.engine, (stream, request)));
    }
}

fn unknown_session() -> Response {
    let body = serde_json::json!({ "code": 1, "message": "Session ID unknown" });
    HttpError::with_body(StatusCode::BAD_REQUEST, &body).into_response()
}

/// Writes into the answer that opens a session what clients are to know: the true limit, by which they split what they
/// send, and the node.
async fn introduce(response: Response, most: usize, node: Option<&str>) -> Response {
    let (mut parts, body) = response.into_parts();
    // The answer is a few hundred bytes of our own.
    let Ok(body) = axum::body::to_bytes(body, 64 << 10).await else {
        return HttpError::internal().into_response();
    };
    let Ok(text) = std::str::from_utf8(&body) else { return Response::from_parts(parts, Body::from(body)) };
    let mut text = Cow::from(text);
    // Long polling of Engine.IO 3 begins with the length of what follows, which must stay as it is.
    if text.starts_with('0') {
        let told = format!("\"maxPayload\":{ENGINE_MAX_PAYLOAD}");
        text = text.replacen(&told, &format!("\"maxPayload\":{most}"), 1).into();
    }
    if let Some(marked) = node.and_then(|node| affinity::marked(&text, node)) {
        text = marked.into();
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text.into_owned()))
}

/// Writes the `pid` into the answer to the CONNECT of a session, if it is in this poll's answer.
async fn tell_pid(response: Response, sid: &str, pid: &str, polling: &Polling) -> Response {
    let (mut parts, body) = response.into_parts();
    // It is the first thing that a session is sent, so what was gathered with it is little.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return HttpError::internal().into_response();
    };
    // Packets of one answer are parted by this character (Engine.IO protocol 4, "Payload").
    const SEPARATOR: char = '\u{1e}';
    let answer = |packet: &str| with_pid(packet.as_bytes(), pid);
    let body = match std::str::from_utf8(&body) {
        Ok(text) if text.split(SEPARATOR).any(|packet| answer(packet).is_some()) => {
            polling.forget_pid(sid);
            let packets =
                text.split(SEPARATOR).map(|packet| answer(packet).map_or(packet.into(), Cow::Owned));
            let packets: Vec<Cow<'_, str>> = packets.collect();
            parts.headers.remove(CONTENT_LENGTH);
            Bytes::from(packets.join("\u{1e}"))
        }
        _ => body,
    };
    Response::from_parts(parts, Body::from(body))
}

fn sid(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// RFC 6455, section 4.2.2.
fn accept_key(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    HeaderValue::from_str(&BASE64_STANDARD.encode(hash.finalize())).unwrap_or(HeaderValue::from_static(""))
}

/// The same address in memory of its own.
fn copied(uri: &Uri) -> Uri {
    let path = uri.path_and_query().map_or("/socket.io/", |path| path.as_str());
    let path = if path.starts_with("/socket.io?") { path.replacen('?', "/?", 1) } else { path.to_owned() };
    path.parse().unwrap_or_default()
}

fn handshake(headers: &HeaderMap, app: &App) -> HandshakeSlot {
    // A page of another origin must not connect with this browser's cookie (cross-site websocket hijacking).
    let foreign = crate::http::is_foreign(headers, &app.config.origins);
    let cookies = crate::http::cookie::tokens(headers).filter(|_| !foreign).map(str::to_owned).collect();
    let bearer = headers.contains_key(AUTHORIZATION).then(|| crate::http::bearer(headers)).flatten();
    Arc::new(parking_lot::Mutex::new(Some(Handshake { cookies, bearer: bearer.map(str::to_owned) })))
}

/// The service behind socketioxide's, for what is not its own: never reached, since only its path leads here.
#[derive(Debug, Clone, Copy)]
struct NotSocketIo;

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
