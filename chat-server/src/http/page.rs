//! What a browser gets from a folder: a built frontend. Without one it gets [our own page](super::own_page).

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
