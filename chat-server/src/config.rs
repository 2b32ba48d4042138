//! Configuration: from flags, the environment and a `.env` file, in this order of precedence.
//!
//! The variables of the old backends keep their meaning, so that an old `.env` starts this server; those of our own
//! begin with `CHAT_`. `chat-server --help` lists them all. A wrong value stops the start and names the variable.

mod cluster;
mod codec;
mod files;
mod origins;
pub(crate) mod private;
mod secrets;
mod settings;
mod socket_path;
mod store;
#[cfg(test)]
mod tests;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chat_core::codec::OwnTables;
use clap::{Parser, ValueEnum};

pub use self::cluster::{BusChoice, ClusterConfig};
pub use self::codec::{CodecConfig, codec_tables};
pub use self::files::{FilesConfig, FilesOptions};
pub use self::origins::Origins;
use self::origins::origins;
pub(crate) use self::secrets::kept_at as kept_secret;
pub use self::secrets::{SecretFiles, SecretOrigin};
pub use self::settings::{check_log_filter, from_command_line};
pub use self::store::StoreConfig;
use crate::auth::password_rules::PasswordRules;
use crate::dialect::{Dialects, PositionStyle};
use crate::http::cookie::SameSite;
use crate::media::MediaLimits;
use crate::memory;
use crate::secret::Secret;

/// The flags and variables, as they are given.
#[derive(Clone, Parser)]
#[command(name = "chat-server", version, about, max_term_width = 110)]
pub struct Options {
    /// Port to listen on
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,
    /// Address to listen on. Unset: all of this machine, of IPv6 and of IPv4
    #[arg(long, env = "CHAT_HOST")]
    pub host: Option<IpAddr>,
    /// `production` refuses a missing or short secret and answers cross-origin requests only for CLIENT_URL
    #[arg(long, env = "NODE_ENV", default_value = "development")]
    pub node_env: String,
    /// Origins of the frontends, comma-separated; `*` for any, in development and without cookies only. Unset: in
    /// development any loopback origin
    #[arg(long, env = "CLIENT_URL", value_delimiter = ',')]
    pub client_url: Vec<String>,
    /// Where this server is reached from outside, for links to stored images (`https://chat.example.com`).
    /// Unset: what the request of whoever reads them was addressed to
    #[arg(long, env = "CHAT_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// How many trusted proxies stand in front; tells which entry of X-Forwarded-For is the client
    #[arg(long, env = "CHAT_TRUST_PROXY", default_value_t = 0)]
    pub trust_proxy: usize,

