//! Detects that the store has another log: an operator restored a backup, or replaced the database, while nodes were
//! running.
//!
//! Log positions are then assigned again, to other changes. A node that continued as before would not announce these
//! changes until the new log is as long as the old one was, and clients would resume from positions that no longer
//! exist. So the log gets a new [epoch](chat_core::epoch), unless it already has one. The announcer starts again at the
//! end of the log, and all clients reconnect and load their state again. Nothing that is written after the restore is
//! lost: it is in the log, or in the state that clients load.
//!
//! **Gone back.** The log ends before the last announced position. A database without a confirmed leader may report
//! this for a moment, so the node believes it only after a successful write.
//!
//! **Another epoch.** Another node that detected the same replacement has renewed the epoch, or `chat-server restore`
//! has. The node adopts that epoch, unless clients may know it from before. That is so when this node has already seen
//! the epoch end, when it was renewed less often than the current one, or when it is the first epoch of another
//! database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chat_core::epoch::Epoch;
use chat_core::model::Position;
use chat_core::store::StoreError;
use tokio::time::Instant;

use crate::app::App;

/// How often the epoch is read while the log has not gone back.
const LOOK_AT_EPOCH_EVERY: Duration = Duration::from_secs(1);
/// Several nodes detect the replacement at about the same time. Each waits for up to this long, to see whether another
/// node renews the epoch.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(500);

/// The state that is kept between two checks of the log.
#[derive(Default)]
pub(crate) struct LogWatch {
    looked_at_epoch: Option<Instant>,
    /// The ids of the epochs that have ended.
    gone: HashSet<u64>,
}

impl LogWatch {
    /// Reads the last position of the log, and switches to the new log if it was replaced.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn look(&mut self, app: &Arc<App>) -> Result<Position, StoreError> {
        let store = app.chat.store();
        let known = app.pids.epoch();
        // Read before the log, because the log's answer may lack what is announced after it.
        let announced = app.announcer.position();
        let last = store.last_position().await?;
        if last >= announced {
            if self.looked_at_epoch.is_some_and(|at| at.elapsed() < LOOK_AT_EPOCH_EVERY) {
                return Ok(last);
            }
            self.looked_at_epoch = Some(Instant::now());
            if store.epoch().await?.id == known.id {
                return Ok(last);
            }
        }
        // This writes, which only the leader of the database can do.
        store.check().await?;
        let (last, found) = (store.last_position().await?, store.epoch().await?);
        let went_back = last < announced;
        if !went_back && found.id == known.id {
            return Ok(last);
        }
        let must_renew = match found.id == known.id {
            true => true,
            false => found.renewals == 0 || found.renewals < known.renewals || self.gone.contains(&found.id),
        };
        let epoch = match must_renew {
            false => found,
            true => match renew(app, found).await? {
                Some(renewed) => renewed,
                // Another node was faster; the next call checks again.
                None => return Ok(last),
            },
        };
        let (begin, last) = (store.log_begin().await?, store.last_position().await?);
        self.gone.insert(known.id);
        tracing::error!(
            announced = announced.0,
            last = last.0,
            renewals = epoch.renewals,
            remedy = "stop all nodes before a database is put back or replaced, and see docs/operations.md, Backup and restore",
            "the log has gone back or is another one, under running nodes: open pages begin afresh"
        );
        app.begin_log(epoch, begin, last);
        Ok(last)
    }
}

/// Starts a new epoch after `found`, unless another node does.
async fn renew(app: &App, found: Epoch) -> Result<Option<Epoch>, StoreError> {
    let store = app.chat.store();
    if app.cluster().is_some() {
        tokio::time::sleep(WAIT_FOR_OTHERS.mul_f64(rand::random_range(0.0..1.0))).await;
    }
    if store.epoch().await?.id != found.id {
        return Ok(None);
    }
    store.renew_epoch().await.map(Some)
}
