//! Sockets that connect without a login, if their dialect allows it, and authenticate later by an event.
//!
//! A guest is an unauthenticated connection like any other: it may send few packets and bytes, and its time is limited;
//! see [`super::admission`]. It has no session, so nothing can be delivered to it, and packets before its login event
//! are refused. Packets behind the login event wait until the session has begun.
//!
//! No packet is processed before the socket counts as connected: a session on a socket that is not connected looks like
//! one that has ended.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use chat_core::presence::SessionId;
use futures_util::FutureExt;
use parking_lot::Mutex;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide_core::Value;

use super::connect::{self, Arriving, Parts};
use super::connect_payload::ConnectPayload;
use crate::app::App;
use crate::auth::AuthError;
use crate::dialect::answer::{Answer, Refused};
use crate::dialect::{Call, Failure, Hello, Inbound, Registered};
use crate::outages::Part;
use crate::recovery;
use crate::security_log::{SecurityEvent, Source};
use crate::session::inbox::Inlet;
use crate::surrogates;

/// Maximum number of packets that wait for the session to begin: as many as an unauthenticated connection may send.
const MAX_WAITING: usize = 32;
/// Maximum total size of these packets in bytes. A single packet always has room.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Accepts a guest. The caller must report when the socket is [connected](Guest::connected).
pub(super) fn receive(
    app: &Arc<App>,
    id: SessionId,
    socket: &SocketRef,
    dialect: Registered,
    parts: &Parts,
    arriving: &Arriving,
) -> Arc<Guest> {
    let guest = Arc::new(Guest {
        id,
        dialect,
        app: Arc::downgrade(app),
        parts: parts.clone(),
        source: Source::current(),
        state: Mutex::new(State::Connecting(Vec::new())),
    });
    socket.on_fallback(Reception(guest.clone()));
    let parts = parts.clone();
    let (leaving, arriving) = (Arc::downgrade(&guest), arriving.clone());
    socket.on_disconnect(move |socket: SocketRef, _: DisconnectReason| {
        drop(arriving.take(&socket));
        parts.polling.end(&socket, &parts.wires);
        connect::leave(&parts.admissions, &socket);
        if let Some(guest) = leaving.upgrade() {
            guest.left();
        }
        std::future::ready(())
    });
    guest
}

/// A client that has connected without a login.
pub(super) struct Guest {
    id: SessionId,
    dialect: Registered,
    app: Weak<App>,
    parts: Parts,
    source: Source,
    state: Mutex<State>,
}

enum State {
    /// The guest is accepted, but its socket does not count as connected yet. Packets wait.
    Connecting(Waiting),
    /// The guest has not logged in.
    Unknown,
    /// The guest is being authenticated. Packets wait.
    Greeting(Waiting),
    /// The session has begun.
    Known(Inlet),
    /// The guest was refused or has left.
    Over,
}

/// Packets with their ack ids and sockets. The sockets are weak, because each socket owns the handler that owns this
/// list.
type Waiting = Vec<(Value, Option<i64>, Weak<Socket<LocalAdapter>>)>;

/// The only handler for all events of a guest, and later of its session.
struct Reception(Arc<Guest>);

impl MessageHandler<LocalAdapter, Guest> for Reception {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, packet: Value, ack_id: Option<i64>) {
        self.0.hear(&mut self.0.state.lock(), socket, packet, ack_id);
    }
}

fn has_room(waiting: &Waiting, packet: &Value) -> bool {
    let size = |packet: &Value| if let Value::Str(text, _) = packet { text.len() } else { 0 };
    let bytes: usize = waiting.iter().map(|(packet, ..)| size(packet)).sum();
    waiting.is_empty() || (waiting.len() < MAX_WAITING && bytes + size(packet) <= MAX_WAITING_BYTES)
}

/// Answers a packet of a guest that is not logged in, if the packet asks for an acknowledgement.
fn refuse(socket: &Arc<Socket<LocalAdapter>>, packet: Value, ack_id: Option<i64>) {
    let failure = Failure::new("unauthenticated", "say first who you are");
    acknowledge(socket, packet, ack_id, &Refused::from(&failure));
}

fn acknowledge(
    socket: &Arc<Socket<LocalAdapter>>,
    mut packet: Value,
    ack_id: Option<i64>,
    answer: &impl serde::Serialize,
) {
    if ack_id.is_some()
        && let Ok(sender) = AckSender::from_message_parts(socket, &mut packet, &ack_id)
    {
        // Fails when the connection has ended.
        let _ = sender.send(&(answer,));
    }
}

impl Guest {
    /// The socket counts as connected from now on, so waiting packets are processed.
    pub(super) fn connected(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let State::Connecting(waiting) = &mut *state else { return };
        let waiting = std::mem::take(waiting);
        *state = State::Unknown;
        for (packet, ack_id, socket) in waiting {
            if let Some(socket) = socket.upgrade() {
                self.hear(&mut state, socket, packet, ack_id);
            }
        }
    }

