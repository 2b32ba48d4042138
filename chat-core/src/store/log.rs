//! The log of all changes, and what else is said of a store as a whole.

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

    /// The position after which the log is complete: 0 until something is forgotten.
    async fn log_begin(&self) -> Result<Position, StoreError>;

    /// The changes after a position in the order of positions, at most `limit`; none when some of them have been
    /// forgotten. Messages, rooms and users come as they are now, not as they were. A driver may end early, though not
    /// before the first change, when the bodies take more than 4 MiB.
    ///
    /// The list ends before a change that cannot be read, because it is damaged or of a kind that only a newer version
    /// knows. Only the very first one is an error, so that whoever passes over it loses nothing else.
    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError>;

    /// The changes after a position of which this person is told, in the order of positions, at most `limit`; none when
    /// some of the log after the position was forgotten. That is what happened to messages and read marks in the
    /// conversations of which they are a member now, to rooms of which they are a member now, that they were taken out
    /// of a room, and of each person's changes of their profile the last one: all of them come as they are now.
    ///
    /// A driver must not pass over the changes that are for others one by one: somebody who was away for long asks for a
    /// few changes out of millions. It may end early as [`Self::changes_after`] does, also before a change that cannot be
    /// read; only when that is the very next one of the log it is an error.
    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError>;

    /// How many changes [`Self::changes_for`] tells of in all after a position, counted up to `limit`; none when some of
    /// the log after the position was forgotten. A driver may count some too many.
    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError>;

    /// Forgets the changes before the first one that was made at `at` or later, but never the last of all, and returns
    /// the new [`Self::log_begin`]. What changed stays as it is; only the log gets shorter.
    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError>;

    /// The epoch of the log: the same for as long as nobody has put a backup in its place.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Begins another epoch, and returns it: from now on nothing counts that was told of positions before. It is durable. For
    /// those who have put back a backup, before anybody is served.
    async fn renew_epoch(&self) -> Result<Epoch, StoreError>;

    /// Whether several nodes can use it at once. Then they learn of each other by [`Self::meet_nodes`].
    fn is_shared(&self) -> bool {
        false
    }

    /// Notes what a node tells the others of itself, or that it is still there, and answers what all others have noted in the
    /// last [`NODE_LEASE`]. A store that only one node can use has nobody to tell of.
    async fn meet_nodes(&self, note: &NodeNote) -> Result<Vec<NodeNote>, StoreError> {
        let _ = note;
        Ok(Vec::new())
    }

    /// Takes a node's note away.
    async fn leave_nodes(&self, id: &str) -> Result<(), StoreError> {
        let _ = id;
        Ok(())
    }

    /// Makes sure that all that was acknowledged is on disk and closes what needs closing; later calls fail
    /// with [`StoreError::Unavailable`]. Closing twice is fine.
    async fn close(&self) -> Result<(), StoreError>;

    /// Whether reading and writing work at this moment.
    async fn check(&self) -> Result<(), StoreError>;

    /// Where everything is kept, as whoever looks after it knows it: a file, the name of a database. Holds no secret.
    fn place(&self) -> String {
        "memory".into()
    }
}

/// A node that has not noted for so long that it is there is taken for dead.
pub const NODE_LEASE: Duration = Duration::from_secs(20);

/// What a node tells the others of itself, see [`ChangeLog::meet_nodes`]. Nothing in it may be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNote {
    /// A name that no other start has.
    pub id: String,
    /// Whether it has compared itself with the others and stays.
    pub is_settled: bool,
    /// What it tells, by name.
    pub facts: BTreeMap<String, String>,
    /// When it was noted, in milliseconds by the clock of the store. Set by the store.
    pub noted: i64,
}

/// A change and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// Where.
    pub position: Position,
    /// What.
    pub change: Change,
}

/// See [`ChangeLog::changes_for`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalChanges {
    /// The changes, in order.
    pub changes: Vec<LoggedChange>,
    /// Up to here there are no others for this person: where to go on. Never before the position that was asked for.
    pub read_to: Position,
}
