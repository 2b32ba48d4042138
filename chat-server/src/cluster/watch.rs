//! What a node does by the clock, whatever the others say.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::notice::NodeId;
use crate::announce::other_log::LogWatch;
use crate::app::App;
use crate::presence::leaving;

/// How often the log is looked at while the others are heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while they are not.
const LOOK_EVERY_ALONE: Duration = Duration::from_millis(100);
/// The same while the store is away.
const LOOK_EVERY_IN_VAIN: Duration = Duration::from_secs(1);
/// How often this node says that it lives.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often what waits for something else is told, and leases are looked at.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often the store is asked which tokens are revoked.
const REVOCATIONS_EVERY: Duration = Duration::from_secs(30);
/// The shortest pause between two of these questions.
const REVOCATIONS_PAUSE: Duration = Duration::from_secs(1);

/// Looks by itself how far the log goes: bells may be lost.
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

/// Renews this node's lease, and ends those of nodes that are silent.
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
            // One of those who are left notes when they were last seen.
            let is_mine = app.presence.others().least().is_none_or(|least| node < least);
            leaving::others_went(&app, &went, is_mine);
        }
    }
}

/// Learns of tokens that were revoked elsewhere while nobody was heard, or too many for all to be kept by hearsay.
pub(super) async fn watch_revocations(app: Weak<App>, recheck: Arc<Notify>) {
    loop {
        tokio::time::sleep(REVOCATIONS_PAUSE).await;
        let _ = tokio::time::timeout(REVOCATIONS_EVERY - REVOCATIONS_PAUSE, recheck.notified()).await;
        let Some(app) = app.upgrade() else { return };
        app.reload_revoked().await;
    }
}
