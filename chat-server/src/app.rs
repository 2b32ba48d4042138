//! What every request and every socket shares, and the one funnel through which all commands go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chat_core::chat::{Registration, Started};
use chat_core::codec::{Codec, Metered};
use chat_core::command::{Actor, Command, Outcome, Reply};
use chat_core::error::{Error, ErrorKind};
use chat_core::event::Delivery;
use chat_core::id::UserId;
use chat_core::model::{PasswordHash, User, UserKey};
use chat_core::prelude::Chat;
#[cfg(feature = "mongodb")]
use chat_core::store::MongoStore;
use chat_core::store::sqlite::{AnswerOn, SqliteOptions};
use chat_core::store::{MemoryStore, SqliteStore, Store, StoreError};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::announce::{Announcer, PATIENCE, PATIENCE_AMONG_NODES};
use crate::auth::limit::Limiter;
use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::auth::{AuthError, Authenticator};
use crate::cluster::{Attempt, Bus, Cluster, Outbox};
use crate::config::{Config, ConfigError, StoreConfig};
use crate::expiry::{self, Expiries};
use crate::http::{Address, HttpError};
use crate::mail::{self, LogMailer, MailQueue, Mailer, QueueLimits, ResendMailer};
use crate::media::{CloudinaryMedia, DiskMedia, MediaStore};
use crate::presence::Presence;
use crate::read_turns::ReadTurns;
use crate::recovery::{self, Pids, Recent};
use crate::searching::{PersonsTurn, Turns};
use crate::sessions::Sessions;

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
    /// Where images go.
    pub media: Arc<dyn MediaStore>,
    /// The folder of images that is served from here, if they are kept here.
    pub disk: Option<Arc<DiskMedia>>,
    mail: MailQueue,
    pub(crate) announcer: Announcer,
    pub(crate) pids: Pids,
    /// What those have missed who come back.
    pub(crate) recent: Arc<Recent>,
    /// Turns for reading on in the log, and for counting what is unread.
    syncs: ReadTurns,
    /// Turns for searching.
    searching: Turns,
    /// The log is complete after this position, as far as is known here.
    pub(crate) log_begin: AtomicU64,
    passwords: Passwords,
    log_ins: Limiter<(Address, UserKey)>,
    log_ins_of_address: Limiter<Address>,
    sign_ups: Limiter<Address>,
    sends: Limiter<UserId>,
    searches: Limiter<UserId>,
    /// The other nodes, if there may be any.
    cluster: Option<Cluster>,
    draining: AtomicBool,
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
pub(crate) enum Dispatched<'a> {
    /// It is over.
    Done(Result<Reply, Error>),
    /// It is about to be stored; then [`App::finish`] it.
    Storing(Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send + 'a>>),
}

const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The time in which searches are counted.
const SEARCHES_WITHIN: Duration = Duration::from_secs(60);

/// Most requests that wait for their turn to read much; more are told to come back.
const MOST_WAITING: usize = 1_000;

impl App {
    /// Most people in one list.
    pub const MOST_USERS: usize = 10_000;

    /// Most bytes of a name or address that anybody can be called.
    const LONGEST_NAME: usize = 256;

    /// Most bytes of a new password. bcrypt looks at the first 72.
    pub const LONGEST_PASSWORD: usize = 1_024;

