//! Commands about what one has with other people: blocks, friends, and requests for friendship.

use std::sync::Arc;

use crate::id::UserId;
use crate::model::{Relation, RelationAct, User};

/// Block somebody, ask for friendship, answer such a request, or undo one of these. What is so already stays so and is told to
/// nobody.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRelation {
    /// With whom.
    pub with: UserId,
    /// What is done.
    pub act: RelationAct,
}

/// The people one has something with, in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub struct ListRelations {
    /// Which.
    pub kind: RelationKind,
    /// Only those behind this one: where the last page ended.
    pub after: Option<UserId>,
    /// At most so many.
    pub limit: usize,
}

/// Which relations are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// People whom one blocks.
    Blocked,
    /// Friends.
    Friends,
    /// People who have asked for friendship.
    Received,
    /// People whom one has asked for friendship.
    Sent,
}

/// A person, and what one has with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The other one.
    pub user: Arc<User>,
    /// As the asker may see it.
    pub relation: Relation,
}

/// A page of people one has something with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatedPage {
    /// The people.
    pub people: Vec<Related>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<UserId>,
}
