//! The stream of an HTTP connection. It fails when the peer does not accept the bytes that are written, or does not
//! complete a request head that it has begun.
//!
//! Answers stay in memory until the peer reads them. Without a deadline, a client could request large answers and read
//! nothing, and keep any amount of memory in use forever.
//!
//! Between two requests a connection may be idle for longer than a head may take. Proxies keep idle connections open,
//! and if one is closed just when the proxy reuses it, a client loses an answer.

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

/// Maximum time to send a request head, from its first byte; for the first head of a connection, from the accept.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the rest of an answer may wait in the kernel's buffers without being acknowledged.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream with deadlines: it fails when no byte can be written for too long, or when a request head takes too long.
pub(super) struct HttpStream<S = Stream> {
    stream: S,
    /// Counts the connection for as long as the stream is open.
    connection: Arc<Connection>,
    stall_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// The deadline for the request head that is being received.
    head: Option<Pin<Box<Sleep>>>,
    /// The number of request heads so far.
    requests: u32,
    /// The connection has been upgraded to another protocol.
    is_upgraded: bool,
}

impl<S> HttpStream<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>, stall_timeout: Duration) -> Self {
        let head = Some(Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
        Self { stream, connection, stall_timeout, stalled: None, head, requests: 0, is_upgraded: false }
    }

    /// The same stream for another protocol, which has no request heads.
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
    /// Wraps an accepted connection.
    pub(super) fn accepted(stream: Stream, connection: Arc<Connection>, stall_timeout: Duration) -> Self {
        // Unix sockets need neither option: the peer is on this machine and receives the bytes directly.
        if let Either::Left(stream) = &stream {
            // Without this option the last packet of each burst waits up to 40 ms for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            give_up_unread(stream, UNREAD_TIMEOUT);
        }
        Self::new(stream, connection, stall_timeout)
    }

    /// Turns the stream into a websocket. [`super::guard`] enforces the write deadline from now on.
    pub(super) fn into_websocket(self) -> Self {
        if let Either::Left(stream) = &self.stream {
            give_up_unread(stream, Duration::ZERO);
        }
        self.upgraded()
    }
}

/// Makes the kernel end a connection whose peer acknowledges none of the bytes in the kernel's buffers; zero means
/// never. These buffers hold megabytes, and the server no longer tracks them after it has written the whole answer.
fn give_up_unread(stream: &TcpStream, timeout: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        rustix::net::sockopt::set_tcp_user_timeout(stream, timeout.as_millis().try_into().unwrap_or(u32::MAX))
    {
        tracing::debug!(%error, "the time-out of a connection could not be set");
    }
    // On other systems such a connection ends by its idle timeout.
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
            // While a request is being answered, incoming bytes are its body.
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
