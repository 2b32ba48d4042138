//! Who a client of long polling is may be known only when its websocket comes. A page of another origin that does not ask for
//! credentials (`io(URL, {query: {userId}})`) polls without cookies, but browsers send them with every websocket. So the CONNECT
//! of a session that has brought nothing at all waits for a while for the request of its websocket, and is decided by that.

use std::pin::pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::handshake::Handshake;

/// How long a CONNECT that has brought nothing waits for a websocket.
const LATE_CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the request of a session's first websocket has brought.
#[derive(Debug, Default)]
pub(super) struct LateCredentials {
    brought: Mutex<Brought>,
    arrived: Notify,
}

#[derive(Debug, Default)]
enum Brought {
    /// No websocket has come.
    #[default]
    Nothing,
    /// It has come with this.
    Here(Handshake),
    /// It is decided whose session it is.
    Over,
}

impl LateCredentials {
    /// A websocket has come. Only the first counts.
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

    /// Waits for a websocket, for a while, and takes what it has brought. None when there was none.
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

    /// It is decided whose session it is: tokens are not kept any longer.
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
