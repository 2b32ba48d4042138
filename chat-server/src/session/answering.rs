//! How the server answers a connection's events: with an acknowledgement, with events, or with both.

use std::sync::Arc;

use bytes::Bytes;
use chat_core::command::{Answer as _, Reply};
use chat_core::error::Error;
use chat_core::model::User;
use serde::Serialize;
use socketioxide::extract::AckSender;

use super::Session;
use crate::dialect::answer::Refused;
use crate::dialect::{Answer, Asked, Failure, Hello, Inbound, Request, Seen, Whereabouts, raw};
use crate::limits::{LongWork, cost};
use crate::transport::text_frame::text_frame;
use crate::transport::wire::MAX_UNSENT;

/// The destination of an acknowledgement.
pub(super) struct Ack {
    pub(super) id: i64,
    pub(super) sender: AckSender,
}

/// The destination and form of a command's answer.
pub(super) struct Asker {
    pub(super) ack: Option<Ack>,
    pub(super) request: Request,
    /// The native dialect has decoded the event, because the session's dialect does not know it. It also forms the answer.
    pub(super) is_native: bool,
}

/// An ACK packet (Socket.IO protocol 5) as a websocket frame.
fn ack_packet(id: i64, answer: &impl Serialize) -> Bytes {
    text_frame(128, |bytes| {
        bytes.extend_from_slice(format!("43{id}[").as_bytes());
        // This cannot fail: it is a plain struct with string keys.
        let _ = serde_json::to_writer(&mut *bytes, answer);
        bytes.push(b']');
    })
}

impl Session {
    /// Answers a command. If writing the answer takes long, it runs on another thread than those that serve other
    /// connections.
    pub(super) async fn answer_in_background_if_long(
        self: &Arc<Self>,
        long_work: &LongWork,
        reply: Result<Reply, Error>,
        asker: Asker,
    ) {
        if !reply.as_ref().is_ok_and(|reply| cost::bytes_read(reply.as_reply()) > cost::LONG_ANSWER) {
            return self.answer(reply, asker);
        }
        let session = self.clone();
        if long_work.run(self.user, move || session.answer(reply, asker)).await.is_none() {
            self.panicked();
        }
    }

    /// Answers a command in the dialect that has decoded it.
    pub(super) fn answer(self: &Arc<Self>, reply: Result<Reply, Error>, asker: Asker) {
        let Asker { ack, request, is_native } = asker;
        let reply = match reply {
            Ok(reply) => self.base.reply(reply),
            Err(error) => return self.refuse_request(ack, &request, &Failure::from(&error)),
        };
        let server = self.server.upgrade();
        let cut_off = self.cut_off();
        let seen = |user: &User| match &server {
            _ if cut_off.contains(&user.id) => Seen::NOWHERE,
            Some(server) => server.seen(user),
            None => Seen { online: false, last_seen: user.last_seen },
        };
        let whereabouts = Whereabouts::new(&seen);
        let asked = Asked { user: self.user, request: &request, has_ack: ack.is_some(), whereabouts };
        let answer = match is_native {
            true => self.dialect.native().reply(&asked, &reply),
            false => self.dialect.reply(&asked, &reply),
        };
        answer.events.iter().for_each(|event| self.deliver(event));
        if let Some(ack) = ack {
            self.acknowledge(ack, &answer.into_ack());
        }
    }

    /// Answers an event that requires no command.
    pub(super) fn answer_without_command(self: &Arc<Self>, inbound: Inbound, ack: Option<Ack>) {
        if let Inbound::Hello(Hello { welcome, .. }) = inbound {
            // The user was authenticated when they connected. What this event claims is ignored.
            self.deliver(&welcome);
        }
        if let Some(ack) = ack {
            self.acknowledge(ack, &Answer::done().into_ack());
        }
    }

    pub(super) fn refuse(self: &Arc<Self>, ack: Option<Ack>, failure: &Failure) {
        self.refuse_request(ack, &Request::default(), failure);
    }

    fn refuse_request(self: &Arc<Self>, ack: Option<Ack>, request: &Request, failure: &Failure) {
        let failure = self.dialect.refusal(failure.clone());
        match ack {
            Some(ack) => self.acknowledge(ack, &Refused::from(&failure)),
            None => {
                if let Some(event) = self.dialect.failure(request, &failure) {
                    self.deliver(&event);
                }
            }
        }
    }

    pub(super) fn acknowledge(self: &Arc<Self>, ack: Ack, answer: &impl Serialize) {
        let mut outgoing = self.outgoing.lock();
        let queued = match self.lane(&mut outgoing) {
            Some(wire) => wire.send(&ack_packet(ack.id, answer), MAX_UNSENT).is_ok(),
            None => {
                let answer = raw(answer);
                let size = answer.get().len();
                let waiting = outgoing.polled + size;
                let has_room = (outgoing.polled == 0 || waiting <= MAX_UNSENT)
                    && self.reserve_polled(&mut outgoing, waiting);
                outgoing.polled = waiting;
                (has_room && ack.sender.send(&(answer,)).is_ok()) || !self.socket.connected()
            }
        };
        drop(outgoing);
        if !queued {
            self.cut("its queue is full");
        }
    }

    /// Ends the connection because its token has expired, and reports that to its page.
    pub(crate) fn expire(self: &Arc<Self>) {
        tracing::debug!(user.id = %self.user, session = self.id.0, "the token of a connection has expired");
        self.refuse_as_expired(None);
    }

    pub(super) fn refuse_as_expired(self: &Arc<Self>, ack: Option<Ack>) {
        self.refuse(ack, &Failure::new("expired", "the log-in has expired"));
        self.disconnect();
    }

    pub(super) fn overloaded(self: &Arc<Self>) {
        self.refuse(None, &Failure::new("overloaded", "too many events at once"));
        self.disconnect();
    }

    pub(super) fn panicked(self: &Arc<Self>) {
        chat_core::log_throttled!(
            error, user.id = %self.user, dialect = self.dialect.name(), "handling an event panicked"
        );
        {
            let mut inbox = self.inbox.lock();
            inbox.closed = true;
            inbox.busy = false;
            inbox.waiting.clear();
        }
        self.disconnect();
    }
}
