//! Login sessions: their tokens, and their end.

use std::sync::Arc;

use chat_core::chat::SessionLives;
use chat_core::command::{Actor, EndSession};
use chat_core::error::Error;
use chat_core::event::{Delivery, Event};
use chat_core::id::{LoginSessionId, UserId};
use chat_core::model::{User, UserKey};
use chat_core::store::Refreshed;

use crate::address::Address;
use crate::app::App;
use crate::auth::refresh::{FirstSecrets, RefreshToken};
use crate::dialect::{Registered, Unauthenticated};
use crate::dispatch::run_to_completion;
use crate::http::error::HttpError;
use crate::security_log::SecurityEvent;

/// The maximum number of times that the tokens of one login session are refreshed within the
/// [window](super::WINDOW) of all login limits.
pub(crate) const MAX_REFRESHES: u32 = 60;

/// The tokens of a login session, as its client receives them.
pub(crate) struct SessionTokens {
    /// The access token.
    pub(crate) access: String,
    /// The refresh token.
    pub(crate) refresh: String,
}

impl App {
    /// Starts a login session on a device, for a person whose password was verified.
    ///
    /// # Errors
    /// When the name of the device is invalid, or the store fails.
    pub(crate) async fn open_session(
        self: &Arc<Self>,
        user: &Arc<User>,
        dialect: &Registered,
        device: String,
    ) -> Result<SessionTokens, HttpError> {
        let (app, user, dialect) = (self.clone(), user.clone(), dialect.clone());
        let opening = async move {
            let secrets = FirstSecrets::new();
            let started =
                app.chat.start_session(user.id, &device, secrets.hashes(), app.session_lives()).await?;
            app.announce(started.deliveries);
            let session = started.reply.id;
            let access = app.auth.issue_in_session(&user, &dialect, session);
            Ok(SessionTokens { access, refresh: secrets.of(user.id, session).encode() })
        };
        run_to_completion(opening).await.ok_or_else(HttpError::internal)?
    }

    /// Replaces a refresh token with the next one, and issues an access token. A used refresh token ends its session.
    ///
    /// # Errors
    /// When the token is invalid or was used before, its session was refreshed too often, or the store fails.
    pub(crate) async fn refresh(
        self: &Arc<Self>,
        address: Address,
        dialect: &Registered,
        token: &str,
    ) -> Result<SessionTokens, HttpError> {
        let Some(token) = RefreshToken::parse(token) else { return Err(self.refuse_refresh(address)) };
        let key = (token.user, token.session);
        // Only sessions that exist are counted, so strangers fill no memory.
        self.refreshes.check(&key, self.chat.now()).map_err(|wait| self.too_many("refreshes", wait))?;
        let (app, dialect) = (self.clone(), dialect.clone());
        let refreshing = async move {
            let (used, next) = token.use_now();
            let refreshed = match app.chat.refresh_session(token.user, used, app.session_lives()).await {
                Ok(refreshed) => refreshed,
                Err(Error::SessionNotFound) => return Err(app.refuse_refresh(address)),
                Err(error) => return Err(error.into()),
            };
            app.refreshes.count(key, app.chat.now());
            app.announce(refreshed.deliveries);
            let next = match refreshed.reply {
                Refreshed::Replaced => next,
                Refreshed::Repeated(nonce) => token.successor(nonce),
                Refreshed::Reused(_) => {
                    app.note(SecurityEvent::TokenReused, Some(token.user));
                    return Err(app.refuse_refresh(address));
                }
            };
            let user = app.chat.find_user(&UserKey::Id(token.user)).await?;
            let user = user.ok_or_else(|| app.refuse_refresh(address))?;
            let access = app.auth.issue_in_session(&user, &dialect, token.session);
            Ok(SessionTokens { access, refresh: next.encode() })
        };
        run_to_completion(refreshing).await.ok_or_else(HttpError::internal)?
    }

    /// Ends the login session of a refresh token, whether the token was used or not. An invalid token has no effect.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn log_out_refresh(self: &Arc<Self>, token: &str) -> Result<(), HttpError> {
        let Some(token) = RefreshToken::parse(token) else { return Ok(()) };
        let app = self.clone();
        let ending = async move {
            if app.chat.has_session(token.user, token.session, token.family()).await? {
                app.end_session(token.user, token.session).await?;
                app.note(SecurityEvent::LogOut, Some(token.user));
            }
            Ok::<_, Error>(())
        };
        Ok(run_to_completion(ending).await.ok_or_else(HttpError::internal)??)
    }

    /// Ends a login session, if it has not ended yet.
    pub(super) async fn end_session(&self, user: UserId, session: LoginSessionId) -> Result<(), Error> {
        match self.chat.execute(&Actor { user }, EndSession { session }).await {
            Ok(ended) => {
                self.announce(ended.deliveries);
                Ok(())
            }
            Err(Error::SessionNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the end of login sessions effective: their tokens are invalid from now on, here and on the other nodes.
    /// Returns those whose connections are to be closed.
    pub(crate) fn revoke_ended(&self, deliveries: &[Delivery]) -> Vec<(UserId, LoginSessionId)> {
        let mut all = Vec::new();
        for delivery in deliveries {
            let Event::SessionEnded { user, session, until } = delivery.event else { continue };
            let revocation = session.revocation(user);
            self.auth.note_session_ended(revocation, until);
            self.outbox(|outbox| outbox.revoked(revocation, until));
            self.note(SecurityEvent::SessionEnded, Some(user));
            all.push((user, session));
        }
        all
    }

    /// How long the tokens of login sessions are valid.
    fn session_lives(&self) -> SessionLives {
        SessionLives { access: self.config.auth.access_life, refresh: self.config.auth.refresh_life }
    }

    /// The refusal of a refresh token. It counts as a failed login of the address, and says no more when there were too many:
    /// nobody else is refused for it.
    fn refuse_refresh(&self, address: Address) -> HttpError {
        match self.log_ins_of_address.acquire(address, self.chat.now()) {
            Ok(permit) => {
                permit.count();
                HttpError::unauthenticated(Unauthenticated::Invalid)
            }
            Err(wait) => self.locked_out(wait),
        }
    }
}
