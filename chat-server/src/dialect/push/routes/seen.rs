//! What was seen, by REST: the forks of the family each have their own route, with PUT, POST or PATCH.
//!
//! ```text
//! PUT /api/messages/read/ANN     PUT /api/messages/seen/ANN     PUT /api/messages/mark-seen {"senderId":"ANN"}
//! POST /api/messages/mark-read {"messageIds":["ID",…]}          POST /api/messages/ID/read
//!     200 {"success":true,"message":"Messages marked as read","roomId":"…","seq":7}
//! ```

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use chat_core::command::{Destination, MarkRead};
use chat_core::error::Error;
use chat_core::id::{MessageId, UserId};
use chat_core::model::UserKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::message_not_found;
use crate::app::App;
use crate::dialect::Route;
use crate::dialect::described::Described;
use crate::dialect::push::described;
use crate::dialect::push::reading::{self, Form};
use crate::http::{Body, HttpError, caller, json};

pub(super) fn all() -> Vec<Route> {
    [
        any_of("/api/messages/read/:id", &of_person, described::SEEN_OF),
        any_of("/api/messages/seen/:id", &of_person, described::SEEN_OF),
        any_of("/api/messages/mark-read/:id", &of_person, described::SEEN_OF),
        any_of("/api/messages/mark-seen/:id", &of_person, described::SEEN_OF),
        any_of("/api/messages/mark-read", &of_form, described::SEEN),
        any_of("/api/messages/mark-seen", &of_form, described::SEEN),
        any_of("/api/messages/:id/read", &of_message, described::SEEN_MESSAGE),
        any_of("/api/messages/:id/seen", &of_message, described::SEEN_MESSAGE),
    ]
    .concat()
}

fn any_of<H, T>(path: &'static str, handler: &H, described: Described) -> Vec<Route>
where
    H: axum::handler::Handler<T, Arc<App>> + Sync,
    T: 'static,
{
    let methods = [Method::PUT, Method::POST, Method::PATCH];
    methods.into_iter().map(|method| Route::new(method, path, handler.clone()).described(described)).collect()
}

async fn of_person(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let person: UserId = id.parse().map_err(|_| HttpError::from(Error::UserNotFound))?;
    let command = reading::all_of(Destination::Person(UserKey::Id(person)));
    answer(&app, caller.user.id, command).await
}

async fn of_form(State(app): State<Arc<App>>, request: Request) -> Result<Response, HttpError> {
    let caller = caller(&app, request.headers()).await?;
    let body = Body::read(request).await?;
    let form: Form<'_> = body.object()?;
    answer(&app, caller.user.id, reading::command(form)?).await
}

async fn of_message(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let id: MessageId = id.parse().map_err(|_| message_not_found())?;
    let command = reading::these(vec![id]).ok_or_else(message_not_found)?;
    answer(&app, caller.user.id, command).await
}

/// Where the mark is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushMarked")]
pub(in crate::dialect::push) struct Marked {
    success: bool,
    message: &'static str,
    room_id: Option<String>,
    seq: u32,
}

async fn answer(app: &Arc<App>, user: UserId, command: MarkRead) -> Result<Response, HttpError> {
    let mark = app.dispatch(user, command).await.map_err(|error| match error {
        Error::MessageNotFound => message_not_found(),
        error => error.into(),
    })?;
    let marked = Marked {
        success: true,
        message: "Messages marked as read",
        room_id: mark.as_ref().map(|mark| mark.conversation.id.to_string()),
        seq: mark.as_ref().map_or(0, |mark| mark.seq.0),
    };
    Ok(json(StatusCode::OK, &marked))
}
