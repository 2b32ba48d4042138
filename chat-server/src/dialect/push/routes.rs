//! The REST routes of the family.

mod seen;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, LINK, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use chat_core::chat::Registration;
use chat_core::command::{
    self, DeleteMessage, Destination, History, ListChatPartners, ListUsers, ReadHistory, RestoreMessage,
    SendMessage,
};
use chat_core::error::{Error, ErrorKind};
use chat_core::history::Window;
use chat_core::id::{MessageId, UserId};
use chat_core::model::{ClientId, Content, MessageView, PasswordHash, ProfilePatch, Seq, User, UserKey};
use chat_core::policy;
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use self::seen::Marked;
use super::shapes::{MessageObject, Nested};
use super::{COOKIE, changed, described};
use crate::app::{App, LogIn};
use crate::auth::password_rules::PasswordProblem;
use crate::dialect::payload::{MAX_IMAGE_BYTES, Text, client_id};
use crate::dialect::route::Names;
use crate::dialect::shapes::{UserFields, UserObject};
use crate::dialect::{Registered, Route};
use crate::http::cookie::{self, Cookie};
use crate::http::{Address, Body, HttpError, Origin, bearer, caller, is_foreign, json, parameter, with_rate};
use crate::limits::LONG_BYTES;
use crate::links::Base;
use crate::media::{Media, MediaError, Purpose};

