//! Authenticates the caller of a request by its cookies and headers.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::common::bearer;
use super::cookie;
use super::error::HttpError;
use super::foreign::is_foreign;
use crate::app::App;
use crate::auth::{AuthError, Authenticated};
use crate::dialect::Unauthenticated;

/// Authenticates the caller with the first valid login cookie, or else with the bearer token.
///
/// # Errors
/// When neither is valid.
pub async fn caller(app: &Arc<App>, headers: &HeaderMap) -> Result<Authenticated, HttpError> {
    // A page of another origin must not act with the cookie of this browser, even if it is of the same site.
    let cookies = cookie::tokens(headers, app.config.dialects.cookies())
        .filter(|_| !is_foreign(headers, &app.config.origins, app.config.trust_proxy));
    first_good(app, cookies.map(|(_, token)| token).chain(bearer(headers))).await
}

/// Authenticates the caller with the bearer token only, for dialects without cookies.
///
/// # Errors
/// When it is invalid.
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
