//! What every request and every socket shares, and the one funnel through which all commands go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chat_core::codec::{Codec, Metered};
use chat_core::epoch::Epoch;
use chat_core::event::Delivery;
use chat_core::id::UserId;
use chat_core::model::{Position, User, UserKey};
use chat_core::prelude::Chat;
use chat_core::store::{NodeNote, Opened, StoreError};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::address::Address;
use crate::announce::Announcer;
use crate::auth::Authenticator;
use crate::auth::limit::Limiter;
use crate::auth::password::Passwords;
use crate::cluster::{Cluster, Outbox};
use crate::config::Config;
use crate::expiry::Expiries;
use crate::files::Files;
use crate::http::proxies::ProxyWarnings;
use crate::limits::acquire::Limits;
use crate::mail::{MailQueue, Recipients};
use crate::media::{DiskMedia, Images};
use crate::memory::Memory;
use crate::outages::{Outages, Part};
use crate::presence::{self, Presence};
use crate::readiness::Readiness;
use crate::recovery::{EndedSessions, Pids, Receipts, ReplayCache};
use crate::refused_pages::RefusedPages;
use crate::security_log::{SecurityEvent, SecurityLog};
use crate::sessions::Sessions;
use crate::typing::Typists;
use crate::unknown::Unknown;

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
    pub(crate) mail: MailQueue,
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
    /// What everybody may still do.
    pub(crate) limits: Limits,
    /// The log is complete after this position, as far as is known here.
    pub(crate) log_begin: AtomicU64,
    pub(crate) passwords: Passwords,
    pub(crate) log_ins: Arc<Limiter<(Address, UserKey)>>,
    pub(crate) log_ins_of_address: Arc<Limiter<Address>>,
    pub(crate) sign_ups: Arc<Limiter<Address>>,
    /// Who was welcomed lately.
    pub(crate) welcomes: Recipients,
    /// The security log.
    pub security: SecurityLog,
    /// The other nodes, if there may be any.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// What this node tells the others of itself, if there may be any.
    pub(crate) note: Option<NodeNote>,
    /// What was found when the configured store was opened.
    pub(crate) opened: Option<Opened>,
    pub(crate) draining: AtomicBool,
    pub(crate) readiness: Readiness,
    /// What this server depends on and is away.
    pub outages: Arc<Outages>,
    /// What runs for as long as this lives.
    pub(crate) tasks: Mutex<JoinSet<()>>,
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

/// How long it may take to tell the others in the store that this node ends.
const LAST_WORD: Duration = Duration::from_millis(500);

impl App {
    /// Most people in one list.
    pub const MAX_USERS: usize = 10_000;

    /// Most bytes of a name or address that anybody can be called.
    pub(crate) const MAX_NAME_BYTES: usize = 256;

    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        deliveries.iter().for_each(|delivery| self.typists.observe(delivery));
        if let Some(cluster) = &self.cluster {
            cluster.announced(&deliveries);
        }
        self.announcer.announce(deliveries);
    }

    /// Whether the store works, which is noted as an outage when it does not.
    pub(crate) async fn check_store(&self) -> Result<(), StoreError> {
        let answer = self.readiness.check(&self.chat).await;
        match &answer {
            Ok(()) => self.outages.worked(Part::Store),
            Err(error) => self.outages.failed(Part::Store, error),
        }
        answer
    }

    /// Notes something in the security log.
    pub(crate) fn note(&self, event: SecurityEvent, user: Option<UserId>) {
        self.security.note(event, user, self.chat.now());
    }

    /// The other nodes, if there may be any.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
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
        self.cluster().map(Cluster::is_up)
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
        presence::settle_at_end(&self.chat, &self.presence, within).await;
        if let Err(error) = self.chat.store().close().await {
            tracing::error!(%error, "the store could not be closed");
        }
    }
}
