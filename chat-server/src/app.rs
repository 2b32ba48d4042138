//! What every request and every socket shares, and the one funnel through which all commands go.

mod accounts;
mod images;
mod parts;
mod rates;
mod searches;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::chat::{Started, Storing};
use chat_core::codec::{Codec, Metered};
use chat_core::command::{Actor, Answer, Class, CommandRef, Outcome, Reply, Request};
use chat_core::epoch::Epoch;
use chat_core::error::{Error, ErrorKind};
use chat_core::event::Delivery;
use chat_core::id::UserId;
use chat_core::model::{Position, User, UserKey};
use chat_core::prelude::Chat;
use chat_core::store::{NodeNote, Opened, StoreError};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::announce::{self, Announcer, MISSING_TIMEOUT, MISSING_TIMEOUT_WITH_NODES};
use crate::auth::Authenticator;
use crate::auth::limit::Limiter;
use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::cluster::{Bus, Cluster, Outbox, fit};
use crate::config::{Config, ConfigError};
use crate::expiry::{self, Expiries};
use crate::files::{self, Files};
use crate::http::{Address, ProxyWarnings, Readiness};
use crate::http::{readiness, route_table};
use crate::limits::{Budgets, Cost, FairSlots, Full, LONG_BYTES, LongWork, Person, Rates, SlotPermit, cost};
use crate::mail::{MailQueue, QueueLimits, Recipients};
use crate::media::{DiskMedia, Images};
use crate::memory::{Memory, Owner};
use crate::opening;
use crate::outages::{Outages, Part};
use crate::presence::{self, Presence};
use crate::recovery::{self, EndedSessions, Pids, Receipts, ReplayCache};
use crate::refused_pages::RefusedPages;
use crate::searching::SearchSlots;
use crate::security_log::{self, SecurityEvent, SecurityLog, Source};
use crate::sessions::Sessions;
use crate::typing::{self, Typists};
use crate::unknown::Unknown;

use self::parts::{mailer, media};
/// The server's parts.
pub struct App {
    /// The configuration in force.
    pub config: Config,
    /// The domain.
    pub chat: Arc<Chat>,
    /// What writes and reads the bodies in the store, and counts them.
    pub codec: Arc<Metered<Arc<dyn Codec>>>,
    /// Who somebody is.
    pub auth: Authenticator,
    /// Who is online, and who must be told.
    pub presence: Presence,
    /// Every connection.
    pub sessions: Arc<Sessions>,
    /// When they end because their tokens expire.
    pub(crate) expiries: Arc<Expiries>,
    /// What is held for others.
    pub memory: Arc<Memory>,
    /// Where images go.
    pub images: Arc<Images>,
    /// Files of all kinds.
    pub(crate) files: Arc<Files>,
    /// The folder of images that is served from here, if they are kept here.
    pub disk: Option<Arc<DiskMedia>>,
    mail: MailQueue,
    pub(crate) announcer: Announcer,
    pub(crate) pids: Pids,
    /// Sessions that nobody goes on with.
    pub(crate) ended: EndedSessions,
    /// How far the clients of sessions of the past were told.
    pub(crate) receipts: Receipts,
    /// What those have missed who come back.
    pub(crate) replay_cache: Arc<ReplayCache>,
    /// What was asked for and is not served.
    pub(crate) unknown: Arc<Unknown>,
    /// Whose sockets were refused for want of a log-in.
    pub(crate) refused_pages: RefusedPages,
    /// What was said of proxies.
    pub(crate) proxies: ProxyWarnings,
    /// Who types.
    pub(crate) typists: Arc<Typists>,
    /// Who may read.
    reads: FairSlots,
    /// Where what takes long is computed.
    pub(crate) long_work: LongWork,
    /// What everybody may still do.
    pub(crate) budgets: Budgets,
    /// SearchSlots for searching.
    searching: SearchSlots,
    /// The log is complete after this position, as far as is known here.
    pub(crate) log_begin: AtomicU64,
    passwords: Passwords,
    log_ins: Arc<Limiter<(Address, UserKey)>>,
    log_ins_of_address: Arc<Limiter<Address>>,
    sign_ups: Arc<Limiter<Address>>,
    /// Who was welcomed lately.
    welcomes: Recipients,
    /// The security log.
    pub security: SecurityLog,
    sends: Limiter<UserId>,
    searches: Limiter<UserId>,
    /// The other nodes, if there may be any.
    cluster: Option<Cluster>,
    /// What this node tells the others of itself, if there may be any.
    pub(crate) note: Option<NodeNote>,
    /// What was found when the configured store was opened.
    pub(crate) opened: Option<Opened>,
    draining: AtomicBool,
    pub(crate) readiness: Readiness,
    /// What this server depends on and is away.
    pub outages: Arc<Outages>,
    /// What runs for as long as this lives.
    tasks: Mutex<JoinSet<()>>,
}

