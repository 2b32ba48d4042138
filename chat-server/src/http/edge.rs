//! Middleware around every route: request ids, CORS, security headers, one log line per request, and catching panics,
//! so that a panic fails only one request.
//!
//! tower-http is not used for ids and panics: its request id layer accepts any id from the client, even one that is
//! harmful in a log, and its panic layer logs neither the id nor the path of the request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::error::HttpError;
use super::headers::{self, Kind};
use super::{accounted, rate};
use crate::address::Address;
use crate::app::App;
use crate::config::Origins;
use crate::files::paths::is_streamed;
use crate::links;
use crate::memory::Owner;
use crate::security_log::Source;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Response headers that pages of other origins may read, in addition to the CORS-safelisted ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id, Location, Content-Disposition, \
     Content-Range, ETag, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, \
     Upload-Length, Upload-Metadata, Upload-Expires",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

/// The middleware.
pub(super) async fn middleware(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let origin = request.headers().get(ORIGIN).cloned();
    let cors = origin.and_then(|origin| Cors::of(origin, &app.config.origins));
    let request_id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let address = Address::of_request(&request, app.config.trust_proxy);
    app.proxies.observe(&request, app.config.trust_proxy);
    let (owner, caller) = (Owner::Address(address.0), accounted::Caller::default());
    // Long polling accounts for its memory by account. A streamed route holds no more in memory than its own limit.
    let is_accounted_elsewhere = is_below(&path, &app.config.socket_path) || is_streamed(&path);
    let (mut request, received) = match is_accounted_elsewhere {
        true => (request, None),
        false => {
            let (request, received) = accounted::request(&app.memory, owner, request);
            (request, Some(received))
        }
    };
    let is_https = links::is_https(request.headers(), app.config.trust_proxy);
    let source = Source { address: Some(address), request_id: Some(request_id.as_str().into()) };
    request.extensions_mut().insert(source.clone());

    let response =
        if method == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            preflight(request.headers(), cors.is_some())
        } else {
            AssertUnwindSafe(caller.clone().scope(source.scope(next.run(request))))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| {
                    chat_core::log_throttled!(error, %method, path, request_id, "a request handler panicked");
                    HttpError::internal().into_response()
                })
        };

    let response = match &received {
        Some(received) => received.answer(response),
        None => response,
    };
    drop(received);
    let response = json_error(accounted::response(&app.memory, caller.owner(owner), response));
    // Errors from outside the routes of a dialect get the format of the default dialect.
    let mut response = HttpError::write_in(response, app.config.dialects.default());
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response = rate::complete(response);
    }
    let kind = match response.extensions().get() {
        Some(kind) => *kind,
        None if is_below(&path, &app.config.socket_path) => Kind::Sockets,
        None => Kind::Api,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    match cors {
        Some(Cors::WithCredentials(origin)) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        Some(Cors::WithoutCredentials) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        None => {}
    }
    headers::add(headers, kind, is_https);
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    let micros = started.elapsed().as_micros() as u64;
    tracing::debug!(%method, path, status, micros, request_id, "request");
    response
}

/// Whether a path is `prefix` or below it.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What CORS allows a page of another origin.
enum Cors {
    /// It may read responses to requests with credentials.
    WithCredentials(HeaderValue),
    /// It may read only responses to requests without credentials.
    WithoutCredentials,
}

impl Cors {
    fn of(origin: HeaderValue, origins: &Origins) -> Option<Self> {
        if origin.to_str().is_ok_and(|origin| origins.allow(origin)) {
            return Some(Self::WithCredentials(origin));
        }
        origins.allow_any().then_some(Self::WithoutCredentials)
    }
}

/// Converts a plain-text error of a library to JSON, because frontends read `message` of every error.
fn json_error(response: Response) -> Response {
    let status = response.status();
    let is_text =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !is_text {
        return response;
    }
    HttpError::new(status, status.canonical_reason().unwrap_or("the request cannot be answered"))
        .into_response()
}

/// The request id from a proxy, if it contains only safe characters, or else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    given.filter(harmless).map_or_else(|| hex::encode(rand::random::<[u8; 8]>()), str::to_owned)
}

fn preflight(headers: &HeaderMap, allowed: bool) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if !allowed {
        return response;
    }
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}
