//! The bus over Redis (6 or later), or over a server with the same protocol.
//!
//! One RESP3 connection carries notices in both directions and the counters. So there is only one thing to monitor:
//! either everything works or nothing does. A PING every second checks the connection. When it fails, this module
//! reconnects by itself instead of using the driver's connection manager, because the receiver must learn of every
//! reconnect: what was published in between is lost. Commands fail after 2 seconds, and at once while there is no
//! connection.
//!
//! Redis stores only the counters (`chat-server:…:count:…`), sorted sets that expire by themselves. Their keys are
//! keyed hashes, and so is the name of the channel (`chat-server:…:notices`), so that deployments with different
//! secrets can share one Redis without interfering. While the secret is rotated, nodes also subscribe to the channels
//! of the old secrets, and publish on the channel of the new one. Notices are sealed (see `seal`), so a party that can
//! write to Redis cannot forge them, and it sees no texts, names or tokens. But it can delay notices and change the
//! counters, so Redis must be as private as the database. The size of pushed data is bounded before it is parsed.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::throttle::Throttle;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo, ProtocolVersion,
    PushInfo, PushKind, RedisError, Script, Value,
};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::bus::{Bus, BusError, Heard, SharedCounters};
use super::certificates::Certificates;
use super::common_name;
use super::seal::MAX_ENVELOPE_BYTES;
use crate::config::error::ConfigError;
use crate::secret::Secret;

/// The timeout for connecting and for every command.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the connection is checked.
const PING_EVERY: Duration = Duration::from_secs(1);
/// The pause before a reconnect. It doubles with every failure, up to `MAX_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The maximum number of received notices that wait. More are dropped.
const MAX_WAITING: usize = 4_096;
/// The maximum bytes of received notices that wait. More are dropped.
const MAX_WAITING_BYTES: usize = 4 * MAX_ENVELOPE_BYTES;

/// How to connect to Redis.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://…`, or `rediss://…` for TLS; with user and password if needed.
    pub url: Secret,
    /// Certificates for TLS. Without them, the system's authorities verify Redis and this server sends no client
    /// certificate.
    pub certificates: Option<Arc<Certificates>>,
}

impl RedisConfig {
    /// Uses this address without own certificates.
    pub fn at(url: Secret) -> Self {
        Self { url, certificates: None }
    }
}

// URLs contain passwords, so they must not be logged.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisConfig { .. }")
    }
}

/// The bus over Redis.
pub struct RedisBus {
    shared: Arc<Shared>,
    keeper: Mutex<Option<AbortHandle>>,
}

struct Shared {
    address: ConnectionInfo,
    certificates: Option<Arc<Certificates>>,
    /// The channel on which this node publishes.
    channel: String,
    /// Other channels to which it subscribes.
    old_channels: Vec<String>,
    /// The bytes of received notices that wait.
    held: Arc<AtomicUsize>,
    /// The prefix of all counter keys.
    prefix: String,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Signals that a command has failed.
    doubt: Notify,
    counting: Script,
}

/// Counts in one atomic step. It uses the clock of Redis, so the clocks of the nodes do not matter.
const COUNT: &str = r"
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local most, within = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - within)
local count = redis.call('ZCARD', KEYS[1])
if count >= most then
    local first = redis.call('ZRANGE', KEYS[1], count - most, count - most, 'WITHSCORES')
    return math.max(1, math.ceil(first[2] + within - now))
end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], within)
return 0
";

