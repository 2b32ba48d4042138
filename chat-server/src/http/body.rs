//! Request bodies: JSON of limited size that arrives within a limited time.
//!
//! The Content-Type must be JSON. Any web page can send a form, or a text that looks like JSON, to another origin
//! without a CORS preflight. A JSON content type requires a preflight, so this is one more protection against forged
//! requests (CSRF).

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body as Incoming;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::common::discard;
use super::error::HttpError;
use crate::dialect::payload;
use crate::surrogates;

/// The maximum size of a JSON body: 10 MB, as the original backends count it.
const MAX_BODY_BYTES: usize = 10 << 20;
/// The maximum size of a body that cannot contain an image, such as a login or a sign-up.
const MAX_SMALL_BODY_BYTES: usize = 64 << 10;

/// Up to this size, a body that exceeds the small limit is treated as a field that is too long, for which pages expect
/// status 400. The bytes are counted and discarded.
const MAX_LONG_FIELD_BYTES: usize = 2 << 20;

/// The maximum pause of a client while it sends a body.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(20);
/// The base time for receiving a body. Each [`BYTES_PER_SECOND`] received bytes add one second: 10 MB may take about
/// 22 minutes, and a body that arrives byte by byte half a minute.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: u32 = 8 << 10;

/// A request body that contains a JSON object.
#[derive(Debug)]
pub struct Body(Bytes);

impl Body {
    /// Parses the object.
    ///
    /// # Errors
    /// When it is not an object of this form.
    pub fn object<'a, T: Deserialize<'a>>(&'a self) -> Result<T, HttpError> {
        let text = std::str::from_utf8(&self.0);
        let text = text.map_err(|_| HttpError::bad_request("the body is not UTF-8"))?;
        Ok(payload::from_object(text)?)
    }

    /// Whether the body is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a body of up to 10 MB. The caller must be authenticated.
    ///
    /// # Errors
    /// When it is not JSON, too large, too slow or incomplete.
    pub async fn read(request: Request) -> Result<Self, HttpError> {
        read_body(request, MAX_BODY_BYTES).await
    }

    /// Reads a body of up to 64 KiB.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_small(request: Request) -> Result<Self, HttpError> {
        read_body(request, MAX_SMALL_BODY_BYTES).await
    }
}

/// As a handler parameter it reads a small body, from any client. Routes that require authentication first authenticate
/// the caller and then read the body themselves.
impl<S: Sync> FromRequest<S> for Body {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        Self::read_small(request).await
    }
}

async fn read_body(request: Request, most: usize) -> Result<Body, HttpError> {
    let is_json = is_json(request.headers());
    let mut body = request.into_body();
    let mut bytes = BytesMut::new();
    let started = Instant::now();
    while let Some(data) = next(&mut body, started, bytes.len()).await? {
        if data.is_empty() {
            continue;
        }
        let size = bytes.len() + data.len();
        if is_json && size <= most {
            bytes.extend_from_slice(&data);
            continue;
        }
        drop((bytes, data));
        // The rest of the body is read, because a client that is still sending would see a connection reset instead of
        // the response.
        let size = size + discard(body).await;
        return Err(if !is_json {
            HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The Content-Type must be application/json")
        } else if most < MAX_LONG_FIELD_BYTES && size <= MAX_LONG_FIELD_BYTES {
            HttpError::bad_request(&too_large(most))
        } else {
            HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, &too_large(most))
        });
    }
    surrogates::mend(&mut bytes);
    Ok(Body(bytes.freeze()))
}

/// The names of the non-null fields of a JSON body, and the unchanged body. The list is empty if the body is not a
/// small JSON object.
pub(super) async fn peek(
    headers: &HeaderMap,
    mut body: Incoming,
) -> Result<(Vec<String>, Incoming), HttpError> {
    if !is_json(headers) {
        return Ok((Vec::new(), body));
    }
    let mut bytes = BytesMut::new();
    let started = Instant::now();
    while let Some(data) = next(&mut body, started, bytes.len()).await? {
        bytes.extend_from_slice(&data);
        if bytes.len() > MAX_SMALL_BODY_BYTES {
            let begin = stream::iter([Ok::<_, axum::Error>(bytes.freeze())]);
            return Ok((Vec::new(), Incoming::from_stream(begin.chain(body.into_data_stream()))));
        }
    }
    let mut mended = bytes.clone();
    surrogates::mend(&mut mended);
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(&mended).unwrap_or_default();
    let given = fields.into_iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| name);
    Ok((given.collect(), bytes.freeze().into()))
}

/// Reads the next part of a body of which `received` bytes have arrived.
///
/// # Errors
/// When it is too slow or incomplete.
pub(crate) async fn next(
    body: &mut Incoming,
    started: Instant,
    received: usize,
) -> Result<Option<Bytes>, HttpError> {
    let slow = |_| HttpError::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly");
    let earned = Duration::from_secs(received as u64) / BYTES_PER_SECOND;
    let deadline = (started + BODY_TIMEOUT + earned).min(Instant::now() + PAUSE_TIMEOUT);
    let frame = tokio::time::timeout_at(deadline, body.frame()).await.map_err(slow)?;
    let Some(frame) = frame else { return Ok(None) };
    let frame = frame.map_err(|_| HttpError::bad_request("the body could not be read"))?;
    Ok(Some(frame.into_data().unwrap_or_default()))
}

fn too_large(most: usize) -> String {
    match most >> 20 {
        0 => format!("The request is larger than {} KB", most >> 10),
        megabytes => format!("The request is larger than {megabytes} MB"),
    }
}

/// Whether the Content-Type is JSON in UTF-8: `application/json` or `application/…+json`. A body without Content-Type
/// is not JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let mut declared = headers.get_all(CONTENT_TYPE).into_iter();
    let (Some(value), None) = (declared.next().and_then(|value| value.to_str().ok()), declared.next()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json = kind == "application/json"
        || kind.strip_prefix("application/").is_some_and(|subtype| {
            subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty() && name.bytes().all(is_token))
        });
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let charset = value.trim().trim_matches('"');
                charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
            }
            _ => true,
        })
}

/// A token character (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