    /// Opens the configured store and prepares everything; nothing is served yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn open(config: Config) -> Result<Arc<Self>, ConfigError> {
        let store: Arc<dyn Store> = match &config.store {
            StoreConfig::Memory => Arc::new(MemoryStore::new()),
            StoreConfig::Sqlite { path, synchronous } => {
                let runtime = tokio::runtime::Handle::current();
                let options = SqliteOptions {
                    synchronous: *synchronous,
                    answer_on: AnswerOn::new(move |answer| drop(runtime.spawn(async move { answer() }))),
                    ..SqliteOptions::default()
                };
                Arc::new(SqliteStore::open(path, options)?)
            }
            #[cfg(feature = "mongodb")]
            StoreConfig::MongoDb { uri } => Arc::new(MongoStore::open(uri.expose()).await?),
            #[cfg(not(feature = "mongodb"))]
            StoreConfig::MongoDb { .. } => {
                return Err(StoreError::Refused("this program was built without MongoDB".into()).into());
            }
        };
        let bus = config.cluster.bus(config.store.is_shared(), &config.auth)?;
        Self::among(config, Chat::new(store), bus).await
    }

    /// Prepares everything over a chat that the caller has made: with a store, a clock, ids or limits of their own.
    /// [`Config::store`] is not looked at, and other nodes are only thought of when [`Config::cluster`] says so; the
    /// chat's codec gives way to [`Config::codec`], which is metered. Needs a tokio runtime.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn over(config: Config, chat: Chat) -> Result<Arc<Self>, ConfigError> {
        let bus = config.cluster.bus_if_named(&config.auth)?;
        Self::among(config, chat, bus).await
    }

    /// The same among other nodes over the same store, which are heard by `bus`; see [`crate::cluster`]. Without one
    /// there must be no other node.
    ///
    /// # Errors
    /// When something configured cannot be used.
    pub async fn among(
        config: Config,
        chat: Chat,
        bus: Option<Arc<dyn Bus>>,
    ) -> Result<Arc<Self>, ConfigError> {
        for (name, fingerprint) in config.codec_tables.sets() {
            let fingerprint = format_args!("{fingerprint:#06x}");
            tracing::info!(name, %fingerprint, "tables of CHAT_CODEC_TABLES are in use");
        }
        let codec = Arc::new(Metered::new(config.codec.build(config.codec_tables.clone())));
        let chat = Arc::new(chat.with_codec(codec.clone()));
        let position = chat.store().last_position().await?;
        let log_begin = chat.store().log_begin().await?;
        let recent = Arc::new(Recent::new(chat.clone()));
        let sessions = Arc::new(Sessions::default());
        let tokens =
            Tokens::new(&config.auth.secret, config.auth.token_life).with_old(&config.auth.old_secrets);
        let (media, disk) = media(&config, &chat)?;
        let cluster = bus.map(|bus| Cluster::new(bus, &config.auth.secret, &config.auth.old_secrets));
        let outbox = cluster.as_ref().map(|cluster| cluster.outbox().clone());
        let patience = if cluster.is_some() { PATIENCE_AMONG_NODES } else { PATIENCE };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let app = Arc::new(Self {
            pids: Pids::new(&config.auth.secret, &config.auth.old_secrets),
            syncs: ReadTurns::new(4, MOST_WAITING),
            searching: Turns::default(),
            log_begin: AtomicU64::new(log_begin.0),
            auth: Authenticator::load(chat.clone(), tokens).await?,
            presence: Presence::start(sessions.clone(), outbox),
            announcer: Announcer::new(chat.clone(), sessions.clone(), recent.clone(), position, patience),
            mail: MailQueue::start(mailer(&config)?, QueueLimits::default()),
            passwords: Passwords::new(config.auth.bcrypt_cost, cores),
            log_ins: Limiter::new(config.auth.login_limit, WINDOW),
            log_ins_of_address: Limiter::new(config.auth.login_address_limit, WINDOW),
            sign_ups: Limiter::new(config.auth.signup_limit, WINDOW),
            sends: Limiter::new(config.message_limit, Duration::from_secs(60)),
            searches: Limiter::new(config.search_limit, SEARCHES_WITHIN),
            cluster,
            draining: AtomicBool::new(false),
            tasks: Mutex::default(),
            config,
            chat,
            codec,
            recent,
            sessions,
            expiries: Arc::default(),
            media,
            disk,
        });
        app.tasks.lock().spawn(recovery::shorten_log(Arc::downgrade(&app)));
        app.tasks.lock().spawn(expiry::end_expired(Arc::downgrade(&app), app.expiries.clone()));
        if let Some(cluster) = &app.cluster {
            cluster.start(&app, &mut app.tasks.lock());
        }
        Ok(app)
    }

    /// Carries out a command of a person who has been authenticated, and tells everybody whom it concerns. Socket
    /// events and HTTP requests all end here, and failures are logged here and nowhere else.
    ///
    /// # Errors
    /// When it was refused or could not be stored. A search is [`Error::RateLimited`] while this person has another one
    /// made.
    pub async fn dispatch(self: &Arc<Self>, user: UserId, command: Command) -> Result<Reply, Error> {
        if matches!(command, Command::Search(_)) {
            let searched = self.search_unless_busy(user, command).await;
            return searched.unwrap_or_else(|| self.refused(user, Error::RateLimited, true));
        }
        let app = self.clone();
        to_the_end(async move { app.carry_out(user, command).await }).await.unwrap_or_else(not_carried_out)
    }

    /// A search; none while another one is made for this person, or waits.
    pub(crate) async fn search_unless_busy(
        self: &Arc<Self>,
        user: UserId,
        command: Command,
    ) -> Option<Result<Reply, Error>> {
        let turn = self.searching.try_of(user)?;
        Some(self.search(turn, user, command).await)
    }

    /// A search, once no other is made for this person.
    pub(crate) async fn search_in_turn(
        self: &Arc<Self>,
        user: UserId,
        command: Command,
    ) -> Result<Reply, Error> {
        let turn = self.searching.of(user).await;
        self.search(turn, user, command).await
    }

    async fn search(
        self: &Arc<Self>,
        turn: PersonsTurn,
        user: UserId,
        command: Command,
    ) -> Result<Reply, Error> {
        let now = self.chat.now();
        if self.searches.check(&user, now).is_err() {
            return self.refused(user, Error::RateLimited, true);
        }
        self.searches.count(user, now);
        let limit = (self.config.search_limit, SEARCHES_WITHIN);
        if self.count_everywhere("searches", &user.to_string(), Attempt::new(), limit).await.is_err() {
            self.searches.uncount(&user, now);
            return self.refused(user, Error::RateLimited, true);
        }
        // A request that hangs up waits no more; a search that was begun is made to its end.
        let turn = self.searching.among_all(turn).await;
        let app = self.clone();
        let searching = async move {
            let reply = app.carry_out(user, command).await;
            drop(turn);
            reply
        };
        to_the_end(searching).await.unwrap_or_else(not_carried_out)
    }

    async fn carry_out(&self, user: UserId, command: Command) -> Result<Reply, Error> {
        match self.start(user, command).await {
            Dispatched::Done(reply) => reply,
            Dispatched::Storing(storing) => self.finish(user, storing.await),
        }
    }

    /// The same as far as [`Chat::start`] goes, for connections that have several messages under way at once. Not for
    /// searches, which have turns.
    pub(crate) async fn start(&self, user: UserId, command: Command) -> Dispatched<'_> {
        if matches!(command, Command::Send { .. }) {
            let now = self.chat.now();
            if self.sends.check(&user, now).is_err() {
                return Dispatched::Done(self.finish(user, Err(Error::RateLimited)));
            }
            self.sends.count(user, now);
            if self.config.message_limit > 0 {
                self.outbox(|outbox| outbox.sent(user));
            }
        }
        let _turn = match command {
            // It may read much, and its answer may be large.
            Command::Sync { .. } | Command::ListUnread { .. } => match self.syncs.next().await {
                Ok(turn) => Some(turn),
                // Nothing was changed, and the store is well: nothing to look for, and no fault.
                Err(error) => {
                    tracing::warn!(user.id = %user, "too many read on in the log at once: one was refused");
                    return Dispatched::Done(Err(error));
                }
            },
            _ => None,
        };
        let only_reads = only_reads(&command);
        match self.chat.start(&Actor { user }, command).await {
            Ok(Started::Storing(storing)) => Dispatched::Storing(storing),
            Ok(Started::Done(outcome)) => Dispatched::Done(self.finish(user, Ok(outcome))),
            Err(error) => Dispatched::Done(self.refused(user, error, only_reads)),
        }
    }

    /// Announces what a command has led to.
    pub(crate) fn finish(&self, user: UserId, outcome: Result<Outcome, Error>) -> Result<Reply, Error> {
        match outcome {
            Ok(outcome) => {
                self.announce(outcome.deliveries);
                Ok(outcome.reply)
            }
            Err(error) => self.refused(user, error, false),
        }
    }

    /// Logs why a command was not carried out. Where it may have changed something all the same, others must be told of
    /// it, so it is looked for.
    fn refused(&self, user: UserId, error: Error, only_reads: bool) -> Result<Reply, Error> {
        match error.kind() {
            ErrorKind::Internal | ErrorKind::Unavailable => {
                tracing::error!(user.id = %user, %error, "a command could not be carried out");
                if !only_reads {
                    self.announcer.doubt();
                }
            }
            _ => {
                tracing::debug!(user.id = %user, code = error.kind().code(), "a command was refused");
            }
        }
        Err(error)
    }

    fn announce(&self, deliveries: Vec<Delivery>) {
        if let Some(cluster) = &self.cluster {
            cluster.announced(&deliveries);
        }
        self.announcer.announce(deliveries);
    }

    /// Makes an account and welcomes its owner.
    ///
    /// # Errors
    /// When the form is wrong, the name is taken, or there were too many sign-ups from this address.
    pub async fn register(
        self: &Arc<Self>,
        address: Address,
        password: String,
        registration: impl FnOnce(PasswordHash) -> Registration,
    ) -> Result<Arc<User>, HttpError> {
        if password.len() > Self::LONGEST_PASSWORD {
            return Err(HttpError::bad_request("password must have at most 1,024 characters"));
        }
        let now = self.chat.now();
        self.sign_ups.check(&address, now).map_err(HttpError::too_many)?;
        self.sign_ups.count(address, now);
        let limit = (self.config.auth.signup_limit, WINDOW);
        if let Err(refused) =
            self.count_everywhere("sign-ups", &address.0.to_string(), Attempt::new(), limit).await
        {
            self.sign_ups.uncount(&address, now);
            return Err(refused);
        }
        let hash = self.passwords.hash(password).await?;
        let (app, registration) = (self.clone(), registration(hash));
        let registering = to_the_end(async move {
            let registered = app.chat.register(registration).await?;
            app.announce(registered.deliveries.clone());
            Ok::<_, Error>(registered)
        });
        let registered = registering.await.ok_or_else(HttpError::internal)??;
        if let Some(email) = &registered.user.email {
            let client_url = self.config.client_url.as_deref();
            self.mail.post(mail::welcome(&registered.user.full_name, email, client_url));
        }
        tracing::info!(user.id = %registered.user.id, "an account was made");
        Ok(registered.user)
    }

    /// Verifies a password. A wrong one takes as long as an unknown name.
    ///
    /// # Errors
    /// When there were too many failures, for this account from this address or from this address alone.
    pub async fn log_in(&self, address: Address, key: UserKey, password: String) -> Result<LogIn, HttpError> {
        let now = self.chat.now();
        // No account has a longer name, and what is counted is kept.
        let known_form = match &key {
            UserKey::Id(_) => true,
            UserKey::Username(name) | UserKey::Email(name) => name.len() <= Self::LONGEST_NAME,
        };
        let key = if known_form { key } else { UserKey::Username(String::new()) };
        let account = (address, key.folded());
        self.log_ins.check(&account, now).map_err(HttpError::too_many)?;
        self.log_ins_of_address.check(&address, now).map_err(HttpError::too_many)?;
        // Counted before the answer is known, so that guesses at the same time count too.
        self.log_ins.count(account.clone(), now);
        self.log_ins_of_address.count(address, now);
        let (attempt, of_address) = (Attempt::new(), address.0.to_string());
        let of_account = format!("{of_address} {:?}", account.1);
        let limits = [
            ("log-ins", &of_account, self.config.auth.login_limit),
            ("log-ins of address", &of_address, self.config.auth.login_address_limit),
        ];
        for (kind, name, most) in limits {
            if let Err(refused) = self.count_everywhere(kind, name, attempt, (most, WINDOW)).await {
                // Who is refused has not tried.
                self.log_ins.uncount(&account, now);
                self.log_ins_of_address.uncount(&address, now);
                if let Some(cluster) = &self.cluster {
                    cluster.uncount("log-ins", &of_account, attempt);
                }
                return Err(refused);
            }
        }
        let found = self.chat.credentials(&key).await?;
        let (user, hash) = found.unzip();
        let verified = self.passwords.verify(password, hash).await?;
        let Some(user) = user else { return Ok(LogIn::Unknown) };
        if !verified {
            return Ok(LogIn::WrongPassword);
        }
        self.log_ins.forget(&account);
        self.log_ins_of_address.uncount(&address, now);
        if let Some(cluster) = &self.cluster {
            cluster.forget("log-ins", &of_account);
            cluster.uncount("log-ins of address", &of_address, attempt);
        }
        Ok(LogIn::Welcome(user))
    }

    /// Counts an attempt on all nodes together, after it was counted here.
    async fn count_everywhere(
        &self,
        kind: &str,
        name: &str,
        attempt: Attempt,
        limit: (u32, Duration),
    ) -> Result<(), HttpError> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        cluster.count(kind, name, attempt, limit).await.map_or(Ok(()), |wait| Err(HttpError::too_many(wait)))
    }

    /// Makes a token void and closes the connections opened with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_out(self: &Arc<Self>, token: &str) -> Result<(), HttpError> {
        let (app, token) = (self.clone(), token.to_owned());
        let revoking = to_the_end(async move {
            if let Some((fingerprint, until)) = app.auth.revoke(&token).await? {
                app.sessions.close_opened_with(&fingerprint);
                app.outbox(|outbox| outbox.revoked(fingerprint, until));
            }
            Ok::<_, AuthError>(())
        });
        Ok(revoking.await.ok_or_else(HttpError::internal)??)
    }

    /// How many connections end when their tokens expire.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
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

    /// Learns which tokens were made void elsewhere, and closes the connections opened with them.
    pub(crate) async fn reload_revoked(&self) {
        match self.auth.reload_revoked().await {
            Ok(new) => new.iter().for_each(|token| self.sessions.close_opened_with(token)),
            Err(error) => tracing::warn!(%error, "it could not be read which tokens are void"),
        }
    }

    /// Looks where the log begins, after it turned out to be later than was known here.
    pub(crate) async fn log_was_shortened(&self) {
        match self.chat.store().log_begin().await {
            Ok(begin) => self.log_begin.store(begin.0, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the begin of the log could not be read"),
        }
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
        let unsent = self.mail.drain(within).await;
        if unsent > 0 {
            tracing::warn!(unsent, "mails were not sent");
        }
        if let Err(error) = self.chat.store().close().await {
            tracing::error!(%error, "the store could not be closed");
        }
    }
}

