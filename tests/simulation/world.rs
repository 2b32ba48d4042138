//! Everything that one run is made of: the disk, the servers one after the other, the network between them and the
//! pages, and what the pages have asked for.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use chat_core::chat::{Chat, Registration};
use chat_core::clock::{Clock, Timestamp};
use chat_core::id::{CountingIds, IdSource};
use chat_core::model::{PasswordHash, User};
use chat_server::Mounted;
use chat_server::auth::token::Tokens;
use chat_server::config::Config;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::agenda::{Agenda, Dice, Millis, Owner};
use crate::ledger::Ledger;
use crate::network::{End, Link, Side};
use crate::plan::{Family, Plan};
use crate::store::{Disk, Driver, Life};
use crate::trace::{Actor, Trace};

/// Whose timers those of the operator are.
const OPERATOR: Owner = 2;

/// A somebody.
pub(crate) struct Person {
    /// As the server knows them.
    pub(crate) user: Arc<User>,
    /// Their tokens.
    tokens: [String; 2],
}

impl Person {
    /// The token with which pages of a family come.
    pub(crate) fn token(&self, family: Family) -> &str {
        &self.tokens[family as usize]
    }

    /// Their user name.
    pub(crate) fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }
}

/// See the module.
pub(crate) struct World {
    /// The circumstances.
    pub(crate) plan: Plan,
    /// Timers.
    pub(crate) agenda: Agenda,
    /// What has happened.
    pub(crate) trace: Arc<Trace>,
    /// What outlives the servers.
    pub(crate) disk: Arc<Disk>,
    /// What was sent and what came of it.
    pub(crate) ledger: Ledger,
    /// Everybody.
    pub(crate) people: Vec<Person>,
    /// Nothing bad happens any more.
    pub(crate) calm: Arc<AtomicBool>,
    config: Config,
    clock: Arc<VirtualClock>,
    ids: Arc<dyn IdSource>,
    server: Mutex<Option<Server>>,
    started: AtomicU32,
    links: Mutex<Vec<PageLink>>,
    /// Until when a page's network is down.
    offline: Mutex<Vec<Millis>>,
}

struct PageLink {
    page: usize,
    link: Weak<Link>,
}

/// A server that runs.
struct Server {
    nr: u32,
    life: Arc<Life>,
    mounted: Arc<Mounted>,
    router: axum::Router,
    listens: bool,
    links: Vec<Weak<Link>>,
}

struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).after(self.0.elapsed())
    }
}

