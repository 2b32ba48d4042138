//! Conversations and who is in them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::members::Members;
use crate::model::RoomDetails;

/// People who talk: two of them (a direct conversation), or a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Never changes.
    pub id: ConversationId,
    /// Direct or room.
    pub kind: ConversationKind,
    /// Everybody in it, in the order of joining.
    pub members: Members,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl Conversation {
    /// The membership of a person, if they are in.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(user)
    }

    /// In a direct conversation, the person `user` talks with (themselves, in notes to oneself).
    pub fn peer_of(&self, user: UserId) -> Option<UserId> {
        match &self.kind {
            ConversationKind::Direct { pair } => pair.other(user),
            ConversationKind::Room(_) => None,
        }
    }
}

/// What kind of conversation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationKind {
    /// Exactly these two; there is never a second direct conversation of the same pair.
    Direct {
        /// The canonical identity.
        pair: Pair,
    },
    /// Any number of members with roles.
    Room(RoomInfo),
}

/// What is said of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// The name to show; not unique.
    pub name: String,
    /// Who may join by themselves.
    pub visibility: Visibility,
    /// What else there is to say. Stores leave it empty here: [`rooms`](crate::rooms) keeps it in rows of its own.
    pub details: Arc<RoomDetails>,
}

impl RoomInfo {
    /// Of a new room, of which nothing else is said.
    pub fn new(name: impl Into<String>, visibility: Visibility) -> Self {
        Self { name: name.into(), visibility, details: Arc::default() }
    }
}

/// Who may join a room without being added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Nobody: an admin or moderator adds people.
    Private,
}

/// Two people without an order; both may be the same one. The identity of a direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

impl Pair {
    /// The pair of these two.
    pub fn new(a: UserId, b: UserId) -> Self {
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Both, the lower id first.
    pub fn both(self) -> (UserId, UserId) {
        (self.low, self.high)
    }

    /// The other one of the two, or none when `user` is not one of them.
    pub fn other(self, user: UserId) -> Option<UserId> {
        match user {
            user if user == self.low => Some(self.high),
            user if user == self.high => Some(self.low),
            _ => None,
        }
    }
}

/// Somebody's place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
}

/// What a member may do. Greater roles may do all that lesser ones may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read, write, delete what they wrote.
    Member,
    /// Also delete what others wrote, and add and remove members.
    Moderator,
    /// Also change roles and the room itself.
    Admin,
}
