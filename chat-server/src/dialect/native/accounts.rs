//! Registration, log-in and log-out.
//!
//! ```text
//! POST /api/v1/auth/register {"username":"ann","password":"…","device":"Ann's phone"}
//!     201 {"ok":true,…,"user":{…},"token":"…","accessToken":"…","refreshToken":"…"}
//! POST /api/v1/auth/login {the same}                                200 the same
//! POST /api/v1/auth/refresh {"refreshToken":"…"}                    200 {"ok":true,…,"token":"…","accessToken":"…","refreshToken":"…"}
//! POST /api/v1/auth/logout {"refreshToken":"…"} or no body          200 {"ok":true,…,"message":"Logged out"}
//! ```
//! The same routes exist under `/api/auth` where the dialect is served. Other dialects have log-in routes there too;
//! the body of a request tells them apart. A client may hash a password before it sends it: any text of at most 72
//! bytes is a password. `token` and `accessToken` are the same token, which is good for `CHAT_ACCESS_TOKEN_MINUTES`.
//!
//! Each log-in is a session of its own, with the name of its device (`device`, or else the `User-Agent`). A refresh token
//! is good once: it is answered with the next one. Used again, its session ends at once, because somebody else may have it,
//! unless it comes within 10 seconds and its successor was not used: then the answer was probably lost, and the same
//! successor is given again. A session whose tokens are not refreshed ends after `CHAT_REFRESH_TOKEN_DAYS`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chat_core::chat::Registration;
use chat_core::model::{PasswordHash, User, UserKey};
use chat_core::policy;
use schemars::JsonSchema;
use serde::Serialize;

