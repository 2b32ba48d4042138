//! Decides which clients may connect, and begins and ends their sessions.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::error::Error;
use chat_core::model::{Position, User};
use chat_core::presence::SessionId;
use futures_util::FutureExt;
use parking_lot::Mutex;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use socketioxide::handler::ConnectHandler;
use socketioxide::socket::{DisconnectReason, Sid};
use tokio::time::Instant;

use super::admission::{Admission, Admissions};
use super::authenticate::{ConnectError, Who, authenticate};
use super::connect_payload::{ConnectPayload, GivenPayload};
use super::endpoint::Gate;
use super::guard::Wires;
use super::guests::{self, Guest};
use super::handshake::{Handshake, HandshakeSlot};
use super::wire::Wire;
use crate::app::App;
use crate::auth::Authenticated;
use crate::dialect::{Registered, Seen};
use crate::presence::leaving::store_last_seen;
use crate::recovery::{Start, delivered};
use crate::security_log::SecurityEvent;
use crate::session::inbox::Inlet;
use crate::session::{PollUnderWay, Server, Session, Surroundings};
use crate::{presence, recovery};

/// The parts of the endpoint that a connection needs.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) wires: Wires,
    pub(super) polling: Polling,
    pub(super) admissions: Arc<Admissions>,
}

/// Sockets that were accepted but are not connected yet.
#[derive(Clone, Default)]
pub(super) struct Arriving(Arc<Mutex<HashMap<Sid, (Instant, Arrived)>>>);

/// An accepted socket that waits to count as connected. The engine answers the CONNECT earlier than that, so the client
/// may already send events; these wait, too.
pub(super) enum Arrived {
    /// An authenticated client.
    Session(Arc<Session>),
    /// A client that will authenticate later, by an event.
    Guest(Arc<Guest>),
}

impl Arriving {
    pub(super) fn add(&self, socket: &SocketRef, arrived: Arrived) {
        self.0.lock().insert(socket.id, (Instant::now(), arrived));
    }

    pub(super) fn take(&self, socket: &SocketRef) -> Option<Arrived> {
        self.0.lock().remove(&socket.id).map(|(_, arrived)| arrived)
    }

    /// Removes sockets that will never connect. If a connection breaks at the wrong moment, the engine reports neither
    /// its begin nor its end.
    pub(super) fn sweep(&self) {
        let is_over = |_: &Sid, (since, _): &mut (Instant, Arrived)| since.elapsed() >= ARRIVAL;
        let over: Vec<_> = self.0.lock().extract_if(is_over).collect();
        // Dropped outside the lock: dropping an entry may run code that takes the same lock.
        drop(over);
    }
}

/// Maximum number of connections of one account.
const MAX_PER_PERSON: usize = 64;
/// How long shutdown waits for the store to record when the connected accounts were last seen.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// Maximum time between authentication and the moment when the socket counts as connected.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Connections that began with long polling, by session id, until they end.
#[derive(Clone, Default)]
pub(super) struct Polling(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    sessions: HashMap<String, Weak<Session>>,
    /// The `pid` that the answer to the CONNECT must still carry, and since when it waits.
    pids: HashMap<String, (Instant, Box<str>)>,
}

impl Polling {
    /// Called when a websocket has taken over from long polling.
    pub(super) fn upgraded(&self, sid: &str, wire: &Arc<Wire>) {
        let session = {
            let known = self.0.lock();
            if let Some((_, pid)) = known.pids.get(sid) {
                wire.set_pid(pid);
            }
            known.sessions.get(sid).and_then(Weak::upgrade)
        };
        if let Some(session) = session {
            session.adopt(wire);
        }
    }

    /// Adds `pid` to the answer to the CONNECT of an accepted connection, whichever transport carries that answer.
    fn tell_pid(&self, socket: &SocketRef, wires: &Wires, pid: &str) {
        let mut known = self.0.lock();
        if socket.req_parts().extensions.get::<Arc<Wire>>().is_none() {
            // The answer leaves with a poll, or by a websocket that may take over at any moment.
            known.pids.insert(socket.id.to_string(), (Instant::now(), pid.into()));
        }
        if let Some(wire) = wires.of(socket) {
            wire.set_pid(pid);
        }
    }

    /// The `pid` that the answer to the CONNECT of this session must still carry.
    pub(super) fn pid(&self, sid: &str) -> Option<Box<str>> {
        self.0.lock().pids.get(sid).map(|(_, pid)| pid.clone())
    }

    /// Marks the session as polling until the returned guard is dropped.
    pub(super) fn poll(&self, sid: &str) -> Option<PollUnderWay> {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        session.map(Session::poll)
    }

