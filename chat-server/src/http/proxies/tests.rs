//! Tests of [`proxies`](super).

use axum::body::Body;
use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::Options;

fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
    given.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

fn claims(arguments: &[&str], given: &[(&'static str, &'static str)]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let command = Options::command().mut_args(|arg| arg.env(None));
    let data = format!("--data-dir={}", folder.path().display());
    let arguments = ["chat-server", &data].into_iter().chain(arguments.iter().copied());
    let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
    let config = Config::check(&options).unwrap();
    let headers = headers(given);
    claims_https(&headers, &Base::of(&headers, &config), &config)
}

#[test]
fn https_is_claimed_by_ones_own_page() {
    let host = ("host", "chat.example");
    for own in ["https://chat.example", "HTTPS://Chat.Example", "https://chat.example:443"] {
        let own = HeaderValue::from_static(own);
        let mut headers = headers(&[host]);
        headers.insert(ORIGIN, own);
        assert!(is_own(&headers[ORIGIN], &headers, &Base::default()));
    }
    assert!(claims(&[], &[host, ("referer", "https://chat.example/login?next=1")]));
    assert!(claims(&[], &[("host", "chat.example:8443"), ("origin", "https://chat.example:8443")]));
    // A proxy that does not forward the Host header, in front of a server with a configured URL.
    let inner = ("host", "127.0.0.1:3000");
    let origin = ("origin", "https://chat.example");
    assert!(claims(&["--public-url=https://chat.example"], &[inner, origin]));
    assert!(claims(&["--trust-proxy=1"], &[inner, ("x-forwarded-host", "chat.example"), origin]));
    assert!(!claims(&[], &[inner, ("x-forwarded-host", "chat.example"), origin]), "it is not trusted");
    assert!(!claims(&[], &[host, ("origin", "http://chat.example")]));
    assert!(!claims(&[], &[host, ("origin", "https://other.example")]));
    assert!(!claims(&[], &[host, ("origin", "null")]));
    assert!(!claims(&[], &[host, ("origin", "https://")]));
    assert!(!claims(&[], &[("host", "localhost:3000"), ("origin", "https://localhost:5173")]));
    assert!(!claims(&[], &[host]));
}

#[test]
fn https_is_claimed_by_headers_of_trusted_proxies() {
    for header in [
        ("forwarded", "for=10.0.0.1;proto=https"),
        ("forwarded", "for=10.0.0.1, for=10.0.0.2; Proto=\"https\""),
        ("x-forwarded-ssl", "on"),
        ("front-end-https", "On"),
        ("x-forwarded-scheme", "https"),
    ] {
        assert!(claims(&["--trust-proxy=1"], &[header]), "{header:?}");
        assert!(!claims(&[], &[header]), "{header:?}");
    }
    assert!(!claims(&["--trust-proxy=1"], &[("forwarded", "for=10.0.0.1;proto=http")]));
    assert!(!claims(&["--trust-proxy=1"], &[("forwarded", "for=\"proto=https\"")]));
}

#[test]
fn each_warning_is_written_once() {
    let warnings = ProxyWarnings::default();
    let written = || [&warnings.nearby, &warnings.elsewhere].map(is_set);
    let observe = |header: Option<&str>, peer: &str, trust_proxy| {
        let mut request = Request::new(Body::empty());
        if let Some(header) = header {
            request.headers_mut().insert(
                axum::http::HeaderName::from_bytes(header.as_bytes()).unwrap(),
                HeaderValue::from_static("x"),
            );
        }
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        warnings.observe(&request, trust_proxy);
    };
    observe(None, "127.0.0.1", 0);
    observe(Some("x-request-id"), "127.0.0.1", 0);
    observe(Some("x-forwarded-for"), "127.0.0.1", 1);
    assert_eq!(written(), [false, false]);
    observe(Some("x-forwarded-host"), "203.0.113.9", 0);
    assert_eq!(written(), [false, true]);
    observe(Some("forwarded"), "::ffff:10.1.2.3", 0);
    assert_eq!(written(), [true, true]);
}
