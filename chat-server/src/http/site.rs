//! Which pages are of the same site as this server, and what this means for the cookie.
//!
//! Browsers send a `SameSite=Strict` cookie only with requests from pages of the same *site*: the registrable domain,
//! which for `app.vercel.app` is the whole name (the [public suffix list](https://publicsuffix.org)). If `CLIENT_URL`
//! names a page at Vercel and the server is at Render, the cookie needs `SameSite=None`, and that requires `Secure`.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;

use super::cookie::{Attributes, SameSite};
use crate::config::Config;
use crate::links::{self, Base};

/// The attributes of the cookie in the response to this request.
pub(super) fn cookie_attributes(headers: &HeaderMap, base: &Base, config: &Config) -> Attributes {
    let is_https = links::is_https(headers, config.trust_proxy);
    let same_site = config.cookie_same_site.unwrap_or_else(|| {
        // A request without `Origin` comes from a program. Over plain HTTP a program could not use a `Secure` cookie.
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

/// The host of an origin or URL.
fn host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

/// The site of a host: its registrable domain. An IP address, or a name that cannot be registered, is its own site.
fn site(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    psl::domain_str(&host).map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests;
