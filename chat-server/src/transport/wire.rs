//! The outgoing side of a websocket: what waits to be sent, and a lane of our own beside socketioxide's.
//!
//! **Why a lane.** An event that goes out through socketioxide is encoded for each connection anew, copied four times,
//! passes a channel and wakes a task that selects over three others. Here an event is a websocket frame, encoded once
//! for everybody who gets it; sending it is one copy into the connection's buffer, and whatever has gathered there when
//! the connection's task runs leaves in one system call. It also makes what waits for a client countable in bytes.
//!
//! **Order.** Both sides write whole frames, so they mix at frame boundaries. What must come in order is sent on one
//! side only: everything of ours takes the lane once it is open, socketioxide's side carries the handshake, heartbeats
//! and goodbyes. The lane opens when the frame has passed behind which our own belong: the CONNECT answer, or, for a
//! session that began with long polling, a marker that is queued behind all that was queued before (and taken out
//! here). What is sent before that is held.
//!
//! Events that belong together (`together.rs`), and were queued for long polling, are taken apart here too.
//!
//! **Bounds.** At most [`MAX_UNSENT`] bytes wait for a client, of changes less (see `session`, "Lag"); what would be more
//! is refused, and the caller waits or cuts the connection. Much of it is accounted for in the server's memory. A client that takes nothing for as long as the stall timeout
//! is cut too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::admission::Admission;
use super::text_frame::{first_frame, text_frame};
use super::together;
use super::unauthenticated::Kill;
use crate::memory::{MIN_ACCOUNTED, OutOfMemory, Reservation};
use crate::recovery::receipts::Receipt;

/// Most bytes that wait for one client; a single frame always has room.
pub const MAX_UNSENT: usize = 32 << 20;

/// The event that marks where a session changes from socketioxide's side to the lane. No client ever sees it.
pub(crate) const MARKER_EVENT: &str = "\u{1}";
const MARKER: &[u8] = br#"42["\u0001"]"#;

/// What waits to be sent on a websocket, and the switch that ends it.
#[derive(Debug)]
pub struct Wire {
    killed: AtomicBool,
    upgraded: AtomicBool,
    pub(super) reader: AtomicWaker,
    /// Told whenever less waits than before, and at the end.
    taken: Notify,
    out: Mutex<Out>,
    /// Whose memory it uses. Not owned: the session that it carries owns both.
    admission: OnceLock<Weak<Admission>>,
    /// What the client of its session has certainly been told.
    receipt: OnceLock<Arc<Receipt>>,
}

/// A Socket.IO CONNECT answer begins like this; the session id follows.
const CONNECT_ANSWER: &[u8] = br#"40{"sid":""#;

#[derive(Debug)]
struct Out {
    /// Whole frames, but for what has been sent of the first one.
    unsent: BytesMut,
    /// Sent when nothing else waits; a later one takes its place.
    latest: Option<Bytes>,
    lane: Lane,
    /// The engine has not answered the probe that it is told of. Its answer is not sent: the client has had it.
    awaits_probe: bool,
    /// What the CONNECT answer still has to be given.
    pid: Option<Box<str>>,
    /// Memory for what waits, while it is much.
    reservation: Option<Box<Reservation>>,
}

#[derive(Debug)]
enum Lane {
    /// Opens behind the CONNECT answer.
    BehindConnect(Vec<Bytes>),
    /// Opens behind the marker.
    BehindMarker(Vec<Bytes>),
    Open,
}

/// What socketioxide says to a client that comes after its only namespace was closed, which is when the server stops. A
/// client that reads this stays away for good; one whose connection breaks comes back by itself.
const STOPPED: &[u8] = br#"44{"message":"Invalid namespace"}"#;

/// How the engine answers `2probe`.
const PROBE_ANSWER: &[u8] = b"3probe";
/// A heartbeat, as a frame. No text ends so: its bytes are no UTF-8.
const HEARTBEAT: &[u8] = b"\x81\x012";

/// The connection must be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

