//! The log of all changes, and operations on a store as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::change::Change;
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::id::UserId;
use crate::model::Position;

/// The log of all changes.
#[async_trait]
pub trait ChangeLog: Send + Sync {
    /// The position of the last change, 0 when there is none.
    async fn last_position(&self) -> Result<Position, StoreError>;

    /// The position after which the log is complete: 0 until changes are removed from the log.
    async fn log_begin(&self) -> Result<Position, StoreError>;

    /// The changes after a position in the order of positions, at most `limit`; none when some of them have been
    /// removed from the log. Messages, rooms and users are returned in their current state, not as they were at the
    /// time of the change. A driver may return fewer changes, but at least one, when the bodies take more than 4 MiB.
    ///
    /// The list ends before a change that cannot be read, because it is damaged or of a kind that only a newer
    /// version knows. It is an error only if the first change cannot be read: so a caller that skips that one change
    /// misses no other.
    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError>;

    /// The changes after a position that this user receives, in the order of positions, at most `limit`; none when a
    /// part of the log after the position was removed. The user receives: changes of messages and read marks in the
    /// conversations of which the user is a member now; changes of rooms of which the user is a member now; the
    /// user's own removal from a room; changes that only this user receives, such as those of relations; and the last
    /// profile change of each user. All of them are returned in their current state.
    ///
    /// A driver must not scan the changes for other users one by one: a user who was away for a long time asks for a
    /// few changes out of millions. The driver may return fewer changes as in [`Self::changes_after`], also when it
    /// reaches a change that cannot be read; that is an error only if it is the very next change of the log.
    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError>;

    /// The number of changes that [`Self::changes_for`] returns in all after a position, counted up to `limit`; none
    /// when a part of the log after the position was removed. A driver may count a few too many.
    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError>;

    /// Removes the changes before the first one that was made at `at` or later, but never the last change of the log.
    /// Returns the new [`Self::log_begin`]. The data itself does not change; only the log gets shorter.
    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError>;

    /// The epoch of the log. It stays the same unless a backup is restored.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Begins another epoch, and returns it. Positions that clients received before are not valid any more. The new
    /// epoch is durable. Call this after a backup was restored, before the first client is served.
    async fn renew_epoch(&self) -> Result<Epoch, StoreError>;

    /// Whether several nodes can use the store at once. Then they find each other with [`Self::meet_nodes`].
    fn is_shared(&self) -> bool {
        false
    }

    /// Stores a node's note, or renews it, and returns the notes that all other nodes have stored in the last
    /// [`NODE_LEASE`]. A store that only one node can use returns an empty list.
    async fn meet_nodes(&self, note: &NodeNote) -> Result<Vec<NodeNote>, StoreError> {
        let _ = note;
        Ok(Vec::new())
    }

    /// Removes a node's note.
    async fn leave_nodes(&self, id: &str) -> Result<(), StoreError> {
        let _ = id;
        Ok(())
    }

    /// Flushes all acknowledged changes to disk and releases all resources. Later calls fail with
    /// [`StoreError::Unavailable`]. Closing twice is allowed.
    async fn close(&self) -> Result<(), StoreError>;

    /// Checks that reading and writing work at this moment.
    async fn check(&self) -> Result<(), StoreError>;

    /// Where the data is kept, in words for the operator: a file, or the name of a database. Contains no secret.
    fn place(&self) -> String {
        "memory".into()
    }
}

/// A node that has not renewed its note for this long is considered dead.
pub const NODE_LEASE: Duration = Duration::from_secs(20);

/// What a node publishes to the other nodes, see [`ChangeLog::meet_nodes`]. It must not contain secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNote {
    /// A name that is unique to this start of the node.
    pub id: String,
    /// Whether the node has compared its facts with those of the others and stays.
    pub is_settled: bool,
    /// The published facts, by name.
    pub facts: BTreeMap<String, String>,
    /// When the note was stored, in milliseconds by the clock of the store. Set by the store.
    pub noted: i64,
}

/// A change and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// The position in the log.
    pub position: Position,
    /// The change.
    pub change: Change,
}

/// The result of [`ChangeLog::changes_for`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalChanges {
    /// The changes, in order.
    pub changes: Vec<LoggedChange>,
    /// Where to continue: up to this position there are no other changes for this user. Never less than the position
    /// that was asked for.
    pub read_to: Position,
}
