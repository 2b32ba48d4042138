//! Websockets that take over a session from long polling.
//!
//! The client opens a websocket, sends `2probe` on it, receives `3probe`, ends its last poll, and sends `5`. From then
//! on everything uses the websocket (Engine.IO protocol, "Upgrade"). engineioxide moves the session off long polling as
//! soon as the websocket is there. But some websockets never carry a frame: proxies and virus scanners may answer the
//! request themselves and forward nothing. So the websocket is kept here until `5` has come. Until then the session
//! remains a long-polling session in every respect, and an attempt that fails, breaks or comes too late does not affect
//! it.
//!
//! While a probed websocket waits for `5`, a waiting poll is answered with a NOOP, because the client wants to stop
//! polling. Further polls are answered in the same way, at intervals of a tenth of a second, as in Node's Socket.IO.
//! Then the queued packets leave by the websocket (the engine could not hand them over if its queue were full), and the
//! engine receives the stream with both packets repeated. It sends its own `3probe` when no poll can fetch anything any
//! more; this one is not forwarded to the client (see [`super::wire`]).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::admission::Admission;
use super::guard::Guarded;
use super::payload::SEPARATOR;
use super::text_frame::text_frame;
use super::wire::Wire;

/// Maximum time of an attempt, from its request to `5`; the same as in Node's Socket.IO (`upgradeTimeout`).
pub(super) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of attempts of one session. Normal clients make one.
const MAX_ATTEMPTS: u32 = 3;

/// How often a poll is answered with a NOOP while a probed websocket waits.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);

/// How often the queue is drained at most before the websocket takes over. Each time it is emptied completely.
const MAX_DRAINS: usize = 8;

/// The frames that are repeated to the engine after a successful attempt: `2probe` and `5`, masked with zeros, as is
/// allowed.
const SAID: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";

/// The upgrade state of one session.
#[derive(Debug, Default)]
pub(super) struct Upgrades {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    attempts: u32,
    /// The websocket that tries to take over.
    wire: Weak<Wire>,
    /// When the next poll is answered with a NOOP.
    release: Option<Instant>,
    /// The number of polls that are waiting at the engine.
    polls: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// There is no websocket.
    #[default]
    Polling,
    /// There is a websocket, but it has not sent anything.
    Waiting,
    /// The client has sent `2probe`.
    Probed,
    /// The client has sent `5`.
    HandingOver,
    /// The websocket has taken over.
    Upgraded,
}

impl Upgrades {
    /// Allows a poll to wait at the engine until the returned guard is dropped. `None` once the engine is about to
    /// receive the websocket.
    pub(super) fn poll(&self) -> Option<Poll<'_>> {
        let mut state = self.state.lock();
        if state.phase == Phase::HandingOver {
            return None;
        }
        state.polls += 1;
        Some(Poll(self))
    }

    /// Waits until a poll must be answered with a NOOP, because its client is changing to the websocket.
    pub(super) async fn released(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let release = {
                let mut state = self.state.lock();
                match (state.phase, state.release) {
                    (Phase::Probed | Phase::HandingOver, Some(release)) => {
                        let now = Instant::now();
                        if release <= now {
                            state.release = Some(now + RELEASE_INTERVAL);
                            return;
                        }
                        Some(release)
                    }
                    _ => None,
                }
            };
            match release {
                Some(release) => {
                    let _ = tokio::time::timeout_at(release, changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Cancels the current attempt, if there is one.
    pub(super) fn cancel(&self) {
        if let Some(wire) = self.state.lock().wire.upgrade() {
            wire.kill();
        }
    }

    fn enter(&self, phase: Phase) {
        {
            let mut state = self.state.lock();
            state.phase = phase;
            state.release = Some(Instant::now());
        }
        self.changed.notify_waiters();
    }
}

/// See [`Upgrades::poll`].
pub(super) struct Poll<'a>(&'a Upgrades);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.state.lock().polls -= 1;
        self.0.changed.notify_waiters();
    }
}

/// An attempt of a websocket to take over its session. If it is dropped before it succeeds, the session continues
/// polling.
pub(super) struct Attempt {
    admission: Arc<Admission>,
    deadline: Instant,
}

/// The attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

impl Attempt {
    /// Begins an attempt. `None` while another one is running, after a successful takeover, and after so many failures
    /// that this attempt would probably fail, too.
    pub(super) fn begin(admission: &Arc<Admission>, wire: &Arc<Wire>) -> Option<Self> {
        let mut state = admission.upgrades.state.lock();
        if state.phase != Phase::Polling || state.attempts >= MAX_ATTEMPTS {
            return None;
        }
        state.attempts += 1;
        state.phase = Phase::Waiting;
        state.wire = Arc::downgrade(wire);
        drop(state);
        Some(Self { admission: admission.clone(), deadline: Instant::now() + UPGRADE_TIMEOUT })
    }

