//! `GET /api/sync`; see [`crate::dialect::sync`].

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{HttpError, caller, json, limit, parameter};
use crate::app::App;
use crate::dialect::sync;
use crate::links::Base;

/// What happened after `since`.
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let query = query.as_deref();
    let command = sync::command(parameter(query, "since"), limit(query)?)?;
    let changes = app.dispatch(caller.user.id, command).await?;
    let changes = Base::of(&headers, &app.config).reply(changes);
    Ok(json(StatusCode::OK, &sync::answer(&changes, caller.user.id)))
}
