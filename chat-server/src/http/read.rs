//! `POST /api/read` and `GET /api/unread`; see [`crate::dialect::read`].

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{Body, HttpError, caller, json, limit};
use crate::app::App;
use crate::dialect::read;
use crate::links::Base;

/// Moves the caller's mark.
pub(super) async fn read(State(app): State<Arc<App>>, request: Request) -> Result<Response, HttpError> {
    // Nobody's body is read before it is known who they are.
    let caller = caller(&app, request.headers()).await?;
    let body = Body::read_small(request).await?;
    let command = read::mark(body.object()?)?;
    let mark = app.dispatch(caller.user.id, command).await?;
    Ok(json(StatusCode::OK, &read::marked(mark.as_ref())))
}

/// What is unread to the caller.
pub(super) async fn unread(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let command = read::list(limit(query.as_deref())?)?;
    let unread = app.dispatch(caller.user.id, command).await?;
    let unread = Base::of(&headers, &app.config).reply(unread);
    Ok(json(StatusCode::OK, &read::listed(&unread)))
}
