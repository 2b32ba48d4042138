//! The configuration of the communication between nodes.

use std::path::PathBuf;
use std::sync::Arc;

use super::AuthConfig;
use super::error::{ConfigError, wrong};
use super::options::Options;
use crate::cluster::{Bus, CertificateFiles, Certificates, NoBus, RedisBus, RedisConfig};
use crate::secret::Secret;

/// See [`Options::bus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusChoice {
    /// There is only one node.
    None,
    /// Nodes communicate only through the store.
    Store,
    /// Nodes communicate through Redis.
    Redis,
}

/// How nodes communicate.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The configured bus; `None` selects one that fits the store.
    pub bus: Option<BusChoice>,
    /// The Redis server.
    pub redis: Option<RedisConfig>,
    /// Whether a secret is configured, so that it may be the same on all nodes.
    pub has_secret: bool,
}

impl ClusterConfig {
    pub(super) fn check(options: &Options) -> Result<Self, ConfigError> {
        let redis = options.redis_url.clone().filter(|url| !url.is_empty());
        let certificates = certificates(options, redis.as_deref())?;
        let redis = redis.map(|url| RedisConfig { url: Secret::new(url), certificates });
        let bus = match options.bus.as_deref() {
            None | Some("") => None,
            Some("none") => Some(BusChoice::None),
            Some("store") => Some(BusChoice::Store),
            Some("redis") if redis.is_none() => {
                return Err(wrong("REDIS_URL", "is missing, CHAT_BUS is redis"));
            }
            Some("redis") => Some(BusChoice::Redis),
            Some(_) => return Err(wrong("CHAT_BUS", "must be redis, store or none")),
        };
        let has_secret = options.jwt_secret.as_deref().is_some_and(|secret| !secret.is_empty());
        Ok(Self { bus, redis, has_secret })
    }

    /// The bus for a store. `is_shared` says whether several nodes can use the store.
    pub(crate) fn bus(
        &self,
        is_shared: bool,
        auth: &AuthConfig,
    ) -> Result<Option<Arc<dyn Bus>>, ConfigError> {
        match (self.bus, is_shared) {
            (None, true) => {
                let fitting = if self.redis.is_some() { BusChoice::Redis } else { BusChoice::Store };
                Self { bus: Some(fitting), ..self.clone() }.bus_if_named(auth)
            }
            (None, false) => {
                if self.redis.is_some() {
                    tracing::info!("REDIS_URL is not used: this store has one node alone");
                }
                Ok(None)
            }
            (Some(BusChoice::Store | BusChoice::Redis), false) => {
                Err(wrong("CHAT_BUS", "several nodes need a store they can share, see CHAT_STORE"))
            }
            (Some(_), _) => self.bus_if_named(auth),
        }
    }

    /// The configured bus, if there is one.
    pub(crate) fn bus_if_named(&self, auth: &AuthConfig) -> Result<Option<Arc<dyn Bus>>, ConfigError> {
        Ok(match (self.bus, &self.redis) {
            (None | Some(BusChoice::None), _) => None,
            (Some(BusChoice::Store), _) => Some(Arc::new(NoBus)),
            (Some(BusChoice::Redis), Some(redis)) => {
                if !self.has_secret {
                    tracing::warn!(
                        "JWT_SECRET is not set: only nodes with this one's CHAT_DATA_DIR know it and each other"
                    );
                }
                Some(Arc::new(RedisBus::with_old(redis, &auth.secret, &auth.old_secrets)?))
            }
            (Some(BusChoice::Redis), None) => {
                return Err(wrong("REDIS_URL", "is missing, CHAT_BUS is redis"));
            }
        })
    }
}

/// The certificates for TLS connections to Redis, if any are configured.
fn certificates(options: &Options, url: Option<&str>) -> Result<Option<Arc<Certificates>>, ConfigError> {
    let [ca, cert, key] = [&options.redis_ca, &options.redis_cert, &options.redis_key]
        .map(|file| file.as_deref().filter(|file| !file.is_empty()).map(PathBuf::from));
    let named = [("CHAT_REDIS_CA", &ca), ("CHAT_REDIS_CERT", &cert), ("CHAT_REDIS_KEY", &key)];
    let Some((variable, _)) = named.into_iter().find(|(_, file)| file.is_some()) else { return Ok(None) };
    if !url.is_some_and(|url| url.starts_with("rediss://")) {
        return Err(wrong(variable, "is of use only with a REDIS_URL that begins with rediss://"));
    }
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => return Err(wrong("CHAT_REDIS_CERT", "needs its key in CHAT_REDIS_KEY")),
        (None, Some(_)) => return Err(wrong("CHAT_REDIS_KEY", "needs its certificate in CHAT_REDIS_CERT")),
    };
    Certificates::read(CertificateFiles { ca, client }).map(|read| Some(Arc::new(read)))
}

#[cfg(test)]
mod tests;
