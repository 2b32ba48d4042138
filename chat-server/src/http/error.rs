//! Errors of HTTP requests.
//!
//! An error carries its message. Its body is written when the response is sent: in the format of the dialect of the
//! route, or else of the default dialect. Every error body has a `message`.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chat_core::error::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::error::AuthError;
use crate::auth::password::{Busy, NotHashed};
use crate::dialect::answer::Refused;
use crate::dialect::{DecodeError, Failure, HttpFailure, Registered, Unauthenticated};
use crate::limits::rate::RateLimit;

/// The error response of a request.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    body: Body,
    retry_after: Option<Duration>,
    /// Boxed, because almost no error has one.
    rate: Option<Box<RateLimit>>,
    /// Boxed, so that it does not enlarge every `Result`.
    core: Option<Box<Error>>,
    /// The invalid field, if it is a single one.
    field: Option<&'static str>,
}

/// The body of the response.
#[derive(Debug)]
enum Body {
    /// A complete JSON body.
    Own(Vec<u8>),
    /// A message, to be written in the format of a dialect.
    Message(Message),
}

/// The message of an error, attached to its response until a dialect formats it.
#[derive(Debug, Clone)]
struct Message {
    text: Box<str>,
    unauthenticated: Option<Unauthenticated>,
}

/// All of a refusal: what a callback gets in `native`, and the `message`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HttpRefusal")]
pub(crate) struct Full<'a> {
    #[serde(flatten)]
    refused: Refused<'a>,
    /// For people.
    message: &'a str,
}

impl HttpError {
    /// An error with a message for users, in the format of the dialect.
    pub fn new(status: StatusCode, message: &str) -> Self {
        let message = Message { text: message.into(), unauthenticated: None };
        Self { status, body: Body::Message(message), retry_after: None, rate: None, core: None, field: None }
    }

    /// An error with a complete body, which must contain a `message` as well.
    pub fn with_body(status: StatusCode, body: &impl Serialize) -> Self {
        let body = Body::Own(serde_json::to_vec(body).unwrap_or_default());
        Self { status, body, retry_after: None, rate: None, core: None, field: None }
    }

    /// The request is not authenticated.
    pub fn unauthenticated(why: Unauthenticated) -> Self {
        let (status, text) = match why {
            Unauthenticated::Missing | Unauthenticated::Invalid => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Unauthenticated::UserNotFound => (StatusCode::NOT_FOUND, "User not found"),
        };
        let message = Message { text: text.into(), unauthenticated: Some(why) };
        Self { body: Body::Message(message), ..Self::new(status, "") }
    }

    /// Formats an error response for this dialect, if its body is not written yet.
    pub(crate) fn write_in(mut response: Response, dialect: &Registered) -> Response {
        let status = response.status();
        let Some(Message { text, unauthenticated }) = response.extensions_mut().remove() else {
            return response;
        };
        let failure = HttpFailure { status, message: &text, unauthenticated };
        let (status, body) = dialect.error(&failure);
        *response.status_mut() = status;
        *response.body_mut() = body.get().to_owned().into();
        response
    }

    /// 400.
    pub fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400 for one field. `problem` continues the sentence that begins with the field name.
    pub fn invalid(field: &'static str, problem: &str) -> Self {
        Self { field: Some(field), ..Self::bad_request(&format!("{field} {problem}")) }
    }

    /// The same error with a complete body for programs: the fields of a callback error in `native`, and the `message`.
    /// `refusal` translates the failure into the messages of that dialect. An error that has a complete body stays
    /// unchanged.
    pub(crate) fn in_full(self, refusal: impl FnOnce(Failure) -> Failure) -> Self {
        let Body::Message(message) = &self.body else { return self };
        let code = match (&self.core, message.unauthenticated) {
            (_, Some(_)) => "unauthenticated",
            (Some(error), None) => error.kind().code(),
            (None, None) => code_of(self.status),
        };
        let mut failure = Failure::new(code, &*message.text);
        (failure.field, failure.retry_after) = (self.field, self.retry_after);
        let failure = refusal(failure);
        let full = Full { refused: Refused::from(&failure), message: &failure.message };
        let body = Body::Own(serde_json::to_vec(&full).unwrap_or_default());
        Self { body, ..self }
    }