impl RedisBus {
    /// Creates the bus for the deployment with this secret. It connects when the node subscribes.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn new(config: &RedisConfig, secret: &Secret) -> Result<Self, ConfigError> {
        Self::with_old(config, secret, &[])
    }

    /// The same while the secret is rotated: the node also receives notices from nodes that still use one of the old
    /// secrets.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn with_old(config: &RedisConfig, secret: &Secret, old: &[Secret]) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| ConfigError::Variable {
            variable: "REDIS_URL",
            // The driver's own message may contain the address, and with it the password.
            problem: problem.to_owned(),
        };
        let form = "must be redis://[user:password@]host[:port][/number], or rediss:// for TLS";
        let address = config.url.expose().into_connection_info().map_err(|_| wrong(form))?;
        let settings = address.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        // This fails when the embedding application has installed a provider already, which works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = address.set_redis_settings(settings);
        client(&address, config.certificates.as_deref()).map_err(|_| wrong(form))?;
        let prefix = |secret| format!("chat-server:{}", common_name(secret));
        let channel = |secret| format!("{}:notices", prefix(secret));
        let shared = Shared {
            address,
            certificates: config.certificates.clone(),
            channel: channel(secret),
            old_channels: old.iter().map(channel).collect(),
            held: Arc::default(),
            prefix: format!("{}:count", prefix(secret)),
            connection: Mutex::default(),
            doubt: Notify::new(),
            counting: Script::new(COUNT),
        };
        Ok(Self { shared: Arc::new(shared), keeper: Mutex::default() })
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.abort();
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn listen(&self, heard: mpsc::Sender<Heard>) {
        let keeper = tokio::spawn(keep(Arc::downgrade(&self.shared), heard));
        *self.keeper.lock() = Some(keeper.abort_handle());
    }

    async fn publish(&self, notice: Bytes) -> Result<(), BusError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.shared.channel).arg(&notice[..]);
        self.shared.ask::<()>(&publish).await
    }

    fn counters(&self) -> Option<&dyn SharedCounters> {
        Some(self)
    }
}

#[async_trait]
impl SharedCounters for RedisBus {
    async fn count(
        &self,
        key: &str,
        attempt: &[u8],
        most: u32,
        within: Duration,
    ) -> Result<Option<Duration>, BusError> {
        let mut connection = self.shared.connection()?;
        let mut count = self.shared.counting.key(self.shared.key(key));
        count.arg(most).arg(within.as_millis() as u64).arg(attempt);
        let wait = count.invoke_async::<u64>(&mut connection).await;
        let wait = wait.map_err(|error| self.shared.failed(&error))?;
        Ok((wait > 0).then(|| Duration::from_millis(wait)))
    }

    async fn uncount(&self, key: &str, attempt: &[u8]) -> Result<(), BusError> {
        self.shared.ask(redis::cmd("ZREM").arg(self.shared.key(key)).arg(attempt)).await
    }

    async fn forget(&self, key: &str) -> Result<(), BusError> {
        self.shared.ask(redis::cmd("DEL").arg(self.shared.key(key))).await
    }
}

impl Shared {
    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }

    fn connection(&self) -> Result<MultiplexedConnection, BusError> {
        self.connection.lock().clone().ok_or_else(|| BusError("there is no connection".to_owned()))
    }

    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, BusError> {
        let mut connection = self.connection()?;
        command.query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &RedisError) -> BusError {
        self.doubt.notify_one();
        BusError(error.to_string())
    }

    /// Opens a connection that is subscribed to the notices.
    async fn connect(&self) -> Result<(MultiplexedConnection, mpsc::Receiver<Pushed>), RedisError> {
        let (pushed, pushes) = mpsc::channel(MAX_WAITING);
        let held = self.held.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_push_sender(move |push| {
                let Some(push) = Pushed::of(push, &held) else { return Ok(()) };
                match pushed.try_send(push) {
                    Err(mpsc::error::TrySendError::Closed(_)) => Err(redis::aio::SendError),
                    // A full channel drops the notice. Notices may be lost.
                    Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
                }
            });
        let client = client(&self.address, self.certificates.as_deref())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        for channel in std::iter::once(&self.channel).chain(&self.old_channels) {
            connection.subscribe(channel).await?;
        }
        Ok((connection, pushes))
    }

    /// Checks the connection, and returns when it has failed.
    async fn watch(&self, mut connection: MultiplexedConnection) -> RedisError {
        loop {
            // A failed command triggers a check at once. Perhaps only that command failed.
            let _ = tokio::time::timeout(PING_EVERY, self.doubt.notified()).await;
            if let Err(error) = redis::cmd("PING").query_async::<()>(&mut connection).await {
                return error;
            }
        }
    }
}

/// A Redis client with the current certificates.
fn client(address: &ConnectionInfo, certificates: Option<&Certificates>) -> Result<Client, RedisError> {
    match certificates {
        Some(certificates) => Client::build_with_tls(address.clone(), certificates.current()),
        None => Client::open(address.clone()),
    }
}

