//! Long polling: reads every request within limits, and passes it to the engine in a form that is cheap to decode.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::ServiceExt;

use super::admission::{Admission, HANDSHAKE_TIMEOUT};
use super::affinity;
use super::connect::Polling;
use super::connections::Connection;
use super::endpoint::{ENGINE_MAX_PAYLOAD, SocketIoEndpoint, copied, sid};
use super::handshake::{handshake, slot};
use super::payload::{self, Encoding};
use super::together;
use super::wire::with_pid;
use crate::http::error::HttpError;
use crate::links::Base;
use crate::memory::{OutOfMemory, Reservation};

/// Maximum pause while a client sends a body.
const BODY_PAUSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time for a whole body, in addition to the time that its bytes take at [`MIN_BODY_RATE`].
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for an unauthenticated session, independent of the size.
const UNAUTHENTICATED_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Minimum average rate of a body in bytes per second: half of what the slowest mobile networks carry.
const MIN_BODY_RATE: usize = 8 << 10;

impl SocketIoEndpoint {
    pub(super) async fn poll(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        if query(&parts.uri, "transport") != Some("polling") {
            return engine_error(0, "Transport unknown");
        }
        match (sid(&parts.uri), &parts.method) {
            (None, &Method::GET) => self.open(&parts).await,
            (Some(sid), &Method::GET | &Method::POST) => {
                let wires = self.gate.wires.clone();
                let found = self.gate.admissions.find(sid).filter(|_| !wires.is_doomed(sid));
                let Some(admission) = found else { return unknown_session() };
                if let Some(user) = admission.user() {
                    Connection::set_current_known(user);
                }
                let sid = sid.to_owned();
                let response = match parts.method {
                    Method::POST => self.receive(&parts, body, &admission).await,
                    _ => self.fetch(&parts, &sid, &admission).await,
                };
                // The session expired while this request was waiting, so the client must not read its answer.
                if wires.is_doomed(&sid) { unknown_session() } else { response }
            }
            (None, _) => engine_error(2, "Bad handshake method"),
            _ => Refusal::Malformed.into_response(),
        }
    }

    /// Opens a session.
    async fn open(&self, parts: &Parts) -> Response {
        let admission = match self.admit(parts, Weak::new()) {
            Ok(admission) => admission,
            Err(refused) => return refused.into_response(),
        };
        let mut small = small(parts, Body::empty());
        let handshake = handshake(parts, &self.app.config);
        if handshake.says_who() {
            // The credentials are here, so later ones are neither awaited nor stored.
            admission.late.forget();
        }
        small.extensions_mut().insert(slot(handshake));
        small.extensions_mut().insert(Base::of(&parts.headers, &self.app.config));
        small.extensions_mut().insert(admission.clone());
        let Ok(response) = self.gate.engine.clone().oneshot(small).await;
        self.introduce(response.map(Body::new), &admission).await
    }

    /// Answers a poll with the packets that are queued for the client.
    async fn fetch(&self, parts: &Parts, sid: &str, admission: &Admission) -> Response {
        let told = self.polling.polls(sid);
        let polled = async {
            let _under_way = (admission.upgrades.poll()?, self.polling.poll(sid));
            let request = small(parts, Body::empty());
            tokio::select! {
                // Queued packets are sent first. Without any, the engine has taken nothing from its queue, so its
                // future can be dropped at any time.
                biased;
                Ok(response) = self.gate.engine.clone().oneshot(request) => Some(response),
                () = admission.upgrades.released() => None,
            }
        };
        let Some(response) = polled.await else {
            return noop(parts);
        };
        let (head, body) = response.into_parts();
        // The body is already in memory as a whole, so nothing is copied.
        let Ok(body) = axum::body::to_bytes(Body::new(body), usize::MAX).await else {
            return HttpError::internal().into_response();
        };
        // A NOOP takes nothing from the queue.
        let is_noop = matches!(&body[..], b"6" | b"1:6");
        if head.status == StatusCode::OK && !is_noop {
            self.polling.fetched(sid, told);
        }
        let response = Response::from_parts(head, Body::from(body));
        let response = match self.polling.pid(sid) {
            Some(pid) => tell_pid(response, sid, &pid, &self.polling).await,
            None => response,
        };
        // For clients of Engine.IO 3, events are never combined into one packet.
        if is_noop || query(&parts.uri, "EIO") == Some("3") {
            return response;
        }
        taken_apart(response).await
    }

