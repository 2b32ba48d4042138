//! What one Socket.IO session may do before it is known whose it is, and how sessions end that nobody needs.
//!
//! An [`Admission`] is made with each Engine.IO session and lives as long. Until its client has said who it is, it may send
//! few bytes and few packets and has [`HANDSHAKE_TIMEOUT`] for all of it. A client that is refused, or has left the one
//! namespace there is, has [`LEAVE_TIMEOUT`] to read what it was told; then its connection ends, however well it goes on
//! answering heartbeats.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connections::Connection;
use super::frames::Kind;
use super::late_credentials::LateCredentials;
use super::payload::{PacketBudget, PayloadError};
use super::unauthenticated::{Leave, Permit};
use super::upgrade::Upgrades;
use super::wire::Wire;
use crate::memory::{MIN_ACCOUNTED, Memory, OutOfMemory, Owner, Reservation};
use crate::session::large_events::LargeEvents;

/// How long a client may take from opening a session to being known; the same as in Node's Socket.IO (`connectTimeout`).
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(45);

/// The same when so many are here whom nobody knows that there is hardly any room left, for those of whose address there are
/// more than a few.
const SHORTEST_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a session lives on whose client has nothing more to do here.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of one request or frame before it is known whose session it is.
pub const MAX_UNAUTHENTICATED_BYTES: usize = 16 << 10;

/// Most bytes of all of them together.
const MAX_UNAUTHENTICATED_BYTES_IN_ALL: usize = 2 * MAX_UNAUTHENTICATED_BYTES;

/// What may come before it is known whose session it is: the CONNECT, perhaps one for a namespace that does not exist, and
/// the heartbeats of 45 seconds.
const UNAUTHENTICATED_PACKETS: PacketBudget = PacketBudget { packets: 32, connects: 2, binaries: 0 };

/// Most CONNECT packets of a whole session that is known.
const MAX_CONNECTS: u32 = 16;

/// Most packets of one request of a session that is known: more do not fit into its inbox.
const MAX_PACKETS_AT_ONCE: u32 = 4_096;

/// Most binary packets of one request of a session that is known. No dialect has any.
const MAX_BINARIES: u32 = 64;

/// Most frames within [`CONTROLS_WITHIN`] that say nothing: pings, heartbeats, empty pieces. Clients send one in seconds.
const MAX_CONTROLS: u32 = 500;
const CONTROLS_WITHIN: Duration = Duration::from_secs(10);

/// The state of one session.
pub(crate) struct Admission {
    opened: Instant,
    memory: Arc<Memory>,
    /// The id by which long polling knows it, and where it is found by that.
    sid: OnceLock<(Box<str>, Weak<Admissions>)>,
    /// The websocket that opened it, if one did.
    wire: Weak<Wire>,
    /// The websockets that try to take it over, of a session that began with long polling.
    pub(super) upgrades: Upgrades,
    /// Who the first of them says its client is, while nobody knows.
    pub(super) late: LateCredentials,
    /// How it is asked to make room. It is busy while it is looked up who it is.
    pub(super) leave: Arc<Leave>,
    /// What is kept from the engine.
    pub(super) large: Arc<LargeEvents>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Who pays for what is held.
    owner: Owner,
    /// Before it is known: bytes that may still come.
    bytes: usize,
    packets: PacketBudget,
    /// Frames that said nothing, since when.
    controls: (u32, Instant),
    /// Given back when it is known.
    permit: Option<Permit>,
    /// The connection of a websocket, which is known as soon as its session is. The websocket owns it: what the engine
    /// keeps of a session outlives that.
    connection: Weak<Connection>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unknown,
    Known,
    Leaving(Instant),
    Ended,
}

/// Who sends what must not be: the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OverBudget;

impl Admission {
    pub(super) fn new(
        (permit, leave): (Permit, Arc<Leave>),
        (memory, owner): (Arc<Memory>, Owner),
        max_message: usize,
        wire: Weak<Wire>,
        connection: Weak<Connection>,
    ) -> Arc<Self> {
        let state = State {
            phase: Phase::Unknown,
            owner,
            bytes: MAX_UNAUTHENTICATED_BYTES_IN_ALL,
            packets: UNAUTHENTICATED_PACKETS,
            controls: (0, Instant::now()),
            permit: Some(permit),
            connection,
        };
        let state = Mutex::new(state);
        let (sid, upgrades, late) = (OnceLock::new(), Upgrades::default(), LateCredentials::default());
        let large = Arc::new(LargeEvents::new(max_message));
        Arc::new(Self { opened: Instant::now(), memory, sid, wire, upgrades, late, leave, large, state })
    }

