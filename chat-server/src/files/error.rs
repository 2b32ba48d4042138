//! Why a file was not taken or not given.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;

use crate::http::error::HttpError;
use crate::limits::rate::RateLimit;

/// Why a file was not taken or not given. The texts of the client's errors name the field, and are meant to be shown.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A field of the request cannot be used.
    #[error("{field}: {problem}")]
    Invalid {
        /// Its name.
        field: &'static str,
        /// What is wrong, continuing a sentence.
        problem: String,
    },
    /// The content is of a kind that is not taken, or of another than the name or the declared type says.
    #[error("{field}: {problem}")]
    Unsupported {
        /// What says so: `file`, `name` or `type`.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The file is larger than is allowed.
    #[error("file: it is larger than {limit} bytes")]
    TooLarge {
        /// The greatest size, in bytes.
        limit: u64,
    },
    /// Its owner has stored as much as they may.
    #[error("Your files take up all the space that you may use ({0} bytes)")]
    Quota(u64),
    /// Its owner has stored as much lately as they may.
    #[error("Rate limit exceeded. Please try again later.")]
    Rate(RateLimit),
    /// It comes too slowly.
    #[error("the body comes too slowly")]
    Slow,
    /// The connection broke off, or the body is not framed as it says.
    #[error("the body could not be read")]
    Broken,
    /// The scan has found something.
    #[error("file: it was refused by the virus scan")]
    Infected,
    /// There is no such file, or it is not for the one who asks.
    #[error("Not found")]
    NotFound,
    /// The disk has no room left.
    #[error("Files cannot be stored at the moment: there is no room left")]
    Full,
    /// It is our fault, and may be over soon.
    #[error("Files cannot be stored or read at the moment")]
    Unavailable {
        /// What was being done; for the log.
        what: &'static str,
        /// The error beneath.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It is refused in the words of another part of the server.
    #[error("refused")]
    Http(Box<HttpError>),
}

/// When it is worth trying again.
const SOON: Duration = Duration::from_secs(10);

impl FileError {
    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    pub(crate) fn unsupported(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Unsupported { field, problem: problem.into() }
    }

    /// What an error of the disk means.
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

/// Ours are logged here, and nowhere else.
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
