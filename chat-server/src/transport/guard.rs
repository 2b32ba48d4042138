//! A stream with a write deadline and a kill switch.
//!
//! socketioxide alone never notices a client that has stopped reading: its writer waits forever, the socket stays in
//! all registries, and even `disconnect()` fails because its packet cannot be queued (`InternalChannelFull`). Here the
//! stream itself fails in both directions, and everything above it ends as with any broken connection.
//!
//! Outgoing bytes wait in the [`Wire`]. Any task may send them. If the client does not accept all of them, the reading
//! side, which always has a waiting task, continues when the stream is writable again.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use socketioxide::socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::admission::{Admission, OverBudget};
use super::frames::{FrameScanner, Kind, Seen};
use super::large_frames::LargeFrames;
use super::upgrade::Attempt;
use super::wire::Wire;
use crate::memory::Reservation;

/// A stream that fails when its peer accepts no bytes for too long, or when it is killed.
pub struct Guarded<S: AsyncWrite + Unpin> {
    stream: S,
    /// Bytes that the HTTP server has read beyond the upgrade request.
    early: bytes::Bytes,
    wire: Arc<Wire>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Bytes that are read next. They were already checked.
    replayed: bytes::Bytes,
    /// Set if the websocket takes over from long polling.
    takeover: Option<Takeover>,
    /// Limits what the client may send.
    admission: Arc<Admission>,
    scanner: FrameScanner,
    /// Extracts the large events that are withheld from the engine.
    large: LargeFrames,
    /// Memory for the large frame that is being received.
    frame: Option<Box<Reservation>>,
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    pub(super) fn new(
        stream: S,
        early: bytes::Bytes,
        wire: Arc<Wire>,
        patience: Duration,
        admission: Arc<Admission>,
    ) -> Self {
        let (scanner, replayed) = (FrameScanner::default(), bytes::Bytes::new());
        let (stalled, takeover, frame, large) = (None, None, None, LargeFrames::default());
        Self { stream, early, wire, patience, stalled, replayed, takeover, admission, scanner, large, frame }
    }

    /// Makes the websocket take over from long polling. `first` is read next, before the bytes that have not been read
    /// yet; everything read before is discarded.
    pub(super) fn take_over(&mut self, takeover: Takeover, first: bytes::Bytes) {
        self.takeover = Some(takeover);
        // There is a rest if the last read had less room than what it should have returned.
        self.replayed =
            if self.replayed.is_empty() { first } else { [first, self.replayed.clone()].concat().into() };
    }

