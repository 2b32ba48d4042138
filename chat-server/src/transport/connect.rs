//! Who is let in, and what happens when a connection begins and ends.

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
use crate::recovery::Start;
use crate::security_log::SecurityEvent;
use crate::session::inbox::Inlet;
use crate::session::{PollUnderWay, Server, Session, Surroundings};
use crate::{presence, recovery};

/// What of the endpoint a connection needs.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) wires: Wires,
    pub(super) polling: Polling,
    pub(super) admissions: Arc<Admissions>,
}

/// Who was let in and is not connected yet.
#[derive(Clone, Default)]
pub(super) struct Arriving(Arc<Mutex<HashMap<Sid, (Instant, Arrived)>>>);

/// Who waits for the connection to count as one. The engine sends the answer to the CONNECT before that, so their client may
/// say something meanwhile, which waits too.
pub(super) enum Arrived {
    /// Somebody who was authenticated.
    Session(Arc<Session>),
    /// Somebody who will say who they are.
    Guest(Arc<Guest>),
}

impl Arriving {
    pub(super) fn add(&self, socket: &SocketRef, arrived: Arrived) {
        self.0.lock().insert(socket.id, (Instant::now(), arrived));
    }

    pub(super) fn take(&self, socket: &SocketRef) -> Option<Arrived> {
        self.0.lock().remove(&socket.id).map(|(_, arrived)| arrived)
    }

    /// Forgets those that will never be connected: a connection that breaks at the wrong moment is let in and never begins,
    /// and nobody says so.
    pub(super) fn sweep(&self) {
        let is_over = |_: &Sid, (since, _): &mut (Instant, Arrived)| since.elapsed() >= ARRIVAL;
        let over: Vec<_> = self.0.lock().extract_if(is_over).collect();
        // Not while they are locked: whatever goes with them may look here.
        drop(over);
    }
}

/// Most connections of one person.
const MAX_PER_PERSON: usize = 64;
/// How long the end waits for the store to note who was there.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// How long it takes at most from being authenticated to being connected.
const ARRIVAL: Duration = Duration::from_secs(10);

/// The connections that began with long polling, by session id, until they end.
#[derive(Clone, Default)]
pub(super) struct Polling(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    sessions: HashMap<String, Weak<Session>>,
    /// What the answer to their CONNECT still has to be given, and since when.
    pids: HashMap<String, (Instant, Box<str>)>,
}

impl Polling {
    /// A websocket has taken over from long polling.
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

    /// Has the answer to the CONNECT of a connection that is let in carry its `pid`, whichever way it takes.
    fn tell_pid(&self, socket: &SocketRef, wires: &Wires, pid: &str) {
        let mut known = self.0.lock();
        if socket.req_parts().extensions.get::<Arc<Wire>>().is_none() {
            // The answer leaves with a poll, or behind a takeover that may happen at any moment.
            known.pids.insert(socket.id.to_string(), (Instant::now(), pid.into()));
        }
        if let Some(wire) = wires.of(socket) {
            wire.set_pid(pid);
        }
    }

    /// The `pid` that the answer to the CONNECT of this session still has to be given.
    pub(super) fn pid(&self, sid: &str) -> Option<Box<str>> {
        self.0.lock().pids.get(sid).map(|(_, pid)| pid.clone())
    }

    /// Its client polls, until what is answered is dropped.
    pub(super) fn poll(&self, sid: &str) -> Option<PollUnderWay> {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        session.map(Session::poll)
    }

    /// The client asks for what waits for it: it has received the answer before. Answers what it was told until now, which
    /// is in the next answer at the latest.
    pub(super) fn polls(&self, sid: &str) -> Position {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        let Some(session) = session else { return Position(0) };
        session.receipt.answer();
        session.receipt.told()
    }

    /// The client has been given what waited for it, and everything it was `told` before.
    pub(super) fn fetched(&self, sid: &str, told: Position) {
        let session = self.0.lock().sessions.get(sid).and_then(Weak::upgrade);
        if let Some(session) = session {
            session.receipt.leave();
            session.receipt.ask(told);
            session.fetched();
        }
    }

    /// Forgets what will never be fetched: a connection that breaks at the wrong moment never ends, and nobody says so.
    pub(super) fn sweep(&self) {
        self.0.lock().pids.retain(|_, (since, _)| since.elapsed() < 6 * ARRIVAL);
    }

    /// It has been given.
    pub(super) fn forget_pid(&self, sid: &str) {
        self.0.lock().pids.remove(sid);
    }

