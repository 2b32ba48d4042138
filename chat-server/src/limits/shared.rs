//! Attempts that are counted over all nodes, until their result is known.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Attempt, Cluster};

/// An attempt that was counted over all nodes, possibly under several names. Dropping it refunds the attempt, as with a
/// [`Permit`](crate::auth::limit::Permit).
pub(crate) struct SharedAttempt {
    /// `None` without other nodes, and once the attempt counts permanently.
    cluster: Option<Arc<Cluster>>,
    attempt: Attempt,
    counted: Vec<(&'static str, String)>,
}

impl SharedAttempt {
    pub(crate) fn new(cluster: Option<Arc<Cluster>>) -> Self {
        Self { cluster, attempt: Attempt::new(), counted: Vec::new() }
    }

    /// Counts the attempt under a name, after it was counted on this node.
    ///
    /// # Errors
    /// Returns how long to wait when there were too many attempts.
    pub(crate) async fn count_as(
        &mut self,
        kind: &'static str,
        name: String,
        limit: (u32, Duration),
    ) -> Result<(), Duration> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        // Recorded before the call, because a cancelled call may have arrived or not. A refused attempt was not
        // counted, so a refund does no harm.
        self.counted.push((kind, name));
        let Some((kind, name)) = self.counted.last() else { return Ok(()) };
        cluster.count(kind, name, self.attempt, limit).await.map_or(Ok(()), Err)
    }

    /// Makes the attempt count permanently.
    pub(crate) fn count(mut self) {
        self.cluster = None;
    }
}

impl Drop for SharedAttempt {
    fn drop(&mut self) {
        let Some(cluster) = self.cluster.take() else { return };
        for (kind, name) in &self.counted {
            cluster.uncount(kind, name, self.attempt);
        }
    }
}
