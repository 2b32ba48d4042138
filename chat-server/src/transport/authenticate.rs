//! Who a connection is of, and what is spoken on it.

use chat_core::error::{Error, ErrorKind};

use super::connect_payload::ConnectPayload;
use super::handshake::Handshake;
use crate::app::App;
use crate::auth::{AuthError, Authenticated};
use crate::dialect::Registered;
use crate::outages::Part;
use crate::security_log::SecurityEvent;

/// Who has connected.
pub(super) enum Who {
    /// Somebody whose token is good, and what they speak.
    Known(Authenticated, Registered),
    /// Nobody so far. They may say so in this dialect.
    Guest(Registered),
}

/// Why somebody is not let in.
pub(super) enum ConnectError {
    /// They may not come in, now or later; these words are for their page.
    Refused(&'static str),
    /// They may, and it does not work at the moment.
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

/// The first of the tokens that is good: the one in the CONNECT packet, in the header, in the address where that is
/// allowed, in the cookies.
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
    // Pages that say whose they are do not say so again.
    let guest = dialects.with_guests().filter(|_| !brought_a_token && !handshake.names_user);
    if let Some(dialect) = guest {
        return Ok(Who::Guest(dialect.clone()));
    }
    // Which family it is cannot be known without a good token, so the words are the default's.
    app.note(SecurityEvent::Refused("socket"), None);
    if !brought_a_token {
        app.refused_pages.refused(&handshake.page, app.chat.now());
    }
    // These pages believe to have said who they are, so nothing that they know is wrong.
    let lacks_cookie = handshake.names_user && handshake.cookies.is_empty() && !brought_a_token;
    let brought_nothing = !brought_a_token && handshake.cookies.is_empty();
    let words = dialects.default().auth().refusals;
    Err(ConnectError::Refused(match (lacks_cookie, brought_nothing) {
        (true, _) => dialects.with_cookie().unwrap_or(dialects.default()).auth().refusals.no_cookie,
        (false, true) => words.missing,
        (false, false) => words.invalid,
    }))
}
