//! HTTP: what every route shares. Bodies are read and errors answered so that any frontend can show them: every
//! error, whatever its cause, is JSON with a `message`.

mod accounted;
mod body;
mod caller;
mod client_files;
pub mod cookie;
mod edge;
mod error;
pub(crate) mod headers;
mod own_page;
mod page;
mod proxies;
mod rate;
pub(crate) mod readiness;
pub(crate) mod route_table;
mod router;
pub(crate) mod served;
mod site;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(crate) use self::accounted::Caller;
pub use self::body::Body;
pub(crate) use self::body::next as next_part;
pub use self::caller::{caller, caller_by_bearer};
pub(crate) use self::edge::discard;
pub use self::error::HttpError;
pub(crate) use self::proxies::ProxyWarnings;
pub use self::rate::{RateLimit, with_rate};
pub(crate) use self::readiness::Readiness;
pub use self::router::router;
use crate::app::App;
use crate::config::Origins;
use crate::links::{self, Base};

/// When it is worth trying again after the server was too busy.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// An answer in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(CONTENT_TYPE, json)], body).into_response()
}

/// A parameter of a request's query, as it is there: those that are asked for need no escapes.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
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

/// Whether a request comes from a page of another origin that is not allowed to use this server. An origin that is no
/// text is none that anybody has allowed. How this server is called is said by `Host`, and by `X-Forwarded-Host` where proxies
/// are trusted.
pub fn is_foreign(headers: &HeaderMap, allowed: &Origins, trust_proxy: usize) -> bool {
    headers.get_all(ORIGIN).into_iter().any(|origin| {
        let Ok(origin) = origin.to_str() else { return true };
        !is_own(origin, headers, trust_proxy) && !allowed.allow(origin)
    })
}

fn is_own(origin: &str, headers: &HeaderMap, trust_proxy: usize) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    // A page that came unencrypted may be anybody's. The other way round a proxy further out does https.
    if scheme != "https" && links::is_https(headers, trust_proxy) {
        return false;
    }
    // Proxies may say the port that origins leave out.
    let port = if scheme == "https" { ":443" } else { ":80" };
    let forwarded = links::forwarded(headers, "x-forwarded-host", trust_proxy);
    forwarded.is_some_and(|own| own.strip_suffix(port).unwrap_or(own).eq_ignore_ascii_case(host))
        || headers.get_all(HOST).into_iter().any(|own| own == host)
}

/// Where a request comes from, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub IpAddr);

impl Address {
    /// Reads it from a request's parts.
    pub fn of(parts: &Parts, trust_proxy: usize) -> Self {
        Self::read(&parts.headers, &parts.extensions, trust_proxy)
    }

    /// Reads it from a request.
    pub fn of_request(request: &axum::extract::Request, trust_proxy: usize) -> Self {
        Self::read(request.headers(), request.extensions(), trust_proxy)
    }

    fn read(headers: &HeaderMap, extensions: &Extensions, trust_proxy: usize) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        // As bytes: what a client has made up must not hide what the proxies have appended to it.
        let forwarded = headers.get_all("x-forwarded-for").into_iter();
        let mut hops = forwarded.rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        // Each trusted proxy has appended whom it heard from; what stands before that is hearsay.
        let client = trust_proxy.checked_sub(1).and_then(|nth| hops.nth(nth));
        let client = client.and_then(|client| std::str::from_utf8(client).ok()?.trim().parse().ok());
        Self(one_customer(client.unwrap_or(peer)))
    }
}

/// What limits count as one address: of IPv6 the /64 that one customer has to themselves (RFC 6177).
pub(crate) fn one_customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

impl FromRequestParts<Arc<App>> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(parts, app.config.trust_proxy))
    }
}

/// How the client addressed this server.
#[derive(Debug, Clone)]
pub struct Origin {
    /// How browsers are to keep the cookie that they are given.
    pub cookie: cookie::Attributes,
    /// What links begin with for this client.
    pub base: Base,
    /// The client claims to have come by https, and the cookie is not `Secure`.
    pub is_insecure: bool,
}