    /// Receives the packets of a POST request.
    async fn receive(&self, parts: &Parts, body: Body, admission: &Arc<Admission>) -> Response {
        let most = admission.request_limit(self.app.config.transport.max_packet);
        let declared =
            parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        // Held until the engine has passed the packets on. From then on the inbox of their connection accounts for
        // them.
        let mut reservation = None;
        let read = match declared {
            Some(length) if length > most => Err(Refusal::TooLarge),
            _ => read_body(body, admission, most, &mut reservation).await,
        };
        let read = read.and_then(|bytes| {
            let given = admission.begin_request(bytes.len());
            let mut left = given;
            let payload = payload::as_v4(bytes, encoding(parts), &mut left);
            admission.spent(given, left);
            payload.map_err(|error| {
                tracing::debug!(%error, "a payload of long polling was refused");
                Refusal::Malformed
            })
        });
        let payload = match read {
            Ok(payload) => payload,
            Err(refused) => {
                // An authenticated client may have sent a message that is too large by mistake. Other sessions end.
                if !admission.is_known() || refused == Refusal::Malformed {
                    self.gate.end(admission);
                }
                return refused.into_response();
            }
        };
        let Ok(payload) = admission.large.keep_all(payload, |bytes| admission.reserve(bytes)) else {
            return Refusal::OutOfMemory.into_response();
        };
        let mut small = small(parts, Body::from(payload));
        *small.uri_mut() = as_v4_uri(small.uri());
        let Ok(response) = self.gate.engine.clone().oneshot(small).await;
        drop(reservation);
        response.map(Body::new)
    }

