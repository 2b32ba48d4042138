//! What a browser gets: a built frontend from a folder, or our own small page, which is part of the program.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::headers::Kind;
use super::router::nothing_here;
use super::served::{Find, Served};
use super::{HttpError, edge};
use crate::app::App;

/// What our own page may load: itself, its server, and images.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data: blob: http: https:; connect-src 'self' ws: wss:; style-src 'self'; \
     script-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
);

/// Our own page, which finds its sockets at this path.
pub(super) fn own(socket_path: &str) -> Router<Arc<App>> {
    let index = include_str!("../../assets/index.html").replacen(SOCKET_PATH, &own_attribute(socket_path), 1);
    let index = Bytes::from(index);
    let index = get(move || {
        let index = index.clone();
        async move { asset("text/html; charset=utf-8", index) }
    });
    macro_rules! asset {
        ($type:literal, $path:literal) => {
            get(|| async {
                asset($type, Bytes::from_static(include_bytes!(concat!("../../assets/", $path))))
            })
        };
    }
    Router::new()
        .route("/", index.clone())
        .route("/index.html", index)
        .route("/assets/app.js", asset!("text/javascript; charset=utf-8", "app.js"))
        .route("/assets/style.css", asset!("text/css; charset=utf-8", "style.css"))
        .route("/assets/favicon.svg", asset!("image/svg+xml", "favicon.svg"))
        .route("/favicon.ico", asset!("image/svg+xml", "favicon.svg"))
        .route(
            "/assets/vendor/socket.io.min.js",
            asset!("text/javascript; charset=utf-8", "vendor/socket.io.min.js"),
        )
        .fallback(|State(app): State<Arc<App>>, request: Request| async move {
            nothing_here(&app, request.method(), request.uri().path())
        })
}

/// What our page has where it says where its sockets are.
const SOCKET_PATH: &str = r#"data-socket-path="/socket.io""#;

/// The path was checked: there is nothing in it that would have to be escaped.
fn own_attribute(socket_path: &str) -> String {
    format!(r#"data-socket-path="{socket_path}""#)
}

fn asset(kind: &'static str, bytes: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (Extension(Kind::OwnPage), headers, bytes).into_response()
}

/// A built frontend: its files, and `index.html` for every path that its own router knows. What is private is not part of
/// it; see [`Served`].
pub(super) fn folder(served: Served, socket_path: String) -> Router<Arc<App>> {
    let served = Arc::new((served, socket_path));
    Router::new().fallback(move |State(app): State<Arc<App>>, request: Request| {
        from_folder(app, served.clone(), request)
    })
}

async fn from_folder(app: Arc<App>, served: Arc<(Served, String)>, request: Request) -> Response {
    let (served, socket_path) = &*served;
    let path = request.uri().path();
    // A frontend waits for JSON there, not for a page.
    let is_api = ["/api", socket_path, "/media"].iter().any(|prefix| edge::is_below(path, prefix));
    if is_api || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return nothing_here(&app, request.method(), path).into_response();
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
