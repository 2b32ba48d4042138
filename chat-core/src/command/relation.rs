//! Commands about relations to other users: blocks, friends, and friend requests.

use std::sync::Arc;

use crate::id::UserId;
use crate::model::{Relation, RelationAct, User};

/// Blocks a user, sends a friend request, answers one, or undoes one of these. If the relation already is in the
/// wanted state, nothing changes and no event is delivered.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRelation {
    /// The other user.
    pub with: UserId,
    /// The action.
    pub act: RelationAct,
}

/// Lists the users with whom the actor has a relation, sorted by id.
#[derive(Debug, Clone, Copy)]
pub struct ListRelations {
    /// The kind of relation.
    pub kind: RelationKind,
    /// Only users after this id: the end of the previous page.
    pub after: Option<UserId>,
    /// The maximum number of users.
    pub limit: usize,
}

/// A kind of relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// Users whom the actor blocks.
    Blocked,
    /// Friends.
    Friends,
    /// Users who have sent the actor a friend request.
    Received,
    /// Users to whom the actor has sent a friend request.
    Sent,
}

/// A user and the actor's relation to that user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The other user.
    pub user: Arc<User>,
    /// The relation, as far as the actor may see it.
    pub relation: Relation,
}

/// A page of related users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatedPage {
    /// The users.
    pub people: Vec<Related>,
    /// Where the next page begins; none on the last page.
    pub next: Option<UserId>,
}