    /// Secret that signs the tokens; unset: made once and kept in the data folder
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,
    /// Secrets that still verify tokens but sign none, comma-separated: that of before a change of JWT_SECRET, or the
    /// short one of an old backend
    #[arg(long, env = "CHAT_OLD_JWT_SECRET", hide_env_values = true, value_delimiter = ',')]
    pub old_jwt_secret: Vec<String>,
    /// `on` also answers log-ins and sign-ups of the `push` family with the `token`, for pages that keep it themselves
    #[arg(long, env = "CHAT_TOKEN_IN_BODY", default_value = "off", value_name = "on|off", value_parser = settings::switch,
        action = clap::ArgAction::Set)]
    pub token_in_body: bool,
    /// `SameSite` of the log-in cookie: `strict`, `lax` or `none` (which is always `Secure`). Unset: `none` for the https pages
    /// of other sites that CLIENT_URL names, and `strict` for everybody else
    #[arg(long = "cookie-samesite", env = "CHAT_COOKIE_SAMESITE", value_name = "strict|lax|none")]
    pub cookie_same_site: Option<String>,
    /// Days until an issued token expires
    #[arg(long, env = "CHAT_TOKEN_DAYS", default_value_t = 7)]
    pub token_days: u32,
    /// Cost of new password hashes, 4 to 16; each step doubles the time
    #[arg(long, env = "CHAT_BCRYPT_COST", default_value_t = 12)]
    pub bcrypt_cost: u32,
    /// Failed log-ins per account and address in 15 minutes before 429; 0: no limit
    #[arg(long, env = "CHAT_LOGIN_LIMIT", default_value_t = 5)]
    pub login_limit: u32,
    /// Failed log-ins per address in 15 minutes before 429; 0: no limit
    #[arg(long, env = "CHAT_LOGIN_ADDRESS_LIMIT", default_value_t = 50)]
    pub login_address_limit: u32,
    /// Sign-ups per address in 15 minutes before 429; 0: no limit
    #[arg(long, env = "CHAT_SIGNUP_LIMIT", default_value_t = 100)]
    pub signup_limit: u32,
    /// Fewest characters of a new password, 1 to 72; unset: what the pages of the family say, which is 6 for those that are
    /// served at present
    #[arg(long, env = "CHAT_PASSWORD_MIN", value_parser = clap::value_parser!(u8).range(1..=72))]
    pub password_min: Option<u8>,
    /// `on` refuses new passwords that are among the commonest; `off` takes them
    #[arg(long, env = "CHAT_PASSWORD_CHECK", default_value = "on", value_name = "on|off", value_parser = settings::switch,
        action = clap::ArgAction::Set)]
    pub password_check: bool,
    /// Messages a person may send in a minute before they are refused; 0: no limit
    #[arg(long, env = "CHAT_MESSAGE_LIMIT", default_value_t = 0)]
    pub message_limit: u32,
    /// Searches of a person in a minute before they are refused; 0: no limit
    #[arg(long, env = "CHAT_SEARCH_LIMIT", default_value_t = 120)]
    pub search_limit: u32,
    /// Bytes of images that a person may store in total; 0: no limit
    #[arg(long, env = "CHAT_MEDIA_QUOTA", default_value_t = 1 << 30)]
    pub media_quota: u64,
    /// Bytes of images that a person may store in an hour; 0: no limit
    #[arg(long, env = "CHAT_MEDIA_RATE", default_value_t = 200 << 20)]
    pub media_rate: u64,

    /// Megabytes that a person may read in a minute (histories, lists, searches, what they missed), and four times as much
    /// at once, before they are slowed and then refused; 0: no limit
    #[arg(long, env = "CHAT_READ_BUDGET", default_value_t = 60)]
    pub read_budget: u32,
    /// Changes a person may make in a minute beside sending (deletions, read marks, typing, rooms) before they are slowed
    /// and then refused. Profiles and connections have limits of their own, see docs/security.md. 0: none of these limits
    #[arg(long, env = "CHAT_CHANGE_BUDGET", default_value_t = 1_200)]
    pub change_budget: u32,
    /// Megabytes of text and text files that a person may send in a minute, and twice as much at once, before they are
    /// slowed and then refused; 0: no limit
    #[arg(long, env = "CHAT_SEND_BUDGET", default_value_t = 200)]
    pub send_budget: u32,

    /// The store: `sqlite:PATH`, `mongodb://…`, `mongodb+srv://…` or `memory:`. Unset: MONGO_URI, or else chat.db in the
    /// data folder
    #[arg(long, env = "CHAT_STORE", hide_env_values = true)]
    pub store: Option<String>,
    /// Database of the old backend, used if CHAT_STORE is not set. Its collections are neither read nor changed: ours
    /// have names that begin with `chat_`
    #[arg(long, env = "MONGO_URI", hide_env_values = true)]
    pub mongo_uri: Option<String>,
    /// The same under its other name
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub mongodb_uri: Option<String>,
    /// Make a new database beside a secret or images that are there already. Without this such a start is refused, because the
    /// old database may only be on a disk that is missing
    #[arg(long = "new")]
    pub new_database: bool,
    /// Folder of the database, the secret and the images
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// `full`: acknowledged messages survive a power failure; `normal`: the death of the process only, but faster
    #[arg(long, env = "CHAT_SQLITE_SYNCHRONOUS", default_value = "full")]
    pub sqlite_synchronous: String,
    /// How new texts are stored: `huffman` compresses them, `zstd` in a format that others read too, which hardly
    /// helps short ones, `none` not at all. What is stored stays readable with each
    #[arg(long, env = "CHAT_CODEC", default_value = "huffman")]
    pub codec: String,
    /// Files of tables made by `chat-server codec train`, comma-separated, at most 16. New texts are written with them
    /// if CHAT_CODEC is `huffman`; those once written with a file can be read only while it is listed here
    #[arg(long, env = "CHAT_CODEC_TABLES", value_delimiter = ',', value_name = "FILES")]
    pub codec_tables: Vec<String>,

    /// Redis that the nodes have in common (`redis://…`, `rediss://…` for TLS), when there are several over one MongoDB
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// File of the certificates that vouch for Redis, in PEM, in the place of the system's. Read again at SIGHUP, as the next two
    #[arg(long, env = "CHAT_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<String>,
    /// File of the certificate by which Redis knows this server, in PEM
    #[arg(long, env = "CHAT_REDIS_CERT", value_name = "FILE")]
    pub redis_cert: Option<String>,
    /// File of the key to that certificate, in PEM
    #[arg(long, env = "CHAT_REDIS_KEY", value_name = "FILE")]
    pub redis_key: Option<String>,
    /// What nodes hear each other by: `redis`; `store`, nothing but the store; `none`: there is only this node.
    /// Unset: `redis` if REDIS_URL is set, otherwise `store`, if the store can have several nodes at all
    #[arg(long, env = "CHAT_BUS")]
    pub bus: Option<String>,
    /// Name of this node among several: letters, digits, `-` and `_`. The ids of its long-polling sessions begin with it
    /// and a dot, so that a load balancer can tell where their requests belong
    #[arg(long, env = "CHAT_NODE")]
    pub node: Option<String>,

    /// Families of frontends that are served, comma-separated: `camel`, `push`, and `native`, which is for clients of your own
    #[arg(long, env = "CHAT_DIALECTS", value_delimiter = ',', default_value = "camel,push")]
    pub dialects: Vec<String>,
    /// What a frontend speaks whose token does not tell
    #[arg(long, env = "CHAT_DEFAULT_DIALECT", default_value = "push")]
    pub default_dialect: String,
    /// Folder of a built frontend to serve; unset: a page of our own
    #[arg(long, env = "CHAT_STATIC_DIR")]
    pub static_dir: Option<PathBuf>,

    /// Where Socket.IO is: the `path` of an old backend's `new Server(…)`, with or without a slash at the end
    #[arg(long, env = "CHAT_SOCKET_PATH", default_value = "/socket.io")]
    pub socket_path: String,
    /// `true` lets clients of Socket.IO 2 log in by `?token=` in the address, which proxies and caches may write down. Only
    /// for those that cannot send a cookie or a header
    #[arg(long, env = "CHAT_TOKEN_IN_QUERY", default_value = "false", value_name = "true|false",
        value_parser = settings::switch, action = clap::ArgAction::Set)]
    pub token_in_query: bool,

    /// Changes that a client may miss while it is away for it to go on where it was; after more it loads afresh. Only what
    /// its own user is told counts, and of everybody's changes of their profile the last. 0: every client that has missed
    /// a change loads afresh
    #[arg(long, env = "CHAT_RECOVERY_LIMIT", default_value_t = 100_000)]
    pub recovery_limit: u64,
    /// How a page is told the position of a change in the log, by which it goes on after a cut: `event`, by an event of its
    /// own that no page listens to, so that the arguments of all others are the old backend's; `argument`, by a last
    /// argument of the event, for pages that pass over it and are to be told nothing twice, wherever they are cut
    #[arg(long, env = "CHAT_POSITION", default_value = "event")]
    pub position: String,
    /// Days for which the log of changes is kept at least: whoever was away for longer loads afresh; 0: for ever.
    /// Messages stay as they are
    #[arg(long, env = "CHAT_LOG_DAYS", default_value_t = 30)]
    pub log_days: u32,
    /// Milliseconds between heartbeats of a connection. A dead network is noticed after this and the timeout together
    #[arg(long, env = "CHAT_PING_INTERVAL", default_value_t = 12_000)]
    pub ping_interval: u64,
    /// Milliseconds a connection may leave a heartbeat unanswered
    #[arg(long, env = "CHAT_PING_TIMEOUT", default_value_t = 8_000)]
    pub ping_timeout: u64,
    /// Milliseconds a connection may refuse to take what is written to it
    #[arg(long, env = "CHAT_STALL_TIMEOUT", default_value_t = 8_000)]
    pub stall_timeout: u64,
    /// Most connections at once, those in reserve for health checks not counted. Unset: what the limit of open files
    /// allows
    #[arg(long, env = "CHAT_MAX_CONNECTIONS")]
    pub max_connections: Option<usize>,
    /// Most connections, and most sessions, of one address that nobody has logged in to. Unset: half of the connections
    /// that all addresses together may have, and a quarter of the sessions
    #[arg(long, env = "CHAT_ADDRESS_LIMIT")]
    pub address_limit: Option<usize>,
    /// Memory for what is held for clients, such as `512M` or `2G`: when it is used up, whoever holds the most is cut.
    /// Unset: half of what the control group, the limits of the process or the machine allow
    #[arg(long, env = "CHAT_MEMORY_LIMIT", value_name = "BYTES")]
    pub memory_limit: Option<String>,
    /// Threads that serve connections; unset: one less than there are cores
    #[arg(long, env = "CHAT_THREADS")]
    pub threads: Option<usize>,

    /// Cloudinary's cloud name; with key and secret images go there instead of the disk
    #[arg(long, env = "CLOUDINARY_CLOUD_NAME")]
    pub cloudinary_cloud_name: Option<String>,
    /// Cloudinary's API key
    #[arg(long, env = "CLOUDINARY_API_KEY", hide_env_values = true)]
    pub cloudinary_api_key: Option<String>,
    /// Cloudinary's API secret
    #[arg(long, env = "CLOUDINARY_API_SECRET", hide_env_values = true)]
    pub cloudinary_api_secret: Option<String>,
    /// Where Cloudinary's API is
    #[arg(long, env = "CHAT_CLOUDINARY_URL", default_value = "https://api.cloudinary.com")]
    pub cloudinary_url: String,
    /// Resend's API key; with it welcome mails are sent instead of noted in the log
    #[arg(long, env = "RESEND_API_KEY", hide_env_values = true)]
    pub resend_api_key: Option<String>,
    /// Sender address of mails
    #[arg(long, env = "EMAIL_FROM")]
    pub email_from: Option<String>,
    /// Sender name of mails
    #[arg(long, env = "EMAIL_FROM_NAME")]
    pub email_from_name: Option<String>,
    /// Where Resend's API is
    #[arg(long, env = "CHAT_RESEND_URL", default_value = "https://api.resend.com")]
    pub resend_url: String,

    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,chat_server=debug`
    #[arg(long, env = "CHAT_LOG", default_value = "info")]
    pub log: String,
    /// `text` or `json`
    #[arg(long, env = "CHAT_LOG_FORMAT", default_value = "text")]
    pub log_format: String,

    /// Files that people upload.
    #[command(flatten)]
    pub files: FilesOptions,

    /// Files that secrets are read from.
    #[command(flatten)]
    pub secret_files: SecretFiles,
}

/// The operator must mend the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable has a value that cannot be used.
    #[error("{variable}: {problem}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// There is no such variable, though it begins like ours.
    #[error("{name}: {problem}")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What may be meant.
        problem: String,
    },
    /// What is there does not fit together, and a start would do harm.
    #[error("{0}")]
    Unfit(String),
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] chat_core::store::StoreError),
}

impl ConfigError {
    /// Whether somebody must change something before another start can end differently. What fails for other reasons may
    /// be mended by itself: a database that is away, for instance.
    pub fn is_for_the_operator(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.into() }
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether this is production: stricter about secrets and origins.
    pub production: bool,
    /// Where the secret that signs comes from.
    pub secret_origin: SecretOrigin,
    /// See [`Options::new_database`].
    pub new_database: bool,
    /// The variables of limits that are switched off.
    pub limits_off: Vec<&'static str>,
    /// Whose cross-origin requests are answered.
    pub origins: Origins,
    /// See [`Options::public_url`], without a slash at the end.
    pub public_url: Option<String>,
    /// The frontend's address for mails, if it is known.
    pub client_url: Option<String>,
    /// See [`Options::trust_proxy`].
    pub trust_proxy: usize,
    /// See [`Options::token_in_body`].
    pub token_in_body: bool,
    /// See [`Options::cookie_same_site`].
    pub cookie_same_site: Option<SameSite>,
    /// Tokens and passwords.
    pub auth: AuthConfig,
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
    /// Files that people upload.
    pub files: FilesConfig,
    /// Where everything is kept.
    pub store: StoreConfig,
    /// What nodes hear each other by.
    pub cluster: ClusterConfig,
    /// See [`Options::node`].
    pub node: Option<String>,
    /// How new texts are stored.
    pub codec: CodecConfig,
    /// Tables to write and read texts with, besides the shipped ones.
    pub codec_tables: Arc<OwnTables>,
    /// See [`Options::data_dir`].
    pub data_dir: PathBuf,
    /// See [`Options::recovery_limit`].
    pub recovery_limit: u64,
    /// See [`Options::position`].
    pub positions: PositionStyle,
    /// How long the log of changes is kept; none: for ever.
    pub log_kept: Option<Duration>,
    /// The dialects that there are, those that are served, and what is spoken when nothing tells.
    pub dialects: Dialects,
    /// A built frontend, if there is one.
    pub static_dir: Option<PathBuf>,
    /// See [`Options::socket_path`]; begins with a slash and ends with none.
    pub socket_path: String,
    /// See [`Options::token_in_query`].
    pub token_in_query: bool,
    /// Most bytes that are held for clients.
    pub memory_limit: usize,
    /// Files and folders that are never served, also where they are reached from [`Self::static_dir`].
    pub private_paths: Vec<PathBuf>,
    /// Connections.
    pub transport: TransportConfig,
    /// Cloudinary, if it is to be used.
    pub cloudinary: Option<crate::media::CloudinaryConfig>,
    /// Resend, if it is to be used.
    pub resend: Option<crate::mail::ResendConfig>,
}

/// Tokens and passwords.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Signs tokens.
    pub secret: Secret,
    /// See [`Options::old_jwt_secret`].
    pub old_secrets: Vec<Secret>,
    /// How long an issued token is good.
    pub token_life: Duration,
    /// See [`Options::bcrypt_cost`].
    pub bcrypt_cost: u32,
    /// See [`Options::login_limit`].
    pub login_limit: u32,
    /// See [`Options::login_address_limit`].
    pub login_address_limit: u32,
    /// See [`Options::signup_limit`].
    pub signup_limit: u32,
    /// Which passwords may be chosen.
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
    /// Most bytes of one packet, on every transport.
    pub max_packet: usize,
    /// Most packets that wait for one connection.
    pub max_queue: usize,
    /// See [`Options::max_connections`].
    pub max_connections: Option<usize>,
    /// Most Socket.IO sessions of which it is not known yet whose they are.
    pub max_unauthenticated: usize,
    /// See [`Options::address_limit`].
    pub max_per_address: Option<usize>,
    /// Most bytes that wait for a client before changes are held back; one change always has room.
    pub max_pending_bytes: usize,
}

impl Config {
    /// Checks the options; makes the data folder if need be, and a secret if there is none. That is kept in the folder as soon
    /// as the store is open.
    ///
    /// # Errors
    /// Names the variable that cannot be used.
    pub fn check(options: &Options) -> Result<Self, ConfigError> {
        Self::check_with(options, Dialects::built_in())
    }

    /// The same with a registry of the caller's own. What was [given](Dialects::with) to it is served, whether
    /// `CHAT_DIALECTS` names it or not.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_with(options: &Options, dialects: Dialects) -> Result<Self, ConfigError> {
        settings::check(options)?;
        let given = options;
        let options = &options.with_secrets()?;
        let production = options.node_env == "production";
        let store = StoreConfig::find(options)?;
        let private_paths = private::paths(options, &store);
        if let Some(dir) = &options.static_dir {
            private::check_static_dir(dir, options, &store)?;
        }
        make_private_dir(&options.data_dir)
            .map_err(|error| wrong("CHAT_DATA_DIR", format!("{}: {error}", options.data_dir.display())))?;
        let dialects = dialects.serving(&options.dialects, &options.default_dialect)?;
        let memory_limit = memory_limit(options.memory_limit.as_deref())?;
        private::mend(&options.data_dir, &store)
            .map_err(|error| wrong("CHAT_DATA_DIR", format!("{}: {error}", options.data_dir.display())))?;
        let (secret, secret_origin) = secrets::signing(given, options, production)?;
        Ok(Self {
            production,
            secret_origin,
            new_database: options.new_database,
            limits_off: settings::limits_off(options),
            memory_limit,
            origins: origins(&options.client_url, production)?,
            public_url: public_url(options)?,
            client_url: options.client_url.iter().find(|url| url.contains("://")).cloned(),
            trust_proxy: options.trust_proxy,
            token_in_body: options.token_in_body,
            cookie_same_site: same_site(options)?,
            auth: AuthConfig {
                old_secrets: secrets::old(options, &secret)?,
                secret,
                token_life: Duration::from_secs(u64::from(options.token_days) * 86_400),
                bcrypt_cost: options.bcrypt_cost,
                login_limit: options.login_limit,
                login_address_limit: options.login_address_limit,
                signup_limit: options.signup_limit,
                passwords: PasswordRules {
                    min: options.password_min.map(usize::from),
                    check_common: options.password_check,
                },
            },
            message_limit: options.message_limit,
            search_limit: options.search_limit,
            read_budget: options.read_budget,
            change_budget: options.change_budget,
            send_budget: options.send_budget,
            media_limits: MediaLimits { quota: options.media_quota, rate: options.media_rate },
            files: FilesConfig::check(&options.files)?,
            recovery_limit: options.recovery_limit,
            positions: match options.position.as_str() {
                "event" => PositionStyle::Event,
                "argument" => PositionStyle::Argument,
                _ => return Err(wrong("CHAT_POSITION", "must be event or argument")),
            },
            log_kept: (options.log_days > 0)
                .then(|| Duration::from_secs(u64::from(options.log_days) * 86_400)),
            store,
            private_paths,
            cluster: ClusterConfig::check(options)?,
            node: node(options)?,
            codec: CodecConfig::find(&options.codec)?,
            codec_tables: codec_tables(&options.codec_tables)?,
            data_dir: options.data_dir.clone(),
            dialects,
            static_dir: options.static_dir.clone(),
            socket_path: socket_path::check(&options.socket_path)?,
            token_in_query: options.token_in_query,
            transport: TransportConfig {
                ping_interval: Duration::from_millis(options.ping_interval.max(1)),
                ping_timeout: Duration::from_millis(options.ping_timeout.max(1)),
                stall_timeout: Duration::from_millis(options.stall_timeout.max(1)),
                // A text file of 10 MB, with room for JSON's escapes.
                max_packet: 16 << 20,
                max_queue: 1024,
                max_connections: positive("CHAT_MAX_CONNECTIONS", options.max_connections)?,
                max_unauthenticated: (memory_limit / UNAUTHENTICATED_SHARE / UNAUTHENTICATED_BYTES)
                    .clamp(1_000, 20_000),
                max_per_address: positive("CHAT_ADDRESS_LIMIT", options.address_limit)?,
                max_pending_bytes: 1 << 20,
            },
            cloudinary: cloudinary(options)?,
            resend: resend(options)?,
        })
    }
}

impl Config {
    /// Keeps a secret that was made just now, for the next start. With a store in memory nothing is kept.
    pub(crate) fn keep_secret(&self) -> Result<(), ConfigError> {
        if self.secret_origin != SecretOrigin::Made || matches!(self.store, StoreConfig::Memory) {
            return Ok(());
        }
        secrets::keep(&self.data_dir, &self.auth.secret)
    }
}

/// A session that nobody has logged in to costs about so much, with the longest tokens that are kept for it.
const UNAUTHENTICATED_BYTES: usize = 20 << 10;

/// All of them together may cost this part of the memory limit.
const UNAUTHENTICATED_SHARE: usize = 8;

/// A number of bytes, perhaps with `K`, `M` or `G` behind it for powers of 1,024.
fn memory_limit(value: Option<&str>) -> Result<usize, ConfigError> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(memory::default_limit());
    };
    let problem = || wrong("CHAT_MEMORY_LIMIT", "must be a number of bytes from 64M on, such as 512M or 2G");
    let (digits, shift) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 10),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 20),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes >= memory::MIN_LIMIT).ok_or_else(problem)
}

fn positive(variable: &'static str, value: Option<usize>) -> Result<Option<usize>, ConfigError> {
    if value == Some(0) {
        return Err(wrong(variable, "must be at least 1"));
    }
    Ok(value)
}

/// Makes a folder that only its owner can look into: hashes, messages and the secret are kept there.
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// What links begin with: a scheme and a host, perhaps with a path.
fn public_url(options: &Options) -> Result<Option<String>, ConfigError> {
    let Some(url) = options.public_url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]/%@".contains(c);
    match rest.map(|rest| rest.trim_end_matches('/')) {
        Some(rest) if !rest.is_empty() && rest.chars().all(is_plain) => {
            Ok(Some(url.trim_end_matches('/').to_owned()))
        }
        _ => Err(wrong("CHAT_PUBLIC_URL", "must be like https://chat.example.com")),
    }
}

fn same_site(options: &Options) -> Result<Option<SameSite>, ConfigError> {
    let given = options.cookie_same_site.as_deref().map(str::trim).filter(|given| !given.is_empty());
    let read = |given: &str| {
        SameSite::from_str(given, true)
            .map_err(|_| wrong("CHAT_COOKIE_SAMESITE", "must be strict, lax or none"))
    };
    given.map(read).transpose()
}

fn node(options: &Options) -> Result<Option<String>, ConfigError> {
    const MAX: usize = 32;
    let Some(name) = options.node.clone().filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.len() > MAX || !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_')) {
        return Err(wrong("CHAT_NODE", "must be up to 32 letters, digits, - and _"));
    }
    Ok(Some(name))
}

fn cloudinary(options: &Options) -> Result<Option<crate::media::CloudinaryConfig>, ConfigError> {
    let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    match (
        set(&options.cloudinary_cloud_name),
        set(&options.cloudinary_api_key),
        set(&options.cloudinary_api_secret),
    ) {
        (None, None, None) => Ok(None),
        (Some(cloud_name), Some(api_key), Some(api_secret)) => Ok(Some(crate::media::CloudinaryConfig {
            cloud_name,
            api_key,
            api_secret: Secret::new(api_secret),
            base_url: options.cloudinary_url.clone(),
            folder: Some("chat".into()),
        })),
        (None, _, _) => Err(wrong("CLOUDINARY_CLOUD_NAME", "is missing")),
        (_, None, _) => Err(wrong("CLOUDINARY_API_KEY", "is missing")),
        (_, _, None) => Err(wrong("CLOUDINARY_API_SECRET", "is missing")),
    }
}

fn resend(options: &Options) -> Result<Option<crate::mail::ResendConfig>, ConfigError> {
    let Some(api_key) = options.resend_api_key.clone().filter(|key| !key.is_empty()) else { return Ok(None) };
    let Some(from) = options.email_from.clone().filter(|from| !from.is_empty()) else {
        return Err(wrong("EMAIL_FROM", "is missing, RESEND_API_KEY is set"));
    };
    Ok(Some(crate::mail::ResendConfig {
        api_key: Secret::new(api_key),
        from,
        from_name: options.email_from_name.clone(),
        base_url: options.resend_url.clone(),
    }))
}
