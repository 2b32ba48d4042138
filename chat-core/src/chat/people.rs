//! Accounts, profiles, and lists of people.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::Chat;
use crate::command::{ListChatPartners, ListUsers, Outcome, SearchUsers, UpdateProfile, UserPage};
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::event::{Delivery, Event};
use crate::id::UserId;
use crate::model::{NewUser, PasswordHash, User, UserKey};
use crate::policy;
use crate::store::{Change, CreatedUser};

/// The data of a new account. It needs at least a user name or an e-mail address.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The unique user name.
    pub username: Option<String>,
    /// The unique e-mail address.
    pub email: Option<String>,
    /// The name to show; the user name when empty.
    pub full_name: String,
    /// The hash of the password.
    pub password_hash: PasswordHash,
}

impl Registration {
    /// An account with only a user name.
    pub fn named(username: impl Into<String>, password_hash: PasswordHash) -> Self {
        Self { username: Some(username.into()), email: None, full_name: String::new(), password_hash }
    }

    /// Checks the form of all fields and brings them into the form in which they are stored. Callers can use this to
    /// refuse a registration before they hash the password.
    ///
    /// # Errors
    /// When a field does not have the required form.
    pub fn checked(self) -> Result<Self, Error> {
        let username = self.username.as_deref().map(policy::check_username).transpose()?;
        let email = self.email.as_deref().map(policy::check_email).transpose()?;
        let full_name = match (self.full_name.as_str(), &username) {
            ("", Some(username)) => username.clone(),
            (full_name, _) => policy::check_display_name("fullName", full_name)?.to_owned(),
        };
        if username.is_none() && email.is_none() {
            return Err(Error::Invalid { field: "username", problem: "is missing" });
        }
        Ok(Self { username, email, full_name, password_hash: self.password_hash })
    }
}

/// The result of a registration.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The new user.
    pub user: Arc<User>,
    /// The events to deliver to other users.
    pub deliveries: Vec<Delivery>,
}

impl Chat {
    /// Creates an account.
    ///
    /// # Errors
    /// When a field does not have the required form, or the name or address is taken.
    pub async fn register(&self, registration: Registration) -> Result<Registered, Error> {
        let Registration { username, email, full_name, password_hash } = registration.checked()?;
        let now = self.clock.now();
        let user = User {
            id: UserId::from_bytes(self.ids.next(now)),
            username,
            email,
            full_name,
            picture: String::new(),
            created_at: now,
            updated_at: now,
            last_seen: None,
        };
        match self.store.create_user(NewUser::new(user, password_hash)).await? {
            CreatedUser::Created(user) => {
                let deliveries = vec![Delivery::ephemeral(Event::UserRegistered(user.clone()))];
                Ok(Registered { user, deliveries })
            }
            CreatedUser::UsernameTaken => Err(Error::UsernameTaken),
            CreatedUser::EmailTaken => Err(Error::EmailTaken),
        }
    }

    /// Finds a user together with the hash of the password, for the code that verifies passwords.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, Error> {
        let found = self.store.credentials(&key.folded()).await?;
        match key.canonical() {
            Some(canonical) if found.is_none() => Ok(self.store.credentials(&canonical).await?),
            _ => Ok(found),
        }
    }

    /// Replaces the hash of a password with another hash of the same password, if the old hash is still stored.
    /// Returns whether it was. No event is delivered.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, Error> {
        Ok(self.store.set_password_hash(user, old, new).await?)
    }

    /// Finds a user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_user(&self, key: &UserKey) -> Result<Option<Arc<User>>, Error> {
        Ok(self.directory.find_user(key).await?.map(|user| self.shown(user)))
    }

    /// Evicts a user from the cache, because another process has changed when the user was last seen.
    pub fn forget_user(&self, user: UserId) {
        self.directory.forget_user(user);
    }

    pub(crate) async fn users(
        &self,
        actor: UserId,
        command: ListUsers,
    ) -> Result<Outcome<Vec<Arc<User>>>, Error> {
        let mut users = self.store.users(command.limit.saturating_add(1)).await?;
        users.retain(|user| user.id != actor);
        users.truncate(command.limit);
        Ok(Outcome::reply_only(users.into_iter().map(|user| self.shown(user)).collect()))
    }

    pub(crate) async fn search_users(
        &self,
        actor: UserId,
        command: SearchUsers,
    ) -> Result<Outcome<UserPage>, Error> {
        let SearchUsers { prefix, after, limit } = command;
        let prefix = UserKey::Username(prefix.trim().nfc().collect()).folded();
        let UserKey::Username(prefix) = prefix else { return Ok(Outcome::reply_only(UserPage::default())) };
        match prefix.chars().count() {
            0..SearchUsers::MIN_CHARS => {
                return Err(Error::Invalid { field: "q", problem: "must have at least 2 characters" });
            }
            SearchUsers::MIN_CHARS..=SearchUsers::MAX_CHARS => {}
            _ => {
                return Err(Error::TooLarge {
                    field: "q",
                    limit: SearchUsers::MAX_CHARS,
                    unit: "characters",
                });
            }
        }
        let limit = limit.clamp(1, SearchUsers::MAX);
        // One for the actor, who is left out, and one to see whether more follow.
        let mut users = self.store.users_named(&prefix, after.as_deref(), limit + 2).await?;
        users.retain(|user| user.id != actor);
        let has_more = users.len() > limit;
        users.truncate(limit);
        let last = users.last().and_then(|user| user.username.as_deref());
        let next = last.map(str::to_lowercase).filter(|_| has_more);
        let users = users.into_iter().map(|user| self.shown(user)).collect();
        Ok(Outcome::reply_only(UserPage { users, next }))
    }

    pub(crate) async fn chat_partners(
        &self,
        actor: UserId,
        command: ListChatPartners,
    ) -> Result<Outcome<Vec<Arc<User>>>, Error> {
        let mut users = Vec::new();
        for id in self.store.chat_partners(actor, command.limit).await? {
            let user = self.directory.user(id).await;
            users.extend(damage::sound(&*self.store, user, "users", &id)?.map(|user| self.shown(user)));
        }
        Ok(Outcome::reply_only(users))
    }

    pub(crate) async fn update_profile(
        &self,
        actor: UserId,
        command: UpdateProfile,
    ) -> Result<Outcome<Arc<User>>, Error> {
        let mut patch = command.patch;
        if let Some(name) = &patch.full_name {
            patch.full_name = Some(policy::check_display_name("fullName", name)?.to_owned());
        }
        let updated = self.store.update_profile(actor, patch, self.clock.now()).await?;
        let (position, user) = updated.ok_or(Error::UserNotFound)?;
        let user = self.shown(user);
        let at_hand = AtHand { user: Some(user.clone()), ..AtHand::default() };
        let change = Change::ProfileUpdated { user: actor };
        let deliveries = self.committed(Some(position), change, at_hand).await?;
        Ok(Outcome { reply: user, deliveries })
    }
}

#[cfg(test)]
mod tests;
