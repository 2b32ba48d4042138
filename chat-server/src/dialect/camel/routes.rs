//! The family's REST.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chat_core::chat::Registration;
use chat_core::command::ListUsers;
use chat_core::model::{PasswordHash, User, UserKey};
use chat_core::prelude::Error;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, LogIn};
use crate::auth::password_rules::MAX_BYTES;
use crate::dialect::described::Described;
use crate::dialect::field::{Field, Kind, shown};
use crate::dialect::payload::Text;
use crate::dialect::{Registered, Route};
use crate::http::{Address, Body, HttpError, caller_by_bearer, json, with_rate};

pub(super) fn all() -> Vec<Route> {
    vec![
        Route::post("/api/register", register).described(
            Described::new("Makes an account.", CREDENTIALS, shown::<LoggedIn<'_>>).for_everybody(),
        ),
        Route::post("/api/login", login)
            .described(Described::new("Logs in.", LOGIN, shown::<LoggedIn<'_>>).for_everybody()),
        Route::get("/api/users", users).described(Described::new(
            "Lists all other people.",
            &[],
            shown::<Vec<Person>>,
        )),
        Route::get("/api/validate-token", validate_token).described(Described::new(
            "Tells whether a token is good.",
            &[],
            shown::<Valid>,
        )),
    ]
}

const LOGIN: &[Field] =
    &[CREDENTIALS[0], Field::new("password", Kind::Text { least: 0, most: 0 }, "The password.")];
const CREDENTIALS: &[Field] = &[
    Field::new("username", Kind::Text { least: 3, most: 64 }, "The user name."),
    Field::new(
        "password",
        Kind::Text { least: 6, most: MAX_BYTES },
        "The password, of which the first 72 bytes count.",
    ),
];

#[derive(serde::Deserialize)]
struct Credentials<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

/// A new log-in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CamelLoggedIn")]
struct LoggedIn<'a> {
    token: &'a str,
    username: &'a str,
}

async fn register(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Body,
) -> Result<Response, HttpError> {
    let form: Credentials<'_> = body.object()?;
    let username = form.username.required("username")?.into_owned();
    let password = form.password.required("password")?.into_owned();
    let password = app.config.auth.passwords.check(password, dialect.limits().password_min);
    let password = password.map_err(|problem| HttpError::bad_request(&format!("password {problem}")))?;
    let registration = Registration::named(username, PasswordHash::new(""));
    let user = app.register(address, password, registration).await;
    let user = user.map_err(|error| match error.core() {
        Some(Error::UsernameTaken) => HttpError::bad_request("Username already exists"),
        _ => error,
    });
    with_rate(user.and_then(|user| logged_in(&app, &dialect, &user)), app.sign_up_rate(address))
}

async fn login(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Body,
) -> Result<Response, HttpError> {
    let form: Credentials<'_> = body.object()?;
    let username = form.username.required("username")?.trim().to_owned();
    let password = form.password.required("password")?.into_owned();
    let key = UserKey::Username(username);
    let answer = match app.log_in(address, key.clone(), password).await {
        Ok(LogIn::Welcome(user)) => logged_in(&app, &dialect, &user),
        // This family's pages tell the two apart, so the contract does.
        Ok(LogIn::WrongPassword) => Err(HttpError::bad_request("Invalid credentials")),
        Ok(LogIn::Unknown) => Err(HttpError::bad_request("User not found")),
        Err(error) => Err(error),
    };
    with_rate(answer, app.log_in_rate(address, &key))
}

fn logged_in(app: &App, dialect: &Registered, user: &User) -> Result<Response, HttpError> {
    let token = app.auth.issue(user, dialect);
    Ok(json(StatusCode::OK, &LoggedIn { token: &token, username: &user.handle() }))
}

/// A person, and whether they are there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CamelPerson")]
struct Person {
    #[serde(rename = "_id")]
    id: String,
    username: String,
    online: bool,
    last_seen: String,
}

/// That a token is good.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CamelValid")]
struct Valid {
    valid: bool,
}

async fn users(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    let caller = caller_by_bearer(&app, &headers).await?;
    let users = app.dispatch(caller.user.id, ListUsers { limit: App::MAX_USERS }).await?;
    let seen = app.presence.seen_by(&app.chat, caller.user.id).await;
    let people: Vec<_> = users
        .iter()
        .map(|user| Person {
            id: user.id.to_string(),
            username: user.handle(),
            online: seen(user).online,
            last_seen: seen(user).last_seen.unwrap_or(user.created_at).to_string(),
        })
        .collect();
    Ok(json(StatusCode::OK, &people))
}

async fn validate_token(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    caller_by_bearer(&app, &headers).await?;
    Ok(json(StatusCode::OK, &Valid { valid: true }))
}
