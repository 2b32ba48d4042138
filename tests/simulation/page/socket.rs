//! What `socket.io-client` does: its packets, its bookkeeping, and what it sends again.

use serde_json::{Value, json};

use super::{Page, Read, Waiting};
use crate::ledger::Outcome;
use crate::plan::{Mutation, Way};
use crate::store::token;
use crate::view::Told;

/// The events that stand for a change in the log.
const LOGGED: [&str; 11] = [
    "privateMessage",
    "newMessage",
    "messageSent",
    "messageDeleted",
    "messageRestored",
    "userUpdated",
    "messagesRead",
    "roomCreated",
    "memberAdded",
    "memberRemoved",
    "roleChanged",
];

impl Page {
    pub(super) fn greet(&mut self) {
        let token = self.world.people[self.plan.person].token(self.plan.family);
        let mut auth = json!({ "token": token });
        if let Some(pid) = &self.pid {
            auth["pid"] = pid.as_str().into();
            let offset = match &self.offset {
                Some(_) if self.mutated(Mutation::OffsetIgnored) => None,
                Some(offset) if self.mutated(Mutation::OffsetAhead) => {
                    offset.parse::<u64>().ok().map(|offset| (offset + 1).to_string())
                }
                offset => offset.clone(),
            };
            // As JSON leaves out what is undefined.
            if let Some(offset) = offset {
                auth["offset"] = offset.into();
            }
        }
        let offset = self.offset.as_deref().unwrap_or("nothing");
        self.note(format!("says who it is, after {offset}"));
        self.emit_packet(&format!("0{auth}"));
    }

    pub(super) fn emit_packet(&self, packet: &str) {
        if let Some(engine) = &self.engine {
            engine.send(packet);
        }
    }

    pub(super) fn packet(&mut self, packet: &str) {
        if self.torn.is_some() && !packet.starts_with("2[\"\\u0001position\"") {
            return self.broken(format!("an event without its position, before {packet}"));
        }
        let Some((kind, rest)) = packet.split_at_checked(1) else { return self.broken("an empty packet") };
        match kind {
            "0" => self.on_connect(rest),
            "1" => self.sent_away("a goodbye"),
            "2" => match serde_json::from_str::<Vec<Value>>(rest) {
                Ok(arguments) => self.on_event_packet(arguments),
                Err(error) => self.broken(format!("an event that is no JSON, {error}: {rest}")),
            },
            "3" => self.on_ack(rest),
            "4" => self.sent_away(rest),
            _ => self.broken(format!("an unknown packet: {packet}")),
        }
    }

    /// The client is told to stay away, which it does for ever: nobody with a good token may be told so.
    pub(super) fn sent_away(&mut self, how: &str) {
        self.away = true;
        self.broken(format!("is sent away for good with {how}"));
    }

