//! Notes in the store that this node is there, for those who [join](super::fit).

use std::sync::Weak;
use std::time::Duration;

use chat_core::store::StoreError;

use crate::app::App;

/// How often a node notes that it is there.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// Notes that this node is there, for as long as it is.
pub(super) async fn stay(app: Weak<App>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        let Some(note) = &app.note else { return };
        // While the store is away nobody starts, either.
        let _: Result<_, StoreError> = app.chat.store().meet_nodes(note).await;
    }
}
