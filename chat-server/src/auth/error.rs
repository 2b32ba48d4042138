//! Why somebody is not let in.

use chat_core::prelude::Error;

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token was given.
    #[error("no token")]
    Missing,
    /// The token is not ours, expired or revoked.
    #[error("invalid or expired token")]
    Invalid,
    /// The token is good, but the person does not exist (any more).
    #[error("user not found")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Internal(#[from] Error),
}
