//! The routes of the commands, generated from their table, and the route of `batch`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chat_core::command::{Command, Reply, Request as _, SendMessage, UpdateProfile};
use chat_core::id::UserId;
use chat_core::model::{Content, ProfilePatch};
use chat_core::policy;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Native;
use super::accounts;
use super::arguments::Arguments;
use super::batch;
use super::events::Fields;
use super::row::Row;
use super::table::rows;
use crate::app::App;
use crate::auth::Authenticated;
use crate::dialect::answer::acknowledgement;
use crate::dialect::field::Nothing;
use crate::dialect::payload::MAX_IMAGE_BYTES;
use crate::dialect::{Call, Dialect, Registered, Route, Whereabouts};
use crate::http::{Body, HttpError, caller, json, parameters, with_rate};
use crate::limits::RateLimit;
use crate::links::Base;
use crate::media::{Media, Purpose};

/// How long a client should wait before it retries while another search of the same user runs.
const BUSY: Duration = Duration::from_secs(1);

pub(super) fn all() -> Vec<Route> {
    let mut routes = accounts::all();
    routes.extend(crate::files::routes::all());
    for row in rows() {
        let handler = move |app, dialect, parameters, uri, headers, request| async move {
            in_full(answer(row, Form::Full, app, dialect, parameters, uri, headers, request).await)
        };
        routes.push(Route::new(row.method.clone(), row.path, handler).described(row.described()));
        let Some(old) = &row.old else { continue };
        let handler = move |app, dialect, parameters, uri, headers, request| {
            answer(row, Form::Plain, app, dialect, parameters, uri, headers, request)
        };
        routes.push(Route::new(row.method.clone(), old.path, handler).described(row.described_as_before()));
    }
    let batch = Route::post(batch::PATH, async |app, dialect, headers, request| {
        in_full(answer_batch(app, dialect, headers, request).await)
    });
    routes.push(batch.described(batch::DESCRIBED));
    routes
}

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The same as an acknowledgement.
    Full,
    /// Only the fields, as for routes that are older than the table. Such a route also requires a body.
    Plain,
}

#[expect(clippy::too_many_arguments, reason = "they are the extractors of a handler")]
async fn answer(
    row: &'static Row,
    form: Form,
    State(app): State<Arc<App>>,
    dialect: Registered,
    in_path: RawPathParams,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let mut arguments = Arguments::of(row.fields, Some(caller.user.id));
    arguments.session = caller.identity.session;
    arguments.may_hold_images = true;
    for (name, (_, value)) in row.in_path().zip(&in_path) {
        arguments = arguments.with_plain(name, Cow::Borrowed(value));
    }
    let body;
    if matches!(row.method, Method::GET | Method::DELETE) {
        for (name, value) in parameters(uri.query()) {
            arguments = arguments.with_plain(&name, value);
        }
    } else {
        body = match row.may_be_large() {
            true => Body::read(request).await?,
            false => Body::read_small(request).await?,
        };
        if !body.is_empty() || !may_have_no_body(row, form) {
            arguments = arguments.with_object(body.object::<&RawValue>()?.get())?;
        }
    }
    let command = row.command(&arguments)?;
    drop(arguments);
    let (user, now) = (caller.user.id, app.chat.now());
    spoken(&app, &caller, &dialect).check(user, command.as_command(), now)?;
    carry_out(&app, &headers, user, command, (row.status(), form)).await
}

/// Whether a request may come without a body: if the event may come without an object, or if the path identifies the
/// target.
fn may_have_no_body(row: &Row, form: Form) -> bool {
    form == Form::Full && row.may_have_no_body()
}

/// The client's own dialect. Its limits also apply to requests to the native routes.
fn spoken<'a>(app: &'a App, caller: &Authenticated, route: &'a Registered) -> &'a Registered {
    app.config.dialects.told_by(&caller.identity).unwrap_or(route)
}

