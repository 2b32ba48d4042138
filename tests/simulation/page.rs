//! A page: `socket.io-client` (4.6 or newer) as far as it matters here, and somebody who uses it.
//!
//! The client reconnects with growing pauses; its CONNECT gives back the `pid` it was told and the last argument of the
//! last event if that was a text; what is emitted while it is disconnected waits; with `retries` one packet at a time is
//! sent until it is acknowledged, on whichever connection. A session that was not recovered makes the page load its
//! histories anew. A refusal or a goodbye of the server keeps the client away for ever, as it does the real one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::agenda::{Dice, Millis, Owner};
use crate::engine::{Engine, Incoming};
use crate::ledger::{Outcome, Send};
use crate::plan::{Family, Mutation, PagePlan};
use crate::request::ask;
use crate::store::{Said, token};
use crate::trace::Actor;
use crate::view::{Told, View};
use crate::world::{World, page_owner};

/// What everybody may see of a page.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    /// What it knows.
    pub(crate) view: Arc<Mutex<View>>,
    /// Set from outside: it is to read all histories once more.
    pub(crate) last_look: Arc<AtomicBool>,
}

/// See the module.
pub(crate) struct Page {
    world: Arc<World>,
    nr: usize,
    plan: PagePlan,
    dice: Dice,
    watched: Watched,
    links: Arc<AtomicU32>,
    news: UnboundedReceiver<Read>,
    tell: UnboundedSender<Read>,

    engine: Option<Engine>,
    connected: bool,
    /// Counts connections of the socket.
    connection: u32,
    attempts: u32,
    reconnect_at: Option<Millis>,
    /// Sent away for good.
    away: bool,
    pid: Option<String>,
    offset: Option<String>,

    next_ack: u64,
    acks: BTreeMap<u64, Waiting>,
    /// Emitted while there was no connection.
    buffer: Vec<(u64, String)>,
    /// Sent one after the other, each until it is acknowledged.
    queue: VecDeque<Queued>,

    reading: Option<Reading>,
    reads: u32,
    looked: bool,
    act_at: Millis,
    said: u32,
    /// An event that the next one overtakes, if that is to be seen.
    held: Option<Vec<Value>>,
}

/// What an acknowledgement is waited for.
enum Waiting {
    /// A message that is sent once.
    Once(usize),
    /// A message that is sent again until it is acknowledged.
    Queued(usize),
    /// A history with somebody, of this round of reading.
    History { round: u32, with: usize },
}

struct Queued {
    number: usize,
    payload: Value,
    /// When it is sent again; none: now.
    deadline: Option<Millis>,
}

/// Histories that are being read.
struct Reading {
    round: u32,
    histories: BTreeMap<usize, Vec<String>>,
    again_at: Millis,
    last_look: bool,
}

/// A history that has been read.
struct Read {
    round: u32,
    with: usize,
    texts: Vec<String>,
}

impl Page {
    /// A page that will be opened.
    pub(crate) fn new(world: &Arc<World>, nr: usize) -> Self {
        let (tell, news) = unbounded_channel();
        let mut dice = Dice::of(world.plan.seed, ("page", nr));
        let act_at = dice.number(0, 500);
        Self {
            world: world.clone(),
            nr,
            plan: world.plan.pages[nr],
            dice,
            watched: Watched::default(),
            links: Arc::default(),
            news,
            tell,
            engine: None,
            connected: false,
            connection: 0,
            attempts: 0,
            reconnect_at: Some(0),
            away: false,
            pid: None,
            offset: None,
            next_ack: 0,
            acks: BTreeMap::new(),
            buffer: Vec::new(),
            queue: VecDeque::new(),
            reading: None,
            reads: 0,
            looked: false,
            act_at,
            said: 0,
            held: None,
        }
    }

    /// What may be seen of it.
    pub(crate) fn watch(&self) -> Watched {
        self.watched.clone()
    }

