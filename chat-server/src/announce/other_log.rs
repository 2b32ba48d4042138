//! Notices that the log of the store is another one: an operator has put back a backup, or another database, under running nodes.
//!
//! Positions are then given again, to other changes. Whoever went on as before would tell nobody of them until there are as many
//! as there were, and let pages go on from a future that was lost. So the log gets another [epoch](chat_core::epoch), unless it
//! has one already, announcing begins anew at its end, and everybody who is connected comes back and begins afresh. What is
//! written after the backup was put back is lost by nobody: it is in the log, or in what pages load then.
//!
//! **Gone back.** The log ends before what was announced. A database that is not sure who leads it may answer so for a moment,
//! so it is believed only once something was written.
//!
//! **Another epoch.** Somebody has renewed it: another node that has noticed the same, or `chat-server restore`. It is taken
//! over, unless pages may know it from before: if it is one of those that this node has seen go, has been renewed less often than
//! the one before, or is the first of another database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chat_core::epoch::Epoch;
use chat_core::model::Position;
use chat_core::store::StoreError;
use tokio::time::Instant;

use crate::app::App;

/// How often the epoch is looked at, while the log has not gone back.
const LOOK_AT_EPOCH_EVERY: Duration = Duration::from_secs(1);
/// Several nodes notice at about the same time: each waits for up to so long whether another one renews the epoch.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(500);

/// What is known of the log from one look to the next.
#[derive(Default)]
pub(crate) struct LogWatch {
    looked_at_epoch: Option<Instant>,
    /// The epochs that have gone, by their ids.
    gone: HashSet<u64>,
}

impl LogWatch {
    /// Looks how far the log goes, and begins it anew if it is another one.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn look(&mut self, app: &Arc<App>) -> Result<Position, StoreError> {
        let store = app.chat.store();
        let known = app.pids.epoch();
        // Before the log is asked: what is announced afterwards may be missing in the answer.
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
        // Writes, which only the one that leads can do.
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
                // Somebody else was faster; it is looked again.
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

/// Begins another epoch after this one, unless somebody else does.
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
