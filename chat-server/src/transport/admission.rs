//! Limits what a Socket.IO session may do before it is authenticated, and ends sessions that have no further use.
//!
//! An [`Admission`] is created with each Engine.IO session and lives as long as it. Until the client is authenticated,
//! it may send only few bytes and few packets, and has [`HANDSHAKE_TIMEOUT`] for all of it. A client that was refused,
//! or has left the only namespace, has [`LEAVE_TIMEOUT`] to read the last packets; then its connection ends, even if it
//! still answers heartbeats.

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

/// Maximum time from opening a session to its authentication; the same as in Node's Socket.IO (`connectTimeout`).
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(45);

/// The shortest such time. It applies when the limit of unauthenticated sessions is nearly reached, to addresses that
/// have more than a few of them.
const SHORTEST_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a session lives on after its client was refused or has left.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size in bytes of one request or frame of an unauthenticated session.
pub const MAX_UNAUTHENTICATED_BYTES: usize = 16 << 10;

/// Maximum total size in bytes of all requests and frames of an unauthenticated session.
const MAX_UNAUTHENTICATED_BYTES_IN_ALL: usize = 2 * MAX_UNAUTHENTICATED_BYTES;

/// The packets that an unauthenticated session may send: the CONNECT, perhaps another one for a namespace that does not
/// exist, and the heartbeats of 45 seconds.
const UNAUTHENTICATED_PACKETS: PacketBudget = PacketBudget { packets: 32, connects: 2, binaries: 0 };

/// Maximum number of CONNECT packets in the lifetime of an authenticated session.
const MAX_CONNECTS: u32 = 16;

/// Maximum number of packets in one request of an authenticated session. More would not fit into its inbox.
const MAX_PACKETS_AT_ONCE: u32 = 4_096;

/// Maximum number of binary packets in one request of an authenticated session. No dialect uses any.
const MAX_BINARIES: u32 = 64;

/// Maximum number of frames without content within [`CONTROLS_WITHIN`]: pings, heartbeats, empty fragments. A normal
/// client sends one every few seconds.
const MAX_CONTROLS: u32 = 500;
const CONTROLS_WITHIN: Duration = Duration::from_secs(10);

/// The state of one session.
pub(crate) struct Admission {
    opened: Instant,
    memory: Arc<Memory>,
    /// The long-polling session id, and the registry that lists the session under it.
    sid: OnceLock<(Box<str>, Weak<Admissions>)>,
    /// The websocket that opened the session, if one did.
    wire: Weak<Wire>,
    /// The attempts of websockets to take over a session that began with long polling.
    pub(super) upgrades: Upgrades,
    /// The credentials of the first of these websockets, until the session is authenticated.
    pub(super) late: LateCredentials,
    /// Asks the session to leave. The session counts as busy while it is being authenticated.
    pub(super) leave: Arc<Leave>,
    /// Large events that are withheld from the engine.
    pub(super) large: Arc<LargeEvents>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Whose memory budget is charged.
    owner: Owner,
    /// The bytes that the client may still send before it is authenticated.
    bytes: usize,
    packets: PacketBudget,
    /// The number of frames without content, and when the count began.
    controls: (u32, Instant),
    /// Released when the session is authenticated.
    permit: Option<Permit>,
    /// The TCP connection of a websocket. It is marked as authenticated together with the session. It is weak because
    /// the websocket owns it, and the engine keeps the state of a session longer.
    connection: Weak<Connection>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unknown,
    Known,
    Leaving(Instant),
    Ended,
}

