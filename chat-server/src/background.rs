//! What is done by the clock for as long as the server runs, by a node that is alone and by each of several; what several do
//! besides is in [`cluster`](crate::cluster).
//!
//! The parts know nothing of this: each says what has to be done, and here it is done again and again. Every task holds the
//! server weakly and ends with it.

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
use crate::typing::Typists;

/// How often the log is shortened.
const SHORTEN_LOG_EVERY: Duration = Duration::from_secs(60 * 60);
/// While the store is away it is looked that often whether it is back, also if nobody asks.
const LOOK_FOR_STORE_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked for images that a crash or a lost answer has left behind.
const SWEEP_IMAGES_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often it is looked for files that nothing refers to.
const SWEEP_FILES_EVERY: Duration = Duration::from_mins(30);
/// How often it is looked for what the security log has to sum up.
const FLUSH_SECURITY_LOG_EVERY: Duration = Duration::from_secs(15);
/// How often those are looked for who have done nothing for a while.
const SETTLE_LAST_SEEN_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether the log is another one, by a node that is alone.
const LOOK_AT_LOG_EVERY: Duration = Duration::from_secs(1);

/// Starts everything.
pub(crate) fn start(app: &Arc<App>, tasks: &mut JoinSet<()>) {
    let weak = || Arc::downgrade(app);
    tasks.spawn(shorten_log(weak()));
    tasks.spawn(look_for_store(weak()));
    tasks.spawn(sweep_images(weak()));
    tasks.spawn(sweep_files(weak()));
    tasks.spawn(flush_security_log(weak()));
    tasks.spawn(settle_last_seen(weak()));
    tasks.spawn(tell_of_typing_that_ends(weak(), app.typists.clone()));
    tasks.spawn(end_expired(weak(), app.expiries.clone()));
    match app.cluster() {
        Some(cluster) => cluster::start::start(cluster, app, tasks),
        // Otherwise whoever watches what other nodes do sees this, too.
        None => drop(tasks.spawn(watch_log(weak()))),
    }
}

/// Keeps the log as short as is configured.
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

/// Notes when a store that was away is back.
async fn look_for_store(app: Weak<App>) {
    loop {
        tokio::time::sleep(LOOK_FOR_STORE_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if app.outages.is_away(Part::Store) {
            let _ = app.check_store().await;
        }
    }
}

/// Looks after undecided images.
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

/// Removes files that nothing refers to.
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

/// Sums up what has happened again and again.
async fn flush_security_log(app: Weak<App>) {
    loop {
        tokio::time::sleep(FLUSH_SECURITY_LOG_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        app.security.flush(app.chat.now());
    }
}

/// Stores when those were last seen who are not connected and have done nothing for a while.
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

/// Tells of typing that ends by itself.
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

/// Ends connections as their tokens expire.
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

/// Looks whether the log is another one.
async fn watch_log(app: Weak<App>) {
    let mut watch = LogWatch::default();
    loop {
        tokio::time::sleep(LOOK_AT_LOG_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        // A store that is away is noticed by those who want something of it.
        let _: Result<_, StoreError> = watch.look(&app).await;
    }
}