pub(super) fn all() -> Vec<Route> {
    let mut routes = vec![
        Route::post("/api/auth/signup", signup).described(described::SIGNUP),
        Route::post("/api/auth/login", login).for_bodies_with(&["email"]).described(described::LOGIN),
        Route::post("/api/auth/logout", logout).described(described::LOGOUT),
        Route::get("/api/auth/check", check).described(described::CHECK),
        Route::put("/api/auth/update-profile", update_profile).described(described::UPDATE_PROFILE),
        Route::get("/api/messages/contacts", contacts).described(described::CONTACTS),
        Route::get("/api/messages/users", contacts).described(described::CONTACTS),
        Route::get("/api/messages/chats", chats).described(described::CHATS),
        Route::get("/api/messages/:id", messages).for_ids_of(Names::User).described(described::MESSAGES),
        Route::delete("/api/messages/:id", delete_message)
            .for_ids_of(Names::Message)
            .described(described::DELETE),
        Route::post("/api/messages/send/:id", send).described(described::SEND),
        Route::delete("/api/messages/delete/:id", delete_message).described(described::DELETE),
        Route::put("/api/messages/:id/restore", restore_message).described(described::RESTORE),
    ];
    routes.extend(seen::all());
    routes.extend(changed::routes());
    routes
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signup<'a> {
    #[serde(borrow, default)]
    full_name: Text<'a>,
    /// Some forks send the full name in this field.
    #[serde(borrow, default)]
    name: Text<'a>,
    /// Other forks send it in this field.
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    email: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

async fn signup(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpError> {
    may_set_cookie(&app, &headers)?;
    let form: Signup<'_> = body.object()?;
    let given = |text: Option<std::borrow::Cow<'_, str>>| {
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mut full_name = given(form.full_name.optional("fullName")?);
    for (field, called) in [("name", form.name), ("username", form.username)] {
        if full_name.is_none() {
            full_name = given(called.optional(field)?);
        }
    }
    let email = given(form.email.optional("email")?);
    let password = form.password.optional("password")?.filter(|password| !password.is_empty());
    let (Some(full_name), Some(email), Some(password)) = (full_name, email, password) else {
        return Err(HttpError::bad_request("All fields are required"));
    };
    let password = app.config.auth.passwords.check(password.into_owned(), dialect.limits().password_min);
    let password = password.map_err(|problem| match problem {
        PasswordProblem::TooShort(least) => {
            HttpError::bad_request(&format!("Password must be at least {least} characters"))
        }
        problem => HttpError::bad_request(&format!("Password {problem}")),
    })?;
    if policy::check_email(&email).is_err() {
        return Err(HttpError::bad_request("Invalid email format"));
    }
    let registration =
        Registration { username: None, email: Some(email), full_name, password_hash: PasswordHash::new("") };
    let registered = app.register(address, password, registration).await;
    let registered = registered.map_err(|error| match error.core() {
        Some(Error::EmailTaken) => HttpError::bad_request("Email already exists"),
        _ => error,
    });
    let answer = registered.map(|user| logged_in(&app, &dialect, &user, StatusCode::CREATED, &origin));
    with_rate(answer, app.sign_up_rate(address))
}

#[derive(serde::Deserialize)]
struct Login<'a> {
    #[serde(borrow, default)]
    email: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

async fn login(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpError> {
    may_set_cookie(&app, &headers)?;
    let form: Login<'_> = body.object()?;
    let given = |text: std::borrow::Cow<'_, str>| (!text.is_empty()).then(|| text.into_owned());
    let email = form.email.optional("email")?.and_then(given);
    let password = form.password.optional("password")?.and_then(given);
    let (Some(email), Some(password)) = (email, password) else {
        return Err(HttpError::bad_request("Email and password are required"));
    };
    let key = UserKey::Email(email.trim().to_owned());
    let answer = match app.log_in(address, key.clone(), password).await {
        Ok(LogIn::Welcome(user)) => Ok(logged_in(&app, &dialect, &user, StatusCode::OK, &origin)),
        // The message is the same whether the account exists or not.
        Ok(LogIn::WrongPassword | LogIn::Unknown) => Err(HttpError::bad_request("Invalid credentials")),
        Err(error) => Err(error),
    };
    with_rate(answer, app.log_in_rate(address, &key))
}

/// Refuses pages of other origins. Such a page could otherwise log a browser in to another account, or log it out,
/// with a form that needs no CORS permission.
fn may_set_cookie(app: &App, headers: &HeaderMap) -> Result<(), HttpError> {
    if is_foreign(headers, &app.config.origins, app.config.trust_proxy) {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "This page may not log in here"));
    }
    Ok(())
}

fn logged_in(
    app: &Arc<App>,
    dialect: &Registered,
    user: &Arc<User>,
    status: StatusCode,
    origin: &Origin,
) -> Response {
    let token = app.auth.issue(user, dialect);
    app.proxies.cookie_is_set(origin.is_insecure, app.config.trust_proxy);
    let cookie = Cookie::log_in(COOKIE, &token, app.auth.token_life(), app.chat.now(), origin.cookie);
    let user = origin.base.user(user);
    let token = app.config.token_in_body.then_some(&*token);
    with_cookie(json(status, &LoggedIn { user: user_object(app, &user), token }), &cookie)
}

/// A new log-in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushLoggedIn")]
pub(super) struct LoggedIn<'a> {
    #[serde(flatten)]
    #[schemars(with = "UserFields<'a>")]
    user: UserObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

fn with_cookie(mut response: Response, cookie: &Cookie) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie.as_str()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// That one is logged out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushLoggedOut")]
pub(super) struct LoggedOut {
    message: &'static str,
}

async fn logout(
    State(app): State<Arc<App>>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    may_set_cookie(&app, &headers)?;
    let cookies = cookie::tokens(&headers, app.config.dialects.cookies()).map(|(_, token)| token);
    for token in cookies.chain(bearer(&headers)) {
        app.log_out(token).await?;
    }
    let body = LoggedOut { message: "User logged out successfully" };
    Ok(with_cookie(json(StatusCode::OK, &body), &Cookie::log_out(COOKIE, app.chat.now(), origin.cookie)))
}

async fn check(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let base = Base::of(&headers, &app.config);
    Ok(json(StatusCode::OK, &Nested("user", user_object(&app, &base.user(&caller.user)))))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateProfile<'a> {
    #[serde(borrow, default)]
    profile_pic: Text<'a>,
    #[serde(borrow, default)]
    full_name: Text<'a>,
}

async fn update_profile(
    State(app): State<Arc<App>>,
    origin: Origin,
    request: Request,
) -> Result<Response, HttpError> {
    // Authenticate before the body is read.
    let caller = caller(&app, request.headers()).await?;
    let body = Body::read(request).await?;
    let form: UpdateProfile<'_> = body.object()?;
    let picture = form.profile_pic.optional("profilePic")?.filter(|picture| !picture.is_empty());
    let full_name = form.full_name.optional("fullName")?.map(std::borrow::Cow::into_owned);
    let user = match picture {
        Some(picture) => {
            let media = Media::from_data_url(&picture, MAX_IMAGE_BYTES, Purpose::ProfilePicture)?;
            let patch = |picture| ProfilePatch { full_name, picture: Some(picture) };
            let command = |picture| command::UpdateProfile { patch: patch(picture) };
            app.dispatch_with_image(caller.user.id, media, command).await?
        }
        None if full_name.is_none() => return Err(HttpError::bad_request("Profile pic is required")),
        None => {
            let patch = ProfilePatch { full_name, picture: None };
            app.dispatch(caller.user.id, command::UpdateProfile { patch }).await?
        }
    };
    let user = origin.base.reply(user);
    Ok(json(StatusCode::OK, &Nested("updatedUser", user_object(&app, &user))))
}

impl From<MediaError> for HttpError {
    fn from(error: MediaError) -> Self {
        if error.is_client_error() {
            return match error {
                MediaError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
                _ => Self::bad_request(&error.to_string()),
            };
        }
        // The code where the error occurred logs the cause.
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The image could not be stored. Please try again later.")
    }
}

async fn contacts(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    people(&app, &headers, ListUsers { limit: App::MAX_USERS }).await
}

async fn chats(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    people(&app, &headers, ListChatPartners { limit: App::MAX_USERS }).await
}

async fn people(
    app: &Arc<App>,
    headers: &HeaderMap,
    command: impl command::Request<Reply = Vec<Arc<User>>>,
) -> Result<Response, HttpError> {
    let caller = caller(app, headers).await?;
    let users = app.dispatch(caller.user.id, command).await?;
    let users = Base::of(headers, &app.config).reply(users);
    let seen = app.presence.seen_by(&app.chat, caller.user.id).await;
    let people: Vec<_> =
        users.iter().map(|user| UserObject { user, online: Some(seen(user).online) }).collect();
    Ok(json(StatusCode::OK, &people))
}

async fn messages(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let nothing: [(); 0] = [];
    let query = query.as_deref();
    let limit = parameter(query, "limit").and_then(|limit| limit.parse().ok());
    let before = parameter(query, "before").map(|seq| seq.parse().map(Seq));
    let before = before.transpose().map_err(|_| HttpError::bad_request("before must be a whole number"))?;
    let Ok(other) = id.parse::<UserId>() else { return Ok(json(StatusCode::OK, &nothing)) };
    let window = Window::before(before, limit.unwrap_or(Window::MAX_LIMIT));
    let of = Destination::Person(UserKey::Id(other));
    let command = ReadHistory { of, window, include_deleted: false };
    let history = app.dispatch(caller.user.id, command).await;
    match history.map(|history| Base::of(&headers, &app.config).reply(history)) {
        Ok(history) => {
            let bytes: usize = history.messages.iter().map(|view| view.message.content.text.len()).sum();
            let answer = move || {
                let list: Vec<_> = history.messages.iter().filter_map(MessageObject::of).collect();
                with_next_page(json(StatusCode::OK, &list), &history, other, limit)
            };
            if bytes < LONG_BYTES {
                return Ok(answer());
            }
            app.limits.long_work.run(caller.user.id, answer).await.ok_or_else(HttpError::internal)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(json(StatusCode::OK, &nothing)),
        Err(error) => Err(error.into()),
    }
}

/// Adds headers that say whether there are older messages and where the next page is (RFC 8288). The body is a bare
/// array, so it has no room for that.
fn with_next_page(
    mut response: Response,
    history: &History,
    other: UserId,
    limit: Option<usize>,
) -> Response {
    const HAS_MORE: HeaderName = HeaderName::from_static("x-has-more");
    let headers = response.headers_mut();
    let has_more = if history.has_more { "true" } else { "false" };
    headers.insert(HAS_MORE, HeaderValue::from_static(has_more));
    if let Some(Seq(before)) = history.next_before() {
        let limit = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        let next = format!("</api/messages/{other}?before={before}{limit}>; rel=\"next\"");
        headers.extend(HeaderValue::try_from(next).ok().map(|next| (LINK, next)));
    }
    // CORS: pages of other origins may read these headers too.
    let readable = HeaderValue::from_static("Link, X-Has-More, Retry-After");
    headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    response
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    image: Text<'a>,
    #[serde(borrow, default)]
    client_id: Text<'a>,
}

async fn send(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    origin: Origin,
    request: Request,
) -> Result<Response, HttpError> {
    let caller = caller(&app, request.headers()).await?;
    let key = idempotency_key(request.headers())?;
    let body = Body::read(request).await?;
    let form: Send<'_> = body.object()?;
    let text = form.text.optional("text")?.unwrap_or_default();
    let text = trimmed(&text);
    let image = form.image.optional("image")?.filter(|image| !image.is_empty());
    let client_id = client_id(form.client_id)?.or(key);
    if text.is_empty() && image.is_none() {
        return Err(HttpError::bad_request("Text or image is required."));
    }
    let receiver_not_found = || HttpError::new(StatusCode::NOT_FOUND, "Receiver not found.");
    let receiver: UserId = id.parse().map_err(|_| receiver_not_found())?;
    if receiver == caller.user.id {
        return Err(HttpError::bad_request("Cannot send messages to yourself."));
    }
    let image = image.map(|image| Media::from_data_url(&image, MAX_IMAGE_BYTES, Purpose::MessageImage));
    let image = image.transpose()?;
    let content = |image| Content { text: text.into(), file_name: None, image };
    let command = move |content| SendMessage {
        to: Destination::Person(UserKey::Id(receiver)),
        content,
        client_id,
        fingerprint: None,
        context: Default::default(),
    };
    let sent = match image {
        // Check the receiver before the image is stored, so that a refused message stores no image.
        Some(_) if app.chat.find_user(&UserKey::Id(receiver)).await?.is_none() => {
            return Err(receiver_not_found());
        }
        Some(media) => {
            let content = content(Some(String::new()));
            policy::check_content(&content, app.chat.limits())?;
            let command = move |image| command(Content { image: Some(image), ..content });
            app.dispatch_with_image(caller.user.id, media, command).await
        }
        None => app.dispatch(caller.user.id, command(content(None))).await.map_err(HttpError::from),
    };
    let answer = match sent {
        Ok(view) => message(&origin.base.reply(view), StatusCode::CREATED),
        Err(error) if matches!(error.core(), Some(Error::UserNotFound)) => Err(receiver_not_found()),
        Err(error) => Err(error),
    };
    with_rate(answer, app.send_rate(caller.user.id))
}

/// The text after the trimming of the old backend's schema (`trim: true`). JavaScript's white space includes the byte
/// order mark, but not U+0085.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

/// The client's own id for a send, as an HTTP header: draft-ietf-httpapi-idempotency-key-header.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<ClientId>, HttpError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    // The draft requires a quoted string, but many clients send it bare. Both are accepted. The prefix keeps these
    // keys apart from `clientId`.
    let key = value.to_str().ok().map(|key| key.trim_matches('"'));
    let key =
        key.filter(|key| !key.is_empty()).and_then(|key| ClientId::new(format!("idempotency-key {key}")));
    let wrong = || HttpError::bad_request("Idempotency-Key must be a text of 1 to 112 bytes");
    key.map(Some).ok_or_else(wrong)
}

fn message(view: &MessageView, status: StatusCode) -> Result<Response, HttpError> {
    let message = MessageObject::of(view).ok_or_else(message_not_found)?;
    Ok(json(status, &message))
}

pub(super) fn message_not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "Message not found")
}

/// That a message is deleted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushDeleted")]
pub(super) struct Deleted {
    success: bool,
    message: &'static str,
}

async fn delete_message(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    change(&app, &headers, &id, |message| DeleteMessage { message }).await?;
    Ok(json(StatusCode::OK, &Deleted { success: true, message: "Message deleted successfully" }))
}

async fn restore_message(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let view = change(&app, &headers, &id, |message| RestoreMessage { message }).await?;
    message(&Base::of(&headers, &app.config).reply(view), StatusCode::OK)
}

pub(super) async fn change<R: command::Request<Reply = MessageView>>(
    app: &Arc<App>,
    headers: &HeaderMap,
    id: &str,
    command: impl FnOnce(MessageId) -> R,
) -> Result<MessageView, HttpError> {
    let caller = caller(app, headers).await?;
    let id = id.parse().map_err(|_| message_not_found())?;
    app.dispatch(caller.user.id, command(id)).await.map_err(|error| match error {
        Error::MessageNotFound => message_not_found(),
        error => error.into(),
    })
}

fn user_object<'a>(app: &Arc<App>, user: &'a User) -> UserObject<'a> {
    UserObject { user, online: Some(app.presence.is_online(user.id)) }
}
