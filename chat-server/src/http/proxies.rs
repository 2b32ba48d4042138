//! Warns the operator of a server that is behind a proxy but is not configured for it, or behind a proxy that omits
//! headers.
//!
//! Each warning is logged once per start, and contains nothing from the request, because any client can send these
//! headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{FORWARDED, HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderValue};

use crate::config::Config;
use crate::links::Base;

/// Headers that proxies add to forwarded requests.
const OF_PROXIES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

/// Other headers with which proxies report HTTPS. Only `X-Forwarded-Proto` is read.
const OTHER_SCHEMES: [(&str, &str); 4] = [
    ("x-forwarded-ssl", "on"),
    ("front-end-https", "on"),
    ("x-forwarded-scheme", "https"),
    ("x-url-scheme", "https"),
];

/// Which warnings were logged.
#[derive(Default)]
pub(crate) struct ProxyWarnings {
    /// The headers come from this machine or from a private network, so most likely from a proxy.
    nearby: AtomicBool,
    /// The headers come from another address. This warning is separate, so that it does not suppress the first one.
    elsewhere: AtomicBool,
    insecure_cookie: AtomicBool,
}

impl ProxyWarnings {
    /// Warns when a request has headers of a proxy, but no proxy is trusted.
    pub(super) fn observe(&self, request: &Request, trust_proxy: usize) {
        if trust_proxy > 0 || (is_set(&self.nearby) && is_set(&self.elsewhere)) {
            return;
        }
        if !OF_PROXIES.iter().any(|name| request.headers().contains_key(*name)) {
            return;
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let warned = if peer.is_none_or(is_nearby) { &self.nearby } else { &self.elsewhere };
        if warned.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            from = peer.map(tracing::field::display),
            remedy = "if a proxy of yours stands in front, set CHAT_TRUST_PROXY=1 (how many there are), and CHAT_HOST=127.0.0.1 \
                      if it is on this machine; until then everybody counts as one address, and the cookie is not Secure. \
                      Without a proxy somebody has made the headers up, and nothing is to be done",
            "a request came with headers of a proxy (X-Forwarded-For and its like), and no proxy is trusted"
        );
    }

    /// Called when a login cookie was set. Warns if it is not `Secure` although the request claims that it came by
    /// HTTPS.
    pub(crate) fn cookie_is_set(&self, is_insecure: bool, trust_proxy: usize) {
        if !is_insecure || self.insecure_cookie.swap(true, Ordering::Relaxed) {
            return;
        }
        let remedy = match trust_proxy {
            0 => {
                "set CHAT_TRUST_PROXY=1 (how many proxies of yours stand in front), and have the proxy set \
                 X-Forwarded-Proto: https"
            }
            _ => {
                "have the proxy set X-Forwarded-Proto: https for those who come to it by https; CHAT_TRUST_PROXY must be \
                 how many proxies stand in front"
            }
        };
        tracing::warn!(
            remedy,
            "a log-in cookie is not Secure, although its request claims to have come by https"
        );
    }
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// Whether an address is of this machine or of a private network, where proxies usually are.
fn is_nearby(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Whether a request claims that it came by HTTPS, other than by the header that is read: by another header of a
/// trusted proxy, or because it comes from a page of this server that was loaded by HTTPS.
pub(super) fn claims_https(headers: &HeaderMap, base: &Base, config: &Config) -> bool {
    (config.trust_proxy > 0 && says_https(headers))
        || [ORIGIN, REFERER]
            .iter()
            .any(|name| headers.get(name).is_some_and(|url| is_own(url, headers, base)))
}

fn says_https(headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| {
        headers
            .get(name)
            .is_some_and(|said| said.as_bytes().trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
    };
    // RFC 7239: `for=…;proto=https, for=…`; the value may be quoted.
    let is_https = |pair: &str| {
        pair.trim().split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proto") && value.trim_matches('"').eq_ignore_ascii_case("https")
        })
    };
    let forwarded = headers.get_all(FORWARDED).into_iter().filter_map(|value| value.to_str().ok());
    OTHER_SCHEMES.iter().any(|(name, value)| says(name, value))
        || forwarded.flat_map(|value| value.split([',', ';'])).any(is_https)
}

/// Whether a URL begins with `https` and the name of this server.
fn is_own(url: &HeaderValue, headers: &HeaderMap, base: &Base) -> bool {
    let Some(page) = url.to_str().ok().and_then(|url| host(url, "https://")) else { return false };
    let called = base.as_str().and_then(|base| host(base, "https://").or_else(|| host(base, "http://")));
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok()).map(without_port);
    [called, asked].into_iter().flatten().any(|own| own.eq_ignore_ascii_case(page))
}

/// The host and port of a URL with this scheme.
fn host<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let rest = url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme))?;
    let host = url[rest.len()..].split(['/', '?']).next()?;
    Some(without_port(host)).filter(|host| !host.is_empty())
}

/// Removes the default port of HTTPS, which origins omit.
fn without_port(host: &str) -> &str {
    host.strip_suffix(":443").unwrap_or(host)
}

#[cfg(test)]
mod tests;
