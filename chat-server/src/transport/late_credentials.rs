//! A long-polling client may send its credentials only with the websocket that follows. A page of another origin that
//! does not ask for credentials (`io(URL, {query: {userId}})`) polls without cookies, but browsers send cookies with
//! every websocket. So the CONNECT of a session without any credentials waits a while for the upgrade request of its
//! websocket, and is authenticated by that request.

use std::pin::pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::handshake::Handshake;

/// How long a CONNECT without credentials waits for a websocket.
const LATE_CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(5);

/// The credentials of the first websocket of a session.
#[derive(Debug, Default)]
pub(super) struct LateCredentials {
    brought: Mutex<Brought>,
    arrived: Notify,
}

#[derive(Debug, Default)]
enum Brought {
    /// No websocket has come yet.
    #[default]
    Nothing,
    /// The websocket has come with this handshake.
    Here(Handshake),
    /// The session is already authenticated or refused.
    Over,
}

impl LateCredentials {
    /// Stores the handshake of a websocket. Only the first one counts.
    pub(super) fn offer(&self, handshake: impl FnOnce() -> Handshake) {
        {
            let mut brought = self.brought.lock();
            if !matches!(*brought, Brought::Nothing) {
                return;
            }
            *brought = Brought::Here(handshake());
        }
        self.arrived.notify_waiters();
    }

    /// Waits for a websocket until the timeout, and takes its handshake. `None` if no websocket came.
    pub(super) async fn take(&self) -> Option<Handshake> {
        let taken = async {
            loop {
                let mut arrived = pin!(self.arrived.notified());
                arrived.as_mut().enable();
                {
                    let mut brought = self.brought.lock();
                    match std::mem::replace(&mut *brought, Brought::Over) {
                        Brought::Here(handshake) => return Some(handshake),
                        Brought::Over => return None,
                        Brought::Nothing => *brought = Brought::Nothing,
                    }
                }
                arrived.await;
            }
        };
        tokio::time::timeout(LATE_CREDENTIALS_TIMEOUT, taken).await.ok().flatten()
    }

    /// Called when the session is authenticated or refused, so that tokens are not kept longer than needed.
    pub(super) fn forget(&self) {
        *self.brought.lock() = Brought::Over;
        self.arrived.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn with_cookie(cookie: &str) -> Handshake {
        Handshake { cookies: vec![("jwt", cookie.to_owned())], ..Handshake::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_first_websocket_brings_is_taken_whether_it_comes_before_or_after() {
        let late = LateCredentials::default();
        late.offer(|| with_cookie("first"));
        late.offer(|| panic!("the second is not read"));
        assert_eq!(late.take().await.unwrap().cookies, [("jwt", "first".to_owned())]);
        assert!(late.take().await.is_none(), "once");

        let late = LateCredentials::default();
        let offering = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            late.offer(|| with_cookie("later"));
        };
        let (taken, ()) = tokio::join!(late.take(), offering);
        assert_eq!(taken.unwrap().cookies, [("jwt", "later".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long_or_for_nothing() {
        let late = LateCredentials::default();
        let started = Instant::now();
        assert!(late.take().await.is_none());
        assert_eq!(started.elapsed(), LATE_CREDENTIALS_TIMEOUT);
        late.forget();
        late.offer(|| panic!("it is decided"));
        assert!(late.take().await.is_none());
        assert_eq!(started.elapsed(), LATE_CREDENTIALS_TIMEOUT);
    }
}