/// The client has exceeded its budget, so its session ends.
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

    /// An admission for 127.0.0.1 with a large memory budget.
    #[cfg(test)]
    pub(super) fn for_tests(permit: Permit, wire: Weak<Wire>) -> Arc<Self> {
        let owner = Owner::Address([127, 0, 0, 1].into());
        Self::new((permit, Arc::default()), (Memory::new(1 << 30), owner), 16 << 20, wire, Weak::new())
    }

    /// The long-polling session id.
    pub(super) fn sid(&self) -> Option<&str> {
        self.sid.get().map(|(sid, _)| &**sid)
    }

    /// A websocket on this TCP connection carries the session.
    pub(super) fn carried_by(&self, connection: &Arc<Connection>) {
        if let Some(user) = self.user() {
            return connection.set_known(user);
        }
        self.state.lock().connection = Arc::downgrade(connection);
    }

    pub(super) fn wire(&self) -> Option<Arc<Wire>> {
        self.wire.upgrade()
    }

    /// Marks the session as authenticated.
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

    /// Reserves memory for data that is held for the session. Amounts below `MIN_ACCOUNTED` are not counted.
    ///
    /// # Errors
    /// When no memory is left; the session must end then.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Option<Reservation>, OutOfMemory> {
        if bytes < MIN_ACCOUNTED {
            return Ok(None);
        }
        let owner = self.state.lock().owner;
        self.memory.reserve(owner, bytes).map(Some)
    }

    /// The account of the session, once it is authenticated.
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

    /// The client was refused or has left. Returns whether this is the first such call.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Leaving(_) | Phase::Ended) {
            return false;
        }
        state.phase = Phase::Leaving(Instant::now());
        self.late.forget();
        true
    }

    /// Marks the session as ended: nothing more is accepted from its client.
    pub(super) fn set_ended(&self) {
        {
            let mut state = self.state.lock();
            state.phase = Phase::Ended;
            // The engine keeps some state of the session, but that costs less.
            state.permit.iter().for_each(Permit::end);
        }
        self.upgrades.cancel();
        self.late.forget();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state.lock().phase == Phase::Ended
    }

    /// Whether the session must end now.
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

    /// Maximum size in bytes of the next long-polling request; never more than `most`.
    pub(super) fn request_limit(&self, most: usize) -> usize {
        let state = self.state.lock();
        match state.phase {
            Phase::Known => most,
            Phase::Unknown | Phase::Leaving(_) | Phase::Ended => {
                state.bytes.min(MAX_UNAUTHENTICATED_BYTES).min(most)
            }
        }
    }

    /// Charges a request of this size, and returns the packets that it may contain. Report what is left to
    /// [`Self::spent`].
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

    /// Charges the packets that a request has used. Only the difference is subtracted, because other requests may have
    /// run meanwhile.
    pub(super) fn spent(&self, given: PacketBudget, left: PacketBudget) {
        let mut state = self.state.lock();
        let packets = &mut state.packets;
        packets.connects = packets.connects.saturating_sub(given.connects - left.connects);
        packets.packets = packets.packets.saturating_sub(given.packets - left.packets);
        packets.binaries = packets.binaries.saturating_sub(given.binaries - left.binaries);
    }

    /// Charges the length of a frame that has begun on a websocket.
    ///
    /// # Errors
    /// When the frame exceeds the limits of an unauthenticated session.
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

    /// Charges a frame by its kind and its first bytes.
    ///
    /// # Errors
    /// When the session has sent too many frames of this kind.
    pub(super) fn packet(&self, head: &[u8], kind: Kind) -> Result<(), OverBudget> {
        let mut state = self.state.lock();
        if state.phase == Phase::Known {
            // Only `Text` begins a packet. A continuation frame may begin with any bytes.
            if kind == Kind::Text && head.starts_with(b"40") {
                state.packets.connects = state.packets.connects.checked_sub(1).ok_or(OverBudget)?;
            }
            let says_something = match kind {
                Kind::Text => head.starts_with(b"4"),
                // No dialect uses binary packets, and the library keeps incomplete ones in memory.
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

/// The registry of sessions that the server ends by itself: those that are not authenticated yet, and those that are
/// leaving. It also finds sessions that began with long polling by their ids.
#[derive(Default)]
pub(crate) struct Admissions {
    watched: Mutex<Vec<Weak<Admission>>>,
    polling: Mutex<HashMap<Box<str>, Weak<Admission>>>,
}

impl Admissions {
    /// Registers the long-polling id of a session.
    pub(super) fn register(self: &Arc<Self>, sid: &str, admission: &Arc<Admission>) {
        if admission.sid.set((sid.into(), Arc::downgrade(self))).is_ok() {
            self.polling.lock().insert(sid.into(), Arc::downgrade(admission));
        }
    }

    /// The live session with this long-polling id.
    pub(super) fn find(&self, sid: &str) -> Option<Arc<Admission>> {
        let admission = self.polling.lock().get(sid)?.upgrade()?;
        // The engine keeps the state of an ended session for a while.
        (!admission.is_ended()).then_some(admission)
    }

    /// Ends all websockets that try to take over a long-polling session.
    pub(super) fn cancel_upgrades(&self) {
        let admissions: Vec<_> = self.polling.lock().values().filter_map(Weak::upgrade).collect();
        // Outside the lock: dropping the last owner of an admission takes the same lock.
        for admission in admissions {
            admission.upgrades.cancel();
        }
    }

    pub(super) fn watch(&self, admission: &Arc<Admission>) {
        self.watched.lock().push(Arc::downgrade(admission));
    }

    /// The client was refused or has left.
    pub(super) fn leave(&self, admission: &Arc<Admission>) {
        // An unauthenticated session is watched already.
        let was_known = admission.is_known();
        if admission.leave() && was_known {
            self.watch(admission);
        }
    }

    /// Removes and returns the sessions that must end now. Also drops sessions that are authenticated or have ended.
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
