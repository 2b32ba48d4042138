//! Periodic work of every node, alone or in a cluster. Additional work in a cluster is in [`cluster`](crate::cluster).
//!
//! The parts of the server do not schedule themselves: each offers a function, and this module calls it periodically.
//! Every task holds the server weakly and ends with it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::event::Ephemeral;
use chat_core::store::StoreError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::announce::other_log::LogWatch;
use crate::app::App;
use crate::cluster;
use crate::expiry::Expiries;
use crate::outages::Part;
use crate::recovery::delivered;
use crate::typing::Typists;

/// How often the log is truncated.
const SHORTEN_LOG_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often an unavailable store is checked, even without requests.
const LOOK_FOR_STORE_EVERY: Duration = Duration::from_secs(2);
/// How often images are looked for that a crash or a lost answer has left behind.
const SWEEP_IMAGES_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often unreferenced files are looked for.
const SWEEP_FILES_EVERY: Duration = Duration::from_mins(30);
/// How often the security log writes the counts of repeated events.
const FLUSH_SECURITY_LOG_EVERY: Duration = Duration::from_secs(15);
/// How often inactive accounts are looked for.
const SETTLE_LAST_SEEN_EVERY: Duration = Duration::from_secs(30);
/// How often it is stored what has arrived at the clients.
const STORE_DELIVERED_EVERY: Duration = Duration::from_secs(10);
/// How often a single node checks whether the log was replaced.
const LOOK_AT_LOG_EVERY: Duration = Duration::from_secs(1);

/// Starts all tasks.
pub(crate) fn start(app: &Arc<App>, tasks: &mut JoinSet<()>) {
    let weak = || Arc::downgrade(app);
    tasks.spawn(shorten_log(weak()));
    tasks.spawn(look_for_store(weak()));
    tasks.spawn(sweep_images(weak()));
    tasks.spawn(sweep_files(weak()));
    tasks.spawn(flush_security_log(weak()));
    tasks.spawn(settle_last_seen(weak()));
    tasks.spawn(store_delivered(weak()));
    tasks.spawn(tell_of_typing_that_ends(weak(), app.typists.clone()));
    tasks.spawn(end_expired(weak(), app.expiries.clone()));
    match app.cluster() {
        Some(cluster) => cluster::start::start(cluster, app, tasks),
        // In a cluster, the task that reads the changes of other nodes detects a replaced log, too.
        None => drop(tasks.spawn(watch_log(weak()))),
    }
}

/// Truncates the log to the configured age.
async fn shorten_log(app: Weak<App>) {
    loop {
        {
            let Some(app) = app.upgrade() else { return };
            let Some(kept) = app.config.log_kept else { return };
            let since = app.chat.now().before(kept);
            match app.chat.store().forget_before(since).await {
                Ok(begin) => app.log_begin.store(begin.0, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the log could not be shortened"),
            }
        }
        tokio::time::sleep(SHORTEN_LOG_EVERY).await;
    }
}

/// Detects that an unavailable store is available again.
async fn look_for_store(app: Weak<App>) {
    loop {
        tokio::time::sleep(LOOK_FOR_STORE_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if app.outages.is_away(Part::Store) {
            let _ = app.check_store().await;
        }
    }
}

/// Resolves images whose upload was left undecided.
async fn sweep_images(app: Weak<App>) {
    loop {
        {
            let Some(app) = app.upgrade() else { return };
            if let Err(error) = app.sweep_images().await {
                tracing::warn!(%error, "images that were left undecided are looked at later");
            }
        }
        tokio::time::sleep(SWEEP_IMAGES_EVERY).await;
    }
}

/// Removes unreferenced files.
async fn sweep_files(app: Weak<App>) {
    loop {
        {
            let Some(app) = app.upgrade() else { return };
            if let Err(error) = app.files.sweep().await {
                tracing::warn!(%error, "files that nothing refers to are looked for later");
            }
        }
        tokio::time::sleep(SWEEP_FILES_EVERY).await;
    }
}

/// Writes the counts of repeated events.
async fn flush_security_log(app: Weak<App>) {
    loop {
        tokio::time::sleep(FLUSH_SECURITY_LOG_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        app.security.flush(app.chat.now());
    }
}

/// Stores when inactive, unconnected accounts were last seen.
async fn settle_last_seen(app: Weak<App>) {
    loop {
        tokio::time::sleep(SETTLE_LAST_SEEN_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if let Err(error) = app.chat.settle_last_seen(|user| app.presence.is_online(user), false).await {
            chat_core::log_throttled!(
                warn, %error, "the times at which people were last seen could not be stored"
            );
        }
    }
}

/// Stores what has arrived at the clients.
async fn store_delivered(app: Weak<App>) {
    loop {
        tokio::time::sleep(STORE_DELIVERED_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if let Err(error) = delivered::store(&app.chat, &app.sessions).await {
            chat_core::log_throttled!(warn, %error, "what has arrived at the clients could not be stored");
        }
    }
}

/// Broadcasts the end of typing that has timed out.
async fn tell_of_typing_that_ends(app: Weak<App>, typists: Arc<Typists>) {
    loop {
        let (ended, next) = typists.ended(Instant::now());
        for (user, conversation) in ended {
            let Some(app) = app.upgrade() else { return };
            match app.chat.ephemeral(Ephemeral::Typing { conversation, user, typing: false }).await {
                Ok(told) => app.announce(told.into_iter().collect()),
                Err(error) => tracing::debug!(%error, "nobody could be told that somebody types no more"),
            }
        }
        typists.next_end(next).await;
        if app.strong_count() == 0 {
            return;
        }
    }
}

/// Ends connections when their tokens expire.
async fn end_expired(app: Weak<App>, expiries: Arc<Expiries>) {
    loop {
        let pause = {
            let Some(app) = app.upgrade() else { return };
            let now = app.chat.now();
            for session in expiries.expired(now).iter().filter_map(Weak::upgrade) {
                session.expire();
            }
            expiries.pause(now)
        };
        expiries.next(pause).await;
    }
}

/// Checks whether the log was replaced.
async fn watch_log(app: Weak<App>) {
    let mut watch = LogWatch::default();
    loop {
        tokio::time::sleep(LOOK_AT_LOG_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        // An unavailable store is reported by the requests that need it.
        let _: Result<_, StoreError> = watch.look(&app).await;
    }
}
