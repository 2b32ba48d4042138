//! When people were last seen is stored as soon as they connect and, by `chat-core`, with what they say; here it is seen to
//! that the true moment gets there in the end.

use std::sync::Weak;
use std::time::Duration;

use chat_core::id::UserId;

use crate::app::App;

/// How often those are looked for who have done nothing for a while.
const SETTLE_EVERY: Duration = Duration::from_secs(30);
/// A connection does not wait longer for its begin to be stored.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Notes that somebody has connected. It is stored when this returns, so that they were seen even if the process is killed
/// next; a store that cannot do so keeps nobody out.
pub(crate) async fn connected(app: &App, user: UserId) {
    match tokio::time::timeout(CONNECT_TIMEOUT, app.chat.record_active(user)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            chat_core::log_throttled!(
                warn, %error, "the time of a person's connection could not be stored"
            );
        }
        Err(_) => chat_core::log_throttled!(warn, "the time of a person's connection is not stored yet"),
    }
}

/// Stores the true moments of those who are not connected and have done nothing for a while, for as long as the server runs.
pub(crate) async fn settle_regularly(app: Weak<App>) {
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if let Err(error) = app.chat.settle_last_seen(|user| app.presence.is_online(user), false).await {
            chat_core::log_throttled!(
                warn, %error, "the times at which people were last seen could not be stored"
            );
        }
    }
}

/// The same of everybody, before the store is closed.
pub(crate) async fn settle_at_end(app: &App, within: Duration) {
    let settling = app.chat.settle_last_seen(|user| app.presence.others().is_online(user), true);
    match tokio::time::timeout(within, settling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the times at which people were last seen were not stored"),
        Err(_) => tracing::warn!("the times at which some people were last seen were not stored"),
    }
}
