//! Serves stored pictures over HTTP.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, rejection::RawPathParamsRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::disk::DiskMedia;
use super::image::ImageKind;
use crate::http::headers::Kind;

/// GET and HEAD for `{public_prefix}/{name}`, to be merged into the server's router.
///
/// The file is sent unchanged, with its type, an `ETag` and `Last-Modified` (both work in conditional requests). Single
/// byte ranges are supported; a request for several ranges gets the whole file. Every error has a JSON body
/// `{"message": …}`.
///
/// Uploaded files are untrusted, so the response tells browsers not to guess another type, and not to run anything in a
/// file that is opened by itself. It may be cached for ever, because no name is used twice.
pub fn routes(disk: Arc<DiskMedia>) -> Router {
    let path = format!("{}/{{name}}", disk.public_prefix());
    let picture = get(move |params, request| serve(disk, params, request));
    let refuse = async || ([(header::ALLOW, "GET, HEAD")], error(StatusCode::METHOD_NOT_ALLOWED));
    let mark = async |mut response: Response| {
        response.extensions_mut().insert(Kind::Image);
        response
    };
    Router::new().route(&path, picture.fallback(refuse)).layer(map_response(mark))
}

async fn serve(
    disk: Arc<DiskMedia>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
) -> Response {
    // A path that is not UTF-8 is treated like any other invalid name.
    let params = params.ok();
    let name = params.as_ref().and_then(|params| params.iter().next());
    let Some((path, kind)) = name.and_then(|(_, name)| disk.locate(name)) else {
        return error(StatusCode::NOT_FOUND);
    };
    // `If-Range` requests the whole file unless it is unchanged. The whole file is always a valid response.
    if request.headers_mut().remove(header::IF_RANGE).is_some() {
        request.headers_mut().remove(header::RANGE);
    }
    let Ok(answer) = ServeFile::new(path).ignore_multi_range_requests(true).oneshot(request).await;
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        if status.is_server_error() {
            chat_core::log_throttled!(error, "a stored picture could not be read");
        }
        let mut refusal = error(status);
        if let Some(range) = answer.headers().get(header::CONTENT_RANGE) {
            refusal.headers_mut().insert(header::CONTENT_RANGE, range.clone());
        }
        return refusal;
    }
    let mut answer = answer.map(Body::new);
    add_headers(answer.headers_mut(), kind);
    answer
}

fn add_headers(headers: &mut HeaderMap, kind: ImageKind) {
    const FIXED: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::CONTENT_DISPOSITION, "inline"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        // Pages of other origins may display the picture.
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A response without a body, such as 304, has no type.
    if headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
    }
}

fn error(status: StatusCode) -> Response {
    let message = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::METHOD_NOT_ALLOWED => "Method not allowed",
        StatusCode::RANGE_NOT_SATISFIABLE => "Range not satisfiable",
        StatusCode::PRECONDITION_FAILED => "Precondition failed",
        _ => "Internal server error",
    };
    (status, axum::Json(serde_json::json!({ "message": message }))).into_response()
}

#[cfg(test)]
mod tests;
