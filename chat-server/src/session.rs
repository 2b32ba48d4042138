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
mod searches;
mod sending;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::chat::Storing;
use chat_core::clock::Timestamp;
use chat_core::command::{Class, Command, Destination, History, ReadHistory, Reply, Request, SendMessage};
use chat_core::error::Error;
use chat_core::id::UserId;
use chat_core::model::UserKey;
use chat_core::presence::SessionId;
use chat_core::search::Search;
use futures_util::FutureExt;
use parking_lot::Mutex;
use socketioxide::ProtocolVersion;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use self::activity::Activity;
use self::answering::{Ack, Asker};
use self::searches::Searches;
use crate::app::{App, Dispatched};
use crate::auth::Authenticated;
use crate::auth::token::Fingerprint;
use crate::dialect::registry::Decoded;
use crate::dialect::{self, Call, DecodeError, Failure, Frame, Registered};
use crate::limits::{Held, LONG_BYTES, Person};
use crate::links::Base;
use crate::memory::{Memory, Reservation};
use crate::recovery::{Cursor, Receipt, Start};
use crate::security_log::Source;
use crate::surrogates;
use crate::transport::Wires;
use crate::transport::wire::Wire;
use crate::typing;

/// Most events that wait for one connection.
const MAX_WAITING: usize = 4_096;
/// Most messages of one connection that are about to be stored at once.
const MAX_UNDER_WAY: usize = 64;
/// Most bytes of events that wait for one connection; one packet always has room.
const MAX_WAITING_BYTES: usize = 48 << 20;
/// While more bytes than this wait for a client, nothing more is read for it.
const MAX_UNSENT_TO_ANSWER: usize = 4 << 20;
/// A packet that is longer is read away from the threads that serve others.
const LONG_PACKET: usize = LONG_BYTES;
/// The pause before it is looked again whether a client that polls has fetched what waits.
const POLL_PAUSE: Duration = Duration::from_millis(50);

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
    app: Weak<App>,
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

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Inbound>,
    bytes: usize,
    /// A task is working it off.
    busy: bool,
    closed: bool,
}

struct Inbound {
    packet: Value,
    ack: Option<Ack>,
    /// Counts it among what waits of its person; none before it has been counted.
    held: Option<Held>,
}

/// A message that is about to be stored.
struct UnderWay<'a> {
    storing: Storing<'a>,
    asker: Asker,
    /// Its text is kept until it is stored.
    _held: Option<Held>,
}

/// What to do next.
enum Next {
    Item(Inbound),
    Finish,
    Nothing,
}

impl Inbound {
    fn text(&self) -> &str {
        text_of(&self.packet)
    }
}

/// Whether this is for what was said with a person of whom there could be one; no account has a longer name.
fn asks_for_history_of_a_person(command: &Command) -> bool {
    let Command::ReadHistory(ReadHistory { of: Destination::Person(person), .. }) = command else {
        return false;
    };
    match person {
        UserKey::Id(_) => true,
        UserKey::Username(name) | UserKey::Email(name) => name.len() <= App::MAX_NAME_BYTES,
    }
}

/// The same packet, without halves of surrogate pairs.
fn mended(packet: Value) -> Value {
    match surrogates::mended(text_of(&packet)) {
        Cow::Borrowed(_) => packet,
        Cow::Owned(text) => Value::Str(text.into(), None),
    }
}