/// What came of a log-in.
pub enum LogIn {
    /// They are who they say.
    Welcome(Arc<User>),
    /// The person exists, the password is another one.
    WrongPassword,
    /// Nobody is called so.
    Unknown,
}

/// A command on its way.
pub(crate) enum Dispatched<'a, T = Reply> {
    /// It is over.
    Done(Result<T, Error>),
    /// It is carried out, and nobody was told of it yet; then [`App::finish`] it.
    CarriedOut(Outcome<T>),
    /// It is about to be stored; then [`App::finish`] it.
    Storing(Storing<'a, T>),
}

/// How long it may take to tell the others in the store that this node ends.
const LAST_WORD: Duration = Duration::from_millis(500);

const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The time in which searches are counted.
const SEARCHES_WITHIN: Duration = Duration::from_secs(60);

/// So many read at once, and so many of them for one person.
const READS_AT_ONCE: (usize, usize) = (8, 2);

/// Most requests that wait for their turn to read, and most of one person; more are told to come back.
const MAX_WAITING: (usize, usize) = (1_000, 256);

impl App {
    /// Most people in one list.
    pub const MAX_USERS: usize = 10_000;

    /// Most bytes of a name or address that anybody can be called.
    pub(crate) const MAX_NAME_BYTES: usize = 256;

