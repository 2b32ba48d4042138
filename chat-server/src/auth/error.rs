//! Why a client is not authenticated.

use chat_core::prelude::Error;

/// Why a client is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token was given.
    #[error("no token")]
    Missing,
    /// The token is not signed by us, expired or revoked.
    #[error("invalid or expired token")]
    Invalid,
    /// The token is valid, but its account does not exist or was deleted.
    #[error("user not found")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Internal(#[from] Error),
}
