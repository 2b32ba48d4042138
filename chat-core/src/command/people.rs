//! Commands about people.

use crate::model::ProfilePatch;

/// Everybody but oneself, in the order of their accounts.
#[derive(Debug, Clone)]
pub struct ListUsers {
    /// At most so many.
    pub limit: usize,
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
