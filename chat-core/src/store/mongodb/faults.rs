//! Translates MongoDB errors into store errors that tell an operator what to do.
//!
//! The server's own messages are passed on only where they describe the deployment, because messages about documents
//! quote keys and values.

use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

use crate::store::StoreError;

/// Why a transaction or one of its steps failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// An error of the driver or the server.
    Mongo(Box<Error>),
    /// A document with the same unique key exists.
    Duplicate,
    /// An invalid record or request.
    Store(StoreError),
    /// No response in time.
    TimedOut,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if code(&error) == Some(DUPLICATE_KEY) {
            return Self::Duplicate;
        }
        Self::Mongo(Box::new(error))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) const DUPLICATE_KEY: i32 = 11_000;
pub(super) const WRITE_CONFLICT: i32 = 112;
pub(super) const NAMESPACE_EXISTS: i32 = 48;
pub(super) const UNAUTHORIZED: i32 = 13;
pub(super) const AUTHENTICATION_FAILED: i32 = 18;
/// The codes for a full disk (`OutOfDiskSpace`) and, on older servers, for a used-up quota.
const OUT_OF_ROOM: [i32; 2] = [14_031, 12_501];
/// The codes for documents that are too large, in commands and in transactions.
const TOO_LARGE: [i32; 3] = [10_334, 17_280, 17_419];

impl Fault {
    /// Whether the transaction may succeed when it runs again from the start.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Mongo(error) => {
                error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                    || is_out_of_reach(error)
                    || code(error) == Some(WRITE_CONFLICT)
            }
            Self::TimedOut => true,
            Self::Duplicate | Self::Store(_) => false,
        }
    }

    /// Whether it is unknown if the commit took place.
    pub(super) fn is_unknown_commit(&self) -> bool {
        match self {
            Self::Mongo(error) => {
                error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                    // A commit whose response was lost may have arrived.
                    || (is_out_of_reach(error) && !error.contains_label(TRANSIENT_TRANSACTION_ERROR))
            }
            Self::TimedOut => true,
            Self::Duplicate | Self::Store(_) => false,
        }
    }

    /// Whether the server has refused the operation, so that it did not take place. A failed write concern is not a
    /// refusal, because the write did take place.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Mongo(error) => {
                matches!(&*error.kind, ErrorKind::Command(_))
                    && !error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                    && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
            }
            Self::Duplicate => true,
            Self::Store(_) | Self::TimedOut => false,
        }
    }

    /// Whether another transaction was faster.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Mongo(error) if code(error) == Some(WRITE_CONFLICT))
    }

    /// Whether the server was unreachable or did not respond in time.
    pub(super) fn is_out_of_reach(&self) -> bool {
        match self {
            Self::Mongo(error) => is_out_of_reach(error),
            Self::TimedOut => true,
            Self::Duplicate | Self::Store(_) => false,
        }
    }

    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Mongo(error) => store_error(&error),
            Self::Duplicate => StoreError::Refused("something with the same id or name exists".into()),
            Self::Store(error) => error,
            Self::TimedOut => StoreError::Unavailable("the database did not answer in time".into()),
        }
    }
}

pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        _ => None,
    }
}

fn is_out_of_reach(error: &Error) -> bool {
    matches!(
        &*error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
    )
}

/// The store error for the error code of a statement.
pub(super) fn write_error(code: i32) -> StoreError {
    of_code(code, format!("MongoDB: write error {code}"))
}

fn of_code(code: i32, text: String) -> StoreError {
    match OUT_OF_ROOM.contains(&code) {
        true => StoreError::Full(text),
        false => StoreError::Unavailable(text),
    }
}

/// The store error for a driver error outside of a transaction.
pub(super) fn store_error(error: &Error) -> StoreError {
    let unavailable = |text: String| StoreError::Unavailable(format!("MongoDB: {text}"));
    let failed = |code, text: String| of_code(code, format!("MongoDB: {text}"));
    let refused = |text: String| StoreError::Refused(format!("MongoDB: {text}"));
    match &*error.kind {
        ErrorKind::Command(command) => {
            let text = format!("{} (code {})", command.code_name, command.code);
            match command.code {
                UNAUTHORIZED | AUTHENTICATION_FAILED | DUPLICATE_KEY => refused(text),
                code if TOO_LARGE.contains(&code) => refused(text),
                code => failed(code, text),
            }
        }
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY => {
            refused("DuplicateKey (code 11000)".into())
        }
        ErrorKind::Write(_) => code(error).map_or_else(|| unavailable("write error".into()), write_error),
        ErrorKind::InsertMany(error) => {
            let first = error.write_errors.iter().flatten().next().map(|error| error.code);
            let code = first.or(error.write_concern_error.as_ref().map(|error| error.code));
            code.map_or_else(|| unavailable("write error".into()), write_error)
        }
        ErrorKind::InvalidArgument { message, .. } => refused(message.clone()),
        ErrorKind::Authentication { .. } => refused("authentication failed".into()),
        ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => {
            StoreError::Corrupt { what: "reply", id: "of the database".into() }
        }
        _ => unavailable(error.kind.to_string()),
    }
}

#[cfg(test)]
mod tests;
