//! `GET /api/search`; see [`crate::dialect::search`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use chat_core::command::Reply;

use super::{HttpError, caller, json, limit};
use crate::app::App;
use crate::dialect::search::{self, Parameters};

/// When it is worth trying again while another search of the same person is made.
const BUSY: Duration = Duration::from_secs(1);

/// Messages with these words.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    // The rejection quotes nothing that was asked for, but is not JSON.
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map_err(|_| HttpError::bad_request("the parameters cannot be read"))?;
    let parameter = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let command = search::command(&Parameters {
        q: parameter("q"),
        room_id: parameter("roomId"),
        user_id: parameter("userId"),
        username: parameter("username"),
        before: parameter("before"),
        limit: limit(uri.query())?,
    })?;
    let searched = app.search_unless_busy(caller.user.id, command).await;
    let Reply::Found(found) = searched.ok_or_else(|| HttpError::too_many(BUSY))?? else {
        return Err(HttpError::internal());
    };
    Ok(json(StatusCode::OK, &search::answer(&found)))
}
