//! Serves a built frontend from a folder. Without a folder the server serves [the built-in page](super::own_page).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::edge;
use super::error::HttpError;
use super::headers::Kind;
use super::router::nothing_here;
use super::served::{Find, Served};
use crate::app::App;

/// The routes of a built frontend: its files, and `index.html` for every path that its own router handles. Private
/// files are excluded; see [`Served`].
pub(super) fn folder(served: Served, socket_path: String) -> Router<Arc<App>> {
    let served = Arc::new((served, socket_path));
    Router::new().fallback(move |State(app): State<Arc<App>>, request: Request| {
        from_folder(app, served.clone(), request)
    })
}

async fn from_folder(app: Arc<App>, served: Arc<(Served, String)>, request: Request) -> Response {
    let (served, socket_path) = &*served;
    let path = request.uri().path();
    // A frontend expects JSON at these paths, not a page.
    let is_api = ["/api", socket_path, "/media"].iter().any(|prefix| edge::is_below(path, prefix));
    if is_api || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return nothing_here(&app, request.method(), path).into_response();
    }
    let names_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let (parts, _) = request.into_parts();
    let found = match served.find(parts.uri.path()).await {
        Find::File(file) => file,
        // The response is that of a missing file, so that it does not disclose whether the file exists.
        Find::Private => return HttpError::not_found().into_response(),
        Find::Folder(to) => return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Find::Nothing if names_a_file => return HttpError::not_found().into_response(),
        Find::Nothing => match served.find("/index.html").await {
            Find::File(file) => file,
            _ => return HttpError::not_found().into_response(),
        },
    };
    let request = Request::from_parts(parts, Body::empty());
    // Serves the file that was found, without a second path look-up.
    let Ok(response) = ServeFile::new(found).oneshot(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        return HttpError::not_found().into_response();
    }
    let mut response = response.map(Body::new);
    response.extensions_mut().insert(Kind::Folder);
    response
}
