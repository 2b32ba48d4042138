//! HTTP: what every route shares. Bodies are read and errors answered so that any frontend can show them: every
//! error, whatever its cause, is JSON with a `message`.

mod caller;
pub mod cookie;
mod edge;
mod page;
mod read;
mod router;
mod search;
mod sync;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use chat_core::error::{Error, ErrorKind};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};

pub use self::caller::caller;
pub use self::router::router;
use crate::app::App;
use crate::auth::AuthError;
use crate::auth::password::Busy;
use crate::config::Origins;
use crate::dialect::wire::{self, DecodeError, Failure};

/// Most bytes of a JSON body: 10 MB as the original backends count them.
pub const MOST_BODY_BYTES: usize = 10 << 20;

/// An answer in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(CONTENT_TYPE, json)], body).into_response()
}

/// A parameter of a request's query, as it is there: those that are asked for need no escapes.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// How much is asked for at most.
fn limit(query: Option<&str>) -> Result<Option<u64>, HttpError> {
    let wrong = |_| HttpError::bad_request("limit must be a whole number from 1");
    parameter(query, "limit").map(|limit| limit.parse().map_err(wrong)).transpose()
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A request that was not carried out, as it is answered.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    body: Vec<u8>,
    retry_after: Option<Duration>,
    core: Option<Error>,
}

impl HttpError {
    /// An error with a message for people.
    pub fn new(status: StatusCode, message: &str) -> Self {
        #[derive(Serialize)]
        struct Message<'a> {
            message: &'a str,
        }
        Self::with_body(status, &Message { message })
    }

    /// An error with a body of its own, which has a `message` too.
    pub fn with_body(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: serde_json::to_vec(body).unwrap_or_default(), retry_after: None, core: None }
    }

    /// 400.
    pub fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404 for a route that does not exist.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    /// 429.
    pub fn too_many(retry_after: Duration) -> Self {
        let message = "Rate limit exceeded. Please try again later.";
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 500. What went wrong was logged where it did.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    /// The domain's error behind it, for routes that have words of their own for it.
    pub fn core(&self) -> Option<&Error> {
        self.core.as_ref()
    }
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            // 413 is for bodies; a field that is too long is the client's mistake like any other.
            ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::TooLarge => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::RateLimited => {
                return Self { core: Some(error), ..Self::too_many(Duration::from_secs(60)) };
            }
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => return Self { core: Some(error), ..Self::internal() },
        };
        Self { core: None, ..Self::new(status, &Failure::from(&error).message) }.because(error)
    }
}

impl HttpError {
    fn because(self, error: Error) -> Self {
        Self { core: Some(error), ..self }
    }
}

impl From<DecodeError> for HttpError {
    fn from(error: DecodeError) -> Self {
        Self::bad_request(&error.to_string())
    }
}

impl From<AuthError> for HttpError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Internal(error) => error.into(),
            error => Self::new(StatusCode::UNAUTHORIZED, &error.to_string()),
        }
    }
}

impl From<Busy> for HttpError {
    fn from(_: Busy) -> Self {
        let message = "Too many log-ins at once. Please try again later.";
        let retry_after = Some(Duration::from_secs(5));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let mut response = (self.status, [(CONTENT_TYPE, json)], self.body).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response
    }
}

/// The body of a request, to be read as a JSON object.
pub struct Body(Bytes);

impl Body {
    /// The object.
    ///
    /// # Errors
    /// When it is not an object of this form.
    pub fn object<'a, T: Deserialize<'a>>(&'a self) -> Result<T, HttpError> {
        let text = std::str::from_utf8(&self.0);
        let text = text.map_err(|_| HttpError::bad_request("the body is not UTF-8"))?;
        Ok(wire::from_object(text)?)
    }
}

/// Most bytes of the body of somebody who has not said who they are.
const MOST_ANONYMOUS_BYTES: usize = 2 << 20;

/// How long a client may pause while it sends a body.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

impl Body {
    /// Reads the body of somebody who is known.
    ///
    /// # Errors
    /// When it is too large, comes too slowly or breaks off.
    pub async fn read(request: Request) -> Result<Self, HttpError> {
        read_body(request, MOST_BODY_BYTES).await
    }
}

async fn read_body(request: Request, most: usize) -> Result<Body, HttpError> {
    let mut body = request.into_body();
    let mut bytes = BytesMut::new();
    let slow = |_| HttpError::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly");
    while let Some(frame) = tokio::time::timeout(BODY_PATIENCE, body.frame()).await.map_err(slow)? {
        let frame = frame.map_err(|_| HttpError::bad_request("the body could not be read"))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > most {
            // A client that is still sending would see its connection reset instead of the answer.
            edge::discard(body).await;
            let message = format!("The request is larger than {} MB", most >> 20);
            return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, &message));
        }
        bytes.extend_from_slice(data);
    }
    Ok(Body(bytes.freeze()))
}

