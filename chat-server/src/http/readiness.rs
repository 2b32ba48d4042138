//! Whether the store works, and what else is away. Whether it works is asked at most so often: the check writes, and anybody may ask for it.

use std::sync::Weak;
use std::time::Duration;

use chat_core::prelude::Chat;
use chat_core::store::StoreError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::app::App;
use crate::outages::Part;

/// While the store is away it is looked that often whether it is back, also if nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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

/// Whether the store of this server works, which is noted as an outage when it does not.
pub(crate) async fn check(app: &App) -> Result<(), StoreError> {
    let answer = app.readiness.check(&app.chat).await;
    match &answer {
        Ok(()) => app.outages.worked(Part::Store),
        Err(error) => app.outages.failed(Part::Store, error),
    }
    answer
}

/// Notes when a store that was away is back, for as long as the server runs.
pub(crate) async fn look_while_away(app: Weak<App>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if app.outages.is_away(Part::Store) {
            let _ = check(&app).await;
        }
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
