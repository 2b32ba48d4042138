//! The login cookie, written in the format of Express and parsed as browsers send it (RFC 6265).
//!
//! The crate `cookie` is not used: it writes the attributes in another order than Express, which the wire contracts
//! require. It also parses only text, while other cookies of a request may contain any bytes.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use chat_core::clock::Timestamp;

/// The maximum number of login cookies of a request that are checked. A browser has one for each path and parent
/// domain.
const MAX_COOKIES: usize = 16;

/// The login cookies of a request, at most 16: name and value of those with one of these names, in the order of the
/// header.
pub fn tokens<'a>(
    headers: &'a HeaderMap,
    names: &'a [&'static str],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let cookies = headers.get_all(COOKIE).into_iter().map(|value| value.as_bytes());
    cookies.flat_map(|header| in_header(header, names)).take(MAX_COOKIES)
}

/// All login cookies in one `Cookie` header. Other cookies may contain any bytes: browsers send them as they were set,
/// and RFC 6265 requires servers to accept that.
pub fn in_header<'a>(
    header: &'a [u8],
    names: &'a [&'static str],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let pairs = header.split(|byte| *byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..at].trim_ascii(), &pair[at + 1..]))
    });
    pairs.filter_map(|(given, value)| {
        let name = names.iter().find(|name| name.as_bytes() == given)?;
        Some((*name, std::str::from_utf8(value).ok()?.trim().trim_matches('"')))
    })
}

/// To which pages' requests browsers add the cookie (draft-ietf-httpbis-rfc6265bis, section 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SameSite {
    /// Those of the same site only.
    Strict,
    /// Also when somebody follows a link to it.
    Lax,
    /// Those of every site. Browsers want it to be `Secure`.
    None,
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The cookie attributes that depend on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// From which pages the browser sends the cookie.
    pub same_site: SameSite,
    /// The browser never sends it over plain HTTP.
    pub secure: bool,
}

impl std::fmt::Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secure = if self.secure { "; Secure" } else { "" };
        write!(f, "; HttpOnly{secure}; SameSite={}", self.same_site.as_str())
    }
}

/// The value of a `Set-Cookie` header.
#[derive(Debug, PartialEq, Eq)]
pub struct Cookie(String);

impl Cookie {
    /// The cookie that a login sets.
    pub fn log_in(name: &str, token: &str, life: Duration, now: Timestamp, attributes: Attributes) -> Self {
        let expires = http_date(now.after(life));
        let life = life.as_secs();
        Self(format!("{name}={token}; Max-Age={life}; Path=/; Expires={expires}{attributes}"))
    }

    /// The cookie that a logout sets: it deletes the login cookie.
    pub fn log_out(name: &str, now: Timestamp, attributes: Attributes) -> Self {
        Self(format!("{name}=; Max-Age=0; Path=/; Expires={}{attributes}", http_date(now)))
    }

    /// The header value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A date in the format of RFC 9110, section 5.6.7: `Sat, 21 Nov 2026 03:04:05 GMT`.
fn http_date(at: Timestamp) -> String {
    // The format has four digits for the year. Times before 1970 become 1970.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(at.as_millis()).unwrap_or(0) / 1_000;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn cookies_look_like_those_of_express() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        let week = Duration::from_secs(604_800);
        let attributes = |same_site, secure| Attributes { same_site, secure };
        assert_eq!(
            Cookie::log_in("jwt", "a.b.c", week, now, attributes(SameSite::Strict, false)).as_str(),
            "jwt=a.b.c; Max-Age=604800; Path=/; Expires=Tue, 21 Nov 2023 22:13:20 GMT; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            Cookie::log_out("jwt", now, attributes(SameSite::None, true)).as_str(),
            "jwt=; Max-Age=0; Path=/; Expires=Tue, 14 Nov 2023 22:13:20 GMT; HttpOnly; Secure; SameSite=None"
        );
        for (odd, shown) in
            [(-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT")]
        {
            assert_eq!(http_date(Timestamp::from_millis(odd)), shown);
        }
    }

    #[test]
    fn several_cookies_are_all_found() {
        let found: Vec<_> =
            in_header(b"a=b;jwt=one; sid=two;xjwt=no; jwt=\"three\"; jwt", &["jwt", "sid"]).collect();
        assert_eq!(found, [("jwt", "one"), ("sid", "two"), ("jwt", "three")]);
    }

    #[test]
    fn other_cookies_may_hold_any_bytes() {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, value(b"name=J\xf6rg; jwt=one; \xff=\xfe; jwt=\xff"));
        headers.append(COOKIE, value("city=Łódź; jwt=two".as_bytes()));
        assert_eq!(tokens(&headers, &["jwt"]).collect::<Vec<_>>(), [("jwt", "one"), ("jwt", "two")]);
    }

    #[test]
    fn not_every_cookie_of_thousands_is_looked_at() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(&"jwt=a.b.c;".repeat(5_000)).unwrap());
        assert_eq!(tokens(&headers, &["jwt"]).count(), MAX_COOKIES);
    }
}