/// Carries something out to its end, even when whoever asked for it has gone: what is stored must be announced, and a
/// request whose client hangs up is dropped wherever it stands. None when it panicked.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::spawn(work).await.ok()
}

fn not_carried_out() -> Result<Reply, Error> {
    Err(Error::Store(StoreError::Unavailable("the command was not carried out".into())))
}

/// Whether a command makes no change that anybody is told of.
fn only_reads(command: &Command) -> bool {
    matches!(
        command,
        Command::History { .. }
            | Command::ListUnread { .. }
            | Command::ListUsers { .. }
            | Command::ListChatPartners { .. }
            | Command::Sync { .. }
            | Command::Search(_)
    )
}

/// Where images go, and the folder they are served from if it is one of ours.
type MediaParts = (Arc<dyn MediaStore>, Option<Arc<DiskMedia>>);

fn media(config: &Config, chat: &Arc<Chat>) -> Result<MediaParts, ConfigError> {
    if let Some(cloudinary) = &config.cloudinary {
        let chat = chat.clone();
        let clock = Arc::new(move || {
            std::time::UNIX_EPOCH + Duration::from_millis(chat.now().as_millis().unsigned_abs())
        });
        let media = CloudinaryMedia::new(cloudinary.clone(), http_client()?, clock)
            .map_err(|error| variable("CLOUDINARY_CLOUD_NAME", &error))?;
        return Ok((Arc::new(media), None));
    }
    let disk = DiskMedia::new(config.data_dir.join("media"), "/media", Arc::new(rand::random));
    let disk = Arc::new(disk.map_err(|error| variable("CHAT_DATA_DIR", &error))?);
    Ok((disk.clone(), Some(disk)))
}

fn mailer(config: &Config) -> Result<Arc<dyn Mailer>, ConfigError> {
    match &config.resend {
        Some(resend) => {
            let mailer = ResendMailer::new(resend.clone(), http_client()?);
            Ok(Arc::new(mailer.map_err(|error| variable("RESEND_API_KEY", &error))?))
        }
        None => Ok(Arc::new(LogMailer)),
    }
}

fn http_client() -> Result<reqwest::Client, ConfigError> {
    // Fails when somebody who embeds this server has installed a provider already: theirs is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().map_err(|error| variable("CHAT_CLOUDINARY_URL", &error))
}

fn variable(variable: &'static str, problem: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
