//! What is counted on all nodes together, for as long as it is not known what came of it.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::cluster::Attempt;

/// An attempt that was counted on all nodes together, under several names perhaps. Dropped, it is taken back, as a
/// [`Permit`](super::limit::Permit) is.
pub(crate) struct SharedAttempt {
    /// None once it counts for good.
    app: Option<Arc<App>>,
    attempt: Attempt,
    counted: Vec<(&'static str, String)>,
}

impl SharedAttempt {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        Self { app: Some(app.clone()), attempt: Attempt::new(), counted: Vec::new() }
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
        let Some(cluster) = self.app.as_ref().and_then(|app| app.cluster()) else { return Ok(()) };
        // Noted before, since nobody knows whether a question that was broken off has arrived. What was refused was not
        // counted, and taking it back does no harm.
        self.counted.push((kind, name));
        let Some((kind, name)) = self.counted.last() else { return Ok(()) };
        cluster.count(kind, name, self.attempt, limit).await.map_or(Ok(()), Err)
    }

    /// Makes it count.
    pub(crate) fn count(mut self) {
        self.app = None;
    }
}

impl Drop for SharedAttempt {
    fn drop(&mut self) {
        let Some(app) = self.app.take() else { return };
        let Some(cluster) = app.cluster() else { return };
        for (kind, name) in &self.counted {
            cluster.uncount(kind, name, self.attempt);
        }
    }
}