    /// One of somebody at an unknown address, with memory enough.
    #[cfg(test)]
    pub(super) fn for_tests(permit: Permit, wire: Weak<Wire>) -> Arc<Self> {
        let owner = Owner::Address([127, 0, 0, 1].into());
        Self::new((permit, Arc::default()), (Memory::new(1 << 30), owner), 16 << 20, wire, Weak::new())
    }

    /// The id by which long polling knows it.
    pub(super) fn sid(&self) -> Option<&str> {
        self.sid.get().map(|(sid, _)| &**sid)
    }

    /// A websocket on this connection carries the session.
    pub(super) fn carried_by(&self, connection: &Arc<Connection>) {
        if let Some(user) = self.user() {
            return connection.set_known(user);
        }
        self.state.lock().connection = Arc::downgrade(connection);
    }

    pub(super) fn wire(&self) -> Option<Arc<Wire>> {
        self.wire.upgrade()
    }

    /// It is known from now on whose session it is.
    pub(super) fn set_known(&self, user: UserId) {
        let mut state = self.state.lock();
        if state.phase != Phase::Unknown {
            return;
        }
        state.phase = Phase::Known;
        state.owner = Owner::User(user);
        state.packets.connects = MAX_CONNECTS;
        state.permit = None;
        self.late.forget();
        if let Some(connection) = state.connection.upgrade() {
            connection.set_known(user);
        }
    }

    /// Reserves memory for what is held of the session, if it is worth it.
    ///
    /// # Errors
    /// When there is none left: the session is to end.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Option<Reservation>, OutOfMemory> {
        if bytes < MIN_ACCOUNTED {
            return Ok(None);
        }
        let owner = self.state.lock().owner;
        self.memory.reserve(owner, bytes).map(Some)
    }

    /// Whose it is, once that is known.
    pub(super) fn user(&self) -> Option<UserId> {
        let state = self.state.lock();
        match (state.phase, state.owner) {
            (Phase::Known, Owner::User(user)) => Some(user),
            _ => None,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.state.lock().phase == Phase::Known
    }

    /// The client was refused or has left. Answers whether that is news.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Leaving(_) | Phase::Ended) {
            return false;
        }
        state.phase = Phase::Leaving(Instant::now());
        self.late.forget();
        true
    }

    /// The session has been ended: nothing more is taken from its client.
    pub(super) fn set_ended(&self) {
        {
            let mut state = self.state.lock();
            state.phase = Phase::Ended;
            // What the engine knows of it lives on, and is less.
            state.permit.iter().for_each(Permit::end);
        }
        self.upgrades.cancel();
        self.late.forget();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state.lock().phase == Phase::Ended
    }

    /// Whether the session is to end now.
    pub(super) fn is_due(&self) -> bool {
        let state = self.state.lock();
        match state.phase {
            Phase::Unknown if self.leave.is_asked() => true,
            Phase::Unknown => {
                let elapsed = self.opened.elapsed();
                let is_late =
                    |permit: &Permit| elapsed >= permit.time(HANDSHAKE_TIMEOUT, SHORTEST_HANDSHAKE_TIMEOUT);
                elapsed >= HANDSHAKE_TIMEOUT
                    || (elapsed >= SHORTEST_HANDSHAKE_TIMEOUT
                        && !self.leave.is_busy()
                        && state.permit.as_ref().is_some_and(is_late))
            }
            Phase::Leaving(since) => since.elapsed() >= LEAVE_TIMEOUT,
            Phase::Known | Phase::Ended => false,
        }
    }

    /// Most bytes of the next request of long polling, of which at most `most` are allowed at all.
    pub(super) fn request_limit(&self, most: usize) -> usize {
        let state = self.state.lock();
        match state.phase {
            Phase::Known => most,
            Phase::Unknown | Phase::Leaving(_) | Phase::Ended => {
                state.bytes.min(MAX_UNAUTHENTICATED_BYTES).min(most)
            }
        }
    }

    /// Takes a request of so many bytes into account, and answers what it may hold. [`Self::spent`] is told what is left.
    pub(super) fn begin_request(&self, bytes: usize) -> PacketBudget {
        let mut state = self.state.lock();
        if state.phase == Phase::Known {
            state.packets.packets = MAX_PACKETS_AT_ONCE;
            state.packets.binaries = MAX_BINARIES;
        } else {
            state.bytes = state.bytes.saturating_sub(bytes);
        }
        state.packets
    }

    /// What a request has used of the budget that it was given; others may have used theirs meanwhile.
    pub(super) fn spent(&self, given: PacketBudget, left: PacketBudget) {
        let mut state = self.state.lock();
        let packets = &mut state.packets;
        packets.connects = packets.connects.saturating_sub(given.connects - left.connects);
        packets.packets = packets.packets.saturating_sub(given.packets - left.packets);
        packets.binaries = packets.binaries.saturating_sub(given.binaries - left.binaries);
    }

    /// Takes into account that a frame of so many bytes has begun on a websocket.
    ///
    /// # Errors
    /// When it is too large.
    pub(super) fn frame(&self, length: u64) -> Result<(), OverBudget> {
        let mut state = self.state.lock();
        if state.phase == Phase::Known {
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| OverBudget)?;
        if length > MAX_UNAUTHENTICATED_BYTES {
            return Err(OverBudget);
        }
        state.bytes = state.bytes.checked_sub(length).ok_or(OverBudget)?;
        Ok(())
    }

    /// Takes into account what a frame begins with.
    ///
    /// # Errors
    /// When it is one too many.
    pub(super) fn packet(&self, head: &[u8], kind: Kind) -> Result<(), OverBudget> {
        let mut state = self.state.lock();
        if state.phase == Phase::Known {
            // What goes on with a message may begin with anything.
            if kind == Kind::Text && head.starts_with(b"40") {
                state.packets.connects = state.packets.connects.checked_sub(1).ok_or(OverBudget)?;
            }
            let says_something = match kind {
                Kind::Text => head.starts_with(b"4"),
                // No dialect has any, and the library keeps what comes before the last.
                Kind::Binary => false,
                Kind::More => !head.is_empty(),
                Kind::Control => false,
            };
            if says_something {
                return Ok(());
            }
            let (count, since) = &mut state.controls;
            if since.elapsed() >= CONTROLS_WITHIN {
                (*count, *since) = (0, Instant::now());
            }
            *count += 1;
            return if *count > MAX_CONTROLS { Err(OverBudget) } else { Ok(()) };
        }
        let spent: Result<(), PayloadError> = match kind {
            Kind::Text => state.packets.spend(head),
            Kind::Binary => state.packets.spend_binary(),
            Kind::More | Kind::Control => state.packets.spend(&[]),
        };
        spent.map_err(|_| OverBudget)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some((sid, admissions)) = self.sid.get() else { return };
        if let Some(admissions) = admissions.upgrade() {
            admissions.polling.lock().remove(sid);
        }
    }
}

