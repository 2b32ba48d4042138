//! Stores when users were last seen. `chat-core` stores the time with each message; this module stores it when a user
//! connects, and stores the exact time at the end.

use std::time::Duration;

use chat_core::id::UserId;
use chat_core::prelude::Chat;

use super::Presence;

/// A connection waits for this write for at most this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Records that a user has connected. The time is stored when this returns, so it survives a kill of the process. If
/// the store fails, the connection is accepted nevertheless.
pub(crate) async fn connected(chat: &Chat, user: UserId) {
    match tokio::time::timeout(CONNECT_TIMEOUT, chat.record_active(user)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            chat_core::log_throttled!(
                warn, %error, "the time of a person's connection could not be stored"
            );
        }
        Err(_) => chat_core::log_throttled!(warn, "the time of a person's connection is not stored yet"),
    }
}

/// Stores all last-seen times that are not stored yet, before the store is closed.
pub(crate) async fn settle_at_end(chat: &Chat, presence: &Presence, within: Duration) {
    let settling = chat.settle_last_seen(|user| presence.others().is_online(user), true);
    match tokio::time::timeout(within, settling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the times at which people were last seen were not stored"),
        Err(_) => tracing::warn!("the times at which some people were last seen were not stored"),
    }
}
