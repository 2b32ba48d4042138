//! Turns for reading much: a few at once, a bounded number who wait, and a clear word for everybody else.

use chat_core::error::Error;
use chat_core::store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Hands out turns in the order in which they are asked for.
pub(crate) struct ReadTurns {
    turns: Semaphore,
    waiting: Semaphore,
}

impl ReadTurns {
    /// So many have a turn at once, and so many more may wait for one.
    pub(crate) fn new(at_once: usize, most_waiting: usize) -> Self {
        Self { turns: Semaphore::new(at_once), waiting: Semaphore::new(most_waiting) }
    }

    /// A turn, when it has come; it ends when it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](chat_core::error::ErrorKind::Unavailable) at once when too many wait.
    pub(crate) async fn next(&self) -> Result<SemaphorePermit<'_>, Error> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        let too_many =
            || Error::Store(StoreError::Unavailable("too many wait for their turn to read".into()));
        let _place = self.waiting.try_acquire().map_err(|_| too_many())?;
        // Fails only if somebody closes it, which nobody does.
        self.turns.acquire().await.map_err(|_| too_many())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use chat_core::error::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn so_many_wait_in_order_and_the_rest_is_refused() {
        let turns = ReadTurns::new(1, 2);
        let first = turns.next().await.unwrap();
        let (mut second, mut third) = (pin!(turns.next()), pin!(turns.next()));
        poll_fn(|cx| {
            assert!(second.as_mut().poll(cx).is_pending());
            assert!(third.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        for _ in 0..3 {
            assert_eq!(turns.next().await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        drop(first);
        let second = second.await.unwrap();
        poll_fn(|cx| {
            assert!(third.as_mut().poll(cx).is_pending(), "the second has its turn");
            Poll::Ready(())
        })
        .await;
        drop(second);
        drop(third.await.unwrap());
        drop(turns.next().await.unwrap());
    }
}
