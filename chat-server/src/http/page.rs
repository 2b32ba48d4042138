//! What a browser gets: a built frontend from a folder, or our own small page, which is part of the program.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::headers::Kind;
use super::served::{Find, Served};
use super::{HttpError, edge};
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
    (Extension(Kind::OwnPage), headers, bytes).into_response()
}

/// A built frontend: its files, and `index.html` for every path that its own router knows. What is private is not part of
/// it; see [`Served`].
pub(super) fn folder(served: Served) -> Router<Arc<App>> {
    let served = Arc::new(served);
    Router::new().fallback(move |request: Request| from_folder(served.clone(), request))
}

async fn from_folder(served: Arc<Served>, request: Request) -> Response {
    let path = request.uri().path();
    // A frontend waits for JSON there, not for a page.
    let is_api = ["/api", "/socket.io", "/media"].iter().any(|prefix| edge::is_below(path, prefix));
    if is_api || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpError::not_found().into_response();
    }
    let names_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let (parts, _) = request.into_parts();
    let found = match served.find(parts.uri.path()).await {
        Find::File(file) => file,
        // Nobody learns whether there is something.
        Find::Private => return HttpError::not_found().into_response(),
        Find::Folder(to) => return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Find::Nothing if names_a_file => return HttpError::not_found().into_response(),
        Find::Nothing => match served.find("/index.html").await {
            Find::File(file) => file,
            _ => return HttpError::not_found().into_response(),
        },
    };
    let request = Request::from_parts(parts, Body::empty());
    // The file as it was found, so that nothing is looked up a second time.
    let Ok(response) = ServeFile::new(found).oneshot(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        return HttpError::not_found().into_response();
    }
    let mut response = response.map(Body::new);
    response.extensions_mut().insert(Kind::Folder);
    response
}
