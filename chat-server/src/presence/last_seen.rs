//! When people were last seen is stored as soon as they connect and, by `chat-core`, with what they say; here it is seen to
//! that the true moment gets there in the end.

use std::time::Duration;

use chat_core::id::UserId;
use chat_core::prelude::Chat;

use super::Presence;

/// A connection does not wait longer for its begin to be stored.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Notes that somebody has connected. It is stored when this returns, so that they were seen even if the process is killed
/// next; a store that cannot do so keeps nobody out.
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

/// The same of everybody, before the store is closed.
pub(crate) async fn settle_at_end(chat: &Chat, presence: &Presence, within: Duration) {
    let settling = chat.settle_last_seen(|user| presence.others().is_online(user), true);
    match tokio::time::timeout(within, settling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the times at which people were last seen were not stored"),
        Err(_) => tracing::warn!("the times at which some people were last seen were not stored"),
    }
}
