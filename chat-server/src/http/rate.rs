//! What a limited route says of its limit: `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, as in
//! draft-ietf-httpapi-ratelimit-headers-06 (later drafts put them into one structured field, which pages and libraries do
//! not read yet).

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};

use super::HttpError;

/// The names of the headers.
pub(super) const NAMES: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

/// How a limit stands for the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many there may be within the window: requests, or bytes where bytes are limited.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// When there are more; in whole seconds on the wire, rounded up.
    pub reset: Duration,
}

impl RateLimit {
    /// Where nothing but the wait is known: one request, once it is over.
    pub(super) fn after(wait: Duration) -> Self {
        Self { limit: 1, remaining: 0, reset: wait }
    }

    /// The one that refuses first.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        if (other.remaining, other.limit) < (self.remaining, self.limit) { other } else { self }
    }

    /// `Retry-After` and `RateLimit-Reset`: whole seconds, at least one.
    pub(super) fn seconds(wait: Duration) -> u64 {
        wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }

    /// Writes the headers.
    pub fn write_to(self, headers: &mut HeaderMap) {
        let values = [self.limit, self.remaining, Self::seconds(self.reset)];
        for (name, value) in NAMES.into_iter().zip(values) {
            headers.insert(name, value.into());
        }
    }
}

/// An answer that says how its limit stands, if there is one. A refusal by another limit keeps what it says of that.
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

/// Completes the headers of a refusal for having asked too often, however it was made.
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
