//! The state of a rate limit in its headers: `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, as in
//! draft-ietf-httpapi-ratelimit-headers-06. Later drafts put them into one structured field, which pages and libraries
//! do not read yet.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// The names of the headers.
pub(crate) const RATE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

/// The state of a rate limit for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Maximum within the window: requests, or bytes where bytes are limited.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// Time until more are available. The header has whole seconds, rounded up.
    pub reset: Duration,
}

impl RateLimit {
    /// For limits of which only the waiting time is known: one request after that time.
    pub(crate) fn after(wait: Duration) -> Self {
        Self { limit: 1, remaining: 0, reset: wait }
    }

    /// The limit that refuses first.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        if (other.remaining, other.limit) < (self.remaining, self.limit) { other } else { self }
    }

    /// The value of `Retry-After` and `RateLimit-Reset`: whole seconds, at least one.
    pub(crate) fn seconds(wait: Duration) -> u64 {
        wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }

    /// Writes the headers.
    pub fn write_to(self, headers: &mut HeaderMap) {
        let values = [self.limit, self.remaining, Self::seconds(self.reset)];
        for (name, value) in RATE_HEADERS.into_iter().zip(values) {
            headers.insert(name, value.into());
        }
    }
}
