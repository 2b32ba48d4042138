//! What can go wrong, by who must act.

use std::time::Duration;

use crate::store::StoreError;

/// A command was not carried out. All but [`Error::Store`] are the caller's to mend and safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field does not have the form it must have.
    #[error("{field} {problem}")]
    Invalid {
        /// The field, in the domain's words.
        field: &'static str,
        /// What is wrong with it, continuing a sentence that begins with the field.
        problem: &'static str,
    },
    /// A field is larger than its limit.
    #[error("{field} is larger than {limit} {unit}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: usize,
        /// What the limit counts: bytes, characters, members.
        unit: &'static str,
    },
    /// A message had neither text nor image.
    #[error("a message needs a text or an image")]
    EmptyMessage,
    /// There is no such person.
    #[error("user not found")]
    UserNotFound,
    /// There is no such conversation, or none that this person may know of.
    #[error("conversation not found")]
    ConversationNotFound,
    /// There is no such message, or none that this person may know of.
    #[error("message not found")]
    MessageNotFound,
    /// There is no request for friendship that could be answered or taken back.
    #[error("request not found")]
    RequestNotFound,
    /// The person may know of it, but not do this to it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The person has done this too often lately.
    #[error("Rate limit exceeded. Please try again later.")]
    RateLimited,
    /// The person has done so much lately that they have to wait.
    #[error("Rate limit exceeded. Please try again later.")]
    OverBudget {
        /// For so long.
        retry_after: Duration,
    },
    /// The user name belongs to somebody.
    #[error("this user name is taken")]
    UsernameTaken,
    /// The e-mail address belongs to somebody.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// The store failed: ours to mend. Never shown to a client; say "internal error".
    #[error("store: {0}")]
    Store(#[from] StoreError),
}

impl Error {
    /// How long to wait before trying again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OverBudget { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// What kind of failure it is, for edges that answer by kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::EmptyMessage => ErrorKind::Invalid,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::UserNotFound
            | Self::ConversationNotFound
            | Self::MessageNotFound
            | Self::RequestNotFound => ErrorKind::NotFound,
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
    /// What it speaks of does not exist.
    NotFound,
    /// The person may not do this.
    Forbidden,
    /// The person has done this too often lately.
    RateLimited,
    /// It contradicts something that exists.
    Conflict,
    /// The store is out of reach for the moment, or has no room; trying again later helps.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// A stable word for programs.
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
