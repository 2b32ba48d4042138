//! What nodes hear each other by.

use std::sync::Arc;

use super::{AuthConfig, ConfigError, Options, wrong};
use crate::cluster::{Bus, NoBus, RedisBus, RedisConfig};
use crate::secret::Secret;

/// See [`Options::bus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusChoice {
    /// There is only this node.
    None,
    /// Nothing but the store.
    Store,
    /// Redis.
    Redis,
}

/// What nodes hear each other by.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// What was chosen; none: whatever suits the store.
    pub bus: Option<BusChoice>,
    /// Where Redis is.
    pub redis: Option<RedisConfig>,
    /// Whether the secret was given, and so may be the same on all nodes.
    pub has_secret: bool,
}

impl ClusterConfig {
    pub(super) fn check(options: &Options) -> Result<Self, ConfigError> {
        let redis = options.redis_url.clone().filter(|url| !url.is_empty());
        let redis = redis.map(|url| RedisConfig { url: Secret::new(url) });
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

    /// The bus for a store that several nodes can use, or cannot.
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

    /// The bus that was chosen, if one was.
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn checked(bus: Option<&str>, redis: Option<&str>) -> Result<ClusterConfig, ConfigError> {
        let mut options = Options::parse_from(["chat-server"]);
        (options.bus, options.redis_url) = (bus.map(str::to_owned), redis.map(str::to_owned));
        ClusterConfig::check(&options)
    }

    fn auth() -> AuthConfig {
        AuthConfig {
            secret: Secret::new("s".into()),
            old_secrets: Vec::new(),
            token_life: std::time::Duration::from_secs(60),
            bcrypt_cost: 4,
            login_limit: 0,
            login_address_limit: 0,
            signup_limit: 0,
        }
    }

    fn problem<T>(refused: Result<T, ConfigError>) -> String {
        refused.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert_eq!(problem(checked(Some("kafka"), None)), "CHAT_BUS: must be redis, store or none");
        assert_eq!(problem(checked(Some("redis"), None)), "REDIS_URL: is missing, CHAT_BUS is redis");
        let secret = auth();
        let alone = checked(Some("store"), None).unwrap().bus(false, &secret);
        assert!(problem(alone).starts_with("CHAT_BUS: several nodes need a store"));
        for url in ["redis//x", "http://:hunter2@localhost", "redis://:hunter2@[::1", "hunter2"] {
            let problem = problem(checked(None, Some(url)).unwrap().bus(true, &secret));
            assert!(problem.starts_with("REDIS_URL: must be redis://"), "{url}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert!(
            !format!("{:?}", checked(None, Some("redis://:hunter2@localhost")).unwrap()).contains("hunter2")
        );
    }

    #[test]
    fn the_bus_suits_the_store() {
        let secret = auth();
        let is_there =
            |bus, redis, is_shared| checked(bus, redis).unwrap().bus(is_shared, &secret).unwrap().is_some();
        let url = Some("rediss://user:hunter2@redis.example.com:6380/2");
        assert!(!is_there(None, url, false), "an old .env with SQLite");
        assert!(is_there(None, url, true));
        assert!(is_there(None, None, true), "somebody may start a second node");
        assert!(!is_there(Some("none"), url, true));
    }
}
