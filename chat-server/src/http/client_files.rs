//! The browser builds of `socket.io-client`, served as Node's Socket.IO does (`serveClient`). Pages without a bundler
//! load them from `/socket.io/socket.io.js`.
//!
//! They are part of the program and compressed once. Clients that accept gzip receive them as they are. For other
//! clients each file is decompressed once and kept. A request for a file opens no session, and its rate limit is that
//! of other files.

use std::io::Read;
use std::sync::OnceLock;

use axum::Extension;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;

use super::error::HttpError;
use super::headers::Kind;

/// The version of `socket.io-client`. It is also the `ETag`, as in Node.
const VERSION: HeaderValue = HeaderValue::from_static("\"4.8.3\"");

/// A file from the `dist` folder of the package.
struct ClientFile {
    name: &'static str,
    gzipped: &'static [u8],
    plain: OnceLock<Bytes>,
}

macro_rules! files {
    ($($name:literal),*) => {
        [$(ClientFile {
            name: $name,
            gzipped: include_bytes!(concat!("../../assets/socket.io-client/", $name, ".gz")),
            plain: OnceLock::new(),
        }),*]
    };
}

static FILES: [ClientFile; 8] = files![
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map"
];

impl ClientFile {
    fn plain(&self) -> Bytes {
        let decompress = || {
            let mut plain = Vec::new();
            // This cannot fail: a test decompresses all files.
            let _ = GzDecoder::new(self.gzipped).read_to_end(&mut plain);
            plain.into()
        };
        self.plain.get_or_init(decompress).clone()
    }
}

/// Answers a request for one of these files.
pub(super) fn serve(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return HttpError::not_found().into_response();
    };
    let kind = if name.ends_with(".map") { "application/json" } else { "application/javascript" };
    let kind = HeaderValue::try_from(format!("{kind}; charset=utf-8"));
    let fixed = [
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=0")),
        (ETAG, VERSION),
        (VARY, HeaderValue::from_static("Accept-Encoding")),
    ];
    let head = (Extension(Kind::ClientFile), fixed);
    if headers.get_all(IF_NONE_MATCH).into_iter().any(is_known) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    let is_gzipped = takes_gzip(headers);
    let body = if is_gzipped { Bytes::from_static(file.gzipped) } else { file.plain() };
    let mut response = (head, Body::from(body)).into_response();
    let answer = response.headers_mut();
    answer.extend(kind.ok().map(|kind| (CONTENT_TYPE, kind)));
    if is_gzipped {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether one of the client's cached tags is the current one (RFC 9110, section 13.1.2: weak comparison).
fn is_known(tags: &HeaderValue) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == VERSION)
}

/// Whether the client accepts gzip (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let mut takes = None;
    for coding in codings.flat_map(|codings| codings.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = parameters
            .split(';')
            .filter_map(|parameter| parameter.trim().strip_prefix("q="))
            .any(|q| q.trim().parse().is_ok_and(|q: f32| q == 0.0));
        match name.trim() {
            // An entry for gzip takes precedence over `*`.
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return !is_refused;
            }
            "*" => takes = Some(!is_refused),
            _ => {}
        }
    }
    takes.unwrap_or(false)
}

#[cfg(test)]
mod tests;
