//! The headers that every answer has, by what kind of answer it is.
//!
//! | | API, errors | Socket.IO | stored images | our own page | a folder's page |
//! |---|---|---|---|---|---|
//! | `Cache-Control` | `private, no-store` | `no-store` | its own; errors `no-store` | its own | its own |
//! | `Content-Security-Policy` | nothing may be loaded | the same | its own | its own | `frame-ancestors` alone |
//! | `Cross-Origin-Resource-Policy` | `same-origin` | `same-origin` | `cross-origin` | `same-origin` | `cross-origin` |
//! | `Permissions-Policy` | nothing | nothing | nothing | nothing | none |
//!
//! The files of Socket.IO's client have their own `Cache-Control`, as Node's have it, and are `cross-origin`; otherwise they are
//! as Socket.IO.
//!
//! `same-origin` does not keep pages of other origins from what CORS lets them read (RFC: Fetch, "cross-origin resource
//! policy check" is for requests without CORS). A folder's page is its owner's: what it loads, runs and asks for is not
//! ours to forbid, so it is given nothing that could break it.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What an answer is. Handlers of pages and images say it in the answer's extensions; everything else is
/// [`Kind::Api`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON for programs, errors of all kinds included.
    Api,
    /// Socket.IO's transport.
    Sockets,
    /// A stored image.
    Image,
    /// A file of Socket.IO's client.
    ClientFile,
    /// Our own page.
    OwnPage,
    /// A file of a folder that the owner has named.
    Folder,
}

pub(crate) const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
const NO_FOREIGN_FRAME: HeaderValue = HeaderValue::from_static("frame-ancestors 'self'");
const NO_POWERS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
     midi=(), payment=(), usb=()",
);
/// A year, for this host alone: whether those below it have https is not known here.
const ONLY_HTTPS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds them. `is_https` as far as trusted proxies tell; over plain http browsers must pass the header over, and must not
/// be told of what is not there.
pub(super) fn add(headers: &mut HeaderMap, kind: Kind, is_https: bool) {
    let fixed = HeaderValue::from_static;
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("SAMEORIGIN"));
    headers.insert(REFERRER_POLICY, fixed("same-origin"));
    if is_https {
        headers.insert(STRICT_TRANSPORT_SECURITY, ONLY_HTTPS);
    }
    let (cache, policy, readers) = match kind {
        Kind::Api => (Some("private, no-store"), NOTHING, "same-origin"),
        Kind::Sockets => (Some("no-store"), NOTHING, "same-origin"),
        Kind::Image => (None, NOTHING, "cross-origin"),
        // Pages of other origins load them, as from Node.
        Kind::ClientFile => (None, NOTHING, "cross-origin"),
        Kind::OwnPage => (None, NO_FOREIGN_FRAME, "same-origin"),
        Kind::Folder => (None, NO_FOREIGN_FRAME, "cross-origin"),
    };
    match cache {
        Some(cache) => drop(headers.insert(CACHE_CONTROL, fixed(cache))),
        // What an image or page says itself counts.
        None if kind == Kind::Folder => {}
        None => drop(headers.entry(CACHE_CONTROL).or_insert(fixed("no-store"))),
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(CROSS_ORIGIN_RESOURCE_POLICY).or_insert(fixed(readers));
    if kind != Kind::Folder {
        headers.insert(PERMISSIONS_POLICY, NO_POWERS);
    }
}

#[cfg(test)]
mod tests;
