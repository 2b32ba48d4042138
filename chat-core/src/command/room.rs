//! Commands about rooms and who is in them. All are answered with the room as it is then.

use crate::id::{ConversationId, UserId};
use crate::model::{Role, Visibility};

/// Make a room, as its admin.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// Its name.
    pub name: String,
    /// Who may join by themselves.
    pub visibility: Visibility,
    /// Who is in besides oneself.
    pub members: Vec<UserId>,
}

/// Bring somebody into a room (or oneself into a public one).
#[derive(Debug, Clone)]
pub struct AddMember {
    /// The room.
    pub room: ConversationId,
    /// Who.
    pub user: UserId,
}

/// Take somebody out of a room, or leave it.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    /// The room.
    pub room: ConversationId,
    /// Who.
    pub user: UserId,
}

/// Change what a member may do.
#[derive(Debug, Clone)]
pub struct SetRole {
    /// The room.
    pub room: ConversationId,
    /// Who.
    pub user: UserId,
    /// The new role.
    pub role: Role,
}
