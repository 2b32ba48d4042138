//! Processes the events in the inbox of a connection: carries them out one after the other, and answers them.
//!
//! This part of a session depends on the server. The part that sends announced changes does not.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::chat::Storing;
use chat_core::command::{
    Class, Command, Destination, History, Outcome, ReadHistory, Reply, Request, SendMessage,
};
use chat_core::error::{Error, ErrorKind};
use chat_core::model::UserKey;
use chat_core::search::Search;
use futures_util::FutureExt;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use super::Session;
use super::answering::{Ack, Asker};
use super::large_events::LargeEvents;
use super::searches::Asked;
use super::waiting::{Inbound, MAX_WAITING, MAX_WAITING_BYTES, text_of};
use crate::app::App;
use crate::dialect::registry::Decoded;
use crate::dialect::{self, Call, DecodeError, Failure};
use crate::dispatch::Dispatched;
use crate::limits::{Held, LONG_BYTES};
use crate::{surrogates, typing};

/// The maximum number of messages of one connection that are being stored at the same time.
const MAX_UNDER_WAY: usize = 64;
/// A packet that is longer is parsed on another thread than those that serve other connections.
const LONG_PACKET: usize = LONG_BYTES;

/// The handler for all events of a connection. It holds the session weakly, because the session holds the socket, and
/// the socket holds its handlers.
pub(crate) struct Inlet {
    pub(crate) session: Weak<Session>,
    pub(crate) app: Weak<App>,
    /// The large events that were withheld from the engine.
    pub(crate) large: Option<Arc<LargeEvents>>,
}

impl MessageHandler<LocalAdapter, Inlet> for Inlet {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Value, ack_id: Option<i64>) {
        let (Some(session), Some(app)) = (self.session.upgrade(), self.app.upgrade()) else { return };
        if let Some(large) = &self.large {
            packet = large.put_back(packet);
        }
        let sender = AckSender::from_message_parts(&socket, &mut packet, &ack_id);
        let ack = ack_id.zip(sender.ok()).map(|(id, sender)| Ack { id, sender });
        session.push(&app, Inbound { packet, ack, held: None });
    }
}

/// A message that is being stored.
struct UnderWay<'a> {
    storing: Storing<'a>,
    asker: Asker,
    /// The memory reservation for the text, until the message is stored.
    _held: Option<Held>,
}

/// What to do next.
enum Next {
    Item(Inbound),
    Finish,
    Nothing,
}

/// Whether this reads the history with a user who may exist. No account has a longer name.
fn asks_for_history_of_a_person(command: &Command) -> bool {
    let Command::ReadHistory(ReadHistory { of: Destination::Person(person), .. }) = command else {
        return false;
    };
    match person {
        UserKey::Id(_) => true,
        UserKey::Username(name) | UserKey::Email(name) => name.len() <= App::MAX_NAME_BYTES,
    }
}

/// Replaces lone surrogates in the packet.
fn mended(packet: Value) -> Value {
    match surrogates::mended(text_of(&packet)) {
        Cow::Borrowed(_) => packet,
        Cow::Owned(text) => Value::Str(text.into(), None),
    }
}

impl Session {
    /// Starts processing when the connection is ready: first the events that are waiting, then new ones. It must be
    /// called only once.
    pub(crate) fn open_inbox(self: &Arc<Self>, app: &Arc<App>) {
        {
            let mut inbox = self.inbox.lock();
            if inbox.waiting.is_empty() {
                inbox.busy = false;
                return;
            }
        }
        self.work_in_background(app);
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
        self.work_in_background(app);
    }

    fn work_in_background(self: &Arc<Self>, app: &Arc<App>) {
        let (session, app) = (self.clone(), app.clone());
        let work = async move {
            if AssertUnwindSafe(session.clone().work_off(&app)).catch_unwind().await.is_err() {
                session.panicked();
            }
        };
        tokio::spawn(self.source.clone().scope(typing::on_connection(self.id, work)));
    }

