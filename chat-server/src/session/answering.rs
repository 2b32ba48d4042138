//! How a connection's events are answered: by an acknowledgement, by events, or by both.

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

/// Where an acknowledgement goes.
pub(super) struct Ack {
    pub(super) id: i64,
    pub(super) sender: AckSender,
}

/// Where and how a command is answered.
pub(super) struct Asker {
    pub(super) ack: Option<Ack>,
    pub(super) request: Request,
    /// It was understood, and is answered, as in every dialect.
    pub(super) is_native: bool,
}

/// An ACK packet (Socket.IO protocol 5) as a websocket frame.
fn ack_packet(id: i64, answer: &impl Serialize) -> Bytes {
    text_frame(128, |bytes| {
        bytes.extend_from_slice(format!("43{id}[").as_bytes());
        // Plain structs with text keys: there is nothing in them that can fail.
        let _ = serde_json::to_writer(&mut *bytes, answer);
        bytes.push(b']');
    })
}

impl Session {
    /// Answers, away from the threads that serve others if writing the answer takes long.
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

    /// Answers a command in the words of whoever has understood it.
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

    /// Answers what asks for nothing to be carried out.
    pub(super) fn answer_without_command(self: &Arc<Self>, inbound: Inbound, ack: Option<Ack>) {
        if let Inbound::Hello(Hello { welcome, .. }) = inbound {
            // It was said on connecting who they are, and that is what counts.
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

    /// Ends the connection since its token has expired, and tells its page so.
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