    /// The client polls again, which proves that it has received the previous answer. Returns the last position that
    /// was sent until now; the next answer contains it at the latest.
    pub(super) fn polls(&self, sid: &str) -> Position {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        let Some(session) = session else { return Position(0) };
        session.receipt.answer();
        session.receipt.told()
    }

    /// An answer with the queued packets goes to the client. It covers every change up to `told`.
    pub(super) fn fetched(&self, sid: &str, told: Position) {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        if let Some(session) = session {
            session.receipt.leave();
            session.receipt.ask(told);
            session.fetched();
        }
    }

    /// Removes `pid`s that will never be fetched. If a connection breaks at the wrong moment, the engine does not
    /// report its end.
    pub(super) fn sweep(&self) {
        self.0.lock().pids.retain(|_, (since, _)| since.elapsed() < 6 * ARRIVAL);
    }

    /// Forgets the `pid` because the answer that carries it was sent.
    pub(super) fn forget_pid(&self, sid: &str) {
        self.0.lock().pids.remove(sid);
    }

    fn begin(&self, socket: &SocketRef, session: &Arc<Session>, wires: &Wires) {
        if session.has_wire() {
            return;
        }
        self.0.lock().sessions.insert(socket.id.to_string(), Arc::downgrade(session));
        // The websocket may have taken over before the session began.
        if let Some(wire) = wires.of(socket).filter(|wire| wire.is_upgraded()) {
            session.adopt(&wire);
        }
    }

    pub(super) fn end(&self, socket: &SocketRef, wires: &Wires) {
        let sid = socket.id.to_string();
        {
            let mut known = self.0.lock();
            known.sessions.remove(&sid);
            known.pids.remove(&sid);
        }
        wires.forget(&sid);
    }
}

/// Registers the handlers of the only namespace. The handlers hold the app weakly, because socketioxide keeps the
/// handlers of sockets that it has forgotten. The namespace is created here, so that the first connection finds it.
pub(super) fn register_handlers(
    io: &SocketIo,
    app: &Arc<App>,
    gate: &Gate,
    (polling, arriving): (&Polling, &Arriving),
) {
    let arriving = arriving.clone();
    let next_id = Arc::new(AtomicU64::new(1));
    let parts =
        Parts { wires: gate.wires.clone(), polling: polling.clone(), admissions: gate.admissions.clone() };

    let check = {
        let (app, parts, arriving) = (Arc::downgrade(app), parts.clone(), arriving.clone());
        move |socket: SocketRef, GivenPayload(payload): GivenPayload| {
            let (app, parts, arriving) = (app.clone(), parts.clone(), arriving.clone());
            let id = SessionId(next_id.fetch_add(1, Ordering::Relaxed));
            async move {
                let arrived = match app.upgrade() {
                    Some(app) => {
                        let arrival = accept(&app, id, socket.clone(), &payload, &parts, &arriving);
                        // After a panic the client would otherwise wait for 45 seconds.
                        AssertUnwindSafe(arrival).catch_unwind().await.unwrap_or_else(|_| {
                            chat_core::log_throttled!(error, "authenticating a connection panicked");
                            Err(ConnectError::OurFault)
                        })
                    }
                    None => Err(ConnectError::OurFault),
                };
                arrived.map_err(|refusal| {
                    leave(&parts.admissions, &socket);
                    match refusal {
                        ConnectError::Refused(why) => why,
                        ConnectError::OurFault => {
                            // A client reconnects after a broken connection, but not after a refusal.
                            parts.wires.break_off(&socket);
                            "internal error"
                        }
                    }
                })
            }
        }
    };
    let app = Arc::downgrade(app);
    let connected = move |socket: SocketRef| {
        // Events that the client has sent since its CONNECT was answered wait for this.
        match (arriving.take(&socket), app.upgrade()) {
            (Some(Arrived::Session(session)), Some(app)) => begin(&app, &socket, &session, &parts),
            (Some(Arrived::Guest(guest)), _) => guest.connected(),
            _ => {}
        }
        std::future::ready(())
    };
    io.ns("/", connected.with(check));
}

async fn accept(
    app: &Arc<App>,
    id: SessionId,
    socket: SocketRef,
    payload: &ConnectPayload,
    parts: &Parts,
    arriving: &Arriving,
) -> Result<(), ConnectError> {
    let handshake = socket.req_parts().extensions.get::<HandshakeSlot>().and_then(|slot| slot.lock().take());
    let handshake = handshake.unwrap_or_default();
    let admission = socket.req_parts().extensions.get::<Arc<Admission>>();
    // A session that is being authenticated must not be evicted.
    let _busy = admission.map(|admission| admission.leave.busy());
    let source = handshake.source.clone();
    let handshake = with_late_credentials(&socket, payload, handshake).await;
    let arrival = settle(app, id, socket, payload, parts, arriving, handshake);
    source.scope(arrival).await
}

