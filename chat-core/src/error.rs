//! The errors of commands, by who can fix them.

use std::time::Duration;

use crate::store::StoreError;

/// Why a command was not carried out. The caller can fix all errors except [`Error::Store`], and they are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is malformed.
    #[error("{field} {problem}")]
    Invalid {
        /// The name of the field in the domain.
        field: &'static str,
        /// The problem, as the continuation of a sentence that begins with the field.
        problem: &'static str,
    },
    /// A field is larger than its limit.
    #[error("{field} is larger than {limit} {unit}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: usize,
        /// The unit of the limit: bytes, characters, members.
        unit: &'static str,
    },
    /// A message had neither text nor image.
    #[error("a message needs a text or an image")]
    EmptyMessage,
    /// The user does not exist.
    #[error("user not found")]
    UserNotFound,
    /// The conversation does not exist, or the caller may not know of it.
    #[error("conversation not found")]
    ConversationNotFound,
    /// The message does not exist, or the caller may not know of it.
    #[error("message not found")]
    MessageNotFound,
    /// There is no friend request that the caller could answer or withdraw.
    #[error("request not found")]
    RequestNotFound,
    /// There is no such report in this queue.
    #[error("report not found")]
    ReportNotFound,
    /// The caller has no such login session, or it has ended.
    #[error("session not found")]
    SessionNotFound,
    /// The caller may know of the object, but may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller has exceeded a rate limit.
    #[error("Rate limit exceeded. Please try again later.")]
    RateLimited,
    /// The caller has used up a budget and must wait.
    #[error("Rate limit exceeded. Please try again later.")]
    OverBudget {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Another account has this user name.
    #[error("this user name is taken")]
    UsernameTaken,
    /// Another account has this e-mail address.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// The store failed, which the caller cannot fix. Clients must not see the message; show "internal error" instead.
    #[error("store: {0}")]
    Store(#[from] StoreError),
}

impl Error {
    /// How long to wait before a retry, if this is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OverBudget { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The kind of the error, for transports that answer by kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::EmptyMessage => ErrorKind::Invalid,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::UserNotFound
            | Self::ConversationNotFound
            | Self::MessageNotFound
            | Self::RequestNotFound
            | Self::ReportNotFound
            | Self::SessionNotFound => ErrorKind::NotFound,
            Self::Forbidden(_) => ErrorKind::Forbidden,
            Self::RateLimited | Self::OverBudget { .. } => ErrorKind::RateLimited,
            Self::UsernameTaken | Self::EmailTaken => ErrorKind::Conflict,
            Self::Store(StoreError::Unavailable(_) | StoreError::Full(_)) => ErrorKind::Unavailable,
            Self::Store(_) => ErrorKind::Internal,
        }
    }
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is malformed.
    Invalid,
    /// The request is too large.
    TooLarge,
    /// The object does not exist.
    NotFound,
    /// The caller may not do this.
    Forbidden,
    /// The caller has exceeded a rate limit or budget.
    RateLimited,
    /// The request conflicts with existing data.
    Conflict,
    /// The store is unavailable or full at the moment; a later retry may succeed.
    Unavailable,
    /// A fault of the server.
    Internal,
}

impl ErrorKind {
    /// A stable error code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}
