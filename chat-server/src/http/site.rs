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
mod tests {
    use axum::http::HeaderValue;
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::config::Options;

    fn attributes(arguments: &[&str], headers: &[(&'static str, &'static str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let command = Options::command().mut_args(|arg| arg.env(None));
        let data = format!("--data-dir={}", folder.path().display());
        let arguments = ["chat-server", &data].into_iter().chain(arguments.iter().copied());
        let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        let config = Config::check(&options).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        cookie_attributes(&headers, &Base::of(&headers, &config), &config).to_string()
    }

    const STRICT: &str = "; HttpOnly; SameSite=Strict";
    const SECURE: &str = "; HttpOnly; Secure; SameSite=Strict";
    const NONE: &str = "; HttpOnly; Secure; SameSite=None";

    #[test]
    fn pages_of_other_sites_get_a_cookie_that_they_can_send() {
        let vercel = "--client-url=http://localhost:5173,https://my-chat.vercel.app";
        let render = ("host", "my-chat.onrender.com");
        let page = ("origin", "https://my-chat.vercel.app");
        assert_eq!(attributes(&[vercel], &[render, page]), NONE);
        // A page of the same site, and one over plain HTTP, which could not send a Secure one.
        assert_eq!(attributes(&[vercel], &[("host", "my-chat.vercel.app"), page]), STRICT);
        assert_eq!(attributes(&[vercel], &[render, ("origin", "http://localhost:5173")]), STRICT);
        // Two customers of one host are two sites.
        assert_eq!(attributes(&[vercel], &[("host", "other.vercel.app"), page]), NONE);
        let own = "--client-url=https://www.example.co.uk";
        let page = ("origin", "https://www.example.co.uk");
        assert_eq!(attributes(&[own], &[("host", "api.example.co.uk:8443"), page]), STRICT);
        assert_eq!(attributes(&[own], &[("host", "API.Example.co.uk."), page]), STRICT);
        assert_eq!(attributes(&[own], &[("host", "example2.co.uk"), page]), NONE);
        assert_eq!(attributes(&[own], &[("host", "127.0.0.1:3000"), page]), NONE);
        // CHAT_PUBLIC_URL knows better than the request.
        let public = "--public-url=https://api.example.co.uk/chat";
        assert_eq!(attributes(&[own, public], &[("host", "10.0.0.7:3000"), page]), STRICT);
        assert_eq!(
            attributes(
                &[vercel, public],
                &[("host", "my-chat.vercel.app"), ("origin", "https://my-chat.vercel.app")]
            ),
            NONE
        );
    }

    #[test]
    fn who_is_no_page_gets_one_for_the_transport_they_use() {
        let vercel = "--client-url=https://my-chat.vercel.app";
        let render = ("host", "my-chat.onrender.com");
        assert_eq!(attributes(&[vercel], &[render]), STRICT, "plain HTTP");
        let https = ("x-forwarded-proto", "https");
        assert_eq!(attributes(&[vercel], &[render, https]), STRICT, "anybody could say so");
        assert_eq!(attributes(&[vercel, "--trust-proxy=1"], &[render, https]), NONE);
        assert_eq!(attributes(&["--trust-proxy=1"], &[render, https]), SECURE);
        assert_eq!(attributes(&[vercel, "--public-url=https://my-chat.onrender.com"], &[]), NONE);
        assert_eq!(attributes(&[], &[("host", "127.0.0.1"), ("origin", "https://localhost:5173")]), STRICT);
    }

    #[test]
    fn the_operator_overrules() {
        let page = [("host", "my-chat.onrender.com"), ("origin", "https://my-chat.vercel.app")];
        let vercel = "--client-url=https://my-chat.vercel.app";
        for (given, expected) in
            [("strict", STRICT), ("lax", "; HttpOnly; SameSite=Lax"), ("none", NONE), ("None", NONE)]
        {
            let given = format!("--cookie-samesite={given}");
            assert_eq!(attributes(&[vercel, &given], &page), expected);
            assert_eq!(attributes(&[&given], &[]), expected);
        }
        assert_eq!(attributes(&["--cookie-samesite="], &[]), STRICT, "an empty one is none");
    }

    #[test]
    fn sites_are_what_somebody_can_register() {
        for (url, expected) in [
            ("https://a.b.example.com:8443/x", "example.com"),
            ("https://EXAMPLE.com", "example.com"),
            ("https://a.github.io", "a.github.io"),
            ("https://github.io", "github.io"),
            ("https://localhost:5173", "localhost"),
            ("https://[::1]:5173", "::1"),
            ("https://10.1.2.3", "10.1.2.3"),
        ] {
            assert_eq!(host(url).map(site).as_deref(), Some(expected), "{url}");
        }
        assert_eq!(host("https://"), None);
    }
}
