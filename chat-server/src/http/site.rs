//! Which pages are of the same site as this server, and what that means for the cookie.
//!
//! Browsers add a `SameSite=Strict` cookie only to requests of pages of the same *site*: the domain that somebody has
//! registered, which for `app.vercel.app` is the whole of it (the [public suffix list](https://publicsuffix.org)). A page at
//! Vercel with a server at Render, which `CLIENT_URL` says, needs `SameSite=None`, and that needs `Secure`.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;

use super::cookie::{Attributes, SameSite};
use crate::config::Config;
use crate::links::{self, Base};

/// How the cookie is to be kept that answers this request.
pub(super) fn cookie_attributes(headers: &HeaderMap, base: &Base, config: &Config) -> Attributes {
    let is_https = links::is_https(headers, config.trust_proxy);
    let same_site = config.cookie_same_site.unwrap_or_else(|| {
        // Where no page asks, it is some program; those over plain HTTP could not use a Secure cookie.
        let is_reached_by_https = is_https || config.public_url.as_deref().is_some_and(is_https_url);
        let asks = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        let own = base.as_str().and_then(host);
        let is_of_other_site =
            |page: &str| is_https_url(page) && host(page).is_some() && host(page).map(site) != own.map(site);
        let needs_none = config.origins.listed().iter().any(|listed| {
            is_of_other_site(listed)
                && asks.map_or(is_reached_by_https, |page| page.eq_ignore_ascii_case(listed))
        });
        if needs_none { SameSite::None } else { SameSite::Strict }
    });
    Attributes { same_site, secure: is_https || same_site == SameSite::None }
}

fn is_https_url(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// The host of an origin or an address.
fn host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

/// The site of a host: its registrable domain. An address, or a name that nobody can register, is a site by itself.
fn site(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    psl::domain_str(&host).map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests;
