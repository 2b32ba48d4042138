//! Registration, log-in and log-out.
//!
//! ```text
//! POST /api/v1/auth/register {"username":"ann","password":"…"}      201 {"ok":true,…,"user":{…},"token":"…","accessToken":"…"}
//! POST /api/v1/auth/login {the same}                                200 the same
//! POST /api/v1/auth/logout                                          200 {"ok":true,…,"message":"Logged out"}
//! ```
//! The same routes exist under `/api/auth` where the dialect is served. Other dialects have log-in routes there too;
//! the body of a request tells them apart. A client may hash a password before it sends it: any text of at most 72
//! bytes is a password. `token` and `accessToken` are the same token. There are no refresh tokens yet: a token is valid
//! for `CHAT_TOKEN_DAYS`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chat_core::chat::Registration;
use chat_core::model::{PasswordHash, User, UserKey};
use schemars::JsonSchema;
use serde::Serialize;

use super::routes::{accepted, in_full};
use super::shapes::{PersonObject, person};
use crate::address::Address;
use crate::app::{App, LogIn};
use crate::auth::password_rules::MAX_BYTES;
use crate::dialect::described::{Body as DescribedBody, Described, Gives};
use crate::dialect::field::{Field, Kind, shown};
use crate::dialect::payload::Text;
use crate::dialect::{Registered, Route, Seen};
use crate::http::{Body, HttpError, bearer, with_rate};

pub(super) fn all() -> Vec<Route> {
    let mut routes = vec![
        Route::post("/api/v1/auth/register", register).described(REGISTER),
        Route::post("/api/v1/auth/login", login).described(LOGIN),
        Route::post("/api/v1/auth/logout", logout).described(LOGOUT),
    ];
    routes.extend([
        Route::post("/api/auth/register", register).where_spoken().described(REGISTER),
        Route::post("/api/auth/login", login).for_bodies_with(&["username"]).where_spoken().described(LOGIN),
        Route::post("/api/auth/logout", logout).where_spoken().described(LOGOUT),
    ]);
    routes
}

const CREDENTIALS: &[Field] = &[
    Field::new("username", Kind::Text { least: 3, most: 64 }, "The user name."),
    Field::new(
        "password",
        Kind::Text { least: 6, most: MAX_BYTES },
        "The password, of which the first 72 bytes count.",
    ),
];
const REGISTER: Described = Described {
    answer: (StatusCode::CREATED, Gives::Accepted(shown::<LoggedIn<'_>>)),
    refuses_in_full: true,
    ..Described::new("Makes an account.", CREDENTIALS, shown::<LoggedIn<'_>>).for_everybody()
};
const LOGIN: Described = Described {
    fields: &[CREDENTIALS[0], Field::new("password", Kind::Text { least: 0, most: 0 }, "The password.")],
    about: "Logs in.",
    answer: (StatusCode::OK, REGISTER.answer.1),
    ..REGISTER
};
const LOGOUT: Described = Described {
    about: "Logs out: the token is void at once, and its sockets close.",
    fields: &[],
    body: DescribedBody::Nothing,
    answer: (StatusCode::OK, Gives::Accepted(shown::<LoggedOut>)),
    ..REGISTER
};

#[derive(serde::Deserialize)]
struct Credentials<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

/// A new log-in; both tokens are the same.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LoggedIn<'a> {
    user: PersonObject<'a>,
    token: &'a str,
    access_token: &'a str,
}

async fn register(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Result<Body, HttpError>,
) -> Response {
    let registering = async {
        let body = body?;
        let form: Credentials<'_> = body.object()?;
        let username = form.username.required("username")?.into_owned();
        let password = form.password.required("password")?.into_owned();
        let password = app.config.auth.passwords.check(password, dialect.limits().password_min);
        let password = password.map_err(|problem| HttpError::invalid("password", &problem.to_string()))?;
        let registration = Registration::named(username, PasswordHash::new(""));
        let registered = app.register(address, password, registration).await;
        let answer = registered.map(|user| logged_in(&app, &dialect, &user, StatusCode::CREATED));
        with_rate(answer, app.sign_up_rate(address))
    };
    in_full(registering.await)
}

async fn login(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Result<Body, HttpError>,
) -> Response {
    let logging_in = async {
        let body = body?;
        let form: Credentials<'_> = body.object()?;
        let username = form.username.required("username")?.trim().to_owned();
        let password = form.password.required("password")?.into_owned();
        let key = UserKey::Username(username);
        let answer = match app.log_in(address, key.clone(), password).await {
            Ok(LogIn::Welcome(user)) => Ok(logged_in(&app, &dialect, &user, StatusCode::OK)),
            // The same message whether the account exists or not.
            Ok(LogIn::WrongPassword | LogIn::Unknown) => Err(HttpError::bad_request("Invalid credentials")),
            Err(error) => Err(error),
        };
        with_rate(answer, app.log_in_rate(address, &key))
    };
    in_full(logging_in.await)
}

fn logged_in(app: &App, dialect: &Registered, user: &User, status: StatusCode) -> Response {
    let token = app.auth.issue(user, dialect);
    let seen = Seen { online: app.presence.is_online(user.id), last_seen: user.last_seen };
    accepted(status, &LoggedIn { user: person(user, seen), token: &token, access_token: &token })
}

/// That one is logged out.
#[derive(Serialize, JsonSchema)]
struct LoggedOut {
    message: &'static str,
}

async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(token) = bearer(&headers)
        && let Err(error) = app.log_out(token).await
    {
        return in_full(Err(error));
    }
    accepted(StatusCode::OK, &LoggedOut { message: "Logged out" })
}
