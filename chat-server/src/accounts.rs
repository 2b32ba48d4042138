//! Sign-up, login and logout, with their rate limits.

mod sessions;

use std::sync::Arc;
use std::time::Duration;

use chat_core::chat::Registration;
use chat_core::model::{User, UserKey};

use crate::address::Address;
use crate::app::{App, LogIn};
use crate::auth::AuthError;
use crate::auth::password::PasswordPermit;
use crate::auth::password_rules::NewPassword;
use crate::dispatch::run_to_completion;
use crate::http::error::HttpError;
use crate::limits::RateLimit;
use crate::limits::shared::SharedAttempt;
use crate::mail;
use crate::security_log::SecurityEvent;

pub(crate) use self::sessions::{MAX_REFRESHES, SessionTokens};

/// The time window of the limits for logins and sign-ups.
pub(crate) const WINDOW: Duration = Duration::from_secs(15 * 60);

impl App {
    /// Creates an account and sends the welcome mail. The hash of `password` replaces the one in `registration`.
    ///
    /// # Errors
    /// When the form is invalid, the name is taken, or there were too many sign-ups from this address.
    pub async fn register(
        self: &Arc<Self>,
        address: Address,
        password: NewPassword,
        registration: Registration,
    ) -> Result<Arc<User>, HttpError> {
        let registration = registration.checked()?;
        self.sign_ups.check(&address, self.chat.now()).map_err(|wait| self.too_many("sign-ups", wait))?;
        let turn = self.password_turn(address).await?;
        let app = self.clone();
        let registering = async move { app.register_in_turn(turn, address, password, registration).await };
        run_to_completion(registering).await.ok_or_else(HttpError::internal)?
    }

    async fn register_in_turn(
        self: &Arc<Self>,
        turn: PasswordPermit,
        address: Address,
        password: NewPassword,
        registration: Registration,
    ) -> Result<Arc<User>, HttpError> {
        let met = |wait| self.too_many("sign-ups", wait);
        let permit = self.sign_ups.acquire(address, self.chat.now()).map_err(met)?;
        let mut shared = SharedAttempt::new(self.cluster.clone());
        let limit = (self.config.auth.signup_limit, WINDOW);
        shared.count_as("sign-ups", address.0.to_string(), limit).await.map_err(met)?;
        // The password is hashed before the name is checked, so that the response time does not reveal whether the name
        // is taken.
        let password_hash = self.passwords.hash(turn, password).await?;
        let registered = self.chat.register(Registration { password_hash, ..registration }).await;
        let registered = registered.map_err(HttpError::from);
        if !registered.as_ref().is_err_and(HttpError::is_our_fault) {
            permit.count();
            shared.count();
        }
        let registered = registered?;
        self.announce(registered.deliveries);
        let user = registered.user;
        self.note(SecurityEvent::SignUp, Some(user.id));
        tracing::info!(user.id = %user.id, "an account was made");
        if let Some(email) = &user.email {
            self.welcome(email).await;
        }
        Ok(user)
    }

    /// Sends the welcome mail, unless the recipient or its domain has reached its mail limit.
    async fn welcome(self: &Arc<Self>, email: &str) {
        let now = self.chat.now();
        if !self.welcomes.may_send(email, now) {
            return self.note(SecurityEvent::LimitMet("mails"), None);
        }
        let mut shared = SharedAttempt::new(self.cluster.clone());
        let (recipient, limit) = (mail::recipient(email), (mail::MAX_PER_RECIPIENT, mail::RECIPIENT_WINDOW));
        if shared.count_as("mails", recipient, limit).await.is_err() {
            return self.note(SecurityEvent::LimitMet("mails"), None);
        }
        shared.count();
        self.mail.post(mail::welcome(email, self.config.client_url.as_deref()));
    }

    /// Verifies a password. A wrong password and an unknown name take the same time. Only errors of the client count as
    /// failed attempts.
    ///
    /// # Errors
    /// When there were too many failed attempts, for this account from this address, or from this address in total.
    pub async fn log_in(
        self: &Arc<Self>,
        address: Address,
        key: UserKey,
        password: String,
    ) -> Result<LogIn, HttpError> {
        // No account has a longer name, and the counted names stay in memory.
        let known_form = match &key {
            UserKey::Id(_) => true,
            UserKey::Username(name) | UserKey::Email(name) => name.len() <= Self::MAX_NAME_BYTES,
        };
        let key = if known_form { key } else { UserKey::Username(String::new()) };
        // All spellings of a name count as one account.
        let account = (address, key.canonical().unwrap_or_else(|| key.folded()));
        // A client that is locked out gets its response without waiting for its turn.
        let (now, met) = (self.chat.now(), |wait| self.locked_out(wait));
        self.log_ins.check(&account, now).map_err(met)?;
        self.log_ins_of_address.check(&address, now).map_err(met)?;
        let turn = self.password_turn(address).await?;
        let app = self.clone();
        // The attempt runs to completion even if the client disconnects, so that it is counted.
        let verifying = async move { app.log_in_in_turn(turn, account, key, password).await };
        run_to_completion(verifying).await.ok_or_else(HttpError::internal)?
    }

