//! What all routes share: JSON responses, query parameters, the bearer token.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;

use super::error::HttpError;

/// The `Retry-After` of a response from a server that was too busy.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// A JSON response.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // This cannot fail: wire types are plain structs with string keys.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(CONTENT_TYPE, json)], body).into_response()
}

/// The query parameters of a request, in order.
pub(crate) fn parameters(query: Option<&str>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    // Every string is a valid query: an invalid escape stands for itself.
    serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default()
}

/// The first query parameter with this name.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    parameters(query).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// The maximum number of results that the client requests.
pub(crate) fn limit(query: Option<&str>) -> Result<Option<u64>, HttpError> {
    let wrong = |_| HttpError::bad_request("limit must be a whole number from 1");
    parameter(query, "limit").map(|limit| limit.parse().map_err(wrong)).transpose()
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Reads and discards the rest of a body, within limits, so that the client can finish sending and read the response.
/// Returns the number of bytes.
pub(crate) async fn discard(mut body: axum::body::Body) -> usize {
    const MAX_BYTES: usize = 64 << 20;
    const TIMEOUT: Duration = Duration::from_secs(10);
    let mut seen = 0;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, bytes::Bytes::len);
            if seen > MAX_BYTES {
                return;
            }
        }
    };
    // If the client is slower than that, the response ends the connection.
    let _ = tokio::time::timeout(TIMEOUT, reading).await;
    seen
}
