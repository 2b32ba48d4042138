//! Authenticates a connection and selects its dialect.

use chat_core::error::{Error, ErrorKind};

use super::connect_payload::ConnectPayload;
use super::handshake::Handshake;
use crate::app::App;
use crate::auth::{AuthError, Authenticated};
use crate::dialect::Registered;
use crate::outages::Part;
use crate::security_log::SecurityEvent;

/// The result of a successful connect.
pub(super) enum Who {
    /// An authenticated client and its dialect.
    Known(Authenticated, Registered),
    /// An unauthenticated client, which may log in later with an event of this dialect.
    Guest(Registered),
}

/// Why a client is not admitted.
pub(super) enum ConnectError {
    /// The client may not connect, now or later. The text is shown to its page.
    Refused(&'static str),
    /// The server failed. The client may retry.
    OurFault,
}

impl ConnectError {
    pub(super) fn our_fault(app: &App, error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable => app.outages.failed(Part::Store, error),
            _ => chat_core::log_throttled!(error, %error, "a connection could not be let in"),
        }
        Self::OurFault
    }
}

/// Authenticates with the first valid token. The order is: CONNECT packet, `Authorization` header, query (if allowed),
/// cookies.
pub(super) async fn authenticate(
    app: &App,
    payload: &ConnectPayload,
    handshake: &Handshake,
) -> Result<Who, ConnectError> {
    let given = payload.token.text().map(|token| token.strip_prefix("Bearer ").unwrap_or(token));
    let tokens = given
        .into_iter()
        .chain(handshake.bearer.as_deref())
        .chain(handshake.in_query.as_deref())
        .map(|token| (token, None));
    let cookies = handshake.cookies.iter().map(|(name, token)| (token.as_str(), Some(*name)));
    let dialects = &app.config.dialects;
    for (token, cookie) in tokens.chain(cookies) {
        match app.auth.authenticate(token).await {
            Ok(caller) => {
                let dialect = dialects.of_connection(&caller.identity, cookie).clone();
                return Ok(Who::Known(caller, dialect));
            }
            Err(AuthError::Internal(error)) => return Err(ConnectError::our_fault(app, &error)),
            Err(AuthError::Missing | AuthError::Invalid | AuthError::UserNotFound) => {}
        }
    }
    let brought_a_token = given.is_some() || handshake.bearer.is_some() || handshake.in_query.is_some();
    // Pages that name a user id do not log in later by an event.
    let guest = dialects.with_guests().filter(|_| !brought_a_token && !handshake.names_user);
    if let Some(dialect) = guest {
        return Ok(Who::Guest(dialect.clone()));
    }
    // Without a valid token the dialect is unknown, so the refusal text is that of the default dialect.
    app.note(SecurityEvent::Refused("socket"), None);
    if !brought_a_token {
        app.refused_pages.refused(&handshake.page, app.chat.now());
    }
    // Such a page has named its user and sent no token, so the text must not say that its token is invalid.
    let lacks_cookie = handshake.names_user && handshake.cookies.is_empty() && !brought_a_token;
    let brought_nothing = !brought_a_token && handshake.cookies.is_empty();
    let words = dialects.default().auth().refusals;
    Err(ConnectError::Refused(match (lacks_cookie, brought_nothing) {
        (true, _) => dialects.with_cookie().unwrap_or(dialects.default()).auth().refusals.no_cookie,
        (false, true) => words.missing,
        (false, false) => words.invalid,
    }))
}
