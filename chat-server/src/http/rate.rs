//! Adds rate limit headers to responses; see [`RateLimit`].

use std::time::Duration;

use axum::http::HeaderName;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use super::error::HttpError;
use crate::limits::{RATE_HEADERS as NAMES, RateLimit};

/// Adds the state of a rate limit to a response, if there is one. A refusal by another limit keeps that limit's
/// headers.
pub fn with_rate(
    answer: Result<Response, HttpError>,
    rate: Option<RateLimit>,
) -> Result<Response, HttpError> {
    let Some(rate) = rate else { return answer };
    match answer {
        Ok(mut response) => {
            rate.write_to(response.headers_mut());
            Ok(response)
        }
        Err(error) => Err(error.with_rate(rate)),
    }
}

/// Completes the rate limit headers of a 429 response, whichever code created it.
pub(super) fn complete(response: Response) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    let seconds = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let wait = Duration::from_secs(seconds(&RETRY_AFTER).or_else(|| seconds(&NAMES[2])).unwrap_or(60));
    if !headers.contains_key(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, RateLimit::seconds(wait).into());
    }
    if !headers.contains_key(&NAMES[0]) {
        RateLimit::after(wait).write_to(headers);
    }
    response
}
