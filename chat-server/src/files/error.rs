//! Errors of storing and reading files.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;

use crate::http::error::HttpError;
use crate::limits::rate::RateLimit;

/// Why a file was not stored or not sent. The messages of client errors name the field and are for users.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A field of the request is invalid.
    #[error("{field}: {problem}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// The problem, as the continuation of a sentence.
        problem: String,
    },
    /// The content is of a kind that is not accepted, or does not match the name or the declared type.
    #[error("{field}: {problem}")]
    Unsupported {
        /// Where the conflict is: `file`, `name` or `type`.
        field: &'static str,
        /// The problem.
        problem: String,
    },
    /// The file is too large.
    #[error("file: it is larger than {limit} bytes")]
    TooLarge {
        /// The maximum size, in bytes.
        limit: u64,
    },
    /// The owner has used up their quota, in bytes.
    #[error("Your files take up all the space that you may use ({0} bytes)")]
    Quota(u64),
    /// The owner has stored too much in the last hour.
    #[error("Rate limit exceeded. Please try again later.")]
    Rate(RateLimit),
    /// The body arrives too slowly.
    #[error("the body comes too slowly")]
    Slow,
    /// The connection broke, or the framing of the body is invalid.
    #[error("the body could not be read")]
    Broken,
    /// The virus scan has found something.
    #[error("file: it was refused by the virus scan")]
    Infected,
    /// The file does not exist, or the caller may not read it.
    #[error("Not found")]
    NotFound,
    /// The disk is full.
    #[error("Files cannot be stored at the moment: there is no room left")]
    Full,
    /// A server-side failure, which may be temporary.
    #[error("Files cannot be stored or read at the moment")]
    Unavailable {
        /// The failed operation; for the log.
        what: &'static str,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An error of another part of the server, with its own response.
    #[error("refused")]
    Http(Box<HttpError>),
}

/// The `Retry-After` for server-side failures.
const SOON: Duration = Duration::from_secs(10);

impl FileError {
    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    pub(crate) fn unsupported(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Unsupported { field, problem: problem.into() }
    }

    /// Converts an error of the disk.
    pub(crate) fn disk(what: &'static str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::caused(what, error),
        }
    }

    pub(crate) fn caused(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { what, source: Some(source.into()) }
    }

    pub(crate) fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, source: None }
    }
}

impl From<HttpError> for FileError {
    fn from(error: HttpError) -> Self {
        Self::Http(Box::new(error))
    }
}

/// Server-side errors are logged here, and nowhere else.
impl From<FileError> for HttpError {
    fn from(error: FileError) -> Self {
        let status = match &error {
            FileError::Invalid { .. } | FileError::Broken => StatusCode::BAD_REQUEST,
            FileError::Unsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FileError::TooLarge { .. } | FileError::Quota(_) => StatusCode::PAYLOAD_TOO_LARGE,
            FileError::Rate(rate) => return Self::limited(*rate),
            FileError::Slow => StatusCode::REQUEST_TIMEOUT,
            FileError::Infected => StatusCode::UNPROCESSABLE_ENTITY,
            FileError::NotFound => StatusCode::NOT_FOUND,
            FileError::Full => {
                chat_core::log_throttled!(error, "a file could not be stored: the disk is full");
                StatusCode::INSUFFICIENT_STORAGE
            }
            FileError::Unavailable { what, source } => {
                let reason = source.as_ref().map(ToString::to_string).unwrap_or_default();
                chat_core::log_throttled!(error, what, reason, "a file could not be stored or read");
                return Self::unavailable(&error.to_string(), SOON);
            }
            FileError::Http(_) => {
                let FileError::Http(error) = error else { return Self::internal() };
                return *error;
            }
        };
        Self::new(status, &error.to_string())
    }
}