fn text_of(packet: &Value) -> &str {
    match packet {
        Value::Str(text, _) => text.as_str(),
        Value::Bytes(_) => "",
    }
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        caller: &Authenticated,
        dialect: Registered,
        socket: SocketRef,
        wires: Wires,
        start: Start,
        app: &Arc<App>,
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
            memory: app.memory.clone(),
            wires,
            app: Arc::downgrade(app),
            inbox: Mutex::default(),
            searches: Mutex::default(),
            person: app.budgets.of(caller.user.id, app.chat.now()),
            max_pending_bytes: app.config.transport.max_pending_bytes,
            cut: AtomicBool::new(false),
            activity: Activity::new(app.chat.now()),
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

    fn push(self: &Arc<Self>, app: &Arc<App>, mut item: Inbound) {
        let size = item.text().len();
        self.activity.said(app.chat.now());
        {
            let mut inbox = self.inbox.lock();
            if inbox.closed {
                return;
            }
            item.held = self.person.hold(size);
            if item.held.is_none()
                || inbox.waiting.len() >= MAX_WAITING
                || (inbox.bytes + size > MAX_WAITING_BYTES && !inbox.waiting.is_empty())
            {
                inbox.closed = true;
                drop(inbox);
                return self.overloaded();
            }
            inbox.bytes += size;
            inbox.waiting.push_back(item);
            if std::mem::replace(&mut inbox.busy, true) {
                return;
            }
        }
        let (session, app) = (self.clone(), app.clone());
        let work = async move {
            if AssertUnwindSafe(session.clone().work_off(&app)).catch_unwind().await.is_err() {
                session.panicked();
            }
        };
        tokio::spawn(self.source.clone().scope(typing::on_connection(self.id, work)));
    }

    /// Works the inbox off. Messages follow each other into the store without one waiting for the other; everything
    /// else waits until what came before it is over, so that it sees it.
    async fn work_off(self: Arc<Self>, app: &Arc<App>) {
        let mut under_way: VecDeque<UnderWay<'_>> = VecDeque::new();
        loop {
            let item = match self.next(under_way.len()) {
                Next::Item(item) => item,
                Next::Finish => {
                    self.finish_one(app, &mut under_way).await;
                    continue;
                }
                Next::Nothing => return,
            };
            if self.expires_at.is_some_and(|expires_at| expires_at <= app.chat.now()) {
                self.refuse_as_expired(item.ack);
                continue;
            }
            match self.person.may_say_more(app.chat.now()) {
                Ok(Duration::ZERO) => {}
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => {
                    self.finish_all(app, &mut under_way).await;
                    self.refuse(item.ack, &Failure::from(&error));
                    continue;
                }
            }
            let Inbound { packet, ack, held } = item;
            let (decoded, bytes) = self.decode(app, packet).await;
            let (command, asker) = match decoded {
                Ok(Decoded { inbound: dialect::Inbound::Command(command, request), is_native }) => {
                    let said = match &command {
                        Command::SendMessage(SendMessage { content, .. }) => content.text.len(),
                        _ => 0,
                    };
                    let for_nothing = bytes.saturating_sub(said);
                    if for_nothing > LONG_PACKET {
                        self.person.was_mistaken(for_nothing, app.chat.now());
                    }
                    (command, Asker { ack, request, is_native })
                }
                Ok(Decoded { inbound: dialect::Inbound::Batch(commands), .. }) => {
                    self.finish_all(app, &mut under_way).await;
                    self.answer_batch(app, commands, ack).await;
                    continue;
                }
                Ok(Decoded { inbound: dialect::Inbound::Relay(relay), .. }) => {
                    self.finish_all(app, &mut under_way).await;
                    self.pass_on(app, relay, ack).await;
                    continue;
                }
                Ok(Decoded { inbound, .. }) => {
                    if bytes > LONG_PACKET {
                        self.person.was_mistaken(bytes, app.chat.now());
                    }
                    self.finish_all(app, &mut under_way).await;
                    self.answer_without_command(inbound, ack);
                    continue;
                }
                Err(error) => {
                    self.person.was_mistaken(bytes, app.chat.now());
                    // Pages send events that only some backends know; that is no fault worth an error event.
                    if error == DecodeError::UnknownEvent && ack.is_none() {
                        continue;
                    }
                    self.finish_all(app, &mut under_way).await;
                    self.refuse(ack, &Failure::from(&error));
                    continue;
                }
            };
            if !matches!(command, Command::SendMessage(_)) {
                self.finish_all(app, &mut under_way).await;
            }
            if let Err(error) = self.dialect.check(self.user, command.as_command(), app.chat.now()) {
                self.finish_all(app, &mut under_way).await;
                self.answer(Err(error), asker);
                continue;
            }
            let command = match command {
                Command::Search(search) => {
                    self.search(app, search, asker);
                    continue;
                }
                command => command,
            };
            // Until the answer is queued, and counts with what waits.
            let _answering = match command.class() {
                Class::Reads => self.room_to_answer(app).await,
                Class::Writes | Class::Ephemeral => None,
            };
            let wants_history = asks_for_history_of_a_person(&command);
            let reply = match app.start(self.user, &self.person, command).await {
                Dispatched::Storing(storing) => {
                    under_way.push_back(UnderWay { storing, asker, _held: held });
                    continue;
                }
                Dispatched::CarriedOut(outcome)
                    if self.dialect.answers_first() && !outcome.deliveries.is_empty() =>
                {
                    self.finish_all(app, &mut under_way).await;
                    self.conclude(app, Ok(outcome), asker);
                    continue;
                }
                Dispatched::CarriedOut(outcome) => app.finish(self.user, Ok(outcome)),
                // The pages of all families open a chat first and are told that it is empty.
                Dispatched::Done(Err(Error::UserNotFound)) if wants_history => {
                    Ok(Reply::Messages(History::default()))
                }
                Dispatched::Done(reply) => reply,
            };
            self.finish_all(app, &mut under_way).await;
            self.answer_in_background_if_long(app, reply, asker).await;
        }
    }

    /// What a packet asks for, and how long it was. A long one is read away from the threads that serve others. The text of
    /// a large file need not be kept twice while it is stored, so the packet is dropped here.
    async fn decode(&self, app: &App, packet: Value) -> (Result<Decoded, DecodeError>, usize) {
        let (dialect, asker) = (self.dialect.clone(), self.user);
        let is_long = text_of(&packet).len() > LONG_PACKET;
        let unknown = app.unknown.clone();
        let decode = move || {
            let packet = mended(packet);
            let text = text_of(&packet);
            let decoded = Call::parse(text).and_then(|call| {
                let call = call.by(asker);
                let decoded = dialect.decode(&call);
                if matches!(decoded, Err(DecodeError::UnknownEvent)) {
                    unknown.event(&dialect, &call.event);
                }
                decoded
            });
            (decoded, text.len())
        };
        if !is_long {
            return decode();
        }
        // Fails only when it panics.
        app.long_work.run(self.user, decode).await.unwrap_or((Err(DecodeError::Malformed), LONG_PACKET))
    }

    fn next(&self, under_way: usize) -> Next {
        let mut inbox = self.inbox.lock();
        if under_way < MAX_UNDER_WAY
            && let Some(item) = inbox.waiting.pop_front()
        {
            inbox.bytes -= item.text().len();
            return Next::Item(item);
        }
        if under_way > 0 {
            return Next::Finish;
        }
        inbox.busy = false;
        Next::Nothing
    }

    async fn finish_all(self: &Arc<Self>, app: &Arc<App>, under_way: &mut VecDeque<UnderWay<'_>>) {
        while !under_way.is_empty() {
            self.finish_one(app, under_way).await;
        }
    }

    async fn finish_one(self: &Arc<Self>, app: &Arc<App>, under_way: &mut VecDeque<UnderWay<'_>>) {
        let Some(UnderWay { storing, asker, _held }) = under_way.pop_front() else { return };
        let outcome = storing.await;
        self.conclude(app, outcome, asker);
    }
}

/// See [`Session::poll`].
pub(crate) struct PollUnderWay(Arc<Session>);

impl Drop for PollUnderWay {
    fn drop(&mut self) {
        if let Some(app) = self.0.app.upgrade() {
            self.0.activity.poll_ended(app.chat.now());
        }
    }
}

/// The one handler of all events of a connection. It holds its session weakly: the session holds the socket, and the
/// socket its handlers.
pub(crate) struct Inlet {
    pub(crate) session: Weak<Session>,
    pub(crate) app: Weak<App>,
}

impl MessageHandler<LocalAdapter, Inlet> for Inlet {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Value, ack_id: Option<i64>) {
        let (Some(session), Some(app)) = (self.session.upgrade(), self.app.upgrade()) else { return };
        let sender = AckSender::from_message_parts(&socket, &mut packet, &ack_id);
        let ack = ack_id.zip(sender.ok()).map(|(id, sender)| Ack { id, sender });
        session.push(&app, Inbound { packet, ack, held: None });
    }
}