    /// Sends as many waiting bytes as the peer accepts. Returns true when none are left.
    fn drain(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let stream = &mut self.stream;
        let drained = self.wire.drain(|bytes| match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(written) => written,
            Poll::Pending => Ok(0),
        })?;
        if drained.all || drained.progress {
            self.stalled = None;
        }
        Ok(drained.all)
    }

    /// Checks whether the client may send the bytes that were read.
    fn screen(&mut self, read: &[u8]) -> io::Result<()> {
        let (admission, reserved, wire) = (&self.admission, &mut self.frame, &self.wire);
        let screened = self.scanner.scan(read, |seen| match seen {
            Seen::Begin { length, message } => {
                admission.frame(length)?;
                // The websocket library allocates the whole frame at once and keeps a message until its end. Decoding
                // makes another copy.
                let wanted = usize::try_from(message).unwrap_or(usize::MAX).saturating_mul(2);
                match reserved {
                    Some(reserved) if reserved.bytes() >= wanted => Ok(()),
                    Some(reserved) => reserved.set(wanted).map_err(|_| OverBudget),
                    None => {
                        *reserved = admission.reserve(wanted).map_err(|_| OverBudget)?.map(Box::new);
                        Ok(())
                    }
                }
            }
            Seen::Payload { kind, head, available } => {
                if kind == Kind::Text && head[..available] == *b"3" {
                    wire.heartbeat_answered();
                }
                admission.packet(&head[..available], kind)
            }
        });
        if !self.scanner.is_inside() {
            self.frame = None;
        }
        screened.map_err(|OverBudget| {
            tracing::debug!("a connection sends more than it may");
            self.wire.kill();
            io::ErrorKind::ConnectionAborted.into()
        })
    }

    /// Removes withheld events from the bytes that were read. Returns what the engine reads instead, or `None` if that
    /// is the same.
    fn cut(&mut self, read: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let admission = &self.admission;
        self.large.cut(read, &admission.large, |bytes| admission.reserve(bytes)).map_err(|violation| {
            self.wire.kill();
            violation.into()
        })
    }

    /// Checks the write deadline while bytes wait.
    fn watch(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let patience = self.patience;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        self.wire.kill();
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Continues to read a frame that is withheld from the engine. Its replacement is put into `replayed`. False at the
    /// end of the stream.
    fn poll_collect(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<bool>> {
        let mut large = std::mem::take(&mut self.large);
        let polled = large.collect(|room| {
            let polled = Pin::new(&mut self.stream).poll_read(cx, room);
            self.screen(room.filled())?;
            polled
        });
        self.large = large;
        let Poll::Ready(new) = polled? else { return Ok(Poll::Pending) };
        let admission = &self.admission;
        self.replayed = self.large.whole(&admission.large, |bytes| admission.reserve(bytes))?.into();
        Ok(Poll::Ready(new > 0))
    }
}

/// Nothing can be read for now; a write error is reported then.
fn pending(drained: io::Result<bool>) -> Poll<io::Result<()>> {
    drained.map_or_else(|error| Poll::Ready(Err(error)), |_| Poll::Pending)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // The waker is registered before the checks, so that no send or kill in between is missed.
        this.wire.reader.register(cx.waker());
        this.wire.check()?;
        // A peer that accepts nothing more may have sent the reason, so its bytes are read before the write error is
        // reported.
        let drained = this.drain(cx);
        if matches!(drained, Ok(false)) {
            this.watch(cx)?;
        }
        loop {
            if !this.replayed.is_empty() {
                let some = this.replayed.len().min(buf.remaining());
                buf.put_slice(&this.replayed.split_to(some));
                if this.replayed.is_empty() {
                    this.replayed = bytes::Bytes::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.large.is_collecting() && this.early.is_empty() {
                match this.poll_collect(cx)? {
                    Poll::Ready(false) => return Poll::Ready(Ok(())),
                    Poll::Ready(true) if this.replayed.is_empty() => {
                        // Other tasks run between two parts of a large frame.
                        cx.waker().wake_by_ref();
                        return pending(drained);
                    }
                    Poll::Ready(true) => continue,
                    Poll::Pending => return pending(drained),
                }
            }
            let before = buf.filled().len();
            if !this.early.is_empty() {
                let some = this.early.len().min(buf.remaining());
                buf.put_slice(&this.early.split_to(some));
                if this.early.is_empty() {
                    this.early = bytes::Bytes::new();
                }
            } else if Pin::new(&mut this.stream).poll_read(cx, buf)?.is_pending() {
                return pending(drained);
            }
            let read = &buf.filled()[before..];
            let screened = this.screen(read).and_then(|()| this.cut(read));
            let has_ended = read.is_empty();
            let Some(instead) = screened.transpose() else { return Poll::Ready(Ok(())) };
            // An empty read would mean the end of the stream, so the loop continues when nothing is left for the
            // engine.
            buf.set_filled(before);
            this.replayed = instead?.into();
            if has_ended {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.wire.check()?;
        let Ok(is_upgraded) = this.wire.accept(buf) else {
            this.wire.kill();
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        if let Some(takeover) = this.takeover.as_mut().filter(|_| is_upgraded) {
            takeover.complete(&this.wire);
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.check()?;
        // The stream keeps only one waker for writing, and that must be the one of the reading side.
        if !self.drain(&mut Context::from_waker(Waker::noop()))? {
            self.wire.reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drain(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Guarded<S> {
    fn drop(&mut self) {
        // Sends the last packet, such as a disconnect, if the peer can accept it.
        let _ = self.drain(&mut Context::from_waker(Waker::noop()));
        // Wakes tasks that wait for room; otherwise they would wait forever.
        self.wire.kill();
    }
}

/// The registry of sessions that began with long polling, by session id: the websockets that take over, and the
/// sessions that must end. A websocket that opened its session itself carries its [`Wire`] in its request.
#[derive(Clone, Default)]
pub struct Wires(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    taking_over: HashMap<String, Arc<Wire>>,
    /// And since when.
    expired: HashMap<String, Instant>,
}

/// From this number of expired sessions on, old ones are removed, because their end may never be reported.
const MAX_EXPIRED: usize = 1_000;
/// How long an expired session is kept then. By this time the heartbeat has ended it.
const EXPIRED_KEPT: Duration = Duration::from_secs(120);

impl Wires {
    /// The websocket of a socket, if there is one.
    pub(crate) fn of(&self, socket: &Socket) -> Option<Arc<Wire>> {
        if let Some(wire) = socket.req_parts().extensions.get::<Arc<Wire>>() {
            return Some(wire.clone());
        }
        self.0.lock().taking_over.get(&socket.id.to_string()).cloned()
    }

    /// From now on the polls of this session fail like those of an unknown session. Its client opens a new session
    /// automatically, and the heartbeat timeout ends this one. A disconnect packet would make the client stay away.
    pub(crate) fn expire(&self, socket: &Socket) {
        {
            let expired = &mut self.0.lock().expired;
            if expired.len() >= MAX_EXPIRED {
                // The engine does not report the end of a connection that was never accepted.
                expired.retain(|_, since| since.elapsed() < EXPIRED_KEPT);
            }
        }
        self.doom_session(&socket.id.to_string());
    }

    /// The same by session id.
    pub(super) fn doom_session(&self, sid: &str) {
        let mut known = self.0.lock();
        known.expired.insert(sid.to_owned(), Instant::now());
        if let Some(wire) = known.taking_over.get(sid) {
            // The websocket has taken over after the caller checked.
            wire.kill();
        }
    }

    /// The websocket that has taken over a long-polling session, or is doing so now.
    pub(super) fn of_session(&self, sid: &str) -> Option<Arc<Wire>> {
        self.0.lock().taking_over.get(sid).cloned()
    }

    /// Breaks the transport of a socket that cannot be accepted at the moment, so that its client retries
    /// automatically.
    pub(super) fn break_off(&self, socket: &Socket) {
        match self.of(socket) {
            Some(wire) => wire.kill(),
            None => self.expire(socket),
        }
    }

    pub(super) fn is_doomed(&self, sid: &str) -> bool {
        self.0.lock().expired.contains_key(sid)
    }

    pub(super) fn forget(&self, sid: &str) {
        self.0.lock().expired.remove(sid);
    }

    /// Returns `None` when the session is expired.
    fn register(&self, sid: String, wire: &Arc<Wire>) -> Option<Registered> {
        let mut known = self.0.lock();
        if known.expired.contains_key(&sid) {
            return None;
        }
        known.taking_over.insert(sid.clone(), wire.clone());
        Some(Registered { wires: self.clone(), sid, wire: Arc::downgrade(wire) })
    }
}

/// Removes a websocket from the registry when it is dropped.
struct Registered {
    wires: Wires,
    sid: String,
    wire: Weak<Wire>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let wires = &mut self.wires.0.lock().taking_over;
        // A second takeover of the same session may have replaced this one.
        if wires.get(&self.sid).is_some_and(|known| Arc::as_ptr(known) == self.wire.as_ptr()) {
            wires.remove(&self.sid);
        }
    }
}

/// Called with the session id when the takeover is complete.
pub(super) type OnUpgraded = Box<dyn FnOnce(&str) + Send>;

/// Called when the websocket is gone before that.
pub(super) type OnFailed = Box<dyn FnOnce() + Send>;

/// The takeover of a session by a websocket; see [`super::upgrade`].
pub(super) struct Takeover {
    registered: Registered,
    attempt: Attempt,
    then: Option<(OnUpgraded, OnFailed)>,
}

impl Takeover {
    /// Begins the takeover. `None` when the session must end.
    pub(super) fn new(
        wires: &Wires,
        sid: String,
        wire: &Arc<Wire>,
        attempt: Attempt,
        then: (OnUpgraded, OnFailed),
    ) -> Option<Self> {
        Some(Self { registered: wires.register(sid, wire)?, attempt, then: Some(then) })
    }

    /// Called when the engine has moved the session off long polling: what it queues now leaves by the websocket.
    fn complete(&mut self, wire: &Wire) {
        let Some((on_upgraded, _)) = self.then.take() else { return };
        self.attempt.set_upgraded();
        wire.set_upgraded();
        on_upgraded(&self.registered.sid);
    }
}

impl Drop for Takeover {
    fn drop(&mut self) {
        // Not at process exit, when no task can be spawned any more.
        if let Some((_, on_failed)) = self.then.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            on_failed();
        }
    }
}

#[cfg(test)]
mod tests;
