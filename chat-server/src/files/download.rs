//! Sends files: completely, in part, or not at all if the client has the content already.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::FileError;
use super::name;
use super::store::ByteStream;
use crate::http::error::HttpError;
use crate::http::headers::{CROSS_ORIGIN_RESOURCE_POLICY, Kind};

/// What allows a client to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// A signed link that is valid for this long. Pages of all origins may display the file.
    Link(Duration),
    /// A login, which may end or lose the permission at any time.
    LogIn,
}

/// The file to send.
pub(super) struct Given<'a> {
    /// Its length in bytes.
    pub(super) size: u64,
    /// Its media type.
    pub(super) content_type: &'a str,
    /// Its entity tag, without quotes: different content has a different tag.
    pub(super) tag: &'a str,
    /// The file name for saving it.
    pub(super) name: &'a str,
    /// Whether a page may display it.
    pub(super) is_inline: bool,
    /// What allows the client to read it.
    pub(super) access: Access,
}

/// Answers a GET or HEAD request. `read` is called for the requested bytes, if there are any.
pub(super) async fn answer(
    method: &Method,
    headers: &HeaderMap,
    given: &Given<'_>,
    read: impl AsyncFnOnce(Range<u64>) -> Result<Option<ByteStream>, FileError>,
) -> Result<Response, HttpError> {
    let tag = format!("\"{}\"", given.tag);
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match wanted(headers, &tag, given.size) {
            Wanted::All => {
                let body = body(method, read, 0..given.size).await?;
                sized(StatusCode::OK, body, given.size)
            }
            Wanted::Part(range) => {
                let body = body(method, read, range.clone()).await?;
                let mut response = sized(StatusCode::PARTIAL_CONTENT, body, range.end - range.start);
                let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, given.size);
                set(response.headers_mut(), CONTENT_RANGE, &shown);
                response
            }
            Wanted::Impossible => {
                let refusal = HttpError::new(StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable");
                let mut response = refusal.into_response();
                set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{}", given.size));
                return Ok(response);
            }
        }
    };
    let status = response.status();
    let headers = response.headers_mut();
    set(headers, ETAG, &tag);
    set(headers, ACCEPT_RANGES, "bytes");
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization, Cookie"));
    match given.access {
        Access::Link(left) => {
            set(headers, CACHE_CONTROL, &format!("private, max-age={}, immutable", left.as_secs()));
            headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        }
        Access::LogIn => {
            set(headers, CACHE_CONTROL, "private, no-cache");
            headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        }
    }
    if status != StatusCode::NOT_MODIFIED {
        let charset = if given.content_type.starts_with("text/") { "; charset=utf-8" } else { "" };
        set(headers, CONTENT_TYPE, &format!("{}{charset}", given.content_type));
        set(headers, CONTENT_DISPOSITION, &name::disposition(given.is_inline, given.name));
    }
    // If a user opens the file by itself, nothing in it may run.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response.extensions_mut().insert(Kind::Image);
    Ok(response)
}

async fn body(
    method: &Method,
    read: impl AsyncFnOnce(Range<u64>) -> Result<Option<ByteStream>, FileError>,
    range: Range<u64>,
) -> Result<Body, HttpError> {
    if method == Method::HEAD {
        return Ok(Body::empty());
    }
    let stream = read(range).await?.ok_or(FileError::NotFound)?;
    Ok(Body::from_stream(stream))
}

/// Sets the length, because a stream has none. Only one piece is in memory at a time, so it is not accounted for.
fn sized(status: StatusCode, body: Body, len: u64) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    response
}

fn set(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    // The values are ASCII without control characters, so they are always valid.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the client already has this content (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let all = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Impossible,
}

/// The requested part of a file. The result is the whole file, which is always a valid answer, if several ranges are
/// requested, if the unit is unknown, or if the client has a part of other content.
fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else { return Wanted::All };
    if headers.get(IF_RANGE).is_some_and(|known| known.as_bytes() != tag.as_bytes()) {
        return Wanted::All;
    }
    if !range.starts_with("bytes=") {
        return Wanted::All;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Wanted::Impossible };
    if parsed.ranges.len() > 1 {
        return Wanted::All;
    }
    match parsed.validate(size).as_deref() {
        Ok([range]) if *range.start() < size => {
            Wanted::Part(*range.start()..range.end().saturating_add(1).min(size))
        }
        _ => Wanted::Impossible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_range_is_given_and_several_are_the_whole() {
        for (range, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-1", Wanted::Part(99..100)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=100-", Wanted::Impossible),
            ("bytes=100-200", Wanted::Impossible),
            ("bytes=9-0", Wanted::Impossible),
            ("bytes=x-y", Wanted::Impossible),
            ("bytes=", Wanted::Impossible),
            ("bytes=0-1,5-6", Wanted::All),
            ("lines=0-1", Wanted::All),
        ] {
            assert_eq!(wanted(&headers(&[(RANGE, range)]), "\"t\"", 100), expected, "{range}");
        }
        assert_eq!(wanted(&headers(&[(RANGE, "bytes=0-0")]), "\"t\"", 0), Wanted::Impossible);
        for (known, expected) in
            [("\"t\"", Wanted::Part(0..1)), ("\"u\"", Wanted::All), ("W/\"t\"", Wanted::All)]
        {
            let headers = headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, known)]);
            assert_eq!(wanted(&headers, "\"t\"", 100), expected, "{known}");
        }
    }

    #[test]
    fn what_is_known_is_known_by_its_tag() {
        for (given, known) in [
            ("\"t\"", true),
            ("W/\"t\"", true),
            ("\"a\", \"t\"", true),
            ("*", true),
            ("\"u\"", false),
            ("t", false),
        ] {
            assert_eq!(is_known(&headers(&[(IF_NONE_MATCH, given)]), "\"t\""), known, "{given}");
        }
    }
}
