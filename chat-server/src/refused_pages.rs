//! Pages whose sockets are refused because they bring no log-in: their owner is told why, and what to do about it.
//!
//! A warning names the page's origin, once for each, at most one a minute and so many at all: whoever connects without a
//! log-in may claim any origin.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use chat_core::clock::Timestamp;
use parking_lot::Mutex;

use crate::config::Origins;
use crate::http::foreign::is_foreign;

/// Most origins that are warned of.
const MAX_ORIGINS: usize = 100;
/// Longest origin that is named.
const MAX_ORIGIN_BYTES: usize = 100;
/// Shortest time between two warnings.
const PAUSE: Duration = Duration::from_secs(60);

/// What is known of the page that a session was opened by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    origin: Option<Box<str>>,
    has_cookie: bool,
    is_foreign: bool,
}

impl Page {
    /// Reads it from a request.
    pub(crate) fn of(headers: &HeaderMap, has_cookie: bool, allowed: &Origins, trust_proxy: usize) -> Self {
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_plain = |origin: &&str| {
            origin.len() <= MAX_ORIGIN_BYTES
                && origin.bytes().all(|c| c.is_ascii_alphanumeric() || b":/.-_[]".contains(&c))
        };
        Self {
            origin: origin.filter(is_plain).map(Into::into),
            has_cookie,
            is_foreign: is_foreign(headers, allowed, trust_proxy),
        }
    }
}

/// Which pages were warned of.
#[derive(Default)]
pub(crate) struct RefusedPages(Mutex<Warned>);

#[derive(Default)]
struct Warned {
    origins: HashSet<Box<str>>,
    last: Option<Timestamp>,
}

impl RefusedPages {
    /// A page was refused that brought no token, or none that counts.
    pub(crate) fn refused(&self, page: &Page, now: Timestamp) {
        let Some(remedy) = remedy(page) else { return };
        let origin = page.origin.as_deref().unwrap_or("its own origin, or a program");
        if self.is_to_be_warned_of(origin, now) {
            tracing::warn!(origin, remedy, "a page was refused: no log-in came with its socket");
        }
    }

    fn is_to_be_warned_of(&self, origin: &str, now: Timestamp) -> bool {
        let mut warned = self.0.lock();
        let is_too_soon = warned.last.is_some_and(|last| now < last.after(PAUSE) && now >= last);
        if is_too_soon || warned.origins.len() >= MAX_ORIGINS || warned.origins.contains(origin) {
            return false;
        }
        warned.last = Some(now);
        warned.origins.insert(origin.into())
    }
}

/// What helps a page that brought no log-in; none when it brought one, which was no good.
fn remedy(page: &Page) -> Option<&'static str> {
    match (page.has_cookie, page.is_foreign) {
        (true, true) => Some(
            "its cookie does not count, since its origin is not allowed: name it in CLIENT_URL, as it is here, with \
             http:// or https:// and the port",
        ),
        (true, false) => None,
        (false, true) => Some(
            "name its origin in CLIENT_URL, and connect with io(URL, { withCredentials: true }), or with auth: { token }",
        ),
        (false, false) => Some(
            "connect after the log-in, with io(URL, { withCredentials: true }), or with auth: { token }; from a page of \
             another site browsers send only cookies that are SameSite=None; Secure, over https",
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::HOST;

    use super::*;

    fn page(origin: Option<&str>, cookie: bool) -> Page {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("chat.example"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        Page::of(&headers, cookie, &Origins::Listed(vec!["https://page.example".into()]), 0)
    }

    #[test]
    fn the_remedy_is_for_the_case() {
        let remedy_of = |origin, cookie| remedy(&page(origin, cookie));
        assert!(remedy_of(Some("https://page.example"), false).unwrap().contains("withCredentials: true"));
        assert!(remedy_of(Some("https://page.example"), false).unwrap().contains("SameSite=None"));
        assert!(remedy_of(Some("https://other.example"), true).unwrap().contains("CLIENT_URL"));
        assert!(remedy_of(Some("https://other.example"), false).unwrap().contains("CLIENT_URL"));
        assert!(remedy_of(None, false).is_some());
        assert_eq!(remedy_of(None, true), None);
        assert_eq!(page(Some("https://x.example/<b>"), false).origin, None);
        assert_eq!(page(Some(&format!("https://{}", "x".repeat(200))), false).origin, None);
    }

    #[test]
    fn strangers_cannot_flood_the_log() {
        let pages = RefusedPages::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert!(pages.is_to_be_warned_of("a", at(0)));
        assert!(!pages.is_to_be_warned_of("b", at(59)));
        assert!(pages.is_to_be_warned_of("b", at(60)));
        assert!(!pages.is_to_be_warned_of("a", at(500)));
        let warned =
            (0..1_000).filter(|n| pages.is_to_be_warned_of(&format!("o{n}"), at(1_000 + n * 60))).count();
        assert_eq!(warned, MAX_ORIGINS - 2);
    }
}
