//! The stream of an HTTP connection: fails when its peer does not take what is written to it, or does not finish the head of a
//! request that it has begun.
//!
//! Answers wait in memory until they are read. Without a deadline whoever asks for much and reads nothing could have any
//! amount of it held for ever.
//!
//! A connection may be idle between two requests for longer than a head may take: proxies keep theirs open, and one that is
//! closed just when it is used again costs somebody an answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::either::Either;

use super::connections::Connection;
use crate::listeners::Stream;

/// How long a client may take to send the head of a request, from its first byte; of the first one from when it came.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the rest of an answer may wait in the system's buffers without anything of it being taken.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream with deadlines: it fails when for so long nothing of what waits could be written, and when a head takes too long.
pub(super) struct HttpStream<S = Stream> {
    stream: S,
    /// Here for as long as the stream is open.
    connection: Arc<Connection>,
    stall_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Until when the head that is coming must be here.
    head: Option<Pin<Box<Sleep>>>,
    /// How many heads have come.
    requests: u32,
    /// It is no HTTP connection any more.
    is_upgraded: bool,
}

impl<S> HttpStream<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>, stall_timeout: Duration) -> Self {
        let head = Some(Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
        Self { stream, connection, stall_timeout, stalled: None, head, requests: 0, is_upgraded: false }
    }

    /// The same for another protocol, which has no heads.
    fn upgraded(self) -> Self {
        Self { head: None, is_upgraded: true, ..self }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl HttpStream {
    /// A connection that was accepted.
    pub(super) fn accepted(stream: Stream, connection: Arc<Connection>, stall_timeout: Duration) -> Self {
        // A Unix socket has nothing of this: its peer is on this machine, and has what is written to it.
        if let Either::Left(stream) = &stream {
            // Without this the last packet of each burst waits up to 40 ms for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            give_up_unread(stream, UNREAD_TIMEOUT);
        }
        Self::new(stream, connection, stall_timeout)
    }

    /// A websocket. What it does not take is looked after by [`super::guard`].
    pub(super) fn into_websocket(self) -> Self {
        if let Either::Left(stream) = &self.stream {
            give_up_unread(stream, Duration::ZERO);
        }
        self.upgraded()
    }
}

/// Has the system end a connection whose peer takes nothing of what waits in the system's own buffers; zero: never. They hold
/// megabytes, of which we know nothing once all of an answer is there.
fn give_up_unread(stream: &TcpStream, timeout: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        rustix::net::sockopt::set_tcp_user_timeout(stream, timeout.as_millis().try_into().unwrap_or(u32::MAX))
    {
        tracing::debug!(%error, "the time-out of a connection could not be set");
    }
    // Elsewhere it ends as an idle one does.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, timeout);
}

impl<S: AsyncRead + Unpin> AsyncRead for HttpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.is_upgraded {
            return read;
        }
        let requests = this.connection.requests();
        if std::mem::replace(&mut this.requests, requests) != requests {
            this.head = None;
        }
        if let Some(head) = &mut this.head {
            if read.is_pending() && head.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if buf.filled().len() > before && !this.connection.leave().is_busy() {
            // While a request is answered it is its body that comes.
            this.head = Some(Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HttpStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::super::connections::Connections;
    use super::*;

    fn stream(capacity: usize) -> (HttpStream<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(capacity);
        let connection = Connections::new(100, None, true).accept([127, 0, 0, 1].into()).unwrap();
        (HttpStream::new(ours, connection, Duration::from_secs(8)), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (mut ours, _theirs) = stream(4);
        let started = Instant::now();
        let error = ours.write_all(b"more than fits").await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_read_slowly_is_not() {
        let (mut ours, mut theirs) = stream(4);
        let writing = tokio::spawn(async move { ours.write_all(&[7; 40]).await });
        let mut four = [0; 4];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            theirs.read_exact(&mut four).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }
}
