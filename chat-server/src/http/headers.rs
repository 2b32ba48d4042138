//! The headers of every response, by the kind of response.
//!
//! | | API, errors | Socket.IO | stored images | our own page | a folder's page |
//! |---|---|---|---|---|---|
//! | `Cache-Control` | `private, no-store` | `no-store` | its own; errors `no-store` | its own | its own |
//! | `Content-Security-Policy` | nothing may be loaded | the same | its own | its own | `frame-ancestors` alone |
//! | `Cross-Origin-Resource-Policy` | `same-origin` | `same-origin` | `cross-origin` | `same-origin` | `cross-origin` |
//! | `Permissions-Policy` | nothing | nothing | nothing | nothing | none |
//!
//! The files of Socket.IO's client have the `Cache-Control` that Node sends, and are `cross-origin`. Their other
//! headers are as for Socket.IO.
//!
//! `same-origin` does not prevent pages of other origins from reading what CORS allows (in the Fetch standard the
//! "cross-origin resource policy check" applies only to requests without CORS). A folder's page belongs to its
//! operator: this server must not restrict what it loads, runs or requests, so it gets no header that could break it.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The kind of a response. Handlers of pages and images set it in the response's extensions; everything else is
/// [`Kind::Api`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON for programs, including all errors.
    Api,
    /// The transport of Socket.IO.
    Sockets,
    /// A stored image.
    Image,
    /// A file of Socket.IO's client.
    ClientFile,
    /// The built-in page.
    OwnPage,
    /// A file of the folder that the operator has configured.
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
/// One year, for this host only: the server cannot know whether its subdomains use HTTPS.
const ONLY_HTTPS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers. `is_https` is what trusted proxies report. Over plain HTTP browsers must ignore
/// `Strict-Transport-Security`, and the server may not be reachable by HTTPS.
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
        // Pages of other origins load these files, as they do from Node.
        Kind::ClientFile => (None, NOTHING, "cross-origin"),
        Kind::OwnPage => (None, NO_FOREIGN_FRAME, "same-origin"),
        Kind::Folder => (None, NO_FOREIGN_FRAME, "cross-origin"),
    };
    match cache {
        Some(cache) => drop(headers.insert(CACHE_CONTROL, fixed(cache))),
        // The header that an image or page sets itself takes precedence.
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