/// If the first request of a client brought no credentials, waits for those of its websocket.
async fn with_late_credentials(
    socket: &SocketRef,
    payload: &ConnectPayload,
    mut handshake: Handshake,
) -> Handshake {
    let says_nothing =
        !handshake.says_who() && payload.token.text().is_none_or(|token| token.trim().is_empty());
    let extensions = &socket.req_parts().extensions;
    let polls = extensions.get::<Arc<Wire>>().is_none();
    let Some(admission) = extensions.get::<Arc<Admission>>().filter(|_| says_nothing && polls) else {
        return handshake;
    };
    if let Some(late) = admission.late.take().await {
        (handshake.cookies, handshake.bearer) = (late.cookies, late.bearer);
    }
    handshake
}

async fn settle(
    app: &Arc<App>,
    id: SessionId,
    socket: SocketRef,
    payload: &ConnectPayload,
    parts: &Parts,
    arriving: &Arriving,
    handshake: Handshake,
) -> Result<(), ConnectError> {
    let (caller, dialect) = match authenticate(app, payload, &handshake).await? {
        Who::Known(caller, dialect) => (caller, dialect),
        Who::Guest(dialect) => {
            let guest = guests::receive(app, id, &socket, dialect, parts, arriving);
            arriving.add(&socket, Arrived::Guest(guest));
            return Ok(());
        }
    };
    let start = recovery::start::start(app, payload, &caller, &dialect).await;
    let start = start.map_err(|error| ConnectError::our_fault(app, &Error::from(error)))?;
    parts.polling.tell_pid(&socket, &parts.wires, &start.pid);
    let session = open(app, id, &socket, (&caller, dialect, start), parts, Some(arriving)).await;
    socket.on_fallback(inlet(app, &session, &socket));
    arriving.add(&socket, Arrived::Session(session));
    Ok(())
}

/// Creates the handler for incoming events of a session's connection.
pub(super) fn inlet(app: &Arc<App>, session: &Arc<Session>, socket: &SocketRef) -> Inlet {
    let admission = socket.req_parts().extensions.get::<Arc<Admission>>();
    let large = admission.map(|admission| admission.large.clone());
    Inlet { session: Arc::downgrade(session), app: Arc::downgrade(app), large }
}

/// Opens the session of an authenticated connection. The session receives nothing before it [begins](begin). A socket
/// that is not connected yet is listed in `arriving`.
pub(super) async fn open(
    app: &Arc<App>,
    id: SessionId,
    socket: &SocketRef,
    (caller, dialect, start): (&Authenticated, Registered, Start),
    parts: &Parts,
    arriving: Option<&Arriving>,
) -> Arc<Session> {
    if let Some(admission) = socket.req_parts().extensions.get::<Arc<Admission>>() {
        admission.set_known(caller.user.id);
    }
    presence::connected(&app.chat, caller.user.id).await;
    let (user, key) = (caller.user.id, start.key);
    let now = app.chat.now();
    let weak_app = Arc::downgrade(app);
    let given = Surroundings {
        server: weak_app.clone(),
        person: app.limits.budgets.of(user, now),
        memory: app.memory.clone(),
        max_pending_bytes: app.config.transport.max_pending_bytes,
        cut_off: presence::cut_off(&app.chat, user).await,
        now,
    };
    let session =
        Arc::new(Session::new(id, caller, dialect, socket.clone(), parts.wires.clone(), start, given));
    let weak = Arc::downgrade(&session);
    let (parts, arriving) = (parts.clone(), arriving.cloned());
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
        if let Some(arriving) = &arriving {
            drop(arriving.take(&socket));
        }
        parts.polling.end(&socket, &parts.wires);
        leave(&parts.admissions, &socket);
        let (session, app) = (weak.upgrade(), weak_app.upgrade());
        if let Some(app) = &app
            && is_on_purpose(&reason, session.as_deref(), app)
        {
            recovery::start::end_for_good(app, user, key);
        }
        if let (Some(session), Some(app)) = (session, app) {
            end(&app, &session);
        }
        std::future::ready(())
    });
    session
}

