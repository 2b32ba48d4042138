//! Builds the router.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Router, middleware};
use chat_core::store::StoreError;
use serde_json::json as object;

use super::common::json;
use super::error::HttpError;
use super::served::Served;
use super::{client_files, docs, edge, own_page, page, route_table};
use crate::app::App;
use crate::transport::SocketIoEndpoint;

/// The router of everything that this server answers, to be served or mounted.
pub fn router(app: &Arc<App>, sockets: SocketIoEndpoint) -> Router {
    let socket_io = any(move |request| {
        let sockets = sockets.clone();
        async move { sockets.answer(request).await }
    });
    let path = &app.config.socket_path;
    let mut routes = Router::new()
        .route(&format!("{path}/"), socket_io.clone())
        .route(path, socket_io)
        .route(&format!("{path}/{{file}}"), get(client_file))
        .route("/healthz", get(|| async { json(StatusCode::OK, &object!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .merge(route_table::router(app));
    if app.config.docs {
        routes = routes.merge(docs::routes());
    }
    routes = match &app.config.static_dir {
        Some(dir) => routes.merge(page::folder(Served::new(dir, &app.config.private_paths), path.clone())),
        None => routes.merge(own_page::routes(&app.config)),
    };
    let mut routes = routes.method_not_allowed_fallback(method_not_allowed).with_state(app.clone());
    if let Some(disk) = &app.disk {
        routes = routes.merge(crate::media::routes(disk.clone()));
    }
    routes.layer(middleware::from_fn_with_state(app.clone(), edge::middleware))
}

async fn method_not_allowed(State(app): State<Arc<App>>, request: Request) -> HttpError {
    const MESSAGE: &str = "Method not allowed";
    let (method, path) = (request.method(), request.uri().path());
    if !edge::is_below(path, "/api") {
        return HttpError::new(StatusCode::METHOD_NOT_ALLOWED, MESSAGE);
    }
    // Browsers send preflight requests by themselves before cross-origin requests, so these are not reported.
    if *method != Method::OPTIONS {
        app.unknown.route(method, path, MESSAGE);
    }
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, MESSAGE)
}

/// The response for a path where nothing is served.
pub(super) fn nothing_here(app: &App, method: &Method, path: &str) -> HttpError {
    if !edge::is_below(path, "/api") {
        return HttpError::not_found();
    }
    HttpError::with_body(StatusCode::NOT_FOUND, &app.unknown.route(method, path, "Not found"))
}

async fn client_file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    client_files::serve(&name, &headers)
}

/// Whether this node is ready: not while it shuts down or its store is unavailable.
async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_draining() {
        return HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response();
    }
    let store = app.check_store().await;
    let away: Vec<_> = app.outages.away().into_iter().map(|(part, _)| part.name()).collect();
    // Without the bus this node sees changes of other nodes later, but it still works. The same holds for mail.
    let bus = app.hears_others().map(|hears| if hears { "up" } else { "down" });
    match store {
        Ok(()) => json(StatusCode::OK, &object!({ "status": "ready", "bus": bus, "away": away })),
        Err(error) => {
            // The message of a database may contain host names. The operator finds it in the log.
            let reason = match error {
                StoreError::Full(_) => "it cannot be written: the disk is full",
                StoreError::Unavailable(_) => "it is out of reach or cannot be written; the log says why",
                StoreError::Corrupt { .. } => "it was found damaged; the log says where",
                StoreError::Refused(_) | StoreError::Missing(_) => {
                    "it refuses to be written; the log says why"
                }
            };
            let message = "the store is unavailable";
            let body = object!({ "error": message, "message": message, "part": "store", "reason": reason, "away": away });
            HttpError::with_body(StatusCode::SERVICE_UNAVAILABLE, &body).into_response()
        }
    }
}
