//! One connection of a user. Incoming events wait in one bounded inbox and are processed in order. Outgoing events are
//! never lost silently.
//!
//! **Order.** socketioxide starts a task per event, and such tasks can overtake each other. So the handler here is
//! synchronous and only pushes into the inbox. A task processes the inbox, one command after the other. The task lives
//! only while the inbox has entries, so an idle connection costs no task. Searches are the exception: they may take
//! long, so they run concurrently with later commands, one search at a time. While one runs, only the latest search
//! waits.
//!
//! **Catching up.** A connection begins held: it does not receive announced changes until it has received the changes
//! before them; see `recovery`.
//!
//! **Lag.** The queue for a client is bounded. A change for which it has no room is not lost: the connection becomes
//! held, and receives this and later changes from the log as soon as its client has read the queue (see `recovery`). A
//! client that reads nothing for as long as the stall timeout is cut. So is a client whose queue has no room for an
//! answer, because answers are not in the log. Such a client reconnects by itself and receives what it missed.

mod activity;
mod answering;
mod batch;
pub(crate) mod inbox;
pub(crate) mod large_events;
mod renewing;
mod searches;
mod sending;
mod waiting;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use chat_core::clock::Timestamp;
use chat_core::id::{LoginSessionId, UserId};
use chat_core::model::User;
use chat_core::presence::SessionId;
use chat_core::search::Search;
use parking_lot::Mutex;
use smallvec::SmallVec;
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

/// What a session needs from its server.
pub(crate) trait Server: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Whether a user is online, and when they were last seen.
    fn seen(&self, user: &User) -> Seen;

    /// Replays from the log what the session could not receive when it was announced.
    fn resume(self: Arc<Self>, session: &Arc<Session>);

    /// Called when the session has ended.
    fn ended(self: Arc<Self>, session: &Arc<Session>);
}

/// What the server passes to a new session.
pub(crate) struct Surroundings {
    /// The server.
    pub(crate) server: Weak<dyn Server>,
    /// The state that all connections of this user share.
    pub(crate) person: Arc<Person>,
    /// The memory budget of the process.
    pub(crate) memory: Arc<Memory>,
    /// See [`TransportConfig::max_pending_bytes`](crate::config::TransportConfig::max_pending_bytes).
    pub(crate) max_pending_bytes: usize,
    /// The users who are cut off from this user.
    pub(crate) cut_off: Arc<HashSet<UserId>>,
    /// The current time.
    pub(crate) now: Timestamp,
}

/// A connection.
pub struct Session {
    /// The public id of the connection. It is not the transport's session id, which is a credential.
    pub id: SessionId,
    /// The user of the connection.
    pub user: UserId,
    /// The dialect of the connection.
    pub dialect: Registered,
    /// The token with which it was opened.
    pub token: Fingerprint,
    /// The fingerprint of its pid; see [`recovery`].
    pub(crate) key: Fingerprint,
    /// The log to which its positions belong.
    pub(crate) log_number: u64,
    /// What its client has certainly received.
    pub(crate) receipt: Arc<Receipt>,
    /// The address and request from which it was opened.
    source: Source,
    /// The login session of its token, if any.
    pub(crate) login: Option<LoginSessionId>,
    /// When its token expires; see [`crate::expiry`].
    expires_at: AtomicI64,
    /// The users of whom its user receives nothing; see [`Chat::cut_off`](chat_core::chat::Chat::cut_off).
    cut_off: Mutex<Arc<HashSet<UserId>>>,
    /// The base of links for this client.
    base: Base,
    socket: SocketRef,
    /// Whether its client can resume after a cut. Clients of Engine.IO 3 cannot.
    recovers: bool,
    outgoing: Mutex<Outgoing>,
    wires: Wires,
    server: Weak<dyn Server>,
    inbox: Mutex<Inbox>,
    searches: Mutex<Searches<Search, Asker>>,
    /// The state that all connections of this user share.
    person: Arc<Person>,
    memory: Arc<Memory>,
    /// See [`TransportConfig::max_pending_bytes`](crate::config::TransportConfig::max_pending_bytes).
    max_pending_bytes: usize,
    /// The connection was cut; nothing more is sent.
    cut: AtomicBool,
    activity: Activity,
}

/// Where outgoing events go, and how far the session has been told.
struct Outgoing {
    /// The WebSocket, once events are sent through its lane.
    wire: Option<Arc<Wire>>,
    /// A WebSocket to which a polling client has upgraded, until its marker is queued. After the marker events are sent
    /// through its lane.
    awaited: Option<Arc<Wire>>,
    /// Bytes in socketioxide's queue since the client's last poll. socketioxide itself counts only packets.
    polled: usize,
    /// The reservation in the server's memory budget for these bytes, while they are many.
    reservation: Option<Box<Reservation>>,
    /// A latest-only event is in socketioxide's queue, and the client has not fetched it.
    latest_is_queued: bool,
    /// The event to queue after that one was fetched.
    latest: Option<Box<Frame>>,
    cursor: Cursor,
}

/// The expiry of a token that does not expire.
const NEVER: i64 = i64::MAX;

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
            login: caller.identity.session,
            expires_at: AtomicI64::new(caller.identity.expires_at.map_or(NEVER, Timestamp::as_millis)),
            cut_off: Mutex::new(given.cut_off),
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

    /// What may be listed among the revoked tokens to end it: its token, and the login session of that.
    pub(crate) fn revocations(&self) -> SmallVec<[Fingerprint; 2]> {
        let login = self.login.map(|login| login.revocation(self.user));
        [Some(self.token), login].into_iter().flatten().collect()
    }

    /// When its token expires, if ever.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let at = self.expires_at.load(Ordering::Relaxed);
        (at != NEVER).then(|| Timestamp::from_millis(at))
    }

    /// Sets when its token expires. Only [`crate::expiry`] calls this, which waits for it.
    pub(crate) fn set_expires_at(&self, at: Timestamp) {
        self.expires_at.store(at.as_millis(), Ordering::Relaxed);
    }

    /// The users of whom its user receives nothing.
    pub(crate) fn cut_off(&self) -> Arc<HashSet<UserId>> {
        self.cut_off.lock().clone()
    }

    /// Replaces these users, and returns the previous ones.
    pub(crate) fn set_cut_off(&self, cut_off: Arc<HashSet<UserId>>) -> Arc<HashSet<UserId>> {
        std::mem::replace(&mut *self.cut_off.lock(), cut_off)
    }

    /// The base of links for this client.
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

    /// Whether the connection is still open.
    pub fn is_connected(&self) -> bool {
        self.socket.connected()
    }

    /// Whether no event of it is waiting or being processed.
    pub(crate) fn is_idle(&self) -> bool {
        !self.inbox.lock().busy && self.searches.lock().is_idle()
    }

    /// Whether it has ended or is about to end. Then no more events are accepted from its client.
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