    /// The connection has ended. The disconnect handler belongs to the guest, so the session is ended here.
    fn left(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Over);
        if let State::Known(Inlet { session, app, .. }) = state
            && let (Some(session), Some(app)) = (session.upgrade(), app.upgrade())
        {
            connect::end(&app, &session);
        }
    }

    fn hear(
        self: &Arc<Self>,
        state: &mut State,
        socket: Arc<Socket<LocalAdapter>>,
        packet: Value,
        ack_id: Option<i64>,
    ) {
        match state {
            State::Known(inlet) => inlet.call(socket, packet, ack_id),
            State::Over => {}
            State::Connecting(waiting) | State::Greeting(waiting) if has_room(waiting, &packet) => {
                waiting.push((packet, ack_id, Arc::downgrade(&socket)));
            }
            State::Connecting(_) | State::Greeting(_) => {
                *state = State::Over;
                self.parts.wires.break_off(&SocketRef::from(socket));
            }
            State::Unknown => match self.hello(&packet) {
                Some(Hello { token: Some(token), welcome }) => {
                    *state = State::Greeting(Vec::new());
                    let guest = self.clone();
                    let source = guest.source.clone();
                    let greeting = async move {
                        let (at_fault, greeted) = (SocketRef::from(socket.clone()), guest.clone());
                        let greeting = guest.greet(socket, packet, ack_id, &token, &welcome);
                        if AssertUnwindSafe(greeting).catch_unwind().await.is_err() {
                            chat_core::log_throttled!(error, "letting a guest in panicked");
                            greeted.parts.wires.break_off(&at_fault);
                        }
                    };
                    tokio::spawn(source.scope(greeting));
                }
                _ => refuse(&socket, packet, ack_id),
            },
        }
    }

    /// The login event in a packet, if it is one.
    fn hello(&self, packet: &Value) -> Option<Hello> {
        let Value::Str(text, _) = packet else { return None };
        let text = surrogates::mended(text);
        match self.dialect.decode(&Call::parse(&text).ok()?).ok()?.inbound {
            Inbound::Hello(hello) => Some(hello),
            Inbound::Command(..)
            | Inbound::Batch(_)
            | Inbound::Renew(_)
            | Inbound::Relay(_)
            | Inbound::Ignored => None,
        }
    }

    /// Authenticates the token and begins the session.
    async fn greet(
        &self,
        socket: Arc<Socket<LocalAdapter>>,
        packet: Value,
        ack_id: Option<i64>,
        token: &str,
        welcome: &crate::dialect::Frame,
    ) {
        let Some(app) = self.app.upgrade() else { return };
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let caller = match app.auth.authenticate(token).await {
            Ok(caller) => caller,
            Err(AuthError::Internal(error)) => return self.fail(&app, socket, &error),
            Err(AuthError::Missing | AuthError::Invalid | AuthError::UserNotFound) => {
                app.note(SecurityEvent::Refused("socket"), None);
                *self.state.lock() = State::Over;
                let failure = Failure::new("unauthenticated", self.dialect.auth().refusals.invalid);
                acknowledge(&socket, packet, ack_id, &Refused::from(&failure));
                // The client must not retry, because its token will not become valid.
                let _ = socket.disconnect();
                return;
            }
        };
        let start = recovery::start::start(&app, &ConnectPayload::default(), &caller, &self.dialect).await;
        let start = match start {
            Ok(start) => start,
            Err(error) => return self.fail(&app, socket, &error.into()),
        };
        let socket_ref = SocketRef::from(socket.clone());
        let known = (&caller, self.dialect.clone(), start);
        // The socket is already connected, so it is not listed as arriving.
        let session = connect::open(&app, self.id, &socket_ref, known, &self.parts, None).await;
        connect::begin(&app, &socket_ref, &session, &self.parts);
        session.deliver(welcome);
        acknowledge(&socket, packet, ack_id, &Answer::done().into_ack());
        let inlet = connect::inlet(&app, &session, &socket_ref);
        // The lock is held until all waiting packets are in the session's inbox, so that new ones come behind them.
        let mut state = self.state.lock();
        if let State::Greeting(waiting) = std::mem::replace(&mut *state, State::Over) {
            for (packet, ack_id, _) in waiting {
                inlet.call(socket.clone(), packet, ack_id);
            }
            *state = State::Known(inlet);
            return;
        }
        drop(state);
        // The client has left meanwhile, before `left` could find the session.
        self.parts.polling.end(&socket_ref, &self.parts.wires);
        connect::end(&app, &session);
    }

    /// Breaks the connection, so that the client reconnects. It may be accepted then.
    fn fail(&self, app: &App, socket: Arc<Socket<LocalAdapter>>, error: &chat_core::error::Error) {
        match error.kind() {
            chat_core::error::ErrorKind::Unavailable => app.outages.failed(Part::Store, error),
            _ => chat_core::log_throttled!(error, %error, "a guest could not be let in"),
        }
        *self.state.lock() = State::Over;
        self.parts.wires.break_off(&SocketRef::from(socket));
    }
}