    pub(super) fn on_connect(&mut self, answer: &str) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let Some(pid) = answer["pid"].as_str() else {
            return self.broken("the answer to CONNECT has no pid");
        };
        let recovered = self.pid.as_deref() == Some(pid);
        if !recovered && self.pid.is_some() {
            self.check_missed();
        }
        self.pid = Some(pid.to_owned());
        self.connected = true;
        self.connection += 1;
        self.attempts = 0;
        self.note(if recovered { "is back and recovered" } else { "is connected afresh" });
        {
            let mut view = self.watched.view.lock().unwrap();
            view.connected = true;
            if !recovered {
                view.begin(&self.world.disk);
            }
        }
        if !recovered {
            self.begin_reading(false);
        }
        // First what waited, then what is sent again.
        for (ack, packet) in std::mem::take(&mut self.buffer) {
            self.emit_once(ack, &packet);
        }
        for queued in &mut self.queue {
            queued.deadline = None;
        }
        if let Some(reading) = &mut self.reading {
            reading.again_at = 0;
        }
    }

    /// A session that was away for no more than the limit of what this person is told must go on, whatever happened among
    /// others meanwhile.
    fn check_missed(&self) {
        let Some(offset) = self.offset.as_deref().and_then(|offset| offset.parse().ok()) else { return };
        let me = self.world.people[self.plan.person].user.id;
        let (missed, limit) = (self.world.disk.missed(me, offset), self.world.plan.recovery_limit);
        if missed <= limit {
            self.broken(format!("begins afresh after {offset}, and has missed {missed} of {limit}"));
        }
    }

    pub(super) fn lost(&mut self, why: &'static str) {
        self.note(format!("has lost its connection: {why}"));
        self.drop_engine();
        self.attempts += 1;
        let most = (100 << self.attempts.min(5)).min(2_000);
        self.reconnect_at = Some(self.now() + self.dice.number(most / 2, most));
    }

    pub(super) fn drop_engine(&mut self) {
        if self.torn.take().is_some() {
            self.note("a write is torn by a cut");
            if self.plan.way == Way::Polling {
                self.broken("an event without its position in an answer");
            }
        }
        self.engine = None;
        self.connected = false;
        self.watched.view.lock().unwrap().connected = false;
        // Who waits for an answer on a connection that is gone is told that none comes.
        let buffer = &self.buffer;
        for (_, waiting) in self.acks.extract_if(.., |ack, _| !buffer.iter().any(|(waits, _)| waits == ack)) {
            if let Waiting::Once(number) = waiting {
                self.world.ledger.settle(number, Outcome::Unknown);
            }
        }
    }

    /// Brings an event and the position behind it together.
    fn on_event_packet(&mut self, mut arguments: Vec<Value>) {
        let name = arguments.first().and_then(Value::as_str).unwrap_or_default();
        if name == "\u{1}position" {
            let Some(mut torn) = self.torn.take() else { return self.broken("a position without an event") };
            torn.extend(arguments.pop());
            self.on_event(torn.clone());
            if self.mutated(Mutation::FramesDoubled) {
                self.on_event(torn);
            }
        } else if LOGGED.contains(&name) {
            if arguments.len() != 2 {
                self.broken(format!("{name} has other arguments than the old backend's: {arguments:?}"));
            }
            self.torn = Some(arguments);
        } else {
            self.on_event(arguments);
        }
    }

    pub(super) fn on_event(&mut self, arguments: Vec<Value>) {
        if self.mutated(Mutation::FramesSwapped) {
            match self.held.take() {
                None if self.dice.chance(200) => return self.held = Some(arguments),
                None => {}
                Some(held) => {
                    self.event(&arguments);
                    return self.event(&held);
                }
            }
        }
        self.event(&arguments);
    }

    pub(super) fn event(&mut self, arguments: &[Value]) {
        // The client's own bookkeeping: `if (this._pid && typeof args[args.length - 1] === "string")`.
        let [name, rest @ ..] = arguments else { return self.broken("an event without a name") };
        let name = name.as_str().unwrap_or_default();
        let mark = rest.last().and_then(Value::as_str);
        if let (Some(mark), Some(_)) = (mark, &self.pid) {
            self.offset = Some(mark.to_owned());
        }
        let data = rest.first().unwrap_or(&Value::Null);
        let Some(position) = mark.and_then(|mark| mark.parse().ok()) else {
            return self.unlogged(name, data);
        };
        let id = data["_id"].as_str().filter(|_| name != "userUpdated");
        let told = Told { event: name, position, id, token: data["text"].as_str().map(token) };
        let me = self.world.people[self.plan.person].user.id;
        self.note(format!("is told of {position}, {name} {}", told.token.unwrap_or_default()));
        let kept = self.watched.view.lock().unwrap().tell(&self.world.disk, me, &told);
        if let Err(rule) = kept {
            self.broken(rule);
        }
    }

    pub(super) fn unlogged(&mut self, name: &str, data: &Value) {
        match name {
            "getOnlineUsers" => {
                let online = data.as_array().into_iter().flatten().filter_map(Value::as_str);
                let online = online.map(str::to_owned).collect();
                self.watched.view.lock().unwrap().online = Some(online);
            }
            // A history that was asked for is taken from the acknowledgement.
            "messageHistory" | "typing" | "userTyping" | "stopTyping" | "userStopTyping"
            | "userStoppedTyping" | "error" => {}
            // They come before the event that tells of the change with its position.
            "messagesSeen" | "messageStatusUpdated" => {}
            _ => self.broken(format!("{name} has no position")),
        }
    }

    pub(super) fn on_ack(&mut self, packet: &str) {
        let digits = packet.bytes().take_while(u8::is_ascii_digit).count();
        let (ack, arguments) = packet.split_at(digits);
        let ack: u64 = ack.parse().unwrap_or(u64::MAX);
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let answer = &arguments[0];
        let ok = answer["ok"].as_bool().unwrap_or_default();
        match self.acks.remove(&ack) {
            Some(Waiting::Queued(number)) => {
                self.note_answer(number, answer);
                // Not the head any more: it was acknowledged before.
                if let Some(head) = self.queue.front_mut().filter(|head| head.number == number) {
                    if ok {
                        self.queue.pop_front();
                        self.world.ledger.settle(number, Outcome::Acknowledged(None));
                    } else {
                        head.deadline = Some(self.world.agenda.now() + 300);
                    }
                }
            }
            Some(Waiting::Once(number)) => {
                self.note_answer(number, answer);
                let outcome = if ok { Outcome::Acknowledged(None) } else { Outcome::Unknown };
                self.world.ledger.settle(number, outcome);
            }
            Some(Waiting::History { round, with }) if ok => {
                let messages = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
                let texts = messages.iter().filter_map(|message| message["text"].as_str());
                let texts = texts.map(|text| token(text).to_owned()).collect();
                self.read(Read { round, with, texts });
            }
            Some(Waiting::History { .. }) => self.must_be_temporary(answer),
            // The answer to the second of two equal packets.
            None => {}
        }
    }

    pub(super) fn note_answer(&self, number: usize, answer: &Value) {
        let ok = answer["ok"].as_bool().unwrap_or_default();
        let token = self.world.ledger.token(number);
        self.note(format!("{token} is {}", if ok { "acknowledged" } else { "refused" }));
        if !ok {
            self.must_be_temporary(answer);
        }
        if let Some(text) = answer["message"]["text"].as_str()
            && text != token
            && !text.starts_with(&format!("{token} "))
        {
            self.broken(format!("the answer to {token} speaks of {}", self::token(text)));
        }
    }

    pub(super) fn must_be_temporary(&self, answer: &Value) {
        let code = answer["error"]["code"].as_str().unwrap_or_default();
        if code != "unavailable" {
            self.broken(format!("what is allowed is refused: {answer}"));
        }
    }

    pub(super) fn emit_once(&mut self, ack: u64, packet: &str) {
        if let Some(Waiting::Once(number)) = self.acks.get(&ack) {
            self.world.ledger.sent_on(*number, self.connection);
        }
        self.emit_packet(packet);
    }

    pub(super) fn drain_queue(&mut self) {
        if !self.connected {
            return;
        }
        let now = self.now();
        let twice = self.dice.chance(150);
        let Some(head) = self.queue.front_mut() else { return };
        if head.deadline.is_some_and(|deadline| deadline > now) {
            return;
        }
        head.deadline = Some(now + 3_000);
        // The client takes a new number for each attempt; the answer to any of them counts.
        self.next_ack += 1;
        self.acks.insert(self.next_ack, Waiting::Queued(head.number));
        let packet = format!("2{}{}", self.next_ack, json!(["privateMessage", head.payload]));
        if twice {
            self.emit_packet(&packet);
        }
        self.emit_packet(&packet);
    }
}
