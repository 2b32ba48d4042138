//! What a browser gets: a built frontend from a folder, or our own small page, which is part of the program.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

use super::HttpError;
use crate::app::App;

/// What our own page may load: itself, its server, and images.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: blob: http: https:; connect-src 'self' ws: wss:; style-src 'self'; \
     script-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
);

/// Our own page.
pub(super) fn own() -> Router<Arc<App>> {
    macro_rules! asset {
        ($type:literal, $path:literal) => {
            get(|| async { asset($type, include_bytes!(concat!("../../assets/", $path))) })
        };
    }
    Router::new()
        .route("/", asset!("text/html; charset=utf-8", "index.html"))
        .route("/index.html", asset!("text/html; charset=utf-8", "index.html"))
        .route("/assets/app.js", asset!("text/javascript; charset=utf-8", "app.js"))
        .route("/assets/style.css", asset!("text/css; charset=utf-8", "style.css"))
        .route("/assets/favicon.svg", asset!("image/svg+xml", "favicon.svg"))
        .route("/favicon.ico", asset!("image/svg+xml", "favicon.svg"))
        .route(
            "/assets/vendor/socket.io.min.js",
            asset!("text/javascript; charset=utf-8", "vendor/socket.io.min.js"),
        )
        .fallback(|| async { HttpError::not_found() })
}

fn asset(kind: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, bytes).into_response()
}

/// A built frontend: its files, and `index.html` for every path that its own router knows.
pub(super) fn folder(dir: &Path) -> Router<Arc<App>> {
    let files = ServeDir::new(dir).append_index_html_on_directories(true);
    let index = ServeFile::new(dir.join("index.html"));
    Router::new().fallback(move |request: Request| {
        let (files, index) = (files.clone(), index.clone());
        async move { from_folder(files, index, request).await }
    })
}

async fn from_folder(files: ServeDir, index: ServeFile, request: Request) -> Response {
    let path = request.uri().path();
    // A frontend waits for JSON there, not for a page.
    let is_api = ["/api", "/socket.io", "/media"]
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if is_api || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpError::not_found().into_response();
    }
    let names_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let (parts, _) = request.into_parts();
    let again = Request::from_parts(parts.clone(), Body::empty());
    let request = Request::from_parts(parts, Body::empty());
    let Ok(response) = files.oneshot(request).await;
    if response.status().as_u16() != 404 {
        return response.map(Body::new);
    }
    if names_a_file {
        return HttpError::not_found().into_response();
    }
    let Ok(response) = index.oneshot(again).await;
    if response.status().as_u16() == 404 {
        return HttpError::not_found().into_response();
    }
    response.map(Body::new)
}