    fn begin(&self, socket: &SocketRef, session: &Arc<Session>, wires: &Wires) {
        if session.has_wire() {
            return;
        }
        self.0.lock().sessions.insert(socket.id.to_string(), Arc::downgrade(session));
        // The websocket may have taken over before the connection was let in.
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

/// Sets the handlers of the one namespace. They hold the app weakly: sockets that socketioxide has forgotten keep their
/// handlers. It is made here and now, so that no first connection finds it missing.
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
                        // A panic here would leave the client waiting for 45 seconds.
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
                            // A client that reads a refusal stays away for good. One whose connection breaks comes back.
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
        // What the client has sent since it was told that it is let in waits for this.
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
    // It is not asked to make room while it is looked up who it is.
    let _busy = admission.map(|admission| admission.leave.busy());
    let source = handshake.source.clone();
    let handshake = with_late_credentials(&socket, payload, handshake).await;
    let arrival = settle(app, id, socket, payload, parts, arriving, handshake);
    source.scope(arrival).await
}

/// The handshake of a client that has said nowhere who it is may be followed by one that does.
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

/// What takes in the events of a session's connection.
pub(super) fn inlet(app: &Arc<App>, session: &Arc<Session>, socket: &SocketRef) -> Inlet {
    let admission = socket.req_parts().extensions.get::<Arc<Admission>>();
    let large = admission.map(|admission| admission.large.clone());
    Inlet { session: Arc::downgrade(session), app: Arc::downgrade(app), large }
}

/// Opens the session of a connection of which it is known whose it is. It is not told anything before it [begins](begin). One
/// that is not connected yet is among those that are `arriving`.
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

/// Begins a session: from now on it is told what happens.
pub(super) fn begin(app: &Arc<App>, socket: &SocketRef, session: &Arc<Session>, parts: &Parts) {
    if app.is_draining() {
        // Nobody would look for it any more. Its client comes back to whoever takes over.
        parts.wires.break_off(socket);
        return;
    }
    parts.polling.begin(socket, session, &parts.wires);
    app.sessions.add(session.clone());
    take_the_place(app, session);
    make_room(app, session);
    app.expiries.add(session);
    recovery::catch_up::begin(app, session);
    app.presence.connect(session);
    if app.auth.is_revoked(&session.token) {
        // Revoked after it was checked, and perhaps before it could be found here.
        session.disconnect();
    }
    if !session.is_connected() || session.has_ended() {
        // It ended while it began; its end may have come too early to find it, and before it counted as connected.
        parts.polling.end(socket, &parts.wires);
        end(app, session);
    }
    session.open_inbox(app);
}

/// Ends older connections of the same session: its client has come back, so they are gone although nobody has noticed. What is
/// not known to have arrived by them must not count as the newest that is known, nor their end as that of the session.
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

/// Ends the connections that a person needs least while there are too many beside a new one. Their clients do not come back by
/// themselves, or those of 65 tabs would push each other out for ever.
fn make_room(app: &Arc<App>, session: &Session) {
    while app.sessions.count_of(session.user) > MAX_PER_PERSON {
        let Some(other) = app.sessions.least_needed(session, app.chat.now()) else { return };
        app.note(SecurityEvent::LimitMet("connections"), Some(session.user));
        other.disconnect();
        end(app, &other);
    }
}

/// Whether a connection was ended by a client that has said so, or by a server that has told its client to stay away. As in
/// Node, such a session does not go on.
fn is_on_purpose(reason: &DisconnectReason, session: Option<&Session>, app: &App) -> bool {
    match reason {
        DisconnectReason::ClientNSDisconnect => true,
        // What is cut comes back, and so does everybody when the server stops.
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

/// The client of a socket was refused or has left: nothing is left for it to do here.
pub(super) fn leave(admissions: &Admissions, socket: &SocketRef) {
    if let Some(admission) = socket.req_parts().extensions.get::<Arc<Admission>>() {
        admissions.leave(admission);
    }
}

/// A connection has ended. Ending it twice changes nothing.
pub(crate) fn end(app: &Arc<App>, session: &Arc<Session>) {
    session.close_inbox();
    app.receipts.remember(session.key, &session.receipt);
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

/// Ends what is left of all connections when the server stops. socketioxide's `close()` forgets its sockets without
/// telling their handlers, and those would hold the whole server in memory.
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
            // First the stream, so that the goodbye that tells a client to stay away is not sent on it.
            session.cut("the server stops");
            session.disconnect();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Written here, since the store is closed before the tasks that the ends have started get to it.
    let now = app.chat.now();
    let storing =
        futures_util::future::join_all(people.into_iter().map(|user| store_last_seen(app, user, now)));
    // A store that does not answer must not hold up the end.
    if tokio::time::timeout(LAST_WORDS, storing).await.is_err() {
        tracing::warn!("the times of some people's last connections were not stored");
    }
}