use super::routes::{accepted, in_full};
use super::shapes::{PersonObject, person};
use crate::accounts::SessionTokens;
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
        Route::post("/api/v1/auth/refresh", refresh).described(REFRESH),
        Route::post("/api/v1/auth/logout", logout).described(LOGOUT),
    ];
    routes.extend([
        Route::post("/api/auth/register", register).where_spoken().described(REGISTER),
        Route::post("/api/auth/login", login).for_bodies_with(&["username"]).where_spoken().described(LOGIN),
        Route::post("/api/auth/refresh", refresh).where_spoken().described(REFRESH),
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
    DEVICE,
];
const DEVICE: Field = Field::new(
    "device",
    Kind::Text { least: 1, most: 100 },
    "The name of the device; what the program calls itself when nothing is said.",
)
.optional();
const REFRESH_TOKEN: Field =
    Field::new("refreshToken", Kind::Text { least: 0, most: 0 }, "The refresh token that was given last.");
const REGISTER: Described = Described {
    answer: (StatusCode::CREATED, Gives::Accepted(shown::<LoggedIn<'_>>)),
    refuses_in_full: true,
    ..Described::new("Makes an account.", CREDENTIALS, shown::<LoggedIn<'_>>).for_everybody()
};
const LOGIN: Described = Described {
    fields: &[
        CREDENTIALS[0],
        Field::new("password", Kind::Text { least: 0, most: 0 }, "The password."),
        DEVICE,
    ],
    about: "Logs in.",
    answer: (StatusCode::OK, REGISTER.answer.1),
    ..REGISTER
};
const REFRESH: Described = Described {
    about: "Gives a new access token and the next refresh token; the one that was sent is used up.",
    fields: &[REFRESH_TOKEN],
    answer: (StatusCode::OK, Gives::Accepted(shown::<Refreshed<'_>>)),
    ..REGISTER
};
const LOGOUT: Described = Described {
    about: "Logs out: the session of the token, or of the refresh token, ends at once, and its sockets close.",
    fields: &[REFRESH_TOKEN.optional()],
    body: DescribedBody::FieldsOrNothing,
    answer: (StatusCode::OK, Gives::Accepted(shown::<LoggedOut>)),
    ..REGISTER
};

#[derive(serde::Deserialize)]
struct Credentials<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
    #[serde(borrow, default)]
    device: Text<'a>,
}

impl Credentials<'_> {
    /// The name of the device: the one that is given, or else the one that the client's program gives itself.
    fn device(&mut self, headers: &HeaderMap) -> Result<String, HttpError> {
        match std::mem::take(&mut self.device).optional("device")? {
            Some(device) => Ok(policy::check_display_name("device", &device)?.to_owned()),
            None => {
                let agent = headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
                Ok(policy::device_name(&agent.unwrap_or_default()))
            }
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refresh<'a> {
    #[serde(borrow, default)]
    refresh_token: Text<'a>,
}

/// A new log-in; `token` and `accessToken` are the same.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LoggedIn<'a> {
    user: PersonObject<'a>,
    token: &'a str,
    access_token: &'a str,
    refresh_token: &'a str,
}

/// New tokens; `token` and `accessToken` are the same.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Refreshed<'a> {
    token: &'a str,
    access_token: &'a str,
    refresh_token: &'a str,
}

async fn register(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    headers: HeaderMap,
    body: Result<Body, HttpError>,
) -> Response {
    let registering = async {
        let body = body?;
        let mut form: Credentials<'_> = body.object()?;
        let device = form.device(&headers)?;
        let username = form.username.required("username")?.into_owned();
        let password = form.password.required("password")?.into_owned();
        let password = app.config.auth.passwords.check(password, dialect.limits().password_min);
        let password = password.map_err(|problem| HttpError::invalid("password", &problem.to_string()))?;
        let registration = Registration::named(username, PasswordHash::new(""));
        let answer = match app.register(address, password, registration).await {
            Ok(user) => logged_in(&app, &dialect, &user, device, StatusCode::CREATED).await,
            Err(error) => Err(error),
        };
        with_rate(answer, app.sign_up_rate(address))
    };
    in_full(registering.await)
}

async fn login(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    headers: HeaderMap,
    body: Result<Body, HttpError>,
) -> Response {
    let logging_in = async {
        let body = body?;
        let mut form: Credentials<'_> = body.object()?;
        let device = form.device(&headers)?;
        let username = form.username.required("username")?.trim().to_owned();
        let password = form.password.required("password")?.into_owned();
        let key = UserKey::Username(username);
        let answer = match app.log_in(address, key.clone(), password).await {
            Ok(LogIn::Welcome(user)) => logged_in(&app, &dialect, &user, device, StatusCode::OK).await,
            // The same message whether the account exists or not.
            Ok(LogIn::WrongPassword | LogIn::Unknown) => Err(HttpError::bad_request("Invalid credentials")),
            Err(error) => Err(error),
        };
        with_rate(answer, app.log_in_rate(address, &key))
    };
    in_full(logging_in.await)
}

async fn logged_in(
    app: &Arc<App>,
    dialect: &Registered,
    user: &Arc<User>,
    device: String,
    status: StatusCode,
) -> Result<Response, HttpError> {
    let SessionTokens { access, refresh } = app.open_session(user, dialect, device).await?;
    let seen = Seen { online: app.presence.is_online(user.id), last_seen: user.last_seen };
    let user = person(user, seen);
    Ok(accepted(status, &LoggedIn { user, token: &access, access_token: &access, refresh_token: &refresh }))
}

async fn refresh(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Result<Body, HttpError>,
) -> Response {
    let refreshing = async {
        let body = body?;
        let form: Refresh<'_> = body.object()?;
        let token = form.refresh_token.required("refreshToken")?;
        let SessionTokens { access, refresh } = app.refresh(address, &dialect, &token).await?;
        let tokens = Refreshed { token: &access, access_token: &access, refresh_token: &refresh };
        Ok(accepted(StatusCode::OK, &tokens))
    };
    in_full(refreshing.await)
}

/// That one is logged out.
#[derive(Serialize, JsonSchema)]
struct LoggedOut {
    message: &'static str,
}

async fn logout(State(app): State<Arc<App>>, headers: HeaderMap, body: Result<Body, HttpError>) -> Response {
    let logging_out = async {
        let body = body?;
        if !body.is_empty() {
            let form: Refresh<'_> = body.object()?;
            if let Some(token) = form.refresh_token.optional("refreshToken")? {
                app.log_out_refresh(&token).await?;
            }
        }
        if let Some(token) = bearer(&headers) {
            app.log_out(token).await?;
        }
        Ok(accepted(StatusCode::OK, &LoggedOut { message: "Logged out" }))
    };
    in_full(logging_out.await)
}
