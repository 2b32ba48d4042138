//! Whether a request comes from a page of another origin.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::Origins;
use crate::links;

/// Whether a request comes from a page of another origin that is not allowed to use this server. An `Origin` header
/// that is not text is never allowed. The server's own name comes from `Host`, and from `X-Forwarded-Host` where
/// proxies are trusted.
pub fn is_foreign(headers: &HeaderMap, allowed: &Origins, trust_proxy: usize) -> bool {
    headers.get_all(ORIGIN).into_iter().any(|origin| {
        let Ok(origin) = origin.to_str() else { return true };
        !is_own(origin, headers, trust_proxy) && !allowed.allow(origin)
    })
}

fn is_own(origin: &str, headers: &HeaderMap, trust_proxy: usize) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    // A page that was loaded over plain HTTP may be forged, so it does not count as own where the server uses HTTPS. The
    // reverse is possible: an outer proxy terminates TLS.
    if scheme != "https" && links::is_https(headers, trust_proxy) {
        return false;
    }
    // Proxies may include the default port, which origins omit.
    let port = if scheme == "https" { ":443" } else { ":80" };
    let forwarded = links::forwarded(headers, "x-forwarded-host", trust_proxy);
    forwarded.is_some_and(|own| own.strip_suffix(port).unwrap_or(own).eq_ignore_ascii_case(host))
        || headers.get_all(HOST).into_iter().any(|own| own == host)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(headers: &[(axum::http::HeaderName, &[u8])]) -> HeaderMap {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        headers.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
    }

    #[test]
    fn a_page_is_foreign_unless_its_origin_is_allowed() {
        let listed = Origins::Listed(vec!["https://page.example".into()]);
        let is_foreign = |origins: &[&[u8]], allowed: &Origins| {
            let origins = origins.iter().map(|origin| (ORIGIN, *origin));
            let all: Vec<_> = origins.chain([(HOST, &b"chat.example"[..])]).collect();
            super::is_foreign(&headers(&all), allowed, 0)
        };
        let any = Origins::Any(vec!["https://page.example".into()]);
        for allowed in [&listed, &any] {
            for own in [&[][..], &[&b"https://chat.example"[..]], &[b"https://page.example"]] {
                assert!(!is_foreign(own, allowed), "{own:?}");
            }
            for foreign in [
                &[&b"https://evil.example"[..]][..],
                &[b"null"],
                &[b""],
                &[b"https://chat.example\xff"],
                &[b"https://page.example\xff"],
                &[b"\xff"],
                &[b"https://page.example", b"https://evil.example"],
                &[b"https://page.example", b"\xff"],
            ] {
                assert!(is_foreign(foreign, allowed), "{foreign:?}");
            }
        }
        assert!(is_foreign(&[b"null"], &Origins::Loopback));
        assert!(!is_foreign(&[b"http://localhost:5173"], &Origins::Loopback));
    }

    #[test]
    fn a_page_behind_trusted_proxies_is_at_home_where_they_say() {
        let listed = Origins::Listed(vec!["https://page.example".into()]);
        let forwarded = |host: &'static [u8], proto: &'static [u8]| {
            [("x-forwarded-host", host), ("x-forwarded-proto", proto)]
                .map(|(name, value)| (axum::http::HeaderName::from_static(name), value))
        };
        let is_foreign = |origin: &'static str, host, proto, trust_proxy| {
            let own = [(ORIGIN, origin.as_bytes()), (HOST, &b"10.0.0.7:3000"[..])];
            let all: Vec<_> = own.into_iter().chain(forwarded(host, proto)).collect();
            super::is_foreign(&headers(&all), &listed, trust_proxy)
        };
        let own = "https://chat.example";
        assert!(!is_foreign(own, b"chat.example", b"https", 1));
        assert!(is_foreign(own, b"chat.example", b"https", 0), "anybody may say so");
        for host in [&b"chat.example:443"[..], b"Chat.Example", b"evil.example, chat.example"] {
            assert!(!is_foreign(own, host, b"https", 1), "{host:?}");
        }
        assert!(!is_foreign("https://chat.example:8443", b"chat.example:8443", b"https", 1));
        assert!(!is_foreign(own, b"chat.example", b"http", 1), "a proxy further out does https");
        assert!(!is_foreign("http://chat.example", b"chat.example:80", b"http", 1));
        assert!(!is_foreign("http://10.0.0.7:3000", b"", b"", 1), "it was not asked through a name");
        assert!(!is_foreign("https://page.example", b"chat.example", b"https", 1), "it is listed");
        for foreign in ["http://chat.example", "https://evil.example", "https://chat.example:8443", "null"] {
            assert!(is_foreign(foreign, b"chat.example", b"https", 1), "{foreign}");
        }
        assert!(is_foreign("https://evil.example", b"evil.example, chat.example", b"https", 1), "hearsay");
        assert!(!is_foreign(own, b"chat.example, inner", b"https, http", 2), "the outermost that is trusted");
    }
}
