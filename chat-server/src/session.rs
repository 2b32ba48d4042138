//! One connection of one person: what comes in waits in one bounded inbox and is worked off in order; what goes out is
//! never lost silently.
//!
//! **Order.** socketioxide starts a task per event, and such tasks overtake each other. Our handler is synchronous and
//! only pushes into the inbox; a task works it off, one command after the other. The task lives only while there is
//! something in the inbox, so an idle connection costs no task of its own. Only searches, which may take long, are made beside
//! what follows them, one after the other; while one is made only the latest waits.
//!
//! **Catching up.** A connection begins held: changes that are announced pass it by until it has been told what came
//! before them; see `recovery`.
//!
//! **Lag.** What waits for a client is bounded. A change that finds no room is not lost: the connection is held from there
//! on, announced changes pass it by, and as soon as its client has taken what waits it is told them from the log (see
//! `recovery`). A client that takes nothing at all for as long as the stall timeout is cut, and so is one for which an
//! answer finds no room, since answers are in no log: it reconnects by itself and is told what it missed.

mod activity;
mod answering;
mod batch;
pub(crate) mod inbox;
pub(crate) mod large_events;
mod searches;
mod sending;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::User;
use chat_core::presence::SessionId;
use chat_core::search::Search;
use parking_lot::Mutex;
use socketioxide::ProtocolVersion;
use socketioxide::extract::SocketRef;

use self::activity::Activity;
use self::answering::Asker;
use self::searches::Searches;
use self::waiting::Inbox;
use crate::auth::Authenticated;
use crate::auth::token::Fingerprint;
use crate::dialect::{Frame, Registered, Seen};
use crate::limits::Person;
use crate::links::Base;
use crate::memory::{Memory, Reservation};
use crate::recovery::{Cursor, Receipt, Start};
use crate::security_log::Source;
use crate::transport::guard::Wires;
use crate::transport::wire::Wire;

/// What a session has done for it by the server that it is of.
pub(crate) trait Server: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether somebody is there, and when they were.
    fn seen(&self, user: &User) -> Seen;

    /// Tells it from the log what it could not be told when that was announced.
    fn resume(self: Arc<Self>, session: &Arc<Session>);

    /// It has ended.
    fn ended(self: Arc<Self>, session: &Arc<Session>);
}

/// What a session is given of its server.
pub(crate) struct Surroundings {
    /// The server itself.
    pub(crate) server: Weak<dyn Server>,
    /// What all connections of this person have in common.
    pub(crate) person: Arc<Person>,
    /// The memory of the process.
    pub(crate) memory: Arc<Memory>,
    /// See [`TransportConfig::max_pending_bytes`](crate::config::TransportConfig::max_pending_bytes).
    pub(crate) max_pending_bytes: usize,
    /// The time.
    pub(crate) now: Timestamp,
}

/// A connection.
pub struct Session {
    /// Its public name; never the transport's session id, which is a credential.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What is spoken on it.
    pub dialect: Registered,
    /// The token it was opened with.
    pub token: Fingerprint,
    /// What it is remembered by; see [`recovery`].
    pub(crate) key: Fingerprint,
    /// Which log its positions are of.
    pub(crate) log_number: u64,
    /// What its client has certainly been told.
    pub(crate) receipt: Arc<Receipt>,
    /// Where it was opened from.
    source: Source,
    /// When that expires, if ever; see [`crate::expiry`].
    pub(crate) expires_at: Option<Timestamp>,
    /// What links begin with for this client.
    base: Base,
    socket: SocketRef,
    /// Its client may go on after a cut. Those of Engine.IO 3 never do.
    recovers: bool,
    outgoing: Mutex<Outgoing>,
    wires: Wires,
    server: Weak<dyn Server>,
    inbox: Mutex<Inbox>,
    searches: Mutex<Searches<Search, Asker>>,
    /// What all connections of this person have in common.
    person: Arc<Person>,
    memory: Arc<Memory>,
    /// See [`TransportConfig::max_pending_bytes`](crate::config::TransportConfig::max_pending_bytes).
    max_pending_bytes: usize,
    /// It is cut; nothing more is sent.
    cut: AtomicBool,
    activity: Activity,
}

/// Where what goes out goes, and how far the connection has been told.
struct Outgoing {
    /// The websocket, once events take its lane.
    wire: Option<Arc<Wire>>,
    /// A websocket that has taken over from long polling, until there is room for the marker behind which events take
    /// its lane.
    awaited: Option<Arc<Wire>>,
    /// Bytes in socketioxide's queue since the client fetched it last. It counts packets only.
    polled: usize,
    /// The server's memory for them, while they are many.
    reservation: Option<Box<Reservation>>,
    /// An event of which only the latest counts is in socketioxide's queue and has not been fetched.
    latest_is_queued: bool,
    /// What is queued in its turn then.
    latest: Option<Box<Frame>>,
    cursor: Cursor,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        caller: &Authenticated,
        dialect: Registered,
        socket: SocketRef,
        wires: Wires,
        start: Start,
        given: Surroundings,
    ) -> Self {
        let wire = socket.req_parts().extensions.get::<Arc<Wire>>().cloned();
        let receipt = Arc::new(start.receipt);
        if let Some(wire) = &wire {
            wire.set_receipt(&receipt);
        }
        let base = socket.req_parts().extensions.get::<Base>().cloned().unwrap_or_default();
        Self {
            id,
            user: caller.user.id,
            dialect,
            token: caller.identity.fingerprint,
            key: start.key,
            log_number: start.log_number,
            receipt,
            source: Source::current(),
            expires_at: caller.identity.expires_at,
            base,
            recovers: socket.protocol() == ProtocolVersion::V5,
            socket,
            outgoing: Mutex::new(Outgoing {
                wire,
                awaited: None,
                polled: 0,
                reservation: None,
                latest_is_queued: false,
                latest: None,
                cursor: Cursor::held(start.position),
            }),
            memory: given.memory,
            wires,
            server: given.server,
            inbox: Mutex::new(Inbox { busy: true, ..Inbox::default() }),
            searches: Mutex::default(),
            person: given.person,
            max_pending_bytes: given.max_pending_bytes,
            cut: AtomicBool::new(false),
            activity: Activity::new(given.now),
        }
    }

    /// What links begin with for this client.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Whether nothing more reaches the client on this connection.
    pub(crate) fn is_over(&self) -> bool {
        let is_killed = || self.outgoing.lock().wire.as_ref().is_some_and(|wire| wire.is_killed());
        self.cut.load(Ordering::Relaxed) || !self.is_connected() || is_killed()
    }

    /// Whether it was ended so that its client reconnects.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Whether the connection still stands.
    pub fn is_connected(&self) -> bool {
        self.socket.connected()
    }

    /// Whether nothing of it is waiting or being worked off.
    pub(crate) fn is_idle(&self) -> bool {
        !self.inbox.lock().busy && self.searches.lock().is_idle()
    }

    /// Whether it is known that it has ended, or will: nothing more is taken from its client.
    pub(crate) fn has_ended(&self) -> bool {
        self.inbox.lock().closed
    }

    pub(crate) fn close_inbox(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
    }
}

/// See [`Session::poll`].
pub(crate) struct PollUnderWay(Arc<Session>);

impl Drop for PollUnderWay {
    fn drop(&mut self) {
        if let Some(server) = self.0.server.upgrade() {
            self.0.activity.poll_ended(server.now());
        }
    }
}
