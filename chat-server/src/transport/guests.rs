//! Sockets that come in without a log-in, where a dialect allows that, and say by an event who they are.
//!
//! A guest is a connection like any other that nobody has logged in to: it may send few packets and bytes, and its time is
//! limited; see [`super::admission`]. It has no session, so nothing can be told to it, and whatever it sends before it has said
//! who it is counts for nothing. What comes behind its greeting waits until the session has begun.
//!
//! FIXME: one event in some twenty that came right behind a greeting was lost on a busy machine (`tests/seventh_dialect.rs` before it
//! waited for the answer); the reason is not known.

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

use super::connect::{self, Parts};
use super::connect_payload::ConnectPayload;
use crate::app::App;
use crate::auth::AuthError;
use crate::dialect::answer::{Answer, Refused};
use crate::dialect::{Call, Failure, Hello, Inbound, Registered};
use crate::outages::Part;
use crate::recovery;
use crate::security_log::{SecurityEvent, Source};
use crate::session::Inlet;
use crate::surrogates;

/// Most packets that wait for the session to begin: as many as a connection may send that nobody has logged in to.
const MAX_WAITING: usize = 32;
/// Most bytes of all of them; one always has room.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Lets a guest in.
pub(super) fn receive(app: &Arc<App>, id: SessionId, socket: &SocketRef, dialect: Registered, parts: &Parts) {
    let guest = Guest {
        id,
        dialect,
        app: Arc::downgrade(app),
        parts: parts.clone(),
        source: Source::current(),
        state: Mutex::new(State::Unknown),
    };
    socket.on_fallback(Reception(Arc::new(guest)));
    let (wires, polling, admissions) = parts.clone();
    socket.on_disconnect(move |socket: SocketRef, _: DisconnectReason| {
        polling.end(&socket, &wires);
        connect::leave(&admissions, &socket);
        std::future::ready(())
    });
}

struct Guest {
    id: SessionId,
    dialect: Registered,
    app: Weak<App>,
    parts: Parts,
    source: Source,
    state: Mutex<State>,
}

enum State {
    /// It has not said who it is.
    Unknown,
    /// It has, and that is looked up. What has come since waits.
    Greeting(Vec<(Value, Option<i64>)>),
    /// Its session has begun.
    Known(Inlet),
    /// It was sent away.
    Refused,
}

/// The one handler of all events of a guest, and later of its session.
struct Reception(Arc<Guest>);

impl MessageHandler<LocalAdapter, Guest> for Reception {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, packet: Value, ack_id: Option<i64>) {
        let mut state = self.0.state.lock();
        match &mut *state {
            State::Known(inlet) => inlet.call(socket, packet, ack_id),
            State::Refused => {}
            State::Greeting(waiting) if has_room(waiting, &packet) => waiting.push((packet, ack_id)),
            State::Greeting(_) => {
                *state = State::Refused;
                self.0.parts.0.break_off(&SocketRef::from(socket));
            }
            State::Unknown => match self.0.hello(&packet) {
                Some(Hello { token: Some(token), welcome }) => {
                    *state = State::Greeting(Vec::new());
                    drop(state);
                    let guest = self.0.clone();
                    let source = guest.source.clone();
                    let greeting = async move {
                        let (at_fault, greeted) = (SocketRef::from(socket.clone()), guest.clone());
                        let greeting = guest.greet(socket, packet, ack_id, &token, &welcome);
                        if AssertUnwindSafe(greeting).catch_unwind().await.is_err() {
                            chat_core::log_throttled!(error, "letting a guest in panicked");
                            greeted.parts.0.break_off(&at_fault);
                        }
                    };
                    tokio::spawn(source.scope(greeting));
                }
                _ => refuse(&socket, packet, ack_id),
            },
        }
    }
}

fn has_room(waiting: &[(Value, Option<i64>)], packet: &Value) -> bool {
    let size = |packet: &Value| if let Value::Str(text, _) = packet { text.len() } else { 0 };
    let bytes: usize = waiting.iter().map(|(packet, _)| size(packet)).sum();
    waiting.is_empty() || (waiting.len() < MAX_WAITING && bytes + size(packet) <= MAX_WAITING_BYTES)
}

/// Answers a guest that asks for something, if it wants an answer.
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
    /// The greeting that a packet is, if it is one.
    fn hello(&self, packet: &Value) -> Option<Hello> {
        let Value::Str(text, _) = packet else { return None };
        let text = surrogates::mended(text);
        match self.dialect.decode(&Call::parse(&text).ok()?).ok()?.inbound {
            Inbound::Hello(hello) => Some(hello),
            Inbound::Command(..) | Inbound::Batch(_) | Inbound::Relay(_) | Inbound::Ignored => None,
        }
    }

    /// Begins the session of the person that the token speaks of.
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
                *self.state.lock() = State::Refused;
                let failure = Failure::new("unauthenticated", self.dialect.auth().refusals.invalid);
                acknowledge(&socket, packet, ack_id, &Refused::from(&failure));
                // It is to stay away: what it knows does not become good.
                let _ = socket.disconnect();
                return;
            }
        };
        let start = recovery::start(&app, &ConnectPayload::default(), &caller, &self.dialect).await;
        let start = match start {
            Ok(start) => start,
            Err(error) => return self.fail(&app, socket, &error.into()),
        };
        let socket_ref = SocketRef::from(socket.clone());
        let known = (&caller, self.dialect.clone(), start);
        // It is connected already.
        let arriving = connect::Arriving::default();
        let session = connect::open(&app, self.id, &socket_ref, known, &self.parts, &arriving).await;
        connect::begin(&app, &socket_ref, &session, &self.parts);
        session.deliver(welcome);
        acknowledge(&socket, packet, ack_id, &Answer::done().into_ack());
        let inlet = Inlet { session: Arc::downgrade(&session), app: Arc::downgrade(&app) };
        // What comes now waits until all that has waited is in the session's inbox.
        let mut state = self.state.lock();
        if let State::Greeting(waiting) = std::mem::replace(&mut *state, State::Refused) {
            for (packet, ack_id) in waiting {
                inlet.call(socket.clone(), packet, ack_id);
            }
            *state = State::Known(inlet);
        }
    }

    /// Ends the connection so that its client comes back: it may be let in then.
    fn fail(&self, app: &App, socket: Arc<Socket<LocalAdapter>>, error: &chat_core::error::Error) {
        match error.kind() {
            chat_core::error::ErrorKind::Unavailable => app.outages.failed(Part::Store, error),
            _ => chat_core::log_throttled!(error, %error, "a guest could not be let in"),
        }
        *self.state.lock() = State::Refused;
        self.parts.0.break_off(&SocketRef::from(socket));
    }
}