impl World {
    /// A world in which no server runs yet.
    pub(crate) async fn new(plan: Plan, mut config: Config) -> Arc<Self> {
        config.transport.ping_interval = plan.ping_interval;
        config.transport.ping_timeout = plan.ping_timeout;
        config.transport.stall_timeout = plan.stall_timeout;
        config.transport.max_queue = plan.max_queue;
        config.transport.max_pending_bytes = plan.max_pending_bytes;
        config.recovery_limit = plan.recovery_limit;
        let agenda = Agenda::start();
        let clock = Arc::new(VirtualClock(Instant::now()));
        let ids: Arc<dyn IdSource> = Arc::new(CountingIds::default());
        let disk = Arc::new(Disk::new(clock.clone(), ids.clone()));
        let tokens = Tokens::new(&config.auth.secret, config.auth.token_life);
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid", "dot"].iter().take(plan.people) {
            // As a sign-up does it, but without the time that hashing a password takes.
            let registration = Registration::named(*name, PasswordHash::new(""));
            let user = disk.chat().register(registration).await.expect("the disk does not fail").user;
            let tokens = ["camel", "push"].map(|name| {
                let dialect = config.dialects.find(name).expect("it is built in");
                tokens.issue(&user, dialect, clock.now())
            });
            people.push(Person { user, tokens });
        }
        let trace = Arc::new(Trace::new(&agenda));
        let pages = plan.pages.len();
        Arc::new(Self {
            plan,
            agenda,
            trace,
            disk,
            ledger: Ledger::default(),
            people,
            calm: Arc::default(),
            config,
            clock,
            ids,
            server: Mutex::default(),
            started: AtomicU32::new(0),
            links: Mutex::default(),
            offline: Mutex::new(vec![0; pages]),
        })
    }

    /// What time it is for everybody in it.
    pub(crate) fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether nothing bad happens any more.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Starts a server over the disk, however often that fails.
    pub(crate) async fn start_server(self: &Arc<Self>) {
        loop {
            let nr = self.started.fetch_add(1, Ordering::Relaxed);
            let life = Arc::<Life>::default();
            let kill = {
                let world = Arc::downgrade(self);
                move |after| {
                    if let Some(world) = world.upgrade() {
                        world.kill_soon(nr, after);
                    }
                }
            };
            let driver =
                Driver::new(&self.plan, nr, &self.disk, &life, &self.agenda, &self.trace, &self.calm, kill);
            let chat = Chat::new(Arc::new(driver)).with_clock(self.clock.clone()).with_ids(self.ids.clone());
            match chat_server::app_over(self.config.clone(), chat).await {
                Ok(mounted) => {
                    self.trace.note(Actor::Operator, format!("server {nr} runs"));
                    let (router, mounted) = (mounted.router(), Arc::new(mounted));
                    let server = Server { nr, life, mounted, router, listens: true, links: Vec::new() };
                    *self.server.lock().unwrap() = Some(server);
                    return;
                }
                Err(error) => {
                    self.trace.note(Actor::Operator, format!("server {nr} does not start: {error}"));
                    self.agenda.sleep(200, OPERATOR).await;
                }
            }
        }
    }

    /// Whether a server runs.
    pub(crate) fn is_up(&self) -> bool {
        self.server.lock().unwrap().is_some()
    }

    /// The server that runs.
    pub(crate) fn mounted(&self) -> Option<Arc<Mounted>> {
        self.server.lock().unwrap().as_ref().map(|server| server.mounted.clone())
    }

    fn kill_soon(self: &Arc<Self>, nr: u32, after: Millis) {
        if after == 0 {
            return self.kill(Some(nr));
        }
        let world = self.clone();
        self.agenda.at(self.agenda.now() + after, OPERATOR, move || world.kill(Some(nr)));
    }

    /// `kill -9`, of a certain server or of any that runs.
    pub(crate) fn kill(&self, nr: Option<u32>) {
        let mut server = self.server.lock().unwrap();
        if server.as_ref().is_none_or(|server| nr.is_some_and(|nr| nr != server.nr)) {
            return;
        }
        let Some(Server { nr, life, mounted, links, .. }) = server.take() else { return };
        drop(server);
        self.trace.note(Actor::Operator, format!("server {nr} is killed"));
        life.end();
        let mut dice = Dice::of(self.plan.seed, ("kill", nr));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.server_died(dice.number(0, 30));
        }
        drop(mounted);
    }

    /// An orderly end, as `serve` does it.
    pub(crate) async fn shut_down(&self) {
        let (nr, mounted, life) = {
            let mut server = self.server.lock().unwrap();
            let Some(server) = server.as_mut() else { return };
            server.listens = false;
            (server.nr, server.mounted.clone(), server.life.clone())
        };
        self.trace.note(Actor::Operator, format!("server {nr} shuts down"));
        let began = self.agenda.now();
        tokio::select! {
            biased;
            () = mounted.close() => {}
            // Killed meanwhile.
            () = life.over() => return,
        }
        let took = self.agenda.now() - began;
        if took > 10_000 {
            self.trace.broken(Actor::Operator, format!("the server took {took} ms to shut down"));
        }
        let Some(Server { links, .. }) = self.server.lock().unwrap().take() else { return };
        if !mounted.app.sessions.is_empty() {
            let left = mounted.app.sessions.len();
            self.trace.broken(Actor::Operator, format!("{left} sessions survive the end of the server"));
        }
        self.trace.note(Actor::Operator, format!("server {nr} has ended"));
        life.end();
        // The process has ended: what it has sent still arrives.
        for link in links.iter().filter_map(Weak::upgrade) {
            link.server_died(200);
        }
    }

    /// Opens a connection for a page; `nth` is its number there.
    ///
    /// # Errors
    /// When there is no server, or no network.
    pub(crate) async fn connect(self: &Arc<Self>, page: usize, nth: u32) -> Result<End, &'static str> {
        let owner = link_owner(page, nth);
        let mut dice = Dice::of(self.plan.seed, ("connect", page, nth));
        self.agenda.sleep(dice.number(0, 40), owner).await;
        if self.offline.lock().unwrap()[page] > self.agenda.now() {
            return Err("no network");
        }
        let down = self.plan.flow(&mut dice);
        // What a browser has not sent yet waits in the browser.
        let up = crate::network::Flow { window: 16 << 20, ..self.plan.flow(&mut dice) };
        let mut server = self.server.lock().unwrap();
        let Some(server) = server.as_mut().filter(|server| server.listens) else { return Err("refused") };
        let (ours, theirs, link) = Link::new(&self.agenda, owner, self.plan.seed, up, down);
        server.links.retain(|link| link.strong_count() > 0);
        server.links.push(Arc::downgrade(&link));
        self.links.lock().unwrap().push(PageLink { page, link: Arc::downgrade(&link) });
        let router = server.router.clone();
        let peer = SocketAddr::from(([10, 0, 0, page as u8 + 1], 1024 + (nth % 60_000) as u16));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(TokioIo::new(theirs), service)
                .with_upgrades()
                .await;
        });
        Ok(ours)
    }

    /// The connections of a page that stand, as far as anybody knows.
    pub(crate) fn links_of(&self, page: usize) -> Vec<Arc<Link>> {
        let mut links = self.links.lock().unwrap();
        links.retain(|link| link.link.strong_count() > 0);
        links.iter().filter(|link| link.page == page).filter_map(|link| link.link.upgrade()).collect()
    }

    /// A page has no network until then: what it has is swallowed, and new connections fail.
    pub(crate) fn offline(&self, page: usize, until: Millis) {
        self.offline.lock().unwrap()[page] = until;
        for link in self.links_of(page) {
            link.swallow(Side::Client);
            link.swallow(Side::Server);
        }
    }
}

/// Whose timers those of a page are.
pub(crate) fn page_owner(page: usize) -> Owner {
    (page as Owner + 1) * 1_000_000
}

fn link_owner(page: usize, nth: u32) -> Owner {
    page_owner(page) + 100 + 2 * nth
}
