//! Stores the last-seen time of users who went offline.

use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::error::ErrorKind;
use chat_core::id::UserId;

use crate::app::App;
use crate::outages::Part;

/// Stores when a user's last connection ended.
pub(crate) async fn store_last_seen(app: &App, user: UserId, at: Timestamp) {
    if let Err(error) = app.chat.record_last_seen(user, at).await {
        match error.kind() {
            ErrorKind::Unavailable => app.outages.failed(Part::Store, &error),
            _ => {
                chat_core::log_throttled!(
                    warn, %error, "the time of a person's last connection could not be stored"
                );
            }
        }
    }
    app.presence.stored(user, at);
}

/// Handles users who are no longer connected to any other node; see [`Presence::others_went`](super::Presence).
pub(crate) fn others_went(app: &Arc<App>, went: &[UserId], is_mine: bool) {
    let now = app.chat.now();
    let mine = app.presence.others_went(went, is_mine, now);
    if mine.is_empty() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        for user in mine {
            store_last_seen(&app, user, now).await;
        }
    });
}
