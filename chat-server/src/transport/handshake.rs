//! Reads the credentials from the request that opens a connection.

use std::sync::Arc;

use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use crate::config::Config;
use crate::http::common;
use crate::http::cookie;
use crate::http::foreign::is_foreign;
use crate::refused_pages::Page;
use crate::security_log::Source;

/// The parts of the opening request that a connection keeps. The request itself is not kept: its headers and address
/// are slices of the HTTP server's read buffer and would keep all of it (16 KiB) alive for the lifetime of the
/// connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshake {
    /// Names and values of the login cookies.
    pub(super) cookies: Vec<(&'static str, String)>,
    pub(super) bearer: Option<String>,
    /// The page named a user id in its query, as some pages do: `io(URL, {query: {userId}})`. The server does not trust
    /// it.
    pub(super) names_user: bool,
    /// The token in the query, if that is allowed; see [`Config::token_in_query`](crate::config::Config).
    pub(super) in_query: Option<String>,
    pub(super) source: Source,
    /// The page that has sent the request.
    pub(super) page: Page,
}

impl Handshake {
    /// Whether the request carried any credentials.
    pub(super) fn says_who(&self) -> bool {
        !self.cookies.is_empty() || self.bearer.is_some() || self.in_query.is_some()
    }
}

/// The slot is emptied when the connection is authenticated, so that the token does not stay in memory.
pub(super) type HandshakeSlot = Arc<Mutex<Option<Handshake>>>;

/// Maximum total size in bytes of the tokens that are kept until the session is connected.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Keeps the token if it fits into the remaining budget.
fn within_budget(token: &str, left: &mut usize) -> Option<String> {
    *left = left.checked_sub(token.len())?;
    Some(token.to_owned())
}

pub(super) fn slot(handshake: Handshake) -> HandshakeSlot {
    Arc::new(Mutex::new(Some(handshake)))
}

/// The token in the query of an Engine.IO 3 client, which cannot send it in any other way across origins.
fn token_in_query(uri: &Uri) -> Option<String> {
    let pairs = || uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let of = |name: &str| pairs().find(|(key, _)| *key == name).map(|(_, value)| value);
    let token = of("token").filter(|token| of("EIO") == Some("3") && token.len() <= MAX_TOKEN_BYTES)?;
    let token = percent_decode_str(token).decode_utf8().ok()?;
    let token = token.strip_prefix("Bearer ").or(token.strip_prefix("Bearer+")).unwrap_or(&token);
    (!token.is_empty()).then(|| token.to_owned())
}

/// Reads the handshake from a request.
pub(super) fn handshake(parts: &Parts, config: &Config) -> Handshake {
    let (uri, headers) = (&parts.uri, &parts.headers);
    // A page of another origin must not connect with this browser's cookie (cross-site websocket hijacking).
    let foreign = is_foreign(headers, &config.origins, config.trust_proxy);
    let mut left = MAX_TOKEN_BYTES;
    let bearer = headers.contains_key(AUTHORIZATION).then(|| common::bearer(headers)).flatten();
    let bearer = bearer.and_then(|token| within_budget(token, &mut left));
    let in_query = config.token_in_query.then(|| token_in_query(uri)).flatten();
    let in_query = in_query.and_then(|token| within_budget(&token, &mut left));
    let all = || cookie::tokens(headers, config.dialects.cookies());
    let cookies = all().filter(|_| !foreign);
    let cookies =
        cookies.filter_map(|(name, token)| Some((name, within_budget(token, &mut left)?))).collect();
    let names_user =
        parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("userId=")));
    let (source, page) =
        (Source::current(), Page::of(headers, all().next().is_some(), &config.origins, config.trust_proxy));
    Handshake { cookies, bearer, names_user, in_query, source, page }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_address_is_for_engine_io_3_alone() {
        let token = |query: &str| token_in_query(&format!("/socket.io/?{query}").parse().unwrap());
        assert_eq!(token("EIO=3&transport=polling&token=a.b-c_d").as_deref(), Some("a.b-c_d"));
        assert_eq!(token("token=Bearer%20a.b&EIO=3").as_deref(), Some("a.b"));
        let long = format!("EIO=3&token={}", "x".repeat(MAX_TOKEN_BYTES + 1));
        for none in [
            "EIO=4&token=a.b",
            "token=a.b",
            "EIO=3&token=",
            "EIO=3",
            "EIO=3&xtoken=a",
            "EIO=3&token=%ff",
            &long,
        ] {
            assert_eq!(token(none), None, "{none}");
        }
    }
}
