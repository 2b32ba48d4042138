//! Commands about rooms and who is in them. Those that change something are answered with the room as it is then.

use crate::id::{ConversationId, UserId};
use crate::model::{JoinOrder, Member, Role, Visibility};

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

/// Read who is in a conversation, in the order of joining. Only members may.
#[derive(Debug, Clone)]
pub struct ReadMembers {
    /// The conversation.
    pub of: ConversationId,
    /// Those who came after this place; [`JoinOrder`] 0 is before everybody.
    pub after: JoinOrder,
    /// At most so many, and at most [`MAX_MEMBERS_AT_ONCE`].
    pub limit: usize,
}

/// Most members that [`ReadMembers`] is answered with.
pub const MAX_MEMBERS_AT_ONCE: usize = 1_000;

/// Some of the members of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// In the order of joining, each with their place in it: the next page comes after that of the last one.
    pub members: Vec<(JoinOrder, Member)>,
    /// Whether there are others behind them.
    pub has_more: bool,
}
