//! The outgoing side of a websocket: the bytes that wait to be sent, and the lane, our own path for events beside the
//! one of socketioxide.
//!
//! **Why a lane.** socketioxide encodes an event again for each connection, copies it four times, passes it through a
//! channel, and wakes a task that selects over three others. Here an event is a websocket frame that is encoded once
//! for all its recipients. Sending it is one copy into the connection's buffer, and all bytes in that buffer leave in
//! one system call when the connection's task runs. The lane also makes it possible to count the bytes that wait for a
//! client.
//!
//! **Order.** Both paths write whole frames, so they mix only at frame boundaries. Packets whose order matters use one
//! path only: our own packets all take the lane once it is open; socketioxide's path carries the handshake, heartbeats
//! and disconnects. The lane opens when the frame has passed that must precede our own: the CONNECT answer, or, for a
//! session that began with long polling, a marker that is queued behind everything queued before (and removed here).
//! Earlier packets of ours are held until then.
//!
//! Events that belong together (`together.rs`), and were queued for long polling, are also split here.
//!
//! **Limits.** At most [`MAX_UNSENT`] bytes wait for a client; for changes the limit is lower (see `session`, "Lag").
//! Beyond that a send is refused, and the caller waits or cuts the connection. Large amounts are charged to the
//! server's memory budget. A client that accepts nothing for the stall timeout is cut, too.

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

/// Maximum number of bytes that wait for one client. A single frame always has room.
pub const MAX_UNSENT: usize = 32 << 20;

/// The event that marks where a session changes from socketioxide's path to the lane. It is never sent to a client.
pub(crate) const MARKER_EVENT: &str = "\u{1}";
const MARKER: &[u8] = br#"42["\u0001"]"#;

/// The outgoing bytes of a websocket, and its kill switch.
#[derive(Debug)]
pub struct Wire {
    killed: AtomicBool,
    upgraded: AtomicBool,
    pub(super) reader: AtomicWaker,
    /// Notified whenever fewer bytes wait than before, and at the end.
    taken: Notify,
    out: Mutex<Out>,
    /// The session whose memory budget is charged. Weak, because that session owns this wire.
    admission: OnceLock<Weak<Admission>>,
    /// Tracks what the client has certainly received.
    receipt: OnceLock<Arc<Receipt>>,
}

/// The begin of a Socket.IO CONNECT answer. The session id follows.
const CONNECT_ANSWER: &[u8] = br#"40{"sid":""#;

#[derive(Debug)]
struct Out {
    /// Whole frames, except that a part of the first one may already be sent.
    unsent: BytesMut,
    /// Sent when nothing else waits. A newer one replaces it.
    latest: Option<Bytes>,
    lane: Lane,
    /// The engine has not answered the replayed probe yet. Its answer is dropped, because the client already has one.
    awaits_probe: bool,
    /// The `pid` that the CONNECT answer must still carry.
    pid: Option<Box<str>>,
    /// Memory for the waiting bytes, if they are many.
    reservation: Option<Box<Reservation>>,
}

#[derive(Debug)]
enum Lane {
    /// Opens behind the CONNECT answer. Holds the frames that wait for it.
    BehindConnect(Vec<Bytes>),
    /// Opens behind the marker. Holds the frames that wait for it.
    BehindMarker(Vec<Bytes>),
    Open,
}

/// What socketioxide answers to a client that connects after its only namespace was closed, which happens at shutdown.
/// A client that reads this does not reconnect; a client whose connection breaks does.
const STOPPED: &[u8] = br#"44{"message":"Invalid namespace"}"#;

/// The engine's answer to `2probe`.
const PROBE_ANSWER: &[u8] = b"3probe";
/// A heartbeat frame. No text can end with these bytes, because they are not valid UTF-8.
const HEARTBEAT: &[u8] = b"\x81\x012";

/// The connection must be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut;

