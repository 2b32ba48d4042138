//! The configuration, from flags, the environment and a `.env` file, in this order of precedence.
//!
//! The variables of the old backends keep their meaning, so an old `.env` can start this server. Our own variables
//! begin with `CHAT_`. `chat-server --help` lists all of them. An invalid value stops the start with an error that
//! names the variable.

mod check;
mod cluster;
mod codec;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod options;
mod origins;
pub(crate) mod private;
mod secret_files;
mod secrets;
mod settings;
mod socket_path;
mod store;
mod switch;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chat_core::codec::OwnTables;
use chat_core::policy::Limits as Rules;

pub use self::cluster::{BusChoice, ClusterConfig};
pub use self::codec::{CodecConfig, codec_tables};
pub use self::error::ConfigError;
pub use self::files::{FilesConfig, FilesOptions};
pub use self::options::Options;
pub use self::origins::Origins;
pub use self::secret_files::SecretFiles;
pub use self::secrets::SecretOrigin;
pub(crate) use self::secrets::kept_at as kept_secret;
pub use self::settings::{check_log_filter, from_command_line};
pub use self::store::StoreConfig;
use crate::auth::password_rules::PasswordRules;
use crate::dialect::{Dialects, PositionStyle};
use crate::http::cookie::SameSite;
use crate::media::MediaLimits;
use crate::secret::Secret;

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether this is production, which is stricter about secrets and origins.
    pub production: bool,
    /// The origin of the signing secret.
    pub secret_origin: SecretOrigin,
    /// See [`Options::new_database`].
    pub new_database: bool,
    /// The variables of limits that are disabled.
    pub limits_off: Vec<&'static str>,
    /// The origins whose cross-origin requests are answered.
    pub origins: Origins,
    /// See [`Options::public_url`]; without a trailing slash.
    pub public_url: Option<String>,
    /// The URL of the frontend for mails, if it is known.
    pub client_url: Option<String>,
    /// See [`Options::trust_proxy`].
    pub trust_proxy: usize,
    /// See [`Options::token_in_body`].
    pub token_in_body: bool,
    /// See [`Options::cookie_same_site`].
    pub cookie_same_site: Option<SameSite>,
    /// Tokens and passwords.
    pub auth: AuthConfig,
    /// What may be said and done at all.
    pub rules: Rules,
    /// See [`Options::message_limit`].
    pub message_limit: u32,
    /// See [`Options::search_limit`].
    pub search_limit: u32,
    /// See [`Options::read_budget`].
    pub read_budget: u32,
    /// See [`Options::change_budget`].
    pub change_budget: u32,
    /// See [`Options::send_budget`].
    pub send_budget: u32,
    /// See [`Options::media_quota`] and [`Options::media_rate`].
    pub media_limits: MediaLimits,
    /// Uploaded files.
    pub files: FilesConfig,
    /// The store.
    pub store: StoreConfig,
    /// How nodes communicate.
    pub cluster: ClusterConfig,
    /// See [`Options::node`].
    pub node: Option<String>,
    /// How new texts are encoded in the store.
    pub codec: CodecConfig,
    /// The operator's tables for encoding and decoding texts, in addition to the built-in ones.
    pub codec_tables: Arc<OwnTables>,
    /// See [`Options::data_dir`].
    pub data_dir: PathBuf,
    /// See [`Options::operators`].
    pub operators: Vec<String>,
    /// See [`Options::recovery_limit`].
    pub recovery_limit: u64,
    /// See [`Options::position`].
    pub positions: PositionStyle,
    /// How long the log of changes is kept; `None` means forever.
    pub log_kept: Option<Duration>,
    /// The known dialects, those that are enabled, and the default.
    pub dialects: Dialects,
    /// The folder of a built frontend, if there is one.
    pub static_dir: Option<PathBuf>,
    /// Whether `/docs` shows the descriptions of the API.
    pub docs: bool,
    /// See [`Options::socket_path`]; begins with a slash and does not end with one.
    pub socket_path: String,
    /// See [`Options::token_in_query`].
    pub token_in_query: bool,
    /// Maximum number of bytes that are held for clients.
    pub memory_limit: usize,
    /// Files and folders that are never served, even if they can be reached from [`Self::static_dir`].
    pub private_paths: Vec<PathBuf>,
    /// Connections.
    pub transport: TransportConfig,
    /// Cloudinary, if it is used.
    pub cloudinary: Option<crate::media::CloudinaryConfig>,
    /// Resend, if it is used.
    pub resend: Option<crate::mail::ResendConfig>,
}

/// Tokens and passwords.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The secret that signs tokens.
    pub secret: Secret,
    /// See [`Options::old_jwt_secret`].
    pub old_secrets: Vec<Secret>,
    /// How long an issued token is valid.
    pub token_life: Duration,
    /// How long an access token of a login session is valid.
    pub access_life: Duration,
    /// How long a refresh token is valid.
    pub refresh_life: Duration,
    /// See [`Options::bcrypt_cost`].
    pub bcrypt_cost: u32,
    /// See [`Options::login_limit`].
    pub login_limit: u32,
    /// See [`Options::login_address_limit`].
    pub login_address_limit: u32,
    /// See [`Options::signup_limit`].
    pub signup_limit: u32,
    /// The rules for new passwords.
    pub passwords: PasswordRules,
}

/// Connections.
#[derive(Debug, Clone, Copy)]
pub struct TransportConfig {
    /// See [`Options::ping_interval`].
    pub ping_interval: Duration,
    /// See [`Options::ping_timeout`].
    pub ping_timeout: Duration,
    /// See [`Options::stall_timeout`].
    pub stall_timeout: Duration,
    /// Maximum size of a packet in bytes, on every transport.
    pub max_packet: usize,
    /// Maximum number of packets that wait for one connection.
    pub max_queue: usize,
    /// See [`Options::max_connections`].
    pub max_connections: Option<usize>,
    /// Maximum number of unauthenticated Socket.IO sessions.
    pub max_unauthenticated: usize,
    /// See [`Options::address_limit`].
    pub max_per_address: Option<usize>,
    /// Maximum number of bytes that wait for a client before further changes are held back. A single change always has
    /// room.
    pub max_pending_bytes: usize,
}

impl Config {
    /// Stores a newly generated secret for the next start. With a store in memory nothing is stored.
    pub(crate) fn keep_secret(&self) -> Result<(), ConfigError> {
        if self.secret_origin != SecretOrigin::Made || matches!(self.store, StoreConfig::Memory) {
            return Ok(());
        }
        secrets::keep(&self.data_dir, &self.auth.secret)
    }
}
