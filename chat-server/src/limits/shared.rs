//! What is counted on all nodes together, for as long as it is not known what came of it.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Attempt, Cluster};

/// An attempt that was counted on all nodes together, under several names perhaps. Dropped, it is taken back, as a
/// [`Permit`](crate::auth::limit::Permit) is.
pub(crate) struct SharedAttempt {
    /// None without other nodes, and once it counts for good.
    cluster: Option<Arc<Cluster>>,
    attempt: Attempt,
    counted: Vec<(&'static str, String)>,
}

impl SharedAttempt {
    pub(crate) fn new(cluster: Option<Arc<Cluster>>) -> Self {
        Self { cluster, attempt: Attempt::new(), counted: Vec::new() }
    }

    /// Counts it under a name, after it was counted here.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(crate) async fn count_as(
        &mut self,
        kind: &'static str,
        name: String,
        limit: (u32, Duration),
    ) -> Result<(), Duration> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        // Noted before, since nobody knows whether a question that was broken off has arrived. What was refused was not
        // counted, and taking it back does no harm.
        self.counted.push((kind, name));
        let Some((kind, name)) = self.counted.last() else { return Ok(()) };
        cluster.count(kind, name, self.attempt, limit).await.map_or(Ok(()), Err)
    }

    /// Makes it count.
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
