//! A stream with a deadline for writes and a switch that ends it.
//!
//! socketioxide alone never notices a client that has stopped reading: its writer waits for ever, the socket stays in
//! all registries, and even `disconnect()` fails because its packet cannot be queued (`InternalChannelFull`). Here the
//! stream itself fails, on both sides, and everything above it ends as for any broken connection.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use socketioxide::socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Ends a stream from outside.
#[derive(Debug, Default)]
pub struct KillSwitch {
    killed: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl KillSwitch {
    /// From now on reading and writing fail, and whoever waits for either is woken.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    fn check(&self) -> io::Result<()> {
        match self.killed.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

/// A stream that fails when its peer takes nothing for too long, or when its switch is thrown.
pub struct Guarded<S> {
    stream: S,
    /// Bytes that the HTTP server had read beyond the upgrade request.
    early: bytes::Bytes,
    switch: Arc<KillSwitch>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Forgets the switch when the stream ends.
    _registered: Option<Registered>,
}

impl<S> Guarded<S> {
    pub(super) fn new(
        stream: S,
        early: bytes::Bytes,
        switch: Arc<KillSwitch>,
        patience: Duration,
        registered: Option<Registered>,
    ) -> Self {
        Self { stream, early, switch, patience, stalled: None, _registered: registered }
    }

    /// Looks at the clock while a write waits.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let patience = self.patience;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The reading side must learn of it too: it is the one that ends the session.
        self.switch.kill();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.switch.reader.register(cx.waker());
        self.switch.check()?;
        if !self.early.is_empty() {
            let some = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(some));
            if self.early.is_empty() {
                self.early = bytes::Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.switch.check()?;
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        if outcome.is_pending() {
            // Registered only when it will be waited for, then checked again: a switch thrown between the two counts.
            self.switch.writer.register(cx.waker());
            self.switch.check()?;
        }
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.switch.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.switch.check()?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if outcome.is_pending() {
            self.switch.writer.register(cx.waker());
            self.switch.check()?;
        }
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The switches of streams whose session was opened by long polling, by the session id in the upgrade's URL. A stream
/// that opened its session itself carries its switch in its request.
#[derive(Clone, Default)]
pub struct KillSwitches(Arc<Mutex<HashMap<String, Arc<KillSwitch>>>>);

impl KillSwitches {
    /// Ends the stream under a socket; false when there is none (long polling).
    pub(crate) fn kill(&self, socket: &Socket) -> bool {
        if let Some(switch) = socket.req_parts().extensions.get::<Arc<KillSwitch>>() {
            switch.kill();
            return true;
        }
        let switch = self.0.lock().get(&socket.id.to_string()).cloned();
        switch.inspect(|switch| switch.kill()).is_some()
    }

    pub(super) fn register(&self, sid: &str, switch: &Arc<KillSwitch>) -> Registered {
        self.0.lock().insert(sid.to_owned(), switch.clone());
        Registered { switches: self.clone(), sid: sid.to_owned(), switch: Arc::downgrade(switch) }
    }
}

/// Takes a switch out of the registry when it is dropped.
pub(super) struct Registered {
    switches: KillSwitches,
    sid: String,
    switch: Weak<KillSwitch>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut switches = self.switches.0.lock();
        // A second upgrade of the same session may have taken the place.
        if switches.get(&self.sid).is_some_and(|known| Arc::as_ptr(known) == self.switch.as_ptr()) {
            switches.remove(&self.sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn guarded(
        capacity: usize,
    ) -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<KillSwitch>) {
        let (ours, theirs) = tokio::io::duplex(capacity);
        let switch = Arc::new(KillSwitch::default());
        let early = bytes::Bytes::from_static(b"early");
        (Guarded::new(ours, early, switch.clone(), Duration::from_secs(8), None), theirs, switch)
    }

    #[tokio::test]
    async fn what_was_read_with_the_request_comes_first() {
        let (mut ours, mut theirs, _) = guarded(64);
        theirs.write_all(b" late").await.unwrap();
        drop(theirs);
        let mut text = String::new();
        ours.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "early late");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (mut ours, _theirs, switch) = guarded(4);
        let started = Instant::now();
        let error = ours.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 8);
        assert!(switch.check().is_err(), "reading ends too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_not_given_up() {
        let (mut ours, mut theirs, _) = guarded(4);
        let writing = tokio::spawn(async move { ours.write_all(&[7; 40]).await });
        let mut four = [0; 4];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            theirs.read_exact(&mut four).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_switch_wakes_who_waits() {
        let (ours, _theirs, switch) = guarded(4);
        let (mut reading, mut writing) = tokio::io::split(ours);
        let mut early = [0; 5];
        reading.read_exact(&mut early).await.unwrap();
        let reader = tokio::spawn(async move { reading.read_u8().await });
        let writer = tokio::spawn(async move { writing.write_all(b"more than fits").await });
        tokio::task::yield_now().await;
        switch.kill();
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