    /// Runs `work` until the deadline of the attempt.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failed> {
        tokio::time::timeout_at(self.deadline, work).await.map_err(|_| Failed)
    }

    /// Talks to the client until it has sent `5` and no poll is running. Returns the bytes that the engine must read:
    /// the same packets again, and everything that came behind them.
    ///
    /// # Errors
    /// When the client sends something else, sends nothing in time, or disconnects.
    pub(super) async fn probe<S>(&self, stream: &mut Guarded<S>, wire: &Wire) -> Result<Bytes, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let rest = self.in_time(self.converse(stream, wire)).await.and_then(|rest| rest);
        let Ok(rest) = rest else {
            // A close without a reason (RFC 6455, section 5.5.1).
            wire.put(&[0x88, 0]);
            return Err(Failed);
        };
        self.admission.upgrades.enter(Phase::HandingOver);
        self.in_time(self.polls_end()).await?;
        Ok([SAID, &rest].concat().into())
    }

    async fn converse<S>(&self, stream: &mut Guarded<S>, wire: &Wire) -> Result<Vec<u8>, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut read, mut is_probed) = (Vec::new(), false);
        loop {
            while let Some((frame, length)) = first_frame(&read)? {
                read.drain(..length);
                match frame {
                    Frame::Text(text) if text == b"2probe" && !is_probed => {
                        is_probed = true;
                        wire.put(&text_frame(6, |bytes| bytes.extend_from_slice(b"3probe")));
                        self.admission.upgrades.enter(Phase::Probed);
                    }
                    Frame::Text(text) if text == b"5" && is_probed => return Ok(read),
                    Frame::Ping(said) => wire.put(&[&[0x8a, said.len() as u8], said.as_slice()].concat()),
                    Frame::Pong => {}
                    Frame::Text(_) | Frame::Other => return Err(Failed),
                }
            }
            // The limits are those of the session; `stream` enforces them.
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return Err(Failed),
                Ok(_) => {}
            }
        }
    }

    /// Waits until no poll is waiting at the engine.
    async fn polls_end(&self) {
        let upgrades = &self.admission.upgrades;
        loop {
            let mut changed = pin!(upgrades.changed.notified());
            changed.as_mut().enable();
            if upgrades.state.lock().polls == 0 {
                return;
            }
            changed.await;
        }
    }

    /// The engine has moved the session off long polling.
    pub(super) fn set_upgraded(&self) {
        self.admission.upgrades.enter(Phase::Upgraded);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let upgrades = &self.admission.upgrades;
        {
            let mut state = upgrades.state.lock();
            state.wire = Weak::new();
            if state.phase == Phase::Upgraded {
                return;
            }
            state.phase = Phase::Polling;
        }
        upgrades.changed.notify_waiters();
    }
}

/// Moves the queued packets of a session onto the websocket that is about to take over. The websocket must not have
/// sent packets of the session before, and no poll may be running.
pub(super) async fn drain_queue<E, B>(engine: &E, sid: &str, wire: &Wire)
where
    E: Service<Request, Response = Response<B>, Error = Infallible> + Clone,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    for _ in 0..MAX_DRAINS {
        let mut poll = Request::new(Body::empty());
        // The engine encodes the answer as the query asks. There are no binary packets.
        let uri = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        *poll.uri_mut() = uri.parse().unwrap_or_default();
        // The answer is ready at once if anything is queued.
        let polled = tokio::task::unconstrained(engine.clone().oneshot(poll)).now_or_never();
        let Some(Ok(response)) = polled else { return };
        if response.status() != StatusCode::OK {
            return;
        }
        let Ok(payload) = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await else {
            return;
        };
        let packets =
            payload.split(|byte| *byte == SEPARATOR).filter(|packet| !packet.is_empty() && *packet != b"6");
        for packet in packets {
            let frame = text_frame(packet.len(), |bytes| bytes.extend_from_slice(packet));
            if wire.accept(&frame).is_err() {
                return wire.kill();
            }
        }
    }
}

/// A frame of the client before the takeover.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Other,
}

/// The first of these frames and its length, once it is complete (RFC 6455, section 5.2).
///
/// # Errors
/// When it is longer than any valid frame.
fn first_frame(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Failed> {
    let Some(&[head, length]) = bytes.get(..2) else { return Ok(None) };
    let is_masked = length & 0x80 != 0;
    let length = usize::from(length & 0x7f);
    if !is_masked || length > 125 {
        return Err(Failed);
    }
    let Some(frame) = bytes.get(..6 + length) else { return Ok(None) };
    let payload = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let frame = match head {
        0x81 => Frame::Text(payload),
        0x89 => Frame::Ping(payload),
        0x8a => Frame::Pong,
        _ => Frame::Other,
    };
    Ok(Some((frame, 6 + length)))
}

#[cfg(test)]
mod tests;