/// Too many bytes wait already.
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

    /// Charges the waiting bytes to this session.
    pub(super) fn set_admission(&self, admission: &Arc<Admission>) {
        let _ = self.admission.set(Arc::downgrade(admission));
    }

    /// Confirms received changes in `receipt` when heartbeats on this websocket are answered.
    pub(crate) fn set_receipt(&self, receipt: &Arc<Receipt>) {
        let _ = self.receipt.set(receipt.clone());
    }

    /// The client has answered a heartbeat.
    pub(super) fn heartbeat_answered(&self) {
        if let Some(receipt) = self.receipt.get() {
            receipt.answer();
        }
    }

    /// Reserves memory for this number of waiting bytes.
    fn reserve(&self, out: &mut Out, bytes: usize) -> Result<(), Full> {
        if bytes < MIN_ACCOUNTED {
            return Ok(());
        }
        let reserved = match &mut out.reservation {
            Some(reservation) if reservation.bytes() >= bytes => Ok(()),
            // Reserved in steps, so that not every event asks for memory.
            Some(reservation) => reservation.set(bytes + MIN_ACCOUNTED),
            None => {
                let Some(admission) = self.admission.get().and_then(Weak::upgrade) else { return Ok(()) };
                admission.reserve(bytes + MIN_ACCOUNTED).map(|reserved| {
                    out.reservation = reserved.map(Box::new);
                })
            }
        };
        reserved.map_err(|OutOfMemory| {
            // A client that holds so much memory is cut. It receives what it has missed when it reconnects.
            self.kill();
            Full
        })
    }

    /// Kills the websocket: from now on reads and writes fail, and all waiting tasks are woken.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.reader.wake();
        self.taken.notify_waiters();
    }

    /// Waits until at most `most` bytes wait to be sent, or the websocket is killed.
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

    /// Whether the websocket was killed or its stream has ended.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Fails when the websocket was killed.
    pub(super) fn check(&self) -> std::io::Result<()> {
        match self.killed.load(Ordering::Acquire) {
            true => Err(std::io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Whether the websocket has taken over its session from long polling.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    pub(super) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Makes the CONNECT answer carry this `pid` (see `recovery`), if it is sent on this websocket.
    pub(crate) fn set_pid(&self, pid: &str) {
        self.out.lock().pid = Some(pid.into());
    }

    /// The number of bytes that wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        let out = self.out.lock();
        let held = match &out.lane {
            Lane::Open => 0,
            Lane::BehindConnect(held) | Lane::BehindMarker(held) => held.iter().map(Bytes::len).sum(),
        };
        out.unsent.len() + held
    }

    /// Queues a frame behind all earlier ones, if at most `most` bytes wait then. A single frame always has room.
    ///
    /// # Errors
    /// When too many bytes wait. Nothing is queued then.
    pub fn send(&self, frame: &Bytes, most: usize) -> Result<(), Full> {
        self.send_all(std::slice::from_ref(frame), most)
    }

    /// The same for frames that belong together: all of them leave in one write, or none does.
    ///
    /// # Errors
    /// When too many bytes wait. Nothing is queued then.
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

    /// Sends a frame when nothing else waits. It replaces an earlier such frame that is still waiting.
    pub fn send_latest(&self, frame: &Bytes) {
        let mut out = self.out.lock();
        out.latest = Some(frame.clone());
        if matches!(out.lane, Lane::Open) && out.unsent.is_empty() {
            self.reader.wake();
        }
    }

    /// Accepts whole frames from socketioxide. This never blocks: a blocked writer of socketioxide could not be
    /// interrupted, and its session would not end. Returns whether the engine's answer to the probe was among the
    /// frames.
    ///
    /// # Errors
    /// When too many bytes wait, or when the frame would make the client stay away although the server is only
    /// restarting.
    pub(super) fn accept(&self, frames: &[u8]) -> Result<bool, Cut> {
        let mut out = self.out.lock();
        if !out.unsent.is_empty() && out.unsent.len() + frames.len() > MAX_UNSENT {
            return Err(Cut);
        }
        if matches!(out.lane, Lane::Open)
            && frames.ends_with(HEARTBEAT)
            && let Some(receipt) = self.receipt.get()
        {
            // All earlier changes wait in front of this heartbeat, so its answer confirms them.
            receipt.ask(receipt.told());
        }
        let awaited_probe = out.awaits_probe;
        out.accept(frames)?;
        Ok(awaited_probe && !out.awaits_probe)
    }

    /// Queues a frame of our own directly, before the lane is open.
    pub(super) fn put(&self, frame: &[u8]) {
        self.out.lock().unsent.extend_from_slice(frame);
    }

    /// Passes the waiting bytes to `write`, which returns how many it has written.
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
        // Most connections are idle most of the time, so the empty buffer is released.
        out.unsent = BytesMut::new();
        out.reservation = None;
        if progress {
            self.taken.notify_waiters();
        }
        Ok(Drained { all: true, progress })
    }
}

/// The result of [`Wire::drain`].
pub(super) struct Drained {
    /// No bytes are left.
    pub(super) all: bool,
    /// Some bytes were written.
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