impl FromRequestParts<Arc<App>> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let base = Base::of(&parts.headers, &app.config);
        let cookie = site::cookie_attributes(&parts.headers, &base, &app.config);
        let is_insecure = !cookie.secure && proxies::claims_https(&parts.headers, &base, &app.config);
        Ok(Self { cookie, base, is_insecure })
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    fn parts(forwarded: &[&[u8]]) -> Parts {
        let mut request = Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn headers(headers: &[(axum::http::HeaderName, &[u8])]) -> HeaderMap {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        headers.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let unknown = Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let address = |text: &str| Address(text.parse().unwrap());
        for forwarded in
            [&[&b"6.6.6.6, 1.2.3.4, 10.0.0.1"[..]][..], &[&b"6.6.6.6"[..], b" 1.2.3.4 ,10.0.0.1"]]
        {
            let parts = parts(forwarded);
            assert_eq!(Address::of(&parts, 0), unknown);
            assert_eq!(Address::of(&parts, 1), address("10.0.0.1"));
            assert_eq!(Address::of(&parts, 2), address("1.2.3.4"));
            assert_eq!(Address::of(&parts, 9), unknown);
        }
    }

    #[test]
    fn what_a_client_makes_up_does_not_hide_what_a_proxy_says() {
        // One header, as nginx appends to it, and two.
        for forwarded in [&[&b"\xff\xfe, 1.2.3.4"[..]][..], &[&b"\xff"[..], b"1.2.3.4"]] {
            assert_eq!(Address::of(&parts(forwarded), 1), Address("1.2.3.4".parse().unwrap()));
        }
    }

    #[test]
    fn a_page_is_foreign_unless_its_origin_is_allowed() {
        let listed = Origins::Listed(vec!["https://page.example".into()]);
        let is_foreign = |origins: &[&[u8]], allowed: &Origins| {
            let origins = origins.iter().map(|origin| (ORIGIN, *origin));
            let all: Vec<_> = origins.chain([(HOST, &b"chat.example"[..])]).collect();
            super::is_foreign(&headers(&all), allowed, 0)
        };
        let any = Origins::Any(vec!["https://page.example".into()]);
        for allowed in [&listed, &any] {
            for own in [&[][..], &[&b"https://chat.example"[..]], &[b"https://page.example"]] {
                assert!(!is_foreign(own, allowed), "{own:?}");
            }
            for foreign in [
                &[&b"https://evil.example"[..]][..],
                &[b"null"],
                &[b""],
                &[b"https://chat.example\xff"],
                &[b"https://page.example\xff"],
                &[b"\xff"],
                &[b"https://page.example", b"https://evil.example"],
                &[b"https://page.example", b"\xff"],
            ] {
                assert!(is_foreign(foreign, allowed), "{foreign:?}");
            }
        }
        assert!(is_foreign(&[b"null"], &Origins::Loopback));
        assert!(!is_foreign(&[b"http://localhost:5173"], &Origins::Loopback));
    }

    #[test]
    fn a_page_behind_trusted_proxies_is_at_home_where_they_say() {
        let listed = Origins::Listed(vec!["https://page.example".into()]);
        let forwarded = |host: &'static [u8], proto: &'static [u8]| {
            [("x-forwarded-host", host), ("x-forwarded-proto", proto)]
                .map(|(name, value)| (axum::http::HeaderName::from_static(name), value))
        };
        let is_foreign = |origin: &'static str, host, proto, trust_proxy| {
            let own = [(ORIGIN, origin.as_bytes()), (HOST, &b"10.0.0.7:3000"[..])];
            let all: Vec<_> = own.into_iter().chain(forwarded(host, proto)).collect();
            super::is_foreign(&headers(&all), &listed, trust_proxy)
        };
        let own = "https://chat.example";
        assert!(!is_foreign(own, b"chat.example", b"https", 1));
        assert!(is_foreign(own, b"chat.example", b"https", 0), "anybody may say so");
        for host in [&b"chat.example:443"[..], b"Chat.Example", b"evil.example, chat.example"] {
            assert!(!is_foreign(own, host, b"https", 1), "{host:?}");
        }
        assert!(!is_foreign("https://chat.example:8443", b"chat.example:8443", b"https", 1));
        assert!(!is_foreign(own, b"chat.example", b"http", 1), "a proxy further out does https");
        assert!(!is_foreign("http://chat.example", b"chat.example:80", b"http", 1));
        assert!(!is_foreign("http://10.0.0.7:3000", b"", b"", 1), "it was not asked through a name");
        assert!(!is_foreign("https://page.example", b"chat.example", b"https", 1), "it is listed");
        for foreign in ["http://chat.example", "https://evil.example", "https://chat.example:8443", "null"] {
            assert!(is_foreign(foreign, b"chat.example", b"https", 1), "{foreign}");
        }
        assert!(is_foreign("https://evil.example", b"evil.example, chat.example", b"https", 1), "hearsay");
        assert!(!is_foreign(own, b"chat.example, inner", b"https, http", 2), "the outermost that is trusted");
    }
}
