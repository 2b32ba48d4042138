//! The composition root: it builds a running server from a configuration. Only this module knows how the parts fit
//! together. The parts do not know how other parts are created, and none of them knows [`App`].

mod parts;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};

use chat_core::codec::Metered;
use chat_core::prelude::Chat;
use chat_core::store::Opened;
use parking_lot::Mutex;

use self::parts::{files, mailer, media};
use crate::accounts::{MAX_REFRESHES, WINDOW};
use crate::announce::{Announcer, MISSING_TIMEOUT, MISSING_TIMEOUT_WITH_NODES};
use crate::app::App;
use crate::auth::Authenticator;
use crate::auth::limit::Limiter;
use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::cluster::{Bus, Cluster, fit};
use crate::config::{Config, ConfigError};
use crate::http::proxies::ProxyWarnings;
use crate::http::route_table;
use crate::limits::acquire::Limits;
use crate::limits::{Budgets, LongWork, Rates};
use crate::mail::{MailQueue, QueueLimits, Recipients};
use crate::memory::{Memory, Owner};
use crate::outages::Outages;
use crate::presence::Presence;
use crate::readiness::Readiness;
use crate::recovery::{EndedSessions, Pids, Receipts, ReplayCache};
use crate::refused_pages::RefusedPages;
use crate::security_log::SecurityLog;
use crate::sessions::Sessions;
use crate::typing::Typists;
use crate::unknown::Unknown;
use crate::{background, opening};

impl App {
    /// Opens the configured store and prepares all parts, but serves nothing yet. It needs a tokio runtime.
    ///
    /// # Errors
    /// When a configured part is unusable.
    pub async fn open(config: Config) -> Result<Arc<Self>, ConfigError> {
        let (store, opened) = opening::open(&config).await?;
        let bus = config.cluster.bus(config.store.is_shared(), &config.auth)?;
        let chat = Chat::new(store).with_limits(config.rules);
        Self::assemble(config, chat, bus, opened).await
    }

    /// Prepares all parts over a chat from the caller, which can have its own store, clock, ids or limits.
    /// [`Config::store`] is ignored. A bus is used only if [`Config::cluster`] names one. The chat's codec is replaced
    /// by [`Config::codec`], with metrics. It needs a tokio runtime.
    ///
    /// # Errors
    /// When a configured part is unusable.
    pub async fn from_chat(config: Config, chat: Chat) -> Result<Arc<Self>, ConfigError> {
        let bus = config.cluster.bus_if_named(&config.auth)?;
        Self::with_bus(config, chat, bus).await
    }

    /// The same for a node of a cluster over one store, whose nodes communicate through `bus`; see [`crate::cluster`].
    /// Without a bus there must be no other node.
    ///
    /// # Errors
    /// When a configured part is unusable.
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
        let chat = match config.operators.is_empty() {
            // Those of the caller's own chat.
            true => chat,
            false => chat.with_operators(config.operators.iter().cloned()),
        };
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
            .with_access_life(config.auth.access_life)
            .with_dialects(&config.dialects);
        let memory = Memory::new(config.memory_limit);
        let (images, disk) = media(&config, &chat)?;
        let files = files(&config, &chat, &codec, (&long_work, &memory), position)?;
        let note = match &bus {
            Some(_) => Some(fit::join(&**chat.store(), &config).await?),
            None => None,
        };
        let cluster = bus.map(|bus| Cluster::new(bus, &config.auth.secret, &config.auth.old_secrets));
        let cluster = cluster.map(Arc::new);
        let outbox = cluster.as_ref().map(|cluster| cluster.outbox().clone());
        let timeout = if cluster.is_some() { MISSING_TIMEOUT_WITH_NODES } else { MISSING_TIMEOUT };
        let outages = Arc::<Outages>::default();
        let app = Arc::new(Self {
            pids: Pids::new(&config.auth.secret, &config.auth.old_secrets, chat.epoch().await?),
            ended: EndedSessions::default(),
            receipts: Receipts::default(),
            limits: Limits::new(
                chat.clone(),
                Budgets::new(
                    Rates::new(config.read_budget, config.change_budget, config.send_budget),
                    memory.clone(),
                ),
                long_work,
                (config.message_limit, config.search_limit),
                cluster.clone(),
            ),
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
            refreshes: Limiter::new(MAX_REFRESHES, WINDOW),
            welcomes: Recipients::default(),
            security: SecurityLog::default(),
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
        {
            let sessions = Arc::downgrade(&app.sessions);
            app.memory.on_cut(move |owner| cut_sessions(&sessions, owner));
        }
        background::start(&app, &mut app.tasks.lock());
        Ok(app)
    }
}

/// Cuts the connections of a user who holds too much memory. This runs in another task, because the caller may hold the
/// lock of the session registry.
fn cut_sessions(sessions: &Weak<Sessions>, owner: Owner) {
    let (Owner::User(user), Some(sessions)) = (owner, sessions.upgrade()) else { return };
    tokio::spawn(async move {
        let mut theirs = Vec::new();
        sessions.for_user(user, &mut |session| theirs.push(session.clone()));
        theirs.iter().for_each(|session| session.cut("too much is held for its owner"));
    });
}
