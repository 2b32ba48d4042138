//! What is sent on a connection: through the lane of its WebSocket, or through socketioxide's queue while its client
//! polls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use chat_core::clock::Timestamp;
use chat_core::model::Position;
use smallvec::SmallVec;
use tokio::sync::SemaphorePermit;

use super::activity::Need;
use super::{Outgoing, PollUnderWay, Session};
use crate::announce::Announcer;
use crate::dialect::{Frame, Frames};
use crate::limits::{MAX_UNSENT_BYTES, Person};
use crate::memory::{MIN_ACCOUNTED, Owner};
use crate::recovery::Missing;
use crate::sessions::Sessions;
use crate::transport::together::Together;
use crate::transport::wire::{MARKER_EVENT, MAX_UNSENT, Wire};

/// While more bytes than this wait for a client, no more is read for it.
const MAX_UNSENT_TO_ANSWER: usize = 4 << 20;
/// The pause before the next check whether a polling client has fetched its queue.
const POLL_PAUSE: Duration = Duration::from_millis(50);

impl Session {
    /// Sends an event that must not be lost. If it cannot be queued, the connection is cut.
    pub fn deliver(self: &Arc<Self>, frame: &Frame) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        let queued = self.send(&mut self.outgoing.lock(), &[frame], MAX_UNSENT);
        if !queued {
            self.cut("its queue is full");
        }
    }

    /// Sends an announced change, unless it was sent already or will be read from the log.
    pub(crate) fn announce(self: &Arc<Self>, position: Position, frames: &Frames) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        let mut outgoing = self.outgoing.lock();
        if !outgoing.cursor.is_due(position) {
            return;
        }
        if self.send_mine(&mut outgoing, frames, self.max_pending_bytes) {
            outgoing.cursor.pass(position);
            self.receipt.tell(position, outgoing.wire.is_some() || outgoing.awaited.is_some());
            return;
        }
        outgoing.cursor.hold();
        drop(outgoing);
        if let Some(server) = self.server.upgrade() {
            server.resume(self);
        }
    }

    /// Sends an ephemeral event, which is in no log (a user types, a user has signed up), if there is room. A client
    /// that lags misses it: later it would be useless, and pages load the current state when they open.
    pub(crate) fn ephemeral(&self, frames: &Frames) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        let mut outgoing = self.outgoing.lock();
        if outgoing.cursor.lags() {
            // The room in the queue is needed for the missed changes.
            return;
        }
        self.send_mine(&mut outgoing, frames, self.max_pending_bytes);
    }

    /// Lets announced changes be sent at once from now on, if none is missing before them. Otherwise returns what is
    /// missing.
    pub(crate) fn go_live(&self, announcer: &Announcer) -> Result<(), Missing> {
        let mut outgoing = self.outgoing.lock();
        // The lock is held, so no change can be announced to this connection meanwhile.
        outgoing.cursor.go_live(announcer.position())
    }

    /// Sends a change that was read from the log. Returns whether there was room for it; if not, nothing was sent.
    pub(crate) fn replay(&self, position: Position, frames: &Frames) -> bool {
        if self.cut.load(Ordering::Relaxed) {
            return false;
        }
        let mut outgoing = self.outgoing.lock();
        let queued = self.send_mine(&mut outgoing, frames, self.max_pending_bytes);
        if queued {
            outgoing.cursor.pass(position);
            self.receipt.tell(position, outgoing.wire.is_some() || outgoing.awaited.is_some());
        }
        queued
    }

    /// Records that no change up to `position` is missing any more.
    pub(crate) fn pass(&self, position: Position) {
        self.outgoing.lock().cursor.pass(position);
    }

    /// Waits until at most `most` bytes wait for the client, or the connection is over.
    pub(crate) async fn room(&self, most: usize) {
        while !self.is_over() {
            let wire = self.lane(&mut self.outgoing.lock()).cloned();
            if let Some(wire) = wire {
                wire.room(most).await;
                if !wire.is_killed() {
                    return;
                }
            }
            // Events go through socketioxide's queue, which may also be full of small packets; or the WebSocket has
            // ended, and the connection will end in a moment. A WebSocket after an upgrade carries what was queued
            // before its lane was open. Before the upgrade it carries nothing yet: checking it without a pause would be
            // a busy loop.
            tokio::time::sleep(POLL_PAUSE).await;
            let taken_over = self.wires.of(&self.socket).filter(|wire| wire.is_upgraded());
            let room = match &taken_over {
                Some(wire) => {
                    wire.room(most).await;
                    !wire.is_killed()
                }
                None => self.outgoing.lock().polled <= most,
            };
            if room {
                return;
            }
        }
    }

    /// Waits until there is room for an answer: on this connection, and in the unsent bytes of all connections of this
    /// user. While the permit is held, at most one other answer is read for this user.
    pub(crate) async fn room_to_answer(&self, sessions: &Sessions) -> Option<SemaphorePermit<'_>> {
        self.room(MAX_UNSENT_TO_ANSWER).await;
        let permit = self.person.answering().await;
        // This ends, because a connection that reads nothing is cut after a while.
        while !self.is_over() && sessions.unsent_to(self.user) > MAX_UNSENT_BYTES {
            tokio::time::sleep(POLL_PAUSE).await;
        }
        permit
    }

    /// The approximate number of bytes that wait for the client.
    pub(crate) fn unsent(&self) -> usize {
        let outgoing = self.outgoing.lock();
        outgoing.polled.max(outgoing.wire.as_ref().map_or(0, |wire| wire.unsent()))
    }

    /// The budgets of this user.
    pub(crate) fn person(&self) -> &Arc<Person> {
        &self.person
    }

    /// How much it is needed, compared with other connections of the same user.
    pub(crate) fn need(&self, now: Timestamp) -> Need {
        self.activity.need(now)
    }

    /// Records that a poll is open, until the returned guard is dropped.
    pub(crate) fn poll(self: Arc<Self>) -> PollUnderWay {
        if let Some(server) = self.server.upgrade() {
            self.activity.poll_began(server.now());
        }
        PollUnderWay(self)
    }

    /// Called when a polling client has fetched its queue.
    pub(crate) fn fetched(&self) {
        let mut outgoing = self.outgoing.lock();
        outgoing.polled = 0;
        outgoing.reservation = None;
        outgoing.latest_is_queued = false;
        if let Some(latest) = outgoing.latest.take() {
            self.send_latest(&mut outgoing, &latest);
        }
    }

    /// Whether the memory budget has room for so many bytes in socketioxide's queue.
    pub(super) fn reserve_polled(&self, outgoing: &mut Outgoing, bytes: usize) -> bool {
        if bytes < MIN_ACCOUNTED {
            return true;
        }
        let owner = Owner::User(self.user);
        let reservation = outgoing.reservation.get_or_insert_with(|| Box::new(self.memory.begin(owner)));
        reservation.bytes() >= bytes || reservation.set(bytes + MIN_ACCOUNTED).is_ok()
    }

    /// Queues events that belong together, if at most `most` bytes wait then. Returns whether there was room. If not,
    /// none of them was queued.
    pub(super) fn send(&self, outgoing: &mut Outgoing, frames: &[&Frame], most: usize) -> bool {
        let together = Together::new(frames, outgoing.cursor.told(), self.recovers);
        let packets = together.packets();
        if let Some(wire) = self.lane(outgoing) {
            return wire.send_all(&packets, most).is_ok();
        }
        let size: usize = packets.iter().map(Bytes::len).sum();
        let waiting = outgoing.polled + size;
        if (outgoing.polled > 0 && waiting > most) || !self.reserve_polled(outgoing, waiting) {
            return !self.socket.connected();
        }
        let emitted = together.emit(&self.socket);
        if emitted.is_ok() {
            outgoing.polled += size;
        }
        emitted.is_ok() || !self.socket.connected()
    }

    /// Queues the frames of a change or of an ephemeral event that concern this user.
    pub(super) fn send_mine(&self, outgoing: &mut Outgoing, frames: &Frames, most: usize) -> bool {
        let mine = frames.iter().filter(|(to, _)| to.includes(self.user)).map(|(_, frame)| frame);
        let mine: SmallVec<[&Frame; 2]> = mine.collect();
        mine.is_empty() || self.send(outgoing, &mine, most)
    }

    /// The lane of the WebSocket, once events are sent through it.
    pub(super) fn lane<'a>(&self, outgoing: &'a mut Outgoing) -> Option<&'a Arc<Wire>> {
        // What was queued before must arrive first, so the lane opens after a marker that is queued now.
        if outgoing.awaited.is_some() && self.socket.emit(MARKER_EVENT, &[(); 0]).is_ok() {
            outgoing.wire = outgoing.awaited.take();
            // What is in that queue is sent through the WebSocket now. No poll will fetch it.
            (outgoing.polled, outgoing.reservation) = (0, None);
            if let (Some(wire), Some(latest)) = (&outgoing.wire, outgoing.latest.take()) {
                wire.send_latest(latest.packet());
            }
        }
        outgoing.wire.as_ref()
    }

    /// Sends a latest-only event: it replaces one that still waits.
    pub fn deliver_latest(&self, frame: &Frame) {
        if self.cut.load(Ordering::Relaxed) {
            return;
        }
        self.send_latest(&mut self.outgoing.lock(), frame);
    }

    /// socketioxide's volatile events are not used: one that is sent during an upgrade arrives after everything else,
    /// so an older list would arrive last.
    pub(super) fn send_latest(&self, outgoing: &mut Outgoing, frame: &Frame) {
        if self.recovers && frame.is_taken_for_position() {
            // A position must follow this event, and it must be the last one at the time of sending. So the event
            // cannot be replaced later and is queued normally.
            self.send(outgoing, &[frame], MAX_UNSENT);
            return;
        }
        if let Some(wire) = self.lane(outgoing) {
            return wire.send_latest(frame.packet());
        }
        match outgoing.latest_is_queued {
            true => outgoing.latest = Some(Box::new(frame.clone())),
            // If there is no room, it waits for the next poll.
            false => {
                outgoing.latest_is_queued = true;
                if !self.send(outgoing, &[frame], MAX_UNSENT) {
                    outgoing.latest = Some(Box::new(frame.clone()));
                }
            }
        }
    }

    /// Whether events are sent through the lane of a WebSocket.
    pub(crate) fn has_wire(&self) -> bool {
        self.lane(&mut self.outgoing.lock()).is_some()
    }

    /// Sends events through this WebSocket from now on, after an upgrade from long polling.
    pub(crate) fn adopt(&self, wire: &Arc<Wire>) {
        let mut outgoing = self.outgoing.lock();
        self.activity.upgraded();
        if outgoing.wire.is_none() {
            wire.set_receipt(&self.receipt);
            // What waits for a poll is now sent through the WebSocket.
            self.receipt.leave();
            outgoing.awaited = Some(wire.clone());
            self.lane(&mut outgoing);
        }
    }

    /// Ends the connection so that its client reconnects by itself.
    pub fn cut(self: &Arc<Self>, why: &'static str) {
        if self.cut.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::debug!(user.id = %self.user, session = self.id.0, why, "a connection is cut");
        if let Some(wire) = self.wires.of(&self.socket) {
            wire.kill();
            return;
        }
        // Long polling has no stream to cut, and socketioxide would notice the end only by its heartbeat.
        if self.socket.connected() {
            self.wires.expire(&self.socket);
        }
        if let Some(server) = self.server.upgrade() {
            let session = self.clone();
            // This runs in another task, because the caller may hold the lock of the registry from which this removes
            // the session.
            tokio::spawn(async move { server.ended(&session) });
        }
    }

    /// Ends the connection for good: its client does not reconnect by itself.
    pub fn disconnect(self: &Arc<Self>) {
        if self.socket.clone().disconnect().is_err() {
            self.cut("it must end and its queue is full");
        }
    }
}
