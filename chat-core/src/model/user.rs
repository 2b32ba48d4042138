//! Users and their names.

use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::id::UserId;

/// A user, as others may see it. It does not contain the password's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes.
    pub id: UserId,
    /// The unique name (ignoring case), for families of frontends that use names.
    pub username: Option<String>,
    /// The unique e-mail address in lower case, for families that log in with one.
    pub email: Option<String>,
    /// The name to show; not unique.
    pub full_name: String,
    /// URL of the picture, empty when there is none.
    pub picture: String,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the profile last changed.
    pub updated_at: Timestamp,
    /// When the last connection ended; none if the user was never connected.
    pub last_seen: Option<Timestamp>,
}

impl User {
    /// The unique name of this user: the user name, or else the address, or else the id.
    pub fn handle(&self) -> String {
        self.username.clone().or_else(|| self.email.clone()).unwrap_or_else(|| self.id.to_string())
    }
}

/// One of the ways to identify a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By user name, ignoring case.
    Username(String),
    /// By e-mail address, ignoring case.
    Email(String),
}

impl UserKey {
    /// The key in the form that [`policy`](crate::policy) stores for names and addresses (composed, domains in
    /// letters), folded; none if that is the same key. Accounts from before these forms existed are only found by
    /// [`Self::folded`], so look up that key first.
    pub fn canonical(&self) -> Option<Self> {
        let canonical = match self {
            Self::Id(_) => return None,
            Self::Username(name) => Self::Username(name.nfc().collect()).folded(),
            Self::Email(email) => Self::Email(crate::email::canonical(email)?),
        };
        (canonical != self.folded()).then_some(canonical)
    }

    /// The key in the form that stores compare: names and addresses in lower case.
    pub fn folded(&self) -> Self {
        match self {
            Self::Id(id) => Self::Id(*id),
            Self::Username(name) => Self::Username(name.to_lowercase()),
            Self::Email(email) => Self::Email(email.to_lowercase()),
        }
    }
}

/// An account to create.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The user; `last_seen` is none.
    pub user: User,
    /// The hash of the password. The store does not interpret it.
    pub password_hash: PasswordHash,
    /// The key under which names that look alike are equal; it must be unique: see
    /// [`policy::name_key`](crate::policy::name_key). The store does not interpret it.
    pub name_key: Option<String>,
}

impl NewUser {
    /// Creates an account, with the name key of its unique name.
    pub fn new(user: User, password_hash: PasswordHash) -> Self {
        let handle = user.username.as_deref().or(user.email.as_deref());
        Self { name_key: handle.and_then(crate::policy::name_key), user, password_hash }
    }
}

/// A hashed password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash that was made elsewhere.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The hash, for stores and for the code that verifies passwords.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The changes of a profile; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePatch {
    /// The new name to show.
    pub full_name: Option<String>,
    /// The new picture's URL; empty removes it.
    pub picture: Option<String>,
}