    /// 404 for a route that does not exist.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    /// 429.
    pub fn too_many(retry_after: Duration) -> Self {
        let message = "Rate limit exceeded. Please try again later.";
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 429 by this rate limit.
    pub fn limited(rate: RateLimit) -> Self {
        Self { rate: Some(rate.into()), ..Self::too_many(rate.reset) }
    }

    /// Adds the state of a rate limit, unless the error has one already. A refusal keeps its waiting time.
    #[must_use]
    pub fn with_rate(self, rate: RateLimit) -> Self {
        let rate = match self.retry_after {
            // The request was refused, so nothing remains, even if something was released meanwhile.
            Some(reset) if self.status == StatusCode::TOO_MANY_REQUESTS => {
                RateLimit { remaining: 0, reset, ..rate }
            }
            _ => rate,
        };
        Self { rate: self.rate.or_else(|| Some(rate.into())), ..self }
    }

    /// 500. The cause was logged where it occurred.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    /// 503. The client may retry after this time.
    pub fn unavailable(message: &str, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// Whether this is a server error. Such a request does not count as an attempt of the client.
    pub(crate) fn is_our_fault(&self) -> bool {
        self.status.is_server_error()
    }

    /// The domain error behind it, for routes with their own error messages.
    pub fn core(&self) -> Option<&Error> {
        self.core.as_deref()
    }
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            // 413 is for bodies. A field that is too long is an invalid request like any other.
            ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::TooLarge => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::RateLimited => {
                let wait = error.retry_after().unwrap_or(Duration::from_secs(60));
                return Self { core: Some(error.into()), ..Self::too_many(wait) };
            }
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => return Self { core: Some(error.into()), ..Self::internal() },
        };
        let Failure { message, field, .. } = Failure::from(&error);
        Self { field, ..Self::new(status, &message) }.because(error)
    }
}

impl HttpError {
    fn because(self, error: Error) -> Self {
        Self { core: Some(error.into()), ..self }
    }
}

impl From<DecodeError> for HttpError {
    fn from(error: DecodeError) -> Self {
        Self { field: error.field(), ..Self::bad_request(&error.to_string()) }
    }
}

/// The error code for programs, where only the status is known.
fn code_of(status: StatusCode) -> &'static str {
    let kind = match status {
        StatusCode::UNAUTHORIZED => return "unauthenticated",
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        status if status.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    kind.code()
}

impl From<AuthError> for HttpError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Internal(error) => error.into(),
            error => Self::new(StatusCode::UNAUTHORIZED, &error.to_string()),
        }
    }
}

impl From<Busy> for HttpError {
    fn from(busy: Busy) -> Self {
        let message = "Too many log-ins at once. Please try again later.";
        let status = match busy {
            Busy::TooManyOfOne => StatusCode::TOO_MANY_REQUESTS,
            Busy::TooMany => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { retry_after: Some(Duration::from_secs(5)), ..Self::new(status, message) }
    }
}

impl From<NotHashed> for HttpError {
    fn from(_: NotHashed) -> Self {
        chat_core::log_throttled!(error, "a password could not be hashed");
        Self::internal()
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let (body, message) = match self.body {
            Body::Own(body) => (body, None),
            Body::Message(message) => {
                let failure =
                    HttpFailure { status: self.status, message: &message.text, unauthenticated: None };
                (failure.as_message().1.get().as_bytes().to_vec(), Some(message))
            }
        };
        let mut response = (self.status, [(CONTENT_TYPE, json)], body).into_response();
        if let Some(message) = message {
            response.extensions_mut().insert(message);
        }
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, RateLimit::seconds(wait).into());
        }
        if let Some(rate) = self.rate {
            rate.write_to(response.headers_mut());
        }
        response
    }
}