/// Begins a session: from now on it receives events.
pub(super) fn begin(app: &Arc<App>, socket: &SocketRef, session: &Arc<Session>, parts: &Parts) {
    if app.is_draining() {
        // The shutdown would miss this session. Its client reconnects to the server that takes over.
        parts.wires.break_off(socket);
        return;
    }
    parts.polling.begin(socket, session, &parts.wires);
    app.sessions.add(session.clone());
    presence::look_again(&app.sessions, &app.chat, session);
    take_the_place(app, session);
    make_room(app, session);
    app.expiries.add(session);
    recovery::catch_up::begin(app, session);
    app.presence.connect(session);
    if session.revocations().iter().any(|token| app.auth.is_revoked(token)) {
        // The token was revoked after it was checked, perhaps before the session could be found in `app.sessions`.
        session.disconnect();
    }
    if !session.is_connected() || session.has_ended() {
        // The session ended while it began. Its end may have run before the session was registered as connected.
        parts.polling.end(socket, &parts.wires);
        end(app, session);
    }
    session.open_inbox(app);
}

/// Ends older connections of the same session. The client has reconnected, so they are dead, although the server has
/// not noticed yet. Their unconfirmed deliveries must not count as the newest position, nor their end as the session's.
fn take_the_place(app: &Arc<App>, session: &Session) {
    let mut older = Vec::new();
    app.sessions.for_user(session.user, &mut |other| {
        if other.key == session.key && other.id != session.id {
            older.push(other.clone());
        }
    });
    for other in older {
        other.cut("its client has come back by another connection");
        end(app, &other);
    }
}

/// Ends the least needed connections of an account that has too many. Their clients are told not to reconnect;
/// otherwise the clients in 65 tabs would evict each other forever.
fn make_room(app: &Arc<App>, session: &Session) {
    while app.sessions.count_of(session.user) > MAX_PER_PERSON {
        let Some(other) = app.sessions.least_needed(session, app.chat.now()) else { return };
        app.note(SecurityEvent::LimitMet("connections"), Some(session.user));
        other.disconnect();
        end(app, &other);
    }
}

/// Whether the client has said goodbye, or the server has told the client to stay away. As in Node's Socket.IO, such a
/// session cannot be resumed.
fn is_on_purpose(reason: &DisconnectReason, session: Option<&Session>, app: &App) -> bool {
    match reason {
        DisconnectReason::ClientNSDisconnect => true,
        // A client whose connection was cut reconnects, and so do all clients when the server stops.
        DisconnectReason::ServerNSDisconnect => {
            !app.is_draining() && !session.is_some_and(|session| session.is_cut())
        }
        DisconnectReason::TransportClose
        | DisconnectReason::MultipleHttpPollingError
        | DisconnectReason::PacketParsingError
        | DisconnectReason::TransportError
        | DisconnectReason::HeartbeatTimeout
        | DisconnectReason::ClosingServer => false,
    }
}

/// The client of this socket was refused or has left, so its transport has no further use.
pub(super) fn leave(admissions: &Admissions, socket: &SocketRef) {
    if let Some(admission) = socket.req_parts().extensions.get::<Arc<Admission>>() {
        admissions.leave(admission);
    }
}

/// Ends a session. Calling it twice has no effect.
pub(crate) fn end(app: &Arc<App>, session: &Arc<Session>) {
    session.close_inbox();
    delivered::remember(app, session);
    app.sessions.remove(session);
    app.expiries.remove(session);
    app.typists.left(session.user, session.id);
    let now = app.chat.now();
    if app.presence.disconnect(session.user, session.id, now) {
        let (app, user) = (app.clone(), session.user);
        tokio::spawn(async move { store_last_seen(&app, user, now).await });
    }
}

impl Server for App {
    fn now(&self) -> Timestamp {
        self.chat.now()
    }

    fn seen(&self, user: &User) -> Seen {
        self.presence.seen()(user)
    }

    fn resume(self: Arc<Self>, session: &Arc<Session>) {
        recovery::catch_up::resume(&self, session);
    }

    fn ended(self: Arc<Self>, session: &Arc<Session>) {
        end(&self, session);
    }
}

/// Ends all remaining sessions at shutdown. socketioxide's `close()` forgets its sockets without calling their
/// disconnect handlers, and the sessions would keep the whole server in memory.
pub(crate) async fn end_all(app: &Arc<App>) {
    let mut people = BTreeSet::new();
    for _ in 0..200 {
        let mut left = Vec::new();
        app.sessions.for_all(&mut |session| left.push(session.clone()));
        if left.is_empty() {
            break;
        }
        for session in left {
            people.insert(session.user);
            // The stream is cut first, so that the packet that tells the client to stay away is not sent.
            session.cut("the server stops");
            session.disconnect();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Stored here, because the store is closed before the tasks that `end` has spawned can write.
    let now = app.chat.now();
    let storing =
        futures_util::future::join_all(people.into_iter().map(|user| store_last_seen(app, user, now)));
    // A store that does not answer must not block the shutdown.
    if tokio::time::timeout(LAST_WORDS, storing).await.is_err() {
        tracing::warn!("the times of some people's last connections were not stored");
    }
}