/// As a parameter of a handler, the body of anybody. Those who are known may send more, see [`Body::read`].
impl<S: Sync> FromRequest<S> for Body {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        read_body(request, MOST_ANONYMOUS_BYTES).await
    }
}

/// Whether a request comes from a page of another origin that is not allowed to use this server. An origin that is no
/// text is none that anybody has allowed.
pub fn is_foreign(headers: &HeaderMap, allowed: &Origins) -> bool {
    headers.get_all(ORIGIN).into_iter().any(|origin| {
        let Ok(origin) = origin.to_str() else { return true };
        let mut hosts = headers.get_all(HOST).into_iter();
        let same = origin.split_once("://").is_some_and(|(_, host)| hosts.any(|own| own == host));
        !same && !allowed.allow(origin)
    })
}

/// Where a request comes from, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub IpAddr);

impl Address {
    /// Reads it from a request's parts.
    pub fn of(parts: &Parts, trust_proxy: usize) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        // As bytes: what a client has made up must not hide what the proxies have appended to it.
        let forwarded = parts.headers.get_all("x-forwarded-for").into_iter();
        let mut hops = forwarded.rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        // Each trusted proxy has appended whom it heard from; what stands before that is hearsay.
        let client = trust_proxy.checked_sub(1).and_then(|nth| hops.nth(nth));
        let client = client.and_then(|client| std::str::from_utf8(client).ok()?.trim().parse().ok());
        Self(one_customer(client.unwrap_or(peer)))
    }
}

/// What limits count as one address: of IPv6 the /64 that one customer has to themselves (RFC 6177).
fn one_customer(address: IpAddr) -> IpAddr {
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
    /// Whether the client's side of the connection is encrypted.
    pub is_https: bool,
    host: String,
}

impl Origin {
    /// The address to begin links with: the configured one, or the one the client used.
    pub fn base(&self, configured: Option<&str>) -> String {
        match configured {
            Some(configured) => configured.to_owned(),
            None if self.host.is_empty() => String::new(),
            None => format!("{}://{}", if self.is_https { "https" } else { "http" }, self.host),
        }
    }
}

impl Origin {
    /// Reads it from a request's headers, those of proxies if they are trusted. As bytes: a value that is no text is one
    /// that cannot be used, not one that is missing.
    fn of(headers: &HeaderMap, trusts_proxies: bool) -> Self {
        let bytes = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let forwarded = |name: &str| {
            let first = bytes(name).filter(|_| trusts_proxies)?.split(|byte| *byte == b',').next();
            first.map(<[u8]>::trim_ascii)
        };
        let is_https =
            forwarded("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
        let host = forwarded("x-forwarded-host").or_else(|| bytes(HOST.as_str())).unwrap_or_default();
        // Nothing but a host and a port may get into a link.
        let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']');
        let host =
            if host.iter().all(plain) { String::from_utf8_lossy(host).into_owned() } else { String::new() };
        Self { is_https, host }
    }
}

impl FromRequestParts<Arc<App>> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, app.config.trust_proxy > 0))
    }
}

#[cfg(test)]
mod tests {
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
        use axum::http::HeaderName;
        let (proto, host) =
            (HeaderName::from_static("x-forwarded-proto"), HeaderName::from_static("x-forwarded-host"));
        let of = |given: &[(HeaderName, &[u8])]| Origin::of(&headers(given), true);
        assert!(of(&[(proto.clone(), b"https, \xff")]).is_https);
        assert!(!of(&[(proto.clone(), b"\xff, https")]).is_https);
        assert!(!Origin::of(&headers(&[(proto, b"https")]), false).is_https, "nobody is trusted");
        assert_eq!(
            of(&[(host.clone(), b"a.example:8080, \xff"), (HOST, b"b.example")]).host,
            "a.example:8080"
        );
        assert_eq!(of(&[(host, b"\xff"), (HOST, b"b.example")]).host, "", "it is there, and of no use");
        assert_eq!(of(&[(HOST, b"b.example")]).host, "b.example");
    }

    #[test]
    fn a_page_is_foreign_unless_its_origin_is_allowed() {
        let listed = Origins::Listed(vec!["https://page.example".into()]);
        let is_foreign = |origins: &[&[u8]], allowed: &Origins| {
            let origins = origins.iter().map(|origin| (ORIGIN, *origin));
            let all: Vec<_> = origins.chain([(HOST, &b"chat.example"[..])]).collect();
            super::is_foreign(&headers(&all), allowed)
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
}
