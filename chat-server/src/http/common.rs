//! What every route uses: answers in JSON, parameters of the query, the token of a header.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;

use super::error::HttpError;

/// When it is worth trying again after the server was too busy.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// An answer in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(CONTENT_TYPE, json)], body).into_response()
}

/// The parameters of a request's query, in their order.
pub(crate) fn parameters(query: Option<&str>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    // Any text is a query: what is no escape stands for itself.
    serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default()
}

/// The first parameter of this name.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    parameters(query).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// How much is asked for at most.
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

/// Reads on and throws away, within reason, so that the client can finish sending and read its answer. Answers how much
/// that was.
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
    // What comes slower is cut off by the answer.
    let _ = tokio::time::timeout(TIMEOUT, reading).await;
    seen
}
