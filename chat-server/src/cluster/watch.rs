//! The periodic tasks of a node, which do not depend on notices.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::notice::NodeId;
use crate::announce::other_log::LogWatch;
use crate::app::App;
use crate::presence::leaving;

/// How often the log is polled while this node receives notices.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while it does not receive notices.
const LOOK_EVERY_ALONE: Duration = Duration::from_millis(100);
/// The same while the store is unavailable.
const LOOK_EVERY_IN_VAIN: Duration = Duration::from_secs(1);
/// How often this node sends a heartbeat.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often waiting counts are sent and leases are checked.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often the revoked tokens are read from the store.
const REVOCATIONS_EVERY: Duration = Duration::from_secs(30);
/// The minimum pause between two such reads.
const REVOCATIONS_PAUSE: Duration = Duration::from_secs(1);

/// Polls the position of the log, because doorbells may be lost.
pub(super) async fn watch_log(app: Weak<App>) {
    let (mut is_readable, mut watch) = (true, LogWatch::default());
    loop {
        let pause = {
            let Some(app) = app.upgrade() else { return };
            match watch.look(&app).await {
                Ok(last) => {
                    app.announcer.advance_to(last);
                    is_readable = true;
                    if app.hears_others() == Some(true) { LOOK_EVERY } else { LOOK_EVERY_ALONE }
                }
                Err(error) => {
                    if std::mem::replace(&mut is_readable, false) {
                        chat_core::log_throttled!(warn, %error, "the log cannot be looked at");
                    }
                    LOOK_EVERY_IN_VAIN
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Renews the lease of this node, and expires the leases of silent nodes.
pub(super) async fn watch_others(app: Weak<App>, node: NodeId) {
    let (mut flush, mut renew) = (interval(FLUSH_EVERY), interval(RENEW_EVERY));
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let renews = tokio::select! {
            _ = flush.tick() => false,
            _ = renew.tick() => true,
        };
        let Some(app) = app.upgrade() else { return };
        app.presence.settle(&app.chat);
        if app.hears_others() != Some(true) {
            continue;
        }
        app.outbox(|outbox| if renews { outbox.say_alive() } else { outbox.flush() });
        for (went, silent) in app.presence.others().expire(Instant::now()) {
            chat_core::log_throttled!(
                warn,
                seconds = silent.as_secs(),
                people = went.len(),
                "another node is silent"
            );
            // Exactly one of the remaining nodes stores when these users were last seen.
            let is_mine = app.presence.others().least().is_none_or(|least| node < least);
            leaving::others_went(&app, &went, is_mine);
        }
    }
}

/// Reads the revoked tokens from the store. Notices of revocations may be lost, and the memory for them may be full.
pub(super) async fn watch_revocations(app: Weak<App>, recheck: Arc<Notify>) {
    loop {
        tokio::time::sleep(REVOCATIONS_PAUSE).await;
        let _ = tokio::time::timeout(REVOCATIONS_EVERY - REVOCATIONS_PAUSE, recheck.notified()).await;
        let Some(app) = app.upgrade() else { return };
        app.reload_revoked().await;
    }
}
