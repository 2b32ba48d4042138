//! What handlers take of a request: where it comes from, and how its client addressed this server.

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