/// Executes a command and answers it. Two kinds of commands are handled separately: searches, because a user may run
/// only one at a time, and messages with an image. Answers to rate-limited commands report the state of the limit.
async fn carry_out(
    app: &Arc<App>,
    headers: &HeaderMap,
    user: UserId,
    command: Command,
    (status, form): (StatusCode, Form),
) -> Result<Response, HttpError> {
    let base = Base::of(headers, &app.config);
    let seen = app.presence.seen_by(&app.chat, user).await;
    let whereabouts = Whereabouts::new(&seen);
    let shown = |reply: Result<Reply, HttpError>| {
        reply.map(|reply| show(&base, (user, whereabouts), reply, (status, form)))
    };
    match command {
        Command::Search(search) => {
            let searched = app.search_unless_busy(user, search).await;
            // One search at a time is a rate limit of its own.
            let busy = || HttpError::limited(RateLimit { limit: 1, remaining: 0, reset: BUSY });
            let reply = searched.ok_or_else(busy)?.map(Reply::from).map_err(HttpError::from);
            with_rate(shown(reply), app.search_rate(user))
        }
        Command::SendMessage(send) => {
            let reply = match &send.content.image {
                Some(_) => send_with_image(app, user, send).await,
                None => app.dispatch(user, send).await.map(Reply::from).map_err(HttpError::from),
            };
            with_rate(shown(reply), app.send_rate(user))
        }
        Command::UpdateProfile(UpdateProfile {
            patch: ProfilePatch { full_name, picture: Some(picture) },
        }) => {
            let media = Media::from_data_url(&picture, MAX_IMAGE_BYTES, Purpose::ProfilePicture)?;
            let patch = |picture| ProfilePatch { full_name, picture: Some(picture) };
            let command = move |picture| UpdateProfile { patch: patch(picture) };
            shown(app.dispatch_with_image(user, media, command).await.map(Reply::from))
        }
        command => shown(app.dispatch(user, command).await.map_err(HttpError::from)),
    }
}

async fn send_with_image(app: &Arc<App>, user: UserId, send: SendMessage) -> Result<Reply, HttpError> {
    let image = send.content.image.as_deref().unwrap_or_default();
    let media = Media::from_data_url(image, MAX_IMAGE_BYTES, Purpose::MessageImage)?;
    // Check the rest of the message before the image is stored, so that a refused message stores no image.
    policy::check_content(
        &Content { image: Some(String::new()), ..send.content.clone() },
        app.chat.limits(),
    )?;
    let command =
        move |image| SendMessage { content: Content { image: Some(image), ..send.content }, ..send };
    app.dispatch_with_image(user, media, command).await.map(Reply::from)
}

fn show(
    base: &Base,
    (user, whereabouts): (UserId, Whereabouts<'_>),
    reply: Reply,
    (status, form): (StatusCode, Form),
) -> Response {
    let reply = base.reply(reply);
    let fields = Fields::of(&reply, user, whereabouts);
    match (form, fields) {
        (Form::Full, Some(fields)) => accepted(status, &fields),
        (Form::Full, None) => accepted(status, &Nothing {}),
        (Form::Plain, Some(fields)) => json(StatusCode::OK, &fields),
        (Form::Plain, None) => json(StatusCode::OK, &Nothing {}),
    }
}

async fn answer_batch(
    State(app): State<Arc<App>>,
    dialect: Registered,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let body = Body::read(request).await?;
    let commands =
        batch::commands(&body.object()?, &Call::of(caller.user.id).in_session(caller.identity.session))?;
    let base = Base::of(&headers, &app.config);
    // Errors on this route name their fields, whatever the client's dialect does.
    let limits = spoken(&app, &caller, &dialect);
    let results = batch::carry_out(&app, (limits, &dialect), caller.user.id, &base, commands).await;
    Ok(accepted(StatusCode::OK, &results))
}

/// An answer in the form of an acknowledgement.
pub(super) fn accepted(status: StatusCode, fields: &impl Serialize) -> Response {
    json(status, &acknowledgement(fields))
}

/// An answer whose refusal has the form of an acknowledgement, plus the `message` that every error has.
pub(super) fn in_full(answer: Result<Response, HttpError>) -> Response {
    answer.unwrap_or_else(|error| error.in_full(|failure| Native.refusal(failure)).into_response())
}