    /// Opens the configured store and prepares everything; nothing is served yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn open(config: Config) -> Result<Arc<Self>, ConfigError> {
        let (store, opened) = opening::open(&config).await?;
        let bus = config.cluster.bus(config.store.is_shared(), &config.auth)?;
        Self::assemble(config, Chat::new(store), bus, opened).await
    }

    /// Prepares everything over a chat that the caller has made: with a store, a clock, ids or limits of their own.
    /// [`Config::store`] is not looked at, and other nodes are only thought of when [`Config::cluster`] says so; the
    /// chat's codec gives way to [`Config::codec`], which is metered. Needs a tokio runtime.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn from_chat(config: Config, chat: Chat) -> Result<Arc<Self>, ConfigError> {
        let bus = config.cluster.bus_if_named(&config.auth)?;
        Self::with_bus(config, chat, bus).await
    }

    /// The same among other nodes over the same store, which are heard by `bus`; see [`crate::cluster`]. Without one
    /// there must be no other node.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn with_bus(
        config: Config,
        chat: Chat,
        bus: Option<Arc<dyn Bus>>,
    ) -> Result<Arc<Self>, ConfigError> {
        Self::assemble(config, chat, bus, None).await
    }

    async fn assemble(
        config: Config,
        chat: Chat,
        bus: Option<Arc<dyn Bus>>,
        opened: Option<Opened>,
    ) -> Result<Arc<Self>, ConfigError> {
        route_table::check(&config)?;
        config.keep_secret()?;
        for (name, fingerprint) in config.codec_tables.sets() {
            let fingerprint = format_args!("{fingerprint:#06x}");
            tracing::info!(name, %fingerprint, "tables of CHAT_CODEC_TABLES are in use");
        }
        let codec = Arc::new(Metered::new(config.codec.build(config.codec_tables.clone())));
        let chat = chat.with_codec(codec.clone());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let long_work = LongWork::new(cores);
        let chat = Arc::new(chat.with_background({
            let long_work = long_work.clone();
            move |work| long_work.run_next(work)
        }));
        let position = chat.store().last_position().await?;
        let log_begin = chat.store().log_begin().await?;
        let typists = Arc::<Typists>::default();
        let replay_cache = ReplayCache::new(chat.clone(), &config.dialects).with_style(config.positions);
        let replay_cache = Arc::new(replay_cache);
        let sessions = Arc::new(Sessions::default());
        let tokens = Tokens::new(&config.auth.secret, config.auth.token_life)
            .with_old(&config.auth.old_secrets)
            .with_dialects(&config.dialects);
        let memory = Memory::new(config.memory_limit);
        let (images, disk) = media(&config, &chat)?;
        let files = self::parts::files(&config, &chat, &codec, (&long_work, &memory), position)?;
        let note = match &bus {
            Some(_) => Some(fit::join(&**chat.store(), &config).await?),
            None => None,
        };
        let cluster = bus.map(|bus| Cluster::new(bus, &config.auth.secret, &config.auth.old_secrets));
        let outbox = cluster.as_ref().map(|cluster| cluster.outbox().clone());
        let timeout = if cluster.is_some() { MISSING_TIMEOUT_WITH_NODES } else { MISSING_TIMEOUT };
        let outages = Arc::<Outages>::default();
        let app = Arc::new(Self {
            pids: Pids::new(&config.auth.secret, &config.auth.old_secrets, chat.epoch().await?),
            reads: FairSlots::new(READS_AT_ONCE, MAX_WAITING),
            long_work,
            ended: EndedSessions::default(),
            receipts: Receipts::default(),
            budgets: Budgets::new(
                Rates::new(config.read_budget, config.change_budget, config.send_budget),
                memory.clone(),
            ),
            searching: SearchSlots::default(),
            log_begin: AtomicU64::new(log_begin.0),
            auth: Authenticator::load(chat.clone(), tokens).await?,
            presence: Presence::start(sessions.clone(), config.dialects.clone(), chat.clone(), outbox),
            announcer: Announcer::new(
                chat.clone(),
                sessions.clone(),
                (replay_cache.clone(), typists.clone()),
                position,
                timeout,
            ),
            mail: MailQueue::start(mailer(&config)?, QueueLimits::default(), outages.clone()),
            passwords: Passwords::new(config.auth.bcrypt_cost, cores),
            log_ins: Arc::new(Limiter::new(config.auth.login_limit, WINDOW)),
            log_ins_of_address: Arc::new(Limiter::new(config.auth.login_address_limit, WINDOW)),
            sign_ups: Arc::new(Limiter::new(config.auth.signup_limit, WINDOW)),
            welcomes: Recipients::default(),
            security: SecurityLog::default(),
            sends: Limiter::new(config.message_limit, Duration::from_secs(60)),
            searches: Limiter::new(config.search_limit, SEARCHES_WITHIN),
            cluster,
            note,
            opened,
            draining: AtomicBool::new(false),
            readiness: Readiness::default(),
            outages: outages.clone(),
            memory,
            tasks: Mutex::default(),
            unknown: Arc::new(Unknown::new(&config.dialects)),
            config,
            chat,
            codec,
            replay_cache,
            typists,
            refused_pages: RefusedPages::default(),
            proxies: ProxyWarnings::default(),
            sessions,
            expiries: Arc::default(),
            images,
            files,
            disk,
        });
        app.tasks.lock().spawn(recovery::shorten_log(Arc::downgrade(&app)));
        app.tasks.lock().spawn(readiness::look_while_away(Arc::downgrade(&app)));
        {
            let sessions = Arc::downgrade(&app.sessions);
            app.memory.on_cut(move |owner| cut_sessions(&sessions, owner));
        }
        app.tasks.lock().spawn(files::sweep_regularly(Arc::downgrade(&app)));
        app.tasks.lock().spawn(images::sweep_again_and_again(Arc::downgrade(&app)));
        app.tasks.lock().spawn(security_log::flush_regularly(Arc::downgrade(&app)));
        app.tasks.lock().spawn(presence::settle_regularly(Arc::downgrade(&app)));
        app.tasks.lock().spawn(typing::tell_of_ends(Arc::downgrade(&app), app.typists.clone()));
        app.tasks.lock().spawn(expiry::end_expired(Arc::downgrade(&app), app.expiries.clone()));
        match &app.cluster {
            Some(cluster) => cluster.start(&app, &mut app.tasks.lock()),
            // Otherwise whoever watches what other nodes do sees this, too.
            None => drop(app.tasks.lock().spawn(announce::watch_log(Arc::downgrade(&app)))),
        }
        Ok(app)
    }

    /// Carries out a command of a person who has been authenticated, and tells everybody whom it concerns. Socket
    /// events and HTTP requests all end here, and failures are logged here and nowhere else.
    ///
    /// # Errors
    /// When it was refused or could not be stored. A search is [`Error::RateLimited`] while this person has another one
    /// made.
    pub async fn dispatch<R: Request>(self: &Arc<Self>, user: UserId, request: R) -> Result<R::Reply, Error> {
        if matches!(request.as_command(), CommandRef::Search(_)) {
            let searched = self.search_unless_busy(user, request).await;
            return searched.unwrap_or_else(|| Err(self.refused(user, Error::RateLimited, Class::Reads)));
        }
        let app = self.clone();
        run_to_completion(async move { app.carry_out(user, request).await })
            .await
            .unwrap_or_else(not_carried_out)
    }

    async fn carry_out<R: Request>(&self, user: UserId, request: R) -> Result<R::Reply, Error> {
        let person = self.budgets.of(user, self.chat.now());
        match self.start(user, &person, request).await {
            Dispatched::Done(reply) => reply,
            Dispatched::CarriedOut(outcome) => self.finish(user, Ok(outcome)),
            Dispatched::Storing(storing) => self.finish(user, storing.await),
        }
    }

    /// The same as far as [`Chat::start`] goes, for connections that have several messages under way at once. Not for
    /// searches, which have turns.
    pub(crate) async fn start<R: Request>(
        &self,
        user: UserId,
        person: &Person,
        request: R,
    ) -> Dispatched<'_, R::Reply> {
        let (command, class) = (request.as_command(), request.class());
        if matches!(command, CommandRef::SendMessage(_)) {
            let now = self.chat.now();
            if self.sends.check(&user, now).is_err() {
                return Dispatched::Done(Err(self.refused(user, Error::RateLimited, class)));
            }
            self.sends.count(user, now);
            if self.config.message_limit > 0 {
                self.outbox(|outbox| outbox.sent(user));
            }
        }
        let _permit = match self.admit(user, person, command).await {
            Ok(permit) => permit,
            // Nothing was changed, and the store is well: nothing to look for, and no fault.
            Err(error) => {
                let code = error.kind().code();
                tracing::debug!(user.id = %user, code, "a command was refused before it was looked at");
                if error.kind() == ErrorKind::RateLimited {
                    self.note(SecurityEvent::LimitMet("budget"), Some(user));
                }
                return Dispatched::Done(Err(error));
            }
        };
        // Compressing it comes before it is stored, and so while this is held.
        let _turn = match command {
            CommandRef::SendMessage(send) if send.content.text.len() > LONG_BYTES => {
                self.long_work.turn(user).await
            }
            _ => None,
        };
        match self.chat.start(&Actor { user }, request).await {
            Ok(Started::Storing(storing)) => Dispatched::Storing(storing),
            Ok(Started::Done(outcome)) => {
                let now = self.chat.now();
                match class {
                    Class::Reads => person.has_read(cost::bytes_read(outcome.reply.as_reply()), now),
                    Class::Writes | Class::Ephemeral => {
                        person.has_told(cost::of_telling(&outcome.deliveries), now);
                    }
                }
                Dispatched::CarriedOut(outcome)
            }
            Err(error) => Dispatched::Done(Err(self.refused(user, error, class))),
        }
    }

    /// Waits until this person may have a command carried out; a permit is for one that reads.
    async fn admit(
        &self,
        user: UserId,
        person: &Person,
        command: CommandRef<'_>,
    ) -> Result<Option<SlotPermit>, Error> {
        let wait = person.admit(Cost::of(command), self.chat.now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        // Searches have turns of their own.
        if command.class() != Class::Reads || matches!(command, CommandRef::Search(_)) {
            return Ok(None);
        }
        let permit = self.reads.acquire(user).await.map_err(|full| match full {
            Full::OfPerson => Error::OverBudget { retry_after: Duration::from_secs(1) },
            Full::OfAll => {
                chat_core::log_throttled!(warn, user.id = %user, "too many wait to read: one was refused");
                Error::Store(StoreError::Unavailable("too many wait for their turn to read".into()))
            }
        })?;
        person.may_read_on(self.chat.now())?;
        Ok(Some(permit))
    }

    /// Announces what a command has led to.
    pub(crate) fn finish<T>(&self, user: UserId, outcome: Result<Outcome<T>, Error>) -> Result<T, Error> {
        self.finish_after(user, outcome, |_| ())
    }

    /// The same once `before` has been done, if the command was carried out.
    pub(crate) fn finish_after<T>(
        &self,
        user: UserId,
        outcome: Result<Outcome<T>, Error>,
        before: impl FnOnce(&T),
    ) -> Result<T, Error> {
        match outcome {
            Ok(outcome) => {
                before(&outcome.reply);
                if !outcome.deliveries.is_empty() {
                    self.outages.worked(Part::Store);
                }
                self.announce(outcome.deliveries);
                Ok(outcome.reply)
            }
            Err(error) => Err(self.refused(user, error, Class::Writes)),
        }
    }

    /// Logs why a command was not carried out. Where it may have changed something all the same, others must be told of
    /// it, so it is looked for.
    fn refused(&self, user: UserId, error: Error, class: Class) -> Error {
        match error.kind() {
            ErrorKind::Internal | ErrorKind::Unavailable => {
                match error.kind() {
                    ErrorKind::Unavailable => self.outages.failed(Part::Store, &error),
                    _ => {
                        chat_core::log_throttled!(
                            error, user.id = %user, %error, "a command could not be carried out"
                        );
                    }
                }
                if class == Class::Writes {
                    self.announcer.recheck_log();
                }
            }
            kind => {
                if kind == ErrorKind::RateLimited {
                    self.note(SecurityEvent::LimitMet("commands"), Some(user));
                }
                tracing::debug!(user.id = %user, code = kind.code(), "a command was refused");
            }
        }
        error
    }

    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        deliveries.iter().for_each(|delivery| self.typists.observe(delivery));
        if let Some(cluster) = &self.cluster {
            cluster.announced(&deliveries);
        }
        self.announcer.announce(deliveries);
    }

    /// Notes something in the security log.
    pub(crate) fn note(&self, event: SecurityEvent, user: Option<UserId>) {
        self.security.note(event, user, self.chat.now());
    }

    /// The other nodes, if there may be any.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// How many connections end when their tokens expire.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// Runs something for as long as this lives.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(task);
    }

    /// Has other nodes told something, if there may be any.
    pub(crate) fn outbox(&self, tell: impl FnOnce(&Outbox)) {
        if let Some(cluster) = &self.cluster {
            tell(cluster.outbox());
        }
    }

    /// Whether other nodes can be heard at the moment; none when there are none.
    pub fn hears_others(&self) -> Option<bool> {
        self.cluster.as_ref().map(Cluster::is_up)
    }

    /// Other nodes can be heard from now on, or cannot.
    pub(crate) fn hear_others(self: &Arc<Self>, can: bool) {
        let Some(cluster) = &self.cluster else { return };
        cluster.set_up(can, self);
    }

    /// Counts messages that somebody has sent by other nodes.
    pub(crate) fn count_sends(&self, user: UserId, messages: u32) {
        let now = self.chat.now();
        for _ in 0..messages.min(self.config.message_limit) {
            self.sends.count(user, now);
        }
    }

    /// Learns which tokens were revoked elsewhere, and closes the connections opened with them.
    pub(crate) async fn reload_revoked(&self) {
        match self.auth.reload_revoked().await {
            Ok(new) => self.sessions.close_opened_with_any(&new.into_iter().collect()),
            Err(error) => {
                chat_core::log_throttled!(
                    warn, %error, "it could not be read which tokens are revoked"
                );
            }
        }
    }

    /// Looks where the log begins, after it turned out to be later than was known here.
    pub(crate) async fn log_was_shortened(&self) {
        match self.chat.store().log_begin().await {
            Ok(begin) => self.log_begin.store(begin.0, Ordering::Relaxed),
            Err(error) => chat_core::log_throttled!(warn, %error, "the begin of the log could not be read"),
        }
    }

    /// The store has another log from now on, which goes up to `last`: all that is known of the one before is discarded. Everybody
    /// who is connected comes back and begins afresh.
    pub(crate) fn begin_log(&self, epoch: Epoch, begin: Position, last: Position) {
        // Who connects while this goes on must be cut, or know all of it.
        self.pids.begin_epoch(epoch);
        self.chat.begin_epoch(epoch);
        self.replay_cache.forget_all();
        self.log_begin.store(begin.0, Ordering::Relaxed);
        self.announcer.begin_log(last);
        self.sessions.for_all(&mut |session| session.cut("the log is another one"));
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Finishes what is under way: mails, and all that is to be on disk.
    pub(crate) async fn close(&self, within: Duration) {
        if let Some(cluster) = &self.cluster {
            cluster.leave(self.chat.now()).await;
        }
        if let Some(note) = &self.note {
            // Otherwise it is found out that this node is not there any more.
            let _ = tokio::time::timeout(LAST_WORD, self.chat.store().leave_nodes(&note.id)).await;
        }
        self.security.close();
        let unsent = self.mail.drain(within).await;
        if unsent > 0 {
            tracing::warn!(unsent, "mails were not sent");
        }
        presence::settle_at_end(self, within).await;
        if let Err(error) = self.chat.store().close().await {
            tracing::error!(%error, "the store could not be closed");
        }
    }
}

/// Carries something out to its end, even when whoever asked for it has gone: what is stored must be announced, and a
/// request whose client hangs up is dropped wherever it stands. None when it panicked.
async fn run_to_completion<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::spawn(Source::current().scope(work)).await.ok()
}

fn not_carried_out<T>() -> Result<T, Error> {
    Err(Error::Store(StoreError::Unavailable("the command was not carried out".into())))
}

/// Ends the connections of somebody for whom too much is held. Not here and now: whoever has asked for more may hold the
/// registry of connections.
fn cut_sessions(sessions: &Weak<Sessions>, owner: Owner) {
    let (Owner::User(user), Some(sessions)) = (owner, sessions.upgrade()) else { return };
    tokio::spawn(async move {
        let mut theirs = Vec::new();
        sessions.for_user(user, &mut |session| theirs.push(session.clone()));
        theirs.iter().for_each(|session| session.cut("too much is held for its owner"));
    });
}

#[cfg(test)]
mod tests;