/// Keeps a connection open for as long as there is a receiver.
async fn keep(shared: Weak<Shared>, heard: mpsc::Sender<Heard>) {
    let mut failures = 0_u32;
    // The last logged state. A connection that flaps is not logged each time, and the last log line is still correct.
    let (throttle, mut said) = (Throttle::new(), None);
    loop {
        let Some(this) = shared.upgrade() else { return };
        let problem = match this.connect().await {
            Ok((connection, pushes)) => {
                if said.replace(true) != Some(true) {
                    tracing::info!("Redis is there");
                }
                failures = 0;
                *this.connection.lock() = Some(connection.clone());
                if heard.send(Heard::Up).await.is_err() {
                    return;
                }
                let problem = tokio::select! {
                    problem = this.watch(connection) => problem.to_string(),
                    problem = hand_on(pushes, &heard) => problem.to_owned(),
                };
                *this.connection.lock() = None;
                if heard.send(Heard::Down).await.is_err() {
                    return;
                }
                problem
            }
            Err(error) => error.to_string(),
        };
        drop(this);
        if said != Some(false) && throttle.permit().is_some() {
            said = Some(false);
            tracing::warn!(
                problem,
                "Redis is away: other nodes are followed by the log alone, and limits count per node"
            );
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(failures);
        failures = (failures + 1).min(16);
        // The random factor prevents all nodes from reconnecting at the same moment.
        tokio::time::sleep(pause.min(MAX_PAUSE).mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// The relevant pushes of Redis.
enum Pushed {
    Notice(Bytes),
    End,
}

impl Pushed {
    /// Returns `None` when the push is irrelevant, or when the budget for waiting bytes is used up.
    fn of(push: PushInfo, held: &Arc<AtomicUsize>) -> Option<Self> {
        let PushInfo { kind, mut data } = push;
        match (kind, data.pop()) {
            (PushKind::Message, Some(Value::BulkString(notice))) => {
                Counted::hold(notice, held).map(Self::Notice)
            }
            (PushKind::Disconnection, _) => Some(Self::End),
            _ => None,
        }
    }
}

/// A notice whose bytes count against the budget until it is dropped.
struct Counted {
    notice: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Counted {
    fn hold(notice: Vec<u8>, held: &Arc<AtomicUsize>) -> Option<Bytes> {
        let size = notice.len();
        if size > MAX_ENVELOPE_BYTES {
            return None;
        }
        let counted = Self { notice, held: held.clone() };
        if held.fetch_add(size, Ordering::Relaxed) + size > MAX_WAITING_BYTES {
            // Dropping `counted` subtracts its bytes again.
            return None;
        }
        Some(Bytes::from_owner(counted))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.notice
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(self.notice.len(), Ordering::Relaxed);
    }
}

/// Forwards published notices. Returns when the connection has ended.
async fn hand_on(mut pushes: mpsc::Receiver<Pushed>, heard: &mpsc::Sender<Heard>) -> &'static str {
    while let Some(Pushed::Notice(notice)) = pushes.recv().await {
        let _ = heard.try_send(Heard::Notice(notice));
    }
    "the connection has ended"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> PushInfo {
        let data = vec![Value::SimpleString("channel".into()), Value::BulkString(vec![b'x'; bytes])];
        PushInfo { kind: PushKind::Message, data }
    }

    #[test]
    fn what_waits_to_be_looked_at_is_bounded_by_its_bytes() {
        let held = Arc::<AtomicUsize>::default();
        let push = |bytes| match Pushed::of(message(bytes), &held) {
            Some(Pushed::Notice(notice)) => Some(notice),
            _ => None,
        };
        assert!(push(MAX_ENVELOPE_BYTES + 1).is_none(), "no node says so much");
        let waiting: Vec<_> = (0..6).filter_map(|_| push(MAX_ENVELOPE_BYTES)).collect();
        assert_eq!(waiting.len(), 4);
        assert!(push(1).is_none());
        assert_eq!(held.load(Ordering::Relaxed), MAX_WAITING_BYTES);
        let kept = waiting[0].clone();
        drop(waiting);
        assert_eq!(held.load(Ordering::Relaxed), MAX_ENVELOPE_BYTES);
        drop(kept);
        assert_eq!(push(1).as_deref(), Some(&b"x"[..]));
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
}
