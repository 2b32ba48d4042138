//! Who asks, where nothing but the request tells.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};

use super::{HttpError, bearer, cookie, is_foreign};
use crate::app::App;
use crate::auth::{AuthError, Authenticated};

/// Who asks: by the first of the cookies that is good, or else by the bearer token.
///
/// # Errors
/// When nothing of it is good.
pub async fn caller(app: &Arc<App>, headers: &HeaderMap) -> Result<Authenticated, HttpError> {
    let mut failure = AuthError::Missing;
    // A page of another origin must not act with this browser's cookie, even one of the same site.
    let cookies =
        cookie::tokens(headers).filter(|_| !is_foreign(headers, &app.config.origins, app.config.trust_proxy));
    for token in cookies.chain(bearer(headers)) {
        match app.auth.authenticate(token).await {
            Ok(caller) => return Ok(caller),
            Err(error) => failure = error,
        }
    }
    Err(match failure {
        AuthError::Missing | AuthError::Invalid => HttpError::new(StatusCode::UNAUTHORIZED, "Unauthorized"),
        AuthError::UserNotFound => HttpError::new(StatusCode::NOT_FOUND, "User not found"),
        AuthError::Internal(error) => error.into(),
    })
}
