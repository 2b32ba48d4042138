//! A page: `socket.io-client` (4.6 or newer) as far as it matters here, and somebody who uses it.
//!
//! The client reconnects with growing pauses; its CONNECT gives back the `pid` it was told and the last argument of the
//! last event if that was a text, which is the position that follows every logged event; what is emitted while it is disconnected waits; with `retries` one packet at a time is
//! sent until it is acknowledged, on whichever connection. A session that was not recovered makes the page load its
//! histories anew. The position is in the same write as its event, and a cut falls between writes, not inside one: an event
//! whose position does not arrive has not arrived either. (A real page has shown it and is told again.) A refusal or a goodbye of the server keeps the client away for ever, as it does the real one.

mod acts;
mod histories;
mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::agenda::{Dice, Millis, Owner};
use crate::engine::{Engine, Incoming};
use crate::plan::{Mutation, PagePlan};
use crate::trace::Actor;
use crate::view::View;
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
    /// An event whose position has not come.
    torn: Option<Vec<Value>>,
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
            torn: None,
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
                Happened::Incoming(Incoming::Message(packet)) => self.packet(&packet),
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
