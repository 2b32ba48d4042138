//! Whether the store works, and what else is away. Whether it works is asked at most so often: the check writes, and anybody may ask for it.

use std::time::Duration;

use chat_core::prelude::Chat;
use chat_core::store::StoreError;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer is good for everybody who asks.
const GOOD_FOR: Duration = Duration::from_millis(250);

/// The latest answer.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Result<(), StoreError>)>>);

impl Readiness {
    /// Whether the store of this chat works. Whoever asks while it is looked waits for the same answer.
    pub(crate) async fn check(&self, chat: &Chat) -> Result<(), StoreError> {
        let mut latest = self.0.lock().await;
        if let Some((at, answer)) = &*latest
            && at.elapsed() < GOOD_FOR
        {
            return answer.clone();
        }
        let answer = chat.store().check().await;
        *latest = Some((Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_a_moment_only() {
        let (readiness, chat) = (Readiness::default(), Chat::in_memory());
        assert!(readiness.check(&chat).await.is_ok());
        chat.store().close().await.unwrap();
        assert!(readiness.check(&chat).await.is_ok(), "it is not looked again at once");
        tokio::time::advance(GOOD_FOR).await;
        assert!(readiness.check(&chat).await.is_err());
    }
}