    /// Opens it and uses it, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let (wake_at, owner) = (self.wake_at(), self.owner());
            let happened = tokio::select! {
                biased;
                incoming = next(&mut self.engine) => Happened::Incoming(incoming),
                read = self.news.recv() => Happened::Read(read),
                () = self.world.agenda.sleep_until(wake_at, owner) => Happened::Time,
            };
            match happened {
                Happened::Incoming(Incoming::Open) => self.greet(),
                Happened::Incoming(Incoming::Message(packet)) => {
                    self.packet(&packet);
                    if self.mutated(Mutation::FramesDoubled) {
                        self.packet(&packet);
                    }
                }
                Happened::Incoming(Incoming::Lost(why)) => self.lost(why),
                Happened::Read(Some(read)) => self.read(read),
                Happened::Read(None) | Happened::Time => {}
            }
            self.do_what_is_due();
        }
    }

    fn owner(&self) -> Owner {
        page_owner(self.nr)
    }

    fn now(&self) -> Millis {
        self.world.agenda.now()
    }

    fn mutated(&self, mutation: Mutation) -> bool {
        self.world.plan.mutation == Some(mutation)
    }

    fn note(&self, text: impl Into<String>) {
        self.world.trace.note(Actor::Page(self.nr), text);
    }

    fn broken(&self, rule: impl Into<String>) {
        self.world.trace.broken(Actor::Page(self.nr), rule);
    }

    fn wake_at(&self) -> Millis {
        let head = self.queue.front().filter(|_| self.connected).map(|head| head.deadline.unwrap_or(0));
        let reading = self.reading.as_ref().map(|reading| reading.again_at);
        let act = (!self.world.is_calm()).then_some(self.act_at);
        let times = [head, reading, act, self.reconnect_at.filter(|_| !self.away)];
        let soonest = times.into_iter().flatten().min().unwrap_or(Millis::MAX);
        // Whatever is set from outside is seen in time.
        soonest.min(self.now() + 500).max(self.now() + 1)
    }

    fn do_what_is_due(&mut self) {
        let now = self.now();
        if self.reconnect_at.is_some_and(|at| at <= now) && !self.away {
            self.reconnect_at = None;
            self.engine = Some(Engine::open(&self.world, self.nr, self.plan.way, &self.links));
        }
        self.drain_queue();
        if self.watched.last_look.load(Ordering::Relaxed) && !self.looked && self.reading.is_none() {
            self.looked = true;
            self.begin_reading(true);
        }
        if self.reading.as_ref().is_some_and(|reading| reading.again_at <= now) {
            self.ask_for_histories();
        }
        if self.act_at <= now && !self.world.is_calm() {
            self.act();
            self.act_at = now + self.dice.number(1, self.world.plan.pause);
        }
    }

    // ---- The socket --------------------------------------------------------------------------------------

    fn greet(&mut self) {
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
        self.emit_packet(format!("0{auth}"));
    }

    fn emit_packet(&self, packet: String) {
        if let Some(engine) = &self.engine {
            engine.send(packet);
        }
    }

    fn packet(&mut self, packet: &str) {
        let Some((kind, rest)) = packet.split_at_checked(1) else { return self.broken("an empty packet") };
        match kind {
            "0" => self.on_connect(rest),
            "1" => self.sent_away("a goodbye"),
            "2" => match serde_json::from_str::<Vec<Value>>(rest) {
                Ok(arguments) => self.on_event(arguments),
                Err(error) => self.broken(format!("an event that is no JSON, {error}: {rest}")),
            },
            "3" => self.on_ack(rest),
            "4" => self.sent_away(rest),
            _ => self.broken(format!("an unknown packet: {packet}")),
        }
    }

    /// The client is told to stay away, which it does for ever: nobody with a good token may be told so.
    fn sent_away(&mut self, how: &str) {
        self.away = true;
        self.broken(format!("is sent away for good with {how}"));
    }

    fn on_connect(&mut self, answer: &str) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let Some(pid) = answer["pid"].as_str() else {
            return self.broken("the answer to CONNECT has no pid");
        };
        let recovered = self.pid.as_deref() == Some(pid);
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
            self.emit_once(ack, packet);
        }
        for queued in &mut self.queue {
            queued.deadline = None;
        }
        if let Some(reading) = &mut self.reading {
            reading.again_at = 0;
        }
    }

    fn lost(&mut self, why: &'static str) {
        self.note(format!("has lost its connection: {why}"));
        self.drop_engine();
        self.attempts += 1;
        let most = (100 << self.attempts.min(5)).min(2_000);
        self.reconnect_at = Some(self.now() + self.dice.number(most / 2, most));
    }

    fn drop_engine(&mut self) {
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

    fn on_event(&mut self, arguments: Vec<Value>) {
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

    fn event(&mut self, arguments: &[Value]) {
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

    fn unlogged(&mut self, name: &str, data: &Value) {
        match name {
            "getOnlineUsers" => {
                let online = data.as_array().into_iter().flatten().filter_map(Value::as_str);
                let online = online.map(str::to_owned).collect();
                self.watched.view.lock().unwrap().online = Some(online);
            }
            // A history that was asked for is taken from the acknowledgement.
            "messageHistory" | "userTyping" | "error" => {}
            _ => self.broken(format!("{name} has no position")),
        }
    }

    fn on_ack(&mut self, packet: &str) {
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

    fn note_answer(&self, number: usize, answer: &Value) {
        let ok = answer["ok"].as_bool().unwrap_or_default();
        let token = self.world.ledger.token(number);
        self.note(format!("{token} is {}", if ok { "acknowledged" } else { "refused" }));
        if !ok {
            self.must_be_temporary(answer);
        }
        if let Some(text) = answer["message"]["text"].as_str()
            && !text.starts_with(&format!("{token} "))
        {
            self.broken(format!("the answer to {token} speaks of {}", self::token(text)));
        }
    }

    fn must_be_temporary(&self, answer: &Value) {
        let code = answer["error"]["code"].as_str().unwrap_or_default();
        if code != "unavailable" {
            self.broken(format!("what is allowed is refused: {answer}"));
        }
    }

    fn emit_once(&mut self, ack: u64, packet: String) {
        if let Some(Waiting::Once(number)) = self.acks.get(&ack) {
            self.world.ledger.sent_on(*number, self.connection);
        }
        self.emit_packet(packet);
    }

    fn drain_queue(&mut self) {
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
            self.emit_packet(packet.clone());
        }
        self.emit_packet(packet);
    }

    // ---- Histories ---------------------------------------------------------------------------------------

    /// Everybody with whom somebody can have talked, notes to oneself included.
    fn others(&self) -> Vec<usize> {
        (0..self.world.people.len()).collect()
    }

    fn begin_reading(&mut self, last_look: bool) {
        self.reads += 1;
        self.reading =
            Some(Reading { round: self.reads, histories: BTreeMap::new(), again_at: 0, last_look });
    }

    fn ask_for_histories(&mut self) {
        let others = self.others();
        let (now, connected, family) = (self.now(), self.connected, self.plan.family);
        let Some(reading) = &mut self.reading else { return };
        reading.again_at = now + 2_000;
        let round = reading.round;
        let missing: Vec<_> =
            others.into_iter().filter(|other| !reading.histories.contains_key(other)).collect();
        for with in missing {
            let person = &self.world.people[with];
            match family {
                Family::Camel if connected => {
                    self.next_ack += 1;
                    self.acks.insert(self.next_ack, Waiting::History { round, with });
                    let wanted = json!(["getMessageHistory", { "otherUser": person.name() }]);
                    self.emit_packet(format!("2{}{wanted}", self.next_ack));
                }
                Family::Camel => {}
                Family::Push => {
                    let (world, tell, nr) = (self.world.clone(), self.tell.clone(), self.nr);
                    let nth = self.links.fetch_add(1, Ordering::Relaxed);
                    let path = format!("/api/messages/{}", person.user.id);
                    tokio::spawn(async move {
                        let asked = ask(&world, (nr, nth), ("GET", &path), &[], String::new(), 1_900).await;
                        if let Ok((200, body)) = asked
                            && let Ok(Value::Array(messages)) = serde_json::from_slice(&body)
                        {
                            let texts = messages.iter().filter_map(|message| message["text"].as_str());
                            let texts = texts.map(|text| token(text).to_owned()).collect();
                            let _ = tell.send(Read { round, with, texts });
                        }
                    });
                }
            }
        }
    }

    fn read(&mut self, read: Read) {
        let others = self.others().len();
        let Some(reading) = self.reading.as_mut().filter(|reading| reading.round == read.round) else {
            return;
        };
        reading.histories.insert(read.with, read.texts);
        if reading.histories.len() < others {
            return;
        }
        let Some(Reading { histories, last_look, .. }) = self.reading.take() else { return };
        self.note("has read its histories");
        if last_look {
            let histories = histories.into_values().collect();
            self.watched.view.lock().unwrap().final_histories = Some(histories);
            return;
        }
        let log = self.world.disk.log();
        let find = |token: &String| -> Option<Said> {
            log.iter().filter_map(|entry| entry.message.as_ref()).find(|said| said.token == *token).cloned()
        };
        let mut messages = Vec::new();
        for texts in histories.values() {
            let known: Vec<_> = texts.iter().filter_map(find).collect();
            if known.len() < texts.len() {
                return self.broken("a history has messages that nobody has sent");
            }
            if !known.is_sorted_by(|a, b| a.conversation == b.conversation && a.seq < b.seq) {
                return self.broken(format!("a history is out of order: {texts:?}"));
            }
            messages.extend(known);
        }
        self.watched.view.lock().unwrap().load(messages);
    }

    // ---- Somebody uses it --------------------------------------------------------------------------------

    fn act(&mut self) {
        let what = self.dice.weigh(&[
            (40, Action::Say { repeatedly: true }),
            (20, Action::Say { repeatedly: false }),
            (12, Action::Change),
            (4, Action::Type),
            (1, Action::Rename),
            (4, Action::HangUp),
            (2, Action::Reload),
        ]);
        match what {
            Action::Say { repeatedly } => self.say(repeatedly),
            Action::Change => self.change(),
            Action::Type => self.type_something(),
            Action::Rename => self.rename(),
            Action::HangUp if self.engine.is_some() => self.lost("hung up"),
            Action::HangUp => {}
            Action::Reload => self.reload(),
        }
    }

    fn say(&mut self, repeatedly: bool) {
        // `push` refuses notes to oneself.
        let mut others = self.others();
        others.retain(|other| self.plan.family == Family::Camel || *other != self.plan.person);
        let to = *self.dice.pick(&others);
        let person = &self.world.people[to];
        self.said += 1;
        let name = format!("m{}-{}", self.nr, self.said);
        let length = self.dice.weigh(&[(6, 0), (3, 60), (1, 5_000)]);
        let text = format!("{name} {}", "x".repeat(self.dice.number(length / 2, length) as usize));
        let number = self.world.ledger.begin(Send {
            token: name.clone(),
            page: self.nr,
            in_order_on: None,
            outcome: Outcome::Pending,
        });
        let how = if repeatedly { "until it is acknowledged" } else { "once" };
        self.note(format!("says {name} to {}, {how}", person.name()));
        match self.plan.family {
            Family::Camel => {
                // Without a client id, what is sent again is known by being the same.
                let timestamp = format!("{} ms", self.now());
                let mut payload = json!({ "text": text, "receiver": person.name(), "timestamp": timestamp });
                if repeatedly {
                    if self.dice.chance(500) {
                        payload["clientId"] = name.into();
                    }
                    self.queue.push_back(Queued { number, payload, deadline: None });
                } else {
                    self.next_ack += 1;
                    self.acks.insert(self.next_ack, Waiting::Once(number));
                    let packet = format!("2{}{}", self.next_ack, json!(["privateMessage", payload]));
                    match self.connected {
                        true => self.emit_once(self.next_ack, packet),
                        false => self.buffer.push((self.next_ack, packet)),
                    }
                }
            }
            Family::Push => {
                let by_header = self.dice.chance(300);
                // A second time at the same time, as a proxy that repeats requests does it.
                let times = if repeatedly && self.dice.chance(100) { 2 } else { 1 };
                for time in 0..times {
                    let sending = Sending {
                        world: self.world.clone(),
                        page: self.nr,
                        links: self.links.clone(),
                        number,
                        path: format!("/api/messages/send/{}", person.user.id),
                        text: text.clone(),
                        name: name.clone(),
                        repeatedly,
                        by_header,
                        dice: Dice::of(self.world.plan.seed, ("sending", self.nr, self.said, time)),
                    };
                    tokio::spawn(sending.run());
                }
            }
        }
    }

    /// Deletes a message of this person's, or restores one.
    fn change(&mut self) {
        if self.plan.family != Family::Push {
            return;
        }
        let me = self.world.people[self.plan.person].user.id;
        let delete = self.dice.chance(600);
        let known = match delete {
            true => self.watched.view.lock().unwrap().of_sender(me),
            // A page that shows an "undo" knows what it has deleted; here the log knows.
            false => {
                let log = self.world.disk.log();
                let said = log.into_iter().filter_map(|entry| entry.message);
                said.filter(|said| said.sender == me && said.recipient.is_some()).collect()
            }
        };
        if known.is_empty() {
            return;
        }
        let said = self.dice.pick(&known);
        self.note(format!("{} {}", if delete { "deletes" } else { "restores" }, said.token));
        let (method, path) = match delete {
            true => ("DELETE", format!("/api/messages/{}", said.id)),
            false => ("PUT", format!("/api/messages/{}/restore", said.id)),
        };
        self.world.ledger.change_begins();
        self.ask_until_done(method, path, String::new());
    }

    fn rename(&mut self) {
        if self.plan.family == Family::Push {
            self.said += 1;
            let body = json!({ "fullName": format!("name {}", self.said) }).to_string();
            self.world.ledger.change_begins();
            self.ask_until_done("PUT", "/api/auth/update-profile".to_owned(), body);
        }
    }

    fn ask_until_done(&mut self, method: &'static str, path: String, body: String) {
        self.said += 1;
        let (world, links, nr) = (self.world.clone(), self.links.clone(), self.nr);
        let mut dice = Dice::of(world.plan.seed, ("asking", nr, self.said));
        tokio::spawn(async move {
            loop {
                let nth = links.fetch_add(1, Ordering::Relaxed);
                let headers = [("content-type", "application/json")];
                match ask(&world, (nr, nth), (method, &path), &headers, body.clone(), 5_000).await {
                    Ok((200, _)) => return world.ledger.change_ends(),
                    Ok((500.., _)) | Err(_) => {}
                    Ok((status, _)) => {
                        return world
                            .trace
                            .broken(Actor::Page(nr), format!("{method} {path} is answered {status}"));
                    }
                }
                world.agenda.sleep(dice.number(100, 900), page_owner(nr) + 3).await;
            }
        });
    }

    fn type_something(&mut self) {
        if self.plan.family == Family::Push && self.connected {
            let to = *self.dice.pick(&self.others());
            let to = self.world.people[to].user.id.to_string();
            self.emit_packet(format!("2{}", json!(["typing", { "to": to }])));
        }
    }

    /// The page is opened anew in the same tab.
    fn reload(&mut self) {
        self.note("is reloaded");
        for queued in std::mem::take(&mut self.queue) {
            self.world.ledger.settle(queued.number, Outcome::Unknown);
        }
        for (ack, _) in std::mem::take(&mut self.buffer) {
            if let Some(Waiting::Once(number)) = self.acks.get(&ack) {
                self.world.ledger.settle(*number, Outcome::Unknown);
            }
        }
        self.drop_engine();
        (self.pid, self.offset, self.reading, self.held) = (None, None, None, None);
        self.attempts = 0;
        self.reconnect_at = Some(self.now() + self.dice.number(1, 100));
    }
}

/// What somebody does with a page.
#[derive(Clone, Copy)]
enum Action {
    Say { repeatedly: bool },
    Change,
    Type,
    Rename,
    HangUp,
    Reload,
}

enum Happened {
    Incoming(Incoming),
    Read(Option<Read>),
    Time,
}

async fn next(engine: &mut Option<Engine>) -> Incoming {
    match engine {
        Some(engine) => engine.next().await,
        None => std::future::pending().await,
    }
}

/// A message on its way by REST.
struct Sending {
    world: Arc<World>,
    page: usize,
    links: Arc<AtomicU32>,
    number: usize,
    path: String,
    text: String,
    name: String,
    repeatedly: bool,
    by_header: bool,
    dice: Dice,
}

impl Sending {
    async fn run(mut self) {
        loop {
            let nth = self.links.fetch_add(1, Ordering::Relaxed);
            let mut body = json!({ "text": self.text, "image": null });
            let mut headers = vec![("content-type", "application/json")];
            match (self.repeatedly, self.by_header) {
                (true, true) => headers.push(("idempotency-key", &self.name)),
                (true, false) => body["clientId"] = self.name.as_str().into(),
                (false, _) => {}
            }
            let asked = ("POST", self.path.as_str());
            let answer = ask(&self.world, (self.page, nth), asked, &headers, body.to_string(), 5_000).await;
            match answer {
                Ok((201, body)) => {
                    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let text = message["text"].as_str().unwrap_or_default();
                    if text != self.text {
                        self.broken(format!("the answer to {} speaks of {}", self.name, token(text)));
                    }
                    self.world.trace.note(Actor::Page(self.page), format!("{} is acknowledged", self.name));
                    let id = message["_id"].as_str().map(str::to_owned);
                    return self.world.ledger.settle(self.number, Outcome::Acknowledged(id));
                }
                Ok((500.., _)) | Err(_) if self.repeatedly => {}
                Ok((500.., _)) | Err(_) => {
                    return self.world.ledger.settle(self.number, Outcome::Unknown);
                }
                Ok((status, _)) => {
                    return self.broken(format!("{} is answered {status}", self.name));
                }
            }
            let pause = self.dice.number(100, 900);
            self.world.agenda.sleep(pause, page_owner(self.page) + 4).await;
        }
    }

    fn broken(&self, rule: String) {
        self.world.trace.broken(Actor::Page(self.page), rule);
    }
}
