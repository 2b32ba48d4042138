//! `GET /api/sync`; see [`crate::dialect::sync`].

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chat_core::command::Reply;

use super::{HttpError, caller, json};
use crate::app::App;
use crate::dialect::sync;

/// What happened after `since`.
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let parameter = |name: &str| {
        let pairs = query.as_deref().unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let limit = match parameter("limit") {
        Some(limit) => {
            Some(limit.parse().map_err(|_| HttpError::bad_request("limit must be a whole number from 1"))?)
        }
        None => None,
    };
    let command = sync::command(parameter("since"), limit);
    let command = command.map_err(|error| HttpError::bad_request(&error.to_string()))?;
    let Reply::Changes(changes) = app.dispatch(caller.user.id, command).await? else {
        return Err(HttpError::internal());
    };
    Ok(json(StatusCode::OK, &sync::answer(&changes, caller.user.id)))
}
