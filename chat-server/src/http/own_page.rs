//! The built-in page, which is part of the program.
//!
//! Browsers cache its files and revalidate them each time (`no-cache` with an `ETag`), so its modules are always of the
//! same version, and an unchanged file costs no transfer. The server writes two values into `index.html`: the minimum
//! length of a password, and whether no account exists yet; see [`first_account`].

mod first_account;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use self::first_account::FirstAccount;
use super::headers::Kind;
use super::router::nothing_here;
use crate::app::App;
use crate::config::Config;

/// The Content-Security-Policy of the built-in page: it may load its own files, its server, and images.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: blob: http: https:; connect-src 'self' ws: wss:; style-src 'self'; \
     script-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
);

/// The attribute of `index.html` that contains the socket path.
const SOCKET_PATH: &str = r#"data-socket-path="/socket.io""#;

const INDEX: &str = include_str!("../../assets/index.html");

macro_rules! asset {
    ($type:literal, $path:literal) => {
        (concat!("/assets/", $path), $type, include_bytes!(concat!("../../assets/", $path)))
    };
}

/// Path, type and content of every file that `index.html` loads.
static ASSETS: &[(&str, &str, &[u8])] = &[
    asset!("text/javascript; charset=utf-8", "app.js"),
    asset!("text/javascript; charset=utf-8", "app/accounts.js"),
    asset!("text/javascript; charset=utf-8", "app/api.js"),
    asset!("text/javascript; charset=utf-8", "app/chat.js"),
    asset!("text/javascript; charset=utf-8", "app/composer.js"),
    asset!("text/javascript; charset=utf-8", "app/conversations.js"),
    asset!("text/javascript; charset=utf-8", "app/database.js"),
    asset!("text/javascript; charset=utf-8", "app/deleting.js"),
    asset!("text/javascript; charset=utf-8", "app/dom.js"),
    asset!("text/javascript; charset=utf-8", "app/drafts.js"),
    asset!("text/javascript; charset=utf-8", "app/live.js"),
    asset!("text/javascript; charset=utf-8", "app/message.js"),
    asset!("text/javascript; charset=utf-8", "app/outbox.js"),
    asset!("text/javascript; charset=utf-8", "app/people.js"),
    asset!("text/javascript; charset=utf-8", "app/pictures.js"),
    asset!("text/javascript; charset=utf-8", "app/profile.js"),
    asset!("text/javascript; charset=utf-8", "app/session.js"),
    asset!("text/javascript; charset=utf-8", "app/state.js"),
    asset!("text/javascript; charset=utf-8", "app/thread.js"),
    asset!("text/javascript; charset=utf-8", "app/toasts.js"),
    asset!("text/javascript; charset=utf-8", "app/words.js"),
    asset!("text/javascript; charset=utf-8", "theme.js"),
    asset!("text/javascript; charset=utf-8", "vendor/socket.io.min.js"),
    asset!("text/css; charset=utf-8", "style.css"),
    asset!("image/svg+xml", "favicon.svg"),
    ("/favicon.ico", "image/svg+xml", include_bytes!("../../assets/favicon.svg")),
];

/// The routes of the built-in page.
pub(super) fn routes(config: &Config) -> Router<Arc<App>> {
    let mut routes = Router::new();
    for (path, kind, content) in ASSETS {
        let asset = Asset::new(kind, Bytes::from_static(content));
        routes =
            routes.route(path, get(move |headers: HeaderMap| std::future::ready(asset.answer(&headers))));
    }
    let password_min = config.dialects.find("push").map_or(0, |dialect| dialect.limits().password_min);
    let index = Arc::new(Index::new(config.auth.passwords.min(password_min), &config.socket_path));
    let index = get(move |State(app): State<Arc<App>>, headers: HeaderMap| async move {
        let nobody = index.first_account.is_to_come(&app.chat).await;
        if nobody { index.first.answer(&headers) } else { index.usual.answer(&headers) }
    });
    routes.route("/", index.clone()).route("/index.html", index).fallback(
        |State(app): State<Arc<App>>, request: Request| async move {
            nothing_here(&app, request.method(), request.uri().path())
        },
    )
}

/// The page for a server without accounts, and for one with accounts.
struct Index {
    first: Asset,
    usual: Asset,
    first_account: FirstAccount,
}

impl Index {
    fn new(password_min: usize, socket_path: &str) -> Self {
        let page = INDEX.replace("data-password-min=\"6\"", &format!("data-password-min=\"{password_min}\""));
        // The configuration has checked the path, so nothing in it needs escaping.
        let page = page.replace(SOCKET_PATH, &format!(r#"data-socket-path="{socket_path}""#));
        let first = page.replace("data-first-account=\"false\"", "data-first-account=\"true\"");
        let asset = |page: String| Asset::new("text/html; charset=utf-8", page.into());
        Self { first: asset(first), usual: asset(page), first_account: FirstAccount::default() }
    }
}

/// A file with its response headers.
#[derive(Debug, Clone)]
pub(super) struct Asset {
    kind: &'static str,
    content: Bytes,
    etag: HeaderValue,
}

impl Asset {
    pub(super) fn new(kind: &'static str, content: Bytes) -> Self {
        let hash = hex::encode(&Sha256::digest(&content)[..12]);
        // Quoted hexadecimal digits are always a valid header value.
        let etag = HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { kind, content, etag }
    }

    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let etag = self.etag.as_bytes();
        // Proxies that compress turn an `ETag` into a weak one.
        let is_it =
            |known: &[u8]| known.trim_ascii().strip_prefix(b"W/").unwrap_or(known.trim_ascii()) == etag;
        let known = headers.get_all(IF_NONE_MATCH).into_iter();
        let is_known = known.flat_map(|known| known.as_bytes().split(|byte| *byte == b',')).any(is_it);
        let about = [
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, POLICY),
            (ETAG, self.etag.clone()),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, Extension(Kind::OwnPage), about).into_response();
        }
        let kind = [(CONTENT_TYPE, HeaderValue::from_static(self.kind))];
        (Extension(Kind::OwnPage), about, kind, self.content.clone()).into_response()
    }
}

#[cfg(test)]
mod tests;