    async fn log_in_in_turn(
        self: &Arc<Self>,
        turn: PasswordPermit,
        account: (Address, UserKey),
        key: UserKey,
        password: String,
    ) -> Result<LogIn, HttpError> {
        // The attempt is counted before the result is known, so that concurrent guesses count too.
        let (now, met) = (self.chat.now(), |wait| self.locked_out(wait));
        let of_address = account.0.0.to_string();
        let of_account = format!("{of_address} {:?}", account.1);
        let permits = (
            self.log_ins.acquire(account.clone(), now).map_err(met)?,
            self.log_ins_of_address.acquire(account.0, now).map_err(met)?,
        );
        let mut shared = SharedAttempt::new(self.cluster.clone());
        let limits = &self.config.auth;
        shared.count_as("log-ins", of_account.clone(), (limits.login_limit, WINDOW)).await.map_err(met)?;
        let of_all = (limits.login_address_limit, WINDOW);
        shared.count_as("log-ins of address", of_address, of_all).await.map_err(met)?;

        let (user, hash) = self.chat.credentials(&key).await?.unzip();
        let verified = self.passwords.verify(turn, password, hash.clone()).await?;
        let user = match user {
            Some(user) if verified.is_good => user,
            user => {
                permits.0.count();
                permits.1.count();
                shared.count();
                self.note(SecurityEvent::LogInFailed, user.as_ref().map(|user| user.id));
                return Ok(if user.is_some() { LogIn::WrongPassword } else { LogIn::Unknown });
            }
        };
        drop((permits, shared));
        self.log_ins.forget(&account);
        if let Some(cluster) = &self.cluster {
            cluster.forget("log-ins", &of_account);
        }
        self.note(SecurityEvent::LogIn, Some(user.id));
        if let (Some(old), Some(new)) = (hash, verified.renewed) {
            // The old hash stays valid, so a failure here is not an error.
            if let Err(error) = self.chat.renew_password_hash(user.id, &old, new).await {
                chat_core::log_throttled!(
                    warn, user.id = %user.id, %error, "a password's hash could not be renewed"
                );
            }
        }
        Ok(LogIn::Welcome(user))
    }

    /// Waits for a turn to hash a password.
    async fn password_turn(&self, address: Address) -> Result<PasswordPermit, HttpError> {
        self.passwords.turn(address).await.map_err(|busy| {
            self.note(SecurityEvent::LimitMet("log-ins at once"), None);
            busy.into()
        })
    }

    fn locked_out(&self, wait: Duration) -> HttpError {
        self.note(SecurityEvent::LockedOut, None);
        HttpError::too_many(wait)
    }

    fn too_many(&self, what: &'static str, wait: Duration) -> HttpError {
        self.note(SecurityEvent::LimitMet(what), None);
        HttpError::too_many(wait)
    }

    /// Revokes a token, and its login session if it has one, and closes the connections that were opened with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_out(self: &Arc<Self>, token: &str) -> Result<(), HttpError> {
        let (app, token) = (self.clone(), token.to_owned());
        let revoking = run_to_completion(async move {
            let caller = match app.auth.authenticate(&token).await {
                Ok(caller) => Some(caller),
                // A session that could not be looked up must not live on behind an answer that says otherwise.
                Err(error @ AuthError::Internal(_)) => return Err(error),
                Err(_) => None,
            };
            let who = caller.as_ref().map(|caller| caller.user.id);
            if let (Some(user), Some(session)) = (who, caller.and_then(|caller| caller.identity.session)) {
                app.end_session(user, session).await.map_err(AuthError::Internal)?;
                app.note(SecurityEvent::LogOut, who);
                return Ok(());
            }
            if let Some((fingerprint, until)) = app.auth.revoke(&token).await? {
                app.note(SecurityEvent::LogOut, who);
                app.sessions.close_opened_with(&fingerprint);
                app.outbox(|outbox| outbox.revoked(fingerprint, until));
            }
            Ok::<_, AuthError>(())
        });
        Ok(revoking.await.ok_or_else(HttpError::internal)??)
    }

    /// The login limit of an account from an address, or of that address in total if that one is tighter.
    pub fn log_in_rate(&self, address: Address, key: &UserKey) -> Option<RateLimit> {
        let now = self.chat.now();
        let of_account = self.log_ins.rate(&(address, key.folded()), now);
        let of_address = self.log_ins_of_address.rate(&address, now);
        match (of_account, of_address) {
            (Some(one), Some(other)) => Some(one.tighter(other)),
            (one, other) => one.or(other),
        }
    }

    /// The sign-up limit of an address.
    pub fn sign_up_rate(&self, address: Address) -> Option<RateLimit> {
        self.sign_ups.rate(&address, self.chat.now())
    }
}

#[cfg(test)]
mod tests;
