//! Lets a connection go on with a later token of its login session.

use std::sync::Arc;

use chat_core::clock::Timestamp;

use super::Session;
use super::answering::Ack;
use crate::app::App;
use crate::auth::AuthError;
use crate::dialect::answer::acknowledgement;
use crate::dialect::native::renew::{EVENT, Renewed};
use crate::dialect::{Failure, Frame};

impl Session {
    /// Renews the connection with a token, and answers until when it lasts.
    pub(super) async fn renew(self: &Arc<Self>, app: &Arc<App>, token: &str, ack: Option<Ack>) {
        match self.renewed(app, token).await {
            Ok(until) => {
                let renewed = Renewed::until(until);
                match ack {
                    Some(ack) => self.acknowledge(ack, &acknowledgement(&renewed)),
                    None => self.deliver(&Frame::new(EVENT, &renewed)),
                }
            }
            Err(failure) => {
                self.person.was_mistaken(token.len(), app.chat.now());
                self.refuse(ack, &failure);
            }
        }
    }

    async fn renewed(&self, app: &App, token: &str) -> Result<Timestamp, Failure> {
        let invalid = || Failure { field: Some("token"), ..Failure::new("unauthenticated", "Unauthorized") };
        if self.login.is_none() {
            let message = "this connection has no session that could be renewed";
            return Err(Failure::new("forbidden", message));
        }
        let caller = match app.auth.authenticate(token).await {
            Ok(caller) => caller,
            Err(AuthError::Internal(error)) => return Err(Failure::from(&error)),
            Err(AuthError::Missing | AuthError::Invalid | AuthError::UserNotFound) => return Err(invalid()),
        };
        // The token of somebody else is answered like one that is invalid.
        if caller.user.id != self.user || caller.identity.session != self.login {
            return Err(invalid());
        }
        let until = caller.identity.expires_at.and_then(|until| app.expiries.renew(self, until));
        until.ok_or_else(|| Failure::new("expired", "the log-in has expired"))
    }
}