    /// Writes into the answer that opens a session what the client must know: the true payload limit, by which clients
    /// split their payloads, and the name of the node.
    async fn introduce(&self, response: Response, admission: &Arc<Admission>) -> Response {
        let (mut parts, body) = response.into_parts();
        // The answer is a few hundred bytes that the engine has written.
        let Ok(body) = axum::body::to_bytes(body, 64 << 10).await else {
            return HttpError::internal().into_response();
        };
        let Ok(text) = std::str::from_utf8(&body) else {
            return Response::from_parts(parts, Body::from(body));
        };
        let given = text.split_once(r#""sid":""#).and_then(|(_, rest)| rest.split_once('"'));
        if let Some((sid, _)) = given {
            self.gate.admissions.register(sid, admission);
        }
        let mut text = Cow::from(text);
        // Engine.IO 3 puts the length in front, so the length of its answer must not change.
        if text.starts_with('0') {
            let most = self.app.config.transport.max_packet;
            let told = format!("\"maxPayload\":{ENGINE_MAX_PAYLOAD}");
            text = text.replacen(&told, &format!("\"maxPayload\":{most}"), 1).into();
        }
        let node = self.app.config.node.as_deref();
        if let Some(marked) = node.and_then(|node| affinity::marked(&text, node)) {
            text = marked.into();
        }
        parts.headers.remove(CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(text.into_owned()))
    }
}

/// Reads a body of at most `most` bytes, and fails if it arrives too slowly.
async fn read_body(
    mut body: Body,
    admission: &Admission,
    most: usize,
    reservation: &mut Option<Reservation>,
) -> Result<Bytes, Refusal> {
    let started = Instant::now();
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    loop {
        let received = first.len() + rest.len();
        let whole = match admission.is_known() {
            true => BODY_TIMEOUT + Duration::from_secs((received / MIN_BODY_RATE) as u64),
            false => UNAUTHENTICATED_BODY_TIMEOUT.min(HANDSHAKE_TIMEOUT),
        };
        let left = whole.checked_sub(started.elapsed()).ok_or(Refusal::TooSlow)?;
        let next = tokio::time::timeout(left.min(BODY_PAUSE_TIMEOUT), body.frame());
        let Some(frame) = next.await.map_err(|_| Refusal::TooSlow)? else { break };
        if admission.is_ended() {
            return Err(Refusal::UnknownSession);
        }
        let frame = frame.map_err(|_| Refusal::Malformed)?;
        let Ok(data) = frame.into_data() else { continue };
        if received + data.len() > most {
            return Err(Refusal::TooLarge);
        }
        let reserved = match reservation {
            Some(reservation) => reservation.set(received + data.len()),
            None => admission.reserve(received + data.len()).map(|reserved| *reservation = reserved),
        };
        reserved.map_err(|OutOfMemory| Refusal::OutOfMemory)?;
        if received == 0 {
            first = data;
            continue;
        }
        if !first.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// A copy of the parts of a request that the engine needs. The rest would keep the HTTP server's read buffer alive.
fn small(parts: &Parts, body: Body) -> Request {
    let mut small = Request::new(body);
    *small.method_mut() = parts.method.clone();
    *small.uri_mut() = copied(&parts.uri);
    small
}

/// The encoding of a request's payload.
fn encoding(parts: &Parts) -> Encoding {
    if query(&parts.uri, "EIO") != Some("3") {
        return Encoding::V4;
    }
    let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind == Some(b"application/octet-stream") { Encoding::V3Binary } else { Encoding::V3Text }
}

/// The same URI, but for a payload of Engine.IO 4.
fn as_v4_uri(uri: &Uri) -> Uri {
    let Some((path, query)) = uri.path_and_query().and_then(|path| path.as_str().split_once('?')) else {
        return uri.clone();
    };
    let pairs = query.split('&').map(|pair| if pair.starts_with("EIO=") { "EIO=4" } else { pair });
    let query: Vec<_> = pairs.collect();
    format!("{path}?{}", query.join("&")).parse().unwrap_or_default()
}

/// A query parameter as the engine reads it: its first occurrence, without percent-decoding.
fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Malformed,
    TooLarge,
    TooSlow,
    UnknownSession,
    OutOfMemory,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Malformed => return engine_error(3, "Bad request"),
            Self::UnknownSession => return unknown_session(),
            Self::TooLarge => HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "the payload is too large"),
            Self::TooSlow => HttpError::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly"),
            Self::OutOfMemory => HttpError::unavailable("the server is busy", BODY_PAUSE_TIMEOUT),
        };
        error.into_response()
    }
}

fn unknown_session() -> Response {
    engine_error(1, "Session ID unknown")
}

/// An Engine.IO error with the code of the reference implementation.
fn engine_error(code: u8, message: &str) -> Response {
    let body = serde_json::json!({ "code": code, "message": message });
    HttpError::with_body(StatusCode::BAD_REQUEST, &body).into_response()
}

/// An answer that ends a poll without any packet of the session.
fn noop(parts: &Parts) -> Response {
    // Engine.IO 3 puts the length in characters in front of each packet.
    let body = if query(&parts.uri, "EIO") == Some("3") { "1:6" } else { "6" };
    ([(CONTENT_TYPE, "text/plain; charset=UTF-8")], body).into_response()
}

/// Splits combined events into separate packets.
async fn taken_apart(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // The body is already in memory as a whole, so nothing is copied.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return HttpError::internal().into_response();
    };
    let Some(apart) = together::taken_apart(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(apart))
}

/// Writes the `pid` into the answer to the CONNECT, if this poll's answer contains it.
async fn tell_pid(response: Response, sid: &str, pid: &str, polling: &Polling) -> Response {
    let (mut parts, body) = response.into_parts();
    // The answer to the CONNECT is the first packet of a session, so little else is queued with it.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return HttpError::internal().into_response();
    };
    const SEPARATOR: char = together::SEPARATOR as char;
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
