//! The routes that are the same in every dialect: `GET /api/sync`, `POST /api/read`, `GET /api/unread`, `GET /api/search`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use chat_core::command::{Command, Reply};
use chat_core::id::UserId;
use serde::Serialize;

use super::search::Parameters;
use super::{read, search, sync};
use crate::app::App;
use crate::dialect::Route;
use crate::dialect::handler::RouteRequest;
use crate::http::{HttpError, RateLimit, caller, json, limit, with_rate};
use crate::links::Base;

/// When it is worth trying again while another search of the same person is made.
const BUSY: Duration = Duration::from_secs(1);

pub(super) fn all() -> Vec<Route> {
    vec![
        Route::command(Method::GET, "/api/sync", to_sync, answer),
        Route::command(Method::POST, "/api/read", to_read, answer),
        Route::command(Method::GET, "/api/unread", to_unread, answer),
        Route::get("/api/search", search_messages),
    ]
}

fn to_sync(request: &RouteRequest<'_>) -> Result<Command, HttpError> {
    Ok(sync::command(request.query("since"), request.limit()?)?.into())
}

fn to_read(request: &RouteRequest<'_>) -> Result<Command, HttpError> {
    let body = request.body.ok_or_else(HttpError::internal)?;
    Ok(read::mark(body.object()?)?.into())
}

fn to_unread(request: &RouteRequest<'_>) -> Result<Command, HttpError> {
    Ok(read::list(request.limit()?)?.into())
}

/// The same objects as by socket.
fn answer(user: UserId, reply: &Reply) -> Result<Response, HttpError> {
    fn ok(body: &impl Serialize) -> Result<Response, HttpError> {
        Ok(json(StatusCode::OK, body))
    }
    match reply {
        Reply::Changes(changes) => ok(&sync::answer(changes, user)),
        Reply::Read(mark) => ok(&read::marked(mark.as_ref())),
        Reply::Unread(unread) => ok(&read::listed(unread)),
        Reply::Found(found) => ok(&search::answer(found)),
        Reply::Done
        | Reply::Message(_)
        | Reply::Messages(_)
        | Reply::Users(_)
        | Reply::User(_)
        | Reply::Conversation(_)
        | Reply::Members(_) => Err(HttpError::internal()),
    }
}

/// Messages with these words. Not a plain command: a person has one search at a time, and the answer says how their limit
/// stands.
async fn search_messages(
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
    let base = Base::of(&headers, &app.config);
    let answered = match searched {
        Ok(found) => Ok(json(StatusCode::OK, &search::answer(&base.reply(found)))),
        Err(error) => Err(error.into()),
    };
    with_rate(answered, app.search_rate(caller.user.id))
}
