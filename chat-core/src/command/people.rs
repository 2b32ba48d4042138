//! Commands about people.

use std::sync::Arc;

use crate::model::{ProfilePatch, User};

/// Everybody but oneself, in the order of their accounts.
#[derive(Debug, Clone)]
pub struct ListUsers {
    /// At most so many.
    pub limit: usize,
}

/// Finds people by the beginning of their user names, in the order of the names without regard to case. Accounts
/// without a user name are never found, so that a search reveals no e-mail address.
#[derive(Debug, Clone)]
pub struct SearchUsers {
    /// The beginning of the name: [`Self::MIN_CHARS`] to [`Self::MAX_CHARS`] characters.
    pub prefix: String,
    /// Only names after this one: the end of the previous page.
    pub after: Option<String>,
    /// The maximum number of people.
    pub limit: usize,
}

impl SearchUsers {
    /// The minimum length of a prefix, so that nobody lists all names letter by letter.
    pub const MIN_CHARS: usize = 2;
    /// The maximum length of a prefix.
    pub const MAX_CHARS: usize = 64;
    /// The maximum of [`Self::limit`].
    pub const MAX: usize = 50;
}

/// A page of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPage {
    /// The people.
    pub users: Vec<Arc<User>>,
    /// The name at the end of this page, in lower case; none on the last page.
    pub next: Option<String>,
}

/// The people one has talked with directly, the latest first.
#[derive(Debug, Clone)]
pub struct ListChatPartners {
    /// At most so many.
    pub limit: usize,
}

/// Change the own profile.
#[derive(Debug, Clone)]
pub struct UpdateProfile {
    /// What changes.
    pub patch: ProfilePatch,
}
