//! Whether this server has no account yet, so that the built-in page can say so to its first visitor.
//!
//! This is public information, because every user sees the list of users after sign-up. The number of accounts and the
//! existence of a particular account are not disclosed. The store is queried at most once per [`GOOD_FOR`], regardless
//! of the number of requests, and never again once an account exists.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::prelude::Chat;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is valid for all requests.
const GOOD_FOR: Duration = Duration::from_millis(250);

/// How long the page waits for the store.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The latest answer.
#[derive(Default)]
pub(super) struct FirstAccount {
    exists: AtomicBool,
    latest: Mutex<Option<(Instant, bool)>>,
}

impl FirstAccount {
    /// Whether no account exists. If the store does not answer, the server assumes that accounts exist, because that is
    /// the usual case.
    pub(super) async fn is_to_come(&self, chat: &Chat) -> bool {
        if self.exists.load(Ordering::Relaxed) {
            return false;
        }
        let mut latest = self.latest.lock().await;
        if let Some((at, answer)) = *latest
            && at.elapsed() < GOOD_FOR
        {
            return answer;
        }
        let users = timeout(STORE_TIMEOUT, chat.store().users(1)).await;
        let is_to_come = match users {
            Ok(Ok(users)) => {
                self.exists.store(!users.is_empty(), Ordering::Relaxed);
                users.is_empty()
            }
            Ok(Err(_)) | Err(_) => false,
        };
        *latest = Some((Instant::now(), is_to_come));
        is_to_come
    }
}
