//! Whether nobody has an account on this server yet, so that our own page can say so to its first visitor.
//!
//! Everybody may know that, because whoever signs up sees who is there. How many there are, or whether somebody in particular
//! is, is not said. The store is asked at most once in [`GOOD_FOR`], however many ask, and never again once there is an account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::prelude::Chat;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is good for everybody who asks.
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
    /// Whether there is none. A store that does not answer is taken for one with accounts: that is what it usually is.
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
