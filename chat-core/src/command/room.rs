//! Commands about rooms and their members. A command that changes a room returns the room after the change.

use crate::id::{ConversationId, UserId};
use crate::model::{JoinOrder, Member, Role, Visibility};

/// Creates a room; the caller becomes its admin.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// Its name.
    pub name: String,
    /// Who may join without being added.
    pub visibility: Visibility,
    /// The members besides the caller.
    pub members: Vec<UserId>,
}

/// Adds a person to a room. In a public room the caller may add themselves.
#[derive(Debug, Clone)]
pub struct AddMember {
    /// The room.
    pub room: ConversationId,
    /// The person to add.
    pub user: UserId,
}

/// Removes a person from a room. The caller may remove themselves.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    /// The room.
    pub room: ConversationId,
    /// The person to remove.
    pub user: UserId,
}

/// Changes the role of a member.
#[derive(Debug, Clone)]
pub struct SetRole {
    /// The room.
    pub room: ConversationId,
    /// The member.
    pub user: UserId,
    /// The new role.
    pub role: Role,
}

/// Reads the members of a conversation, in the order of joining. Only members may read them.
#[derive(Debug, Clone)]
pub struct ReadMembers {
    /// The conversation.
    pub of: ConversationId,
    /// Only members after this place; [`JoinOrder`] 0 is before all members.
    pub after: JoinOrder,
    /// The most members to return, at most [`MAX_MEMBERS_AT_ONCE`].
    pub limit: usize,
}

/// The most members that one [`ReadMembers`] returns.
pub const MAX_MEMBERS_AT_ONCE: usize = 1_000;

/// A page of a conversation's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// In the order of joining, each with its place. The next page starts after the place of the last one.
    pub members: Vec<(JoinOrder, Member)>,
    /// Whether more members follow.
    pub has_more: bool,
}