    /// Processes the inbox. Messages are stored in order without waiting for each other. Every other command waits
    /// until the commands before it have finished, so that it sees their effects.
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
            if self.expires_at().is_some_and(|expires_at| expires_at <= app.chat.now()) {
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
                Ok(Decoded { inbound: dialect::Inbound::Renew(token), .. }) => {
                    self.finish_all(app, &mut under_way).await;
                    self.renew(app, &token, ack).await;
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
                    // Pages send events that only some backends know. This is not worth an error event.
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
            // The permit is held until the answer is queued and counts as unsent.
            let _answering = match command.class() {
                Class::Reads => self.room_to_answer(&app.sessions).await,
                Class::Writes | Class::Ephemeral => None,
            };
            let wants_history = asks_for_history_of_a_person(&command);
            let reply = match app.start(self.user, &self.person, command).await {
                Dispatched::Storing(storing) => {
                    under_way.push_back(UnderWay { storing, asker, _held: held });
                    continue;
                }
                Dispatched::CarriedOut(outcome)
                    if self.answers_first(&outcome.reply) && !outcome.deliveries.is_empty() =>
                {
                    self.finish_all(app, &mut under_way).await;
                    self.conclude(app, Ok(outcome), asker);
                    continue;
                }
                Dispatched::CarriedOut(outcome) => app.finish(self.user, Ok(outcome), |_| ()),
                // Pages of all dialects open a chat first and expect an empty history.
                Dispatched::Done(Err(Error::UserNotFound)) if wants_history => {
                    Ok(Reply::Messages(History::default()))
                }
                Dispatched::Done(reply) => reply,
            };
            self.finish_all(app, &mut under_way).await;
            self.answer_in_background_if_long(&app.limits.long_work, reply, asker).await;
        }
    }

    /// Decodes a packet. Returns its length as well. A long packet is parsed on another thread. The packet is dropped
    /// here, so that the text of a large file is not in memory twice while it is stored.
    async fn decode(&self, app: &App, packet: Value) -> (Result<Decoded, DecodeError>, usize) {
        let (dialect, asker, login) = (self.dialect.clone(), self.user, self.login);
        let is_long = text_of(&packet).len() > LONG_PACKET;
        let unknown = app.unknown.clone();
        let decode = move || {
            let packet = mended(packet);
            let text = text_of(&packet);
            let decoded = Call::parse(text).and_then(|call| {
                let call = call.by(asker).in_session(login);
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
        // This fails only when the closure panics.
        app.limits
            .long_work
            .run(self.user, decode)
            .await
            .unwrap_or((Err(DecodeError::Malformed), LONG_PACKET))
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

    /// Starts a search concurrently with later commands. They need not wait for it: it sees the effects of the commands
    /// before it, and changes nothing.
    fn search(self: &Arc<Self>, app: &Arc<App>, search: Search, asker: Asker) {
        let asked = self.searches.lock().ask(search, asker);
        match asked {
            Asked::Begin(search, asker) => {
                let (session, app) = (self.clone(), app.clone());
                tokio::spawn(self.source.clone().scope(async move {
                    let searching = session.clone().make_searches(&app, search, asker);
                    if AssertUnwindSafe(searching).catch_unwind().await.is_err() {
                        session.panicked();
                    }
                }));
            }
            Asked::Waits => {}
            Asked::TooMany => self.overloaded(),
        }
    }

    /// Runs this search and those that wait, and answers them in the order of their requests.
    async fn make_searches(self: Arc<Self>, app: &Arc<App>, mut search: Search, mut asker: Asker) {
        loop {
            // The search is skipped if its client has disconnected.
            if !self.is_over() {
                let _answering = self.room_to_answer(&app.sessions).await;
                let reply = app.search_in_turn(self.user, search).await.map(Reply::from);
                self.answer_in_background_if_long(&app.limits.long_work, reply, asker).await;
            }
            let due = self.searches.lock().next();
            for asker in due.replaced {
                let message = "a newer search has taken its place";
                self.refuse(asker.ack, &Failure::new(ErrorKind::RateLimited.code(), message));
            }
            let Some(next) = due.search else { return };
            (search, asker) = next;
        }
    }

    /// Whether this answer is queued before what it tells of is announced: if the dialect says so, or if the connection may
    /// end by that.
    fn answers_first(&self, reply: &Reply) -> bool {
        self.dialect.answers_first() || matches!(reply, Reply::EndedSessions(_))
    }

    /// Announces the result of a command and answers it, in the order that the dialect requires.
    fn conclude(self: &Arc<Self>, app: &App, outcome: Result<Outcome, Error>, asker: Asker) {
        if !outcome.as_ref().is_ok_and(|outcome| self.answers_first(&outcome.reply)) {
            return self.answer(app.finish(self.user, outcome, |_| ()), asker);
        }
        let mut asker = Some(asker);
        let finished = app.finish(self.user, outcome, |reply| {
            if let Some(asker) = asker.take() {
                self.answer(Ok(reply.clone()), asker);
            }
        });
        if let Some(asker) = asker {
            self.answer(finished, asker);
        }
    }
}
