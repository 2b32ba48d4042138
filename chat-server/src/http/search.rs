//! `GET /api/search`; see [`crate::dialect::search`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::{HttpError, RateLimit, caller, json, limit, with_rate};
use crate::app::App;
use crate::dialect::search::{self, Parameters};
use crate::links::Base;

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
    // One at a time is a limit of its own.
    let searched =
        searched.ok_or_else(|| HttpError::limited(RateLimit { limit: 1, remaining: 0, reset: BUSY }))?;
    let answer = match searched.map(|found| Base::of(&headers, &app.config).reply(found)) {
        Ok(found) => Ok(json(StatusCode::OK, &search::answer(&found))),
        Err(error) => Err(error.into()),
    };
    with_rate(answer, app.search_rate(caller.user.id))
}
