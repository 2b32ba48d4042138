//! Request data for handlers: where a request comes from, and how its client addresses this server.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{cookie, proxies, site};
use crate::address::Address;
use crate::app::App;
use crate::links::Base;

impl FromRequestParts<Arc<App>> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(parts, app.config.trust_proxy))
    }
}

/// How the client addresses this server.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The attributes of the login cookie for this client.
    pub cookie: cookie::Attributes,
    /// The base of links for this client.
    pub base: Base,
    /// The request claims that it came by HTTPS, but the cookie is not `Secure`.
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
