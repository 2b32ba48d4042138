//! Tests of [`site`](super).

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
    // A page of the same site, and one over plain HTTP, which could not send a `Secure` cookie.
    assert_eq!(attributes(&[vercel], &[("host", "my-chat.vercel.app"), page]), STRICT);
    assert_eq!(attributes(&[vercel], &[render, ("origin", "http://localhost:5173")]), STRICT);
    // Two customers of one hosting domain are two sites.
    assert_eq!(attributes(&[vercel], &[("host", "other.vercel.app"), page]), NONE);
    let own = "--client-url=https://www.example.co.uk";
    let page = ("origin", "https://www.example.co.uk");
    assert_eq!(attributes(&[own], &[("host", "api.example.co.uk:8443"), page]), STRICT);
    assert_eq!(attributes(&[own], &[("host", "API.Example.co.uk."), page]), STRICT);
    assert_eq!(attributes(&[own], &[("host", "example2.co.uk"), page]), NONE);
    assert_eq!(attributes(&[own], &[("host", "127.0.0.1:3000"), page]), NONE);
    // CHAT_PUBLIC_URL takes precedence over the request.
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
