//! People and what they are called.

use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::id::UserId;

/// A person, as everybody may see them. The password's hash is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes.
    pub id: UserId,
    /// The unique name (without regard to case), for families of frontends that name people so.
    pub username: Option<String>,
    /// The unique e-mail address in lower case, for families that log in with one.
    pub email: Option<String>,
    /// The name to show; not unique.
    pub full_name: String,
    /// URL of the picture, empty when there is none.
    pub picture: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the profile last changed.
    pub updated_at: Timestamp,
    /// When the last connection ended; none if there never was one.
    pub last_seen: Option<Timestamp>,
}

impl User {
    /// The name that tells this person from all others: the user name, or else the address, or else the id.
    pub fn handle(&self) -> String {
        self.username.clone().or_else(|| self.email.clone()).unwrap_or_else(|| self.id.to_string())
    }
}

/// One of the ways to name a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By user name, without regard to case.
    Username(String),
    /// By e-mail address, without regard to case.
    Email(String),
}

impl UserKey {
    /// The key as [`policy`](crate::policy) has names and addresses kept (composed, domains in letters), folded; none
    /// when that is no other one. What was kept before there were such forms is found by [`Self::folded`] alone, so that
    /// is asked for first.
    pub fn canonical(&self) -> Option<Self> {
        let canonical = match self {
            Self::Id(_) => return None,
            Self::Username(name) => Self::Username(name.nfc().collect()).folded(),
            Self::Email(email) => Self::Email(crate::email::canonical(email)?),
        };
        (canonical != self.folded()).then_some(canonical)
    }

    /// The key in the form in which stores compare it: names and addresses in lower case.
    pub fn folded(&self) -> Self {
        match self {
            Self::Id(id) => Self::Id(*id),
            Self::Username(name) => Self::Username(name.to_lowercase()),
            Self::Email(email) => Self::Email(email.to_lowercase()),
        }
    }
}

/// An account to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The person; `last_seen` is none.
    pub user: User,
    /// What the password was hashed to. Opaque here.
    pub password_hash: PasswordHash,
    /// What others must not have in common with them: see [`policy::name_key`](crate::policy::name_key). Opaque to
    /// stores.
    pub name_key: Option<String>,
}

impl NewUser {
    /// An account with the key of the name that tells it from all others.
    pub fn new(user: User, password_hash: PasswordHash) -> Self {
        let handle = user.username.as_deref().or(user.email.as_deref());
        Self { name_key: handle.and_then(crate::policy::name_key), user, password_hash }
    }
}

/// A hashed password. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes over a hash made elsewhere.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The hash, for the one who verifies passwords and for stores.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// What changes in a profile; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePatch {
    /// The new name to show.
    pub full_name: Option<String>,
    /// The new picture's URL; empty removes it.
    pub picture: Option<String>,
}
