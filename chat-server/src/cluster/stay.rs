//! Renews the note of this node in the store, for nodes that [check](super::fit) it at startup.

use std::sync::Weak;
use std::time::Duration;

use chat_core::store::StoreError;

use crate::app::App;

/// How often a node renews its note.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// Renews the note for as long as the node runs.
pub(super) async fn stay(app: Weak<App>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        let Some(note) = &app.note else { return };
        // An error is ignored: while the store is unavailable, no other node can start either.
        let _: Result<_, StoreError> = app.chat.store().meet_nodes(note).await;
    }
}
