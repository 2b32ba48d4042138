//! The state that all requests and sockets share, and the function through which all commands go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chat_core::codec::{Codec, Metered};
use chat_core::epoch::Epoch;
use chat_core::event::Delivery;
use chat_core::id::{LoginSessionId, UserId};
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
use crate::recovery::{EndedSessions, Pids, Receipts, ReplayCache, delivered};
use crate::refused_pages::RefusedPages;
use crate::security_log::{SecurityEvent, SecurityLog};
use crate::sessions::Sessions;
use crate::typing::Typists;
use crate::unknown::Unknown;

/// The parts of the server.
pub struct App {
    /// The configuration in force.
    pub config: Config,
    /// The chat itself.
    pub chat: Arc<Chat>,
    /// Encodes and decodes message bodies in the store, and counts them.
    pub codec: Arc<Metered<Arc<dyn Codec>>>,
    /// Authenticates clients.
    pub auth: Authenticator,
    /// Which users are online, and who must be notified of it.
    pub presence: Presence,
    /// Every connection.
    pub sessions: Arc<Sessions>,
    /// When connections end because their tokens expire.
    pub(crate) expiries: Arc<Expiries>,
    /// The memory budget for data that is held for clients.
    pub memory: Arc<Memory>,
    /// Stores images.
    pub images: Arc<Images>,
    /// Files of all kinds.
    pub(crate) files: Arc<Files>,
    /// The folder of images that this server serves, if images are stored on its disk.
    pub disk: Option<Arc<DiskMedia>>,
    pub(crate) mail: MailQueue,
    pub(crate) announcer: Announcer,
    pub(crate) pids: Pids,
    /// Sessions that cannot be resumed.
    pub(crate) ended: EndedSessions,
    /// The last position that the clients of past sessions have received.
    pub(crate) receipts: Receipts,
    /// The changes that reconnecting clients have missed.
    pub(crate) replay_cache: Arc<ReplayCache>,
    /// Requests and events that are not supported.
    pub(crate) unknown: Arc<Unknown>,
    /// Pages whose sockets were refused because they were not logged in.
    pub(crate) refused_pages: RefusedPages,
    /// Warnings about proxies that were logged.
    pub(crate) proxies: ProxyWarnings,
    /// The users who are typing.
    pub(crate) typists: Arc<Typists>,
    /// The limits of all accounts.
    pub(crate) limits: Limits,
    /// The log is complete after this position, as far as this node knows.
    pub(crate) log_begin: AtomicU64,
    pub(crate) passwords: Passwords,
    pub(crate) log_ins: Arc<Limiter<(Address, UserKey)>>,
    pub(crate) log_ins_of_address: Arc<Limiter<Address>>,
    pub(crate) sign_ups: Arc<Limiter<Address>>,
    /// The refreshes of each login session.
    pub(crate) refreshes: Limiter<(UserId, LoginSessionId)>,
    /// Recent welcome mails.
    pub(crate) welcomes: Recipients,
    /// The security log.
    pub security: SecurityLog,
    /// The other nodes, if the server runs in a cluster.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The description of this node for the others, in a cluster.
    pub(crate) note: Option<NodeNote>,
    /// The state of the configured store when it was opened.
    pub(crate) opened: Option<Opened>,
    pub(crate) draining: AtomicBool,
    pub(crate) readiness: Readiness,
    /// Dependencies of this server that are unavailable.
    pub outages: Arc<Outages>,
    /// Tasks that run as long as this lives.
    pub(crate) tasks: Mutex<JoinSet<()>>,
}

/// The result of a login.
pub enum LogIn {
    /// The password is correct.
    Welcome(Arc<User>),
    /// The account exists, but the password is wrong.
    WrongPassword,
    /// There is no such account.
    Unknown,
}

/// Maximum time to remove this node from the list of nodes in the store.
const LAST_WORD: Duration = Duration::from_millis(500);

impl App {
    /// Maximum number of users in one list.
    pub const MAX_USERS: usize = 10_000;

    /// Maximum length of a user's name or address in bytes.
    pub(crate) const MAX_NAME_BYTES: usize = 256;

    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        deliveries.iter().for_each(|delivery| self.typists.observe(delivery));
        if let Some(cluster) = &self.cluster {
            cluster.announced(&deliveries);
        }
        let ended = self.revoke_ended(&deliveries);
        self.announcer.announce(deliveries);
        for (user, session) in ended {
            // Usually the announcer has done so, but it may wait for other changes.
            self.sessions.end_login(user, session);
        }
    }

    /// Checks whether the store works, and records an outage if it does not.
    pub(crate) async fn check_store(&self) -> Result<(), StoreError> {
        let answer = self.readiness.check(&self.chat).await;
        match &answer {
            Ok(()) => self.outages.worked(Part::Store),
            Err(error) => self.outages.failed(Part::Store, error),
        }
        answer
    }

    /// Writes an event to the security log.
    pub(crate) fn note(&self, event: SecurityEvent, user: Option<UserId>) {
        self.security.note(event, user, self.chat.now());
    }

    /// The other nodes, if the server runs in a cluster.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// The number of connections that will end when their tokens expire.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// Runs a task as long as this lives.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(task);
    }

    /// Queues something for the other nodes, if the server runs in a cluster.
    pub(crate) fn outbox(&self, tell: impl FnOnce(&Outbox)) {
        if let Some(cluster) = &self.cluster {
            tell(cluster.outbox());
        }
    }

    /// Whether the connection to other nodes works; `None` without a cluster.
    pub fn hears_others(&self) -> Option<bool> {
        self.cluster().map(Cluster::is_up)
    }

    /// Reads which tokens other nodes have revoked, and closes the connections that were opened with them.
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

    /// Reads the begin of the log again, because it is later than this node knew.
    pub(crate) async fn log_was_shortened(&self) {
        match self.chat.store().log_begin().await {
            Ok(begin) => self.log_begin.store(begin.0, Ordering::Relaxed),
            Err(error) => chat_core::log_throttled!(warn, %error, "the begin of the log could not be read"),
        }
    }

    /// The store has a different log from now on, which ends at `last`. All knowledge of the previous log is discarded.
    /// All connected clients reconnect and start from scratch.
    pub(crate) fn begin_log(&self, epoch: Epoch, begin: Position, last: Position) {
        // A client that connects meanwhile must either be cut, or see the complete new state. So sessions are cut last.
        self.pids.begin_epoch(epoch);
        self.chat.begin_epoch(epoch);
        self.replay_cache.forget_all();
        self.log_begin.store(begin.0, Ordering::Relaxed);
        self.announcer.begin_log(last);
        self.sessions.for_all(&mut |session| session.cut("the log is another one"));
    }

    /// Whether the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Finishes all work in progress: mails, and data that must be written to disk.
    pub(crate) async fn close(&self, within: Duration) {
        if let Some(cluster) = &self.cluster {
            cluster.leave(self.chat.now()).await;
        }
        if let Some(note) = &self.note {
            // If this fails, the other nodes notice later that this node is gone.
            let _ = tokio::time::timeout(LAST_WORD, self.chat.store().leave_nodes(&note.id)).await;
        }
        self.security.close();
        let unsent = self.mail.drain(within).await;
        if unsent > 0 {
            tracing::warn!(unsent, "mails were not sent");
        }
        presence::settle_at_end(&self.chat, &self.presence, within).await;
        delivered::store_at_end(&self.chat, within).await;
        if let Err(error) = self.chat.store().close().await {
            tracing::error!(%error, "the store could not be closed");
        }
    }
}
