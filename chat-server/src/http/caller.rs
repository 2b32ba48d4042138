//! Who asks, where nothing but the request tells.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::common::bearer;
use super::cookie;
use super::error::HttpError;
use super::foreign::is_foreign;
use crate::app::App;
use crate::auth::{AuthError, Authenticated};
use crate::dialect::Unauthenticated;

/// Who asks: by the first of the cookies that is good, or else by the bearer token.
///
/// # Errors
/// When nothing of it is good.
pub async fn caller(app: &Arc<App>, headers: &HeaderMap) -> Result<Authenticated, HttpError> {
    // A page of another origin must not act with this browser's cookie, even one of the same site.
    let cookies = cookie::tokens(headers, app.config.dialects.cookies())
        .filter(|_| !is_foreign(headers, &app.config.origins, app.config.trust_proxy));
    first_good(app, cookies.map(|(_, token)| token).chain(bearer(headers))).await
}

/// Who asks, by the bearer token alone: for families that know no cookie.
///
/// # Errors
/// When it is no good.
pub async fn caller_by_bearer(app: &Arc<App>, headers: &HeaderMap) -> Result<Authenticated, HttpError> {
    first_good(app, bearer(headers).into_iter()).await
}

async fn first_good<'a>(
    app: &App,
    tokens: impl Iterator<Item = &'a str>,
) -> Result<Authenticated, HttpError> {
    let mut failure = AuthError::Missing;
    for token in tokens {
        match app.auth.authenticate(token).await {
            Ok(caller) => return Ok(caller),
            Err(error) => failure = error,
        }
    }
    match (Unauthenticated::of(&failure), failure) {
        (Some(why), _) => Err(HttpError::unauthenticated(why)),
        (None, failure) => Err(failure.into()),
    }
}