/// The sessions whose end is not left to their clients: those that are not known yet, and those that are leaving. Those
/// that began with long polling are found here by their ids, too.
#[derive(Default)]
pub(crate) struct Admissions {
    watched: Mutex<Vec<Weak<Admission>>>,
    polling: Mutex<HashMap<Box<str>, Weak<Admission>>>,
}

impl Admissions {
    /// Notes the id by which long polling knows a session.
    pub(super) fn register(self: &Arc<Self>, sid: &str, admission: &Arc<Admission>) {
        if admission.sid.set((sid.into(), Arc::downgrade(self))).is_ok() {
            self.polling.lock().insert(sid.into(), Arc::downgrade(admission));
        }
    }

    /// The session that long polling knows by this id, if it lives.
    pub(super) fn find(&self, sid: &str) -> Option<Arc<Admission>> {
        let admission = self.polling.lock().get(sid)?.upgrade()?;
        // The engine keeps what it knows of a session for a while.
        (!admission.is_ended()).then_some(admission)
    }

    /// Ends the websockets that try to take over a session of long polling.
    pub(super) fn cancel_upgrades(&self) {
        let admissions: Vec<_> = self.polling.lock().values().filter_map(Weak::upgrade).collect();
        // Not while they are locked: the last owner of one takes it out.
        for admission in admissions {
            admission.upgrades.cancel();
        }
    }

    pub(super) fn watch(&self, admission: &Arc<Admission>) {
        self.watched.lock().push(Arc::downgrade(admission));
    }

    /// The client was refused or has left.
    pub(super) fn leave(&self, admission: &Arc<Admission>) {
        // Who was not known is watched already.
        let was_known = admission.is_known();
        if admission.leave() && was_known {
            self.watch(admission);
        }
    }

    /// Takes out those that are to end now, and forgets those that are known or have ended.
    pub(super) fn due(&self) -> Vec<Arc<Admission>> {
        let mut due = Vec::new();
        self.watched.lock().retain(|admission| {
            let Some(admission) = admission.upgrade() else { return false };
            if admission.is_due() {
                due.push(admission);
                return false;
            }
            !admission.is_known() && !admission.is_ended()
        });
        due
    }
}

#[cfg(test)]
mod tests;
