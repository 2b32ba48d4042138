//! Stores how far each user's devices have received the log, for the receipts of messages.
//!
//! The [receipt](super::receipts) of each connection knows what has certainly arrived. Now and then the news of all
//! connections are collected and written together: one row for each user who has received something, whatever the
//! number of messages and the size of the rooms.

use std::sync::Arc;
use std::time::Duration;

use chat_core::prelude::Chat;
use chat_core::store::StoreError;

use crate::app::App;
use crate::session::Session;
use crate::sessions::Sessions;

/// Records what has arrived on a connection that has ended.
pub(crate) fn remember(app: &App, session: &Session) {
    app.receipts.remember(session.key, &session.receipt);
    note(&app.chat, session);
}

/// Records what has arrived on a connection.
fn note(chat: &Chat, session: &Session) {
    if let Some(position) = session.receipt.news() {
        chat.note_delivered(session.user, position);
    }
}

/// Stores what has arrived on all connections.
///
/// # Errors
/// When the store fails. The next call tries again.
pub(crate) async fn store(chat: &Chat, sessions: &Sessions) -> Result<(), StoreError> {
    sessions.for_all(&mut |session: &Arc<Session>| note(chat, session));
    chat.store_delivered().await
}

/// Stores what is not stored yet, before the store is closed.
pub(crate) async fn store_at_end(chat: &Chat, within: Duration) {
    match tokio::time::timeout(within, chat.store_delivered()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what has arrived at the clients was not stored"),
        Err(_) => tracing::warn!("not all of what has arrived at the clients was stored"),
    }
}