/// Too much waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Wire {
    /// A websocket that opens a session of its own.
    pub(crate) fn new() -> Self {
        Self::with(Lane::BehindConnect(Vec::new()))
    }

    /// A websocket that takes over a session from long polling.
    pub(crate) fn upgrade() -> Self {
        let wire = Self::with(Lane::BehindMarker(Vec::new()));
        wire.out.lock().awaits_probe = true;
        wire
    }

    fn with(lane: Lane) -> Self {
        Self {
            killed: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            taken: Notify::new(),
            out: Mutex::new(Out {
                unsent: BytesMut::new(),
                latest: None,
                lane,
                awaits_probe: false,
                pid: None,
                reservation: None,
            }),
            admission: OnceLock::new(),
            receipt: OnceLock::new(),
        }
    }

    /// What waits here is accounted for as this session's.
    pub(super) fn set_admission(&self, admission: &Arc<Admission>) {
        let _ = self.admission.set(Arc::downgrade(admission));
    }

    /// Heartbeats here say what has arrived of what the session was told.
    pub(crate) fn set_receipt(&self, receipt: &Arc<Receipt>) {
        let _ = self.receipt.set(receipt.clone());
    }

    /// The client has answered a heartbeat.
    pub(super) fn heartbeat_answered(&self) {
        if let Some(receipt) = self.receipt.get() {
            receipt.answer();
        }
    }

    /// Accounts for so many bytes that wait.
    fn reserve(&self, out: &mut Out, bytes: usize) -> Result<(), Full> {
        if bytes < MIN_ACCOUNTED {
            return Ok(());
        }
        let reserved = match &mut out.reservation {
            Some(reservation) if reservation.bytes() >= bytes => Ok(()),
            // In steps, so that not every event asks.
            Some(reservation) => reservation.set(bytes + MIN_ACCOUNTED),
            None => {
                let Some(admission) = self.admission.get().and_then(Weak::upgrade) else { return Ok(()) };
                admission.reserve(bytes + MIN_ACCOUNTED).map(|reserved| {
                    out.reservation = reserved.map(Box::new);
                })
            }
        };
        reserved.map_err(|OutOfMemory| {
            // Whoever holds so much is cut, and told what was missed when they come back.
            self.kill();
            Full
        })
    }

    /// From now on reading and writing fail, and whoever waits for either is woken.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.reader.wake();
        self.taken.notify_waiters();
    }

    /// Waits until at most `most` bytes wait to be sent, or nothing is sent any more.
    pub(crate) async fn room(&self, most: usize) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if self.unsent() <= most || self.is_killed() {
                return;
            }
            taken.await;
        }
    }

    /// Whether the switch was thrown, or the stream has ended.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Fails when the switch was thrown.
    pub(super) fn check(&self) -> std::io::Result<()> {
        match self.killed.load(Ordering::Acquire) {
            true => Err(std::io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Whether the session has been taken over from long polling.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    pub(super) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Has the CONNECT answer carry this `pid` (see `recovery`), if it passes here.
    pub(crate) fn set_pid(&self, pid: &str) {
        self.out.lock().pid = Some(pid.into());
    }

    /// How many bytes wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        let out = self.out.lock();
        let held = match &out.lane {
            Lane::Open => 0,
            Lane::BehindConnect(held) | Lane::BehindMarker(held) => held.iter().map(Bytes::len).sum(),
        };
        out.unsent.len() + held
    }

    /// Sends a frame behind all that was sent before it, if at most `most` bytes wait then; a single frame always has
    /// room.
    ///
    /// # Errors
    /// When too much waits; nothing was sent then.
    pub fn send(&self, frame: &Bytes, most: usize) -> Result<(), Full> {
        self.send_all(std::slice::from_ref(frame), most)
    }

    /// The same with frames that belong together: they leave in one write, or none of them does.
    ///
    /// # Errors
    /// When too much waits; nothing was sent then.
    pub fn send_all(&self, frames: &[Bytes], most: usize) -> Result<(), Full> {
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        let mut out = self.out.lock();
        let out = &mut *out;
        match &mut out.lane {
            Lane::Open => {
                let was_empty = out.unsent.is_empty();
                let waiting = out.unsent.len() + bytes;
                if !was_empty && waiting > most {
                    return Err(Full);
                }
                self.reserve(out, waiting)?;
                frames.iter().for_each(|frame| out.unsent.extend_from_slice(frame));
                if was_empty {
                    self.reader.wake();
                }
            }
            Lane::BehindConnect(held) | Lane::BehindMarker(held) => {
                let waiting: usize = held.iter().map(Bytes::len).sum();
                if !held.is_empty() && waiting + bytes > most {
                    return Err(Full);
                }
                held.extend_from_slice(frames);
            }
        }
        Ok(())
    }

    /// Sends a frame when nothing else waits, in the place of an earlier one that still waits for that.
    pub fn send_latest(&self, frame: &Bytes) {
        let mut out = self.out.lock();
        out.latest = Some(frame.clone());
        if matches!(out.lane, Lane::Open) && out.unsent.is_empty() {
            self.reader.wake();
        }
    }

    /// Takes whole frames from socketioxide's side. It is never made to wait: its writer could not be interrupted then,
    /// and its session would not end. Answers whether the engine's answer to the probe was among them.
    ///
    /// # Errors
    /// When too much waits, or the client would be sent away although the server only stops.
    pub(super) fn accept(&self, frames: &[u8]) -> Result<bool, Cut> {
        let mut out = self.out.lock();
        if !out.unsent.is_empty() && out.unsent.len() + frames.len() > MAX_UNSENT {
            return Err(Cut);
        }
        if matches!(out.lane, Lane::Open)
            && frames.ends_with(HEARTBEAT)
            && let Some(receipt) = self.receipt.get()
        {
            // Everything that was told before waits in front of it.
            receipt.ask(receipt.told());
        }
        let awaited_probe = out.awaits_probe;
        out.accept(frames)?;
        Ok(awaited_probe && !out.awaits_probe)
    }

    /// Sends a frame of our own at once, before anything takes a lane.
    pub(super) fn put(&self, frame: &[u8]) {
        self.out.lock().unsent.extend_from_slice(frame);
    }

    /// Gives what waits to `write`, which returns how many bytes it has taken. Returns whether everything was taken.
    pub(super) fn drain(
        &self,
        mut write: impl FnMut(&[u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<Drained> {
        let mut out = self.out.lock();
        let mut progress = false;
        loop {
            if out.unsent.is_empty() {
                if !matches!(out.lane, Lane::Open) {
                    break;
                }
                let Some(latest) = out.latest.take() else { break };
                out.unsent.extend_from_slice(&latest);
            }
            match write(&out.unsent)? {
                0 => {
                    if progress {
                        self.taken.notify_waiters();
                    }
                    return Ok(Drained { all: false, progress });
                }
                written => {
                    progress = true;
                    let _ = out.unsent.split_to(written);
                }
            }
        }
        // Most connections are idle most of the time, and keep no buffer meanwhile.
        out.unsent = BytesMut::new();
        out.reservation = None;
        if progress {
            self.taken.notify_waiters();
        }
        Ok(Drained { all: true, progress })
    }
}

/// What came of [`Wire::drain`].
pub(super) struct Drained {
    /// Nothing waits any more.
    pub(super) all: bool,
    /// Something was sent.
    pub(super) progress: bool,
}

impl Out {
    fn accept(&mut self, mut frames: &[u8]) -> Result<(), Cut> {
        while !frames.is_empty() {
            let awaited: fn(&[u8]) -> bool = match self.lane {
                Lane::Open => break,
                Lane::BehindConnect(_) => |payload| payload.starts_with(b"40"),
                Lane::BehindMarker(_) => |payload| payload == MARKER,
            };
            let Some((frame, payload)) = first_frame(frames) else { break };
            if payload == STOPPED {
                return Err(Cut);
            }
            frames = &frames[frame.len()..];
            if self.awaits_probe && payload == PROBE_ANSWER {
                self.awaits_probe = false;
                continue;
            }
            let with_pid = self.pid.as_deref().and_then(|pid| with_pid(payload, pid));
            if with_pid.is_some() {
                self.pid = None;
            }
            let with_pid =
                with_pid.map(|text| text_frame(text.len(), |bytes| bytes.extend_from_slice(text.as_bytes())));
            let frame = with_pid.as_deref().unwrap_or(frame);
            if let Some(together) = together::arrays(payload) {
                for array in together {
                    self.unsent.extend_from_slice(&together::frame(array));
                }
                continue;
            }
            if !awaited(payload) {
                self.unsent.extend_from_slice(frame);
                continue;
            }
            match std::mem::replace(&mut self.lane, Lane::Open) {
                Lane::BehindConnect(held) => {
                    self.unsent.extend_from_slice(frame);
                    held.iter().for_each(|frame| self.unsent.extend_from_slice(frame));
                }
                Lane::BehindMarker(held) => {
                    held.iter().for_each(|frame| self.unsent.extend_from_slice(frame));
                }
                Lane::Open => {}
            }
        }
        self.unsent.extend_from_slice(frames);
        Ok(())
    }
}

/// The CONNECT answer `packet` with a `pid`, or `None` if it is another packet.
pub(crate) fn with_pid(packet: &[u8], pid: &str) -> Option<String> {
    let sid = packet.strip_prefix(CONNECT_ANSWER)?;
    let sid = std::str::from_utf8(sid).ok()?.split_once('"')?.0;
    Some(format!(r#"40{{"sid":"{sid}","pid":"{pid}"}}"#))
}

impl Kill for Wire {
    fn kill(&self) {
        Wire::kill(self);
    }
}

#[cfg(test)]
mod tests;
