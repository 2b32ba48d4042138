//! The flags and variables of the program.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

use super::files::FilesOptions;
use super::secret_files::SecretFiles;
use super::switch::switch;

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
    #[arg(long, env = "CHAT_TOKEN_IN_BODY", default_value = "off", value_name = "on|off", value_parser = switch,
        action = clap::ArgAction::Set)]
    pub token_in_body: bool,
    /// `SameSite` of the log-in cookie: `strict`, `lax` or `none` (which is always `Secure`). Unset: `none` for the https pages
    /// of other sites that CLIENT_URL names, and `strict` for everybody else
    #[arg(long = "cookie-samesite", env = "CHAT_COOKIE_SAMESITE", value_name = "strict|lax|none")]
    pub cookie_same_site: Option<String>,
    /// Days until an issued token expires
    #[arg(long, env = "CHAT_TOKEN_DAYS", default_value_t = 7)]
    pub token_days: u32,
    /// Minutes until an access token of `native` expires, whose clients refresh it
    #[arg(long, env = "CHAT_ACCESS_TOKEN_MINUTES", default_value_t = 15)]
    pub access_token_minutes: u32,
    /// Days until a refresh token of `native` expires, and the session with it if it is not used
    #[arg(long, env = "CHAT_REFRESH_TOKEN_DAYS", default_value_t = 30)]
    pub refresh_token_days: u32,
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
    #[arg(long, env = "CHAT_PASSWORD_CHECK", default_value = "on", value_name = "on|off", value_parser = switch,
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
    /// Minutes after a message was sent in which its sender may edit it; 0: no limit
    #[arg(long, env = "CHAT_EDIT_MINUTES", default_value_t = 1_440)]
    pub edit_minutes: u32,
    /// `true` keeps what a message said before it was edited, for its sender and for moderators of the room
    #[arg(long, env = "CHAT_KEEP_EDITS", default_value = "true", value_name = "true|false",
        value_parser = switch, action = clap::ArgAction::Set)]
    pub keep_edits: bool,
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
    /// Whether `/docs` shows the descriptions of the API. Unset: `on`, but `off` with CHAT_STATIC_DIR
    #[arg(long, env = "CHAT_DOCS", value_name = "on|off", value_parser = switch)]
    pub docs: Option<bool>,

    /// Where Socket.IO is: the `path` of an old backend's `new Server(…)`, with or without a slash at the end
    #[arg(long, env = "CHAT_SOCKET_PATH", default_value = "/socket.io")]
    pub socket_path: String,
    /// `true` lets clients of Socket.IO 2 log in by `?token=` in the address, which proxies and caches may write down. Only
    /// for those that cannot send a cookie or a header
    #[arg(long, env = "CHAT_TOKEN_IN_QUERY", default_value = "false", value_name = "true|false",
        value_parser = switch, action = clap::ArgAction::Set)]
    pub token_in_query: bool,

    /// The operators, with commas between them: user names or e-mail addresses of those who see the reports that are not for
    /// the moderators of a room
    #[arg(long, env = "CHAT_OPERATORS", value_delimiter = ',', default_value = "")]
    pub operators: Vec<String>,

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
