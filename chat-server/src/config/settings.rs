//! The table of all settings, with their valid values and the reasons for the limits.
//!
//! Values are checked against this table, unknown names are compared with it, and a test compares it with the program's
//! flags and docs/configuration.md. That test fails for a setting without a row.

mod given;
mod kind;
mod names;
#[cfg(test)]
mod tests;

pub use self::given::from_command_line;
use self::kind::{
    Kind, is_address, is_bucket, is_file_name, is_log_filter, is_mail_address, is_name, is_web_address,
};
use super::error::{ConfigError, wrong};
use super::options::Options;

/// A row of the table.
pub(super) struct Setting {
    /// The name of the variable.
    name: &'static str,
    /// The valid values.
    kind: Kind,
    /// Why other values are invalid.
    reason: &'static str,
    /// The values in the options: several for a list, none if it is not set.
    values: fn(&Options) -> Vec<String>,
}

/// Checks all options, from whatever source they come.
///
/// # Errors
/// Names the first setting that is out of range.
pub(super) fn check(options: &Options) -> Result<(), ConfigError> {
    SETTINGS.iter().try_for_each(|setting| {
        (setting.values)(options).iter().try_for_each(|value| setting.check(Some(value)))
    })
}

/// Checks a log filter, for `CHAT_LOG`.
///
/// # Errors
/// When it is invalid, with the same text as at a start.
pub fn check_log_filter(filter: &str) -> Result<(), ConfigError> {
    let of_log = SETTINGS.iter().find(|setting| setting.name == "CHAT_LOG");
    of_log.map_or(Ok(()), |setting| setting.check(Some(filter)))
}

/// The names of limits that are disabled by the value 0.
pub(crate) fn limits_off(options: &Options) -> Vec<&'static str> {
    let is_limit = |setting: &&Setting| matches!(setting.kind, Kind::Limit(_));
    let off = |setting: &&Setting| (setting.values)(options).iter().any(|value| value == "0");
    SETTINGS.iter().filter(is_limit).filter(off).map(|setting| setting.name).collect()
}

impl Setting {
    /// Checks a value; `None` is a value that is not UTF-8. An empty value counts as not set, because that is the
    /// meaning of an empty line in an `.env` file.
    fn check(&self, value: Option<&str>) -> Result<(), ConfigError> {
        if value.is_some_and(|value| value.trim().is_empty()) {
            return Ok(());
        }
        self.kind.check(value).map_err(|problem| {
            let reason = if self.reason.is_empty() { "" } else { ": " };
            wrong(self.name, format!("{problem}{reason}{}", self.reason))
        })
    }
}

fn one(value: &impl ToString) -> Vec<String> {
    vec![value.to_string()]
}

fn perhaps<T: ToString>(value: &Option<T>) -> Vec<String> {
    value.iter().map(T::to_string).collect()
}

macro_rules! table {
    ($($name:literal, $kind:expr, $reason:expr, $values:expr;)*) => {
        &[$(Setting { name: $name, kind: $kind, reason: $reason, values: $values }),*]
    };
}

const COUNTED: &str = "what is counted is held in memory; 0 means no limit";
const MANY_BYTES: &str = "no disk is larger; 0 means no limit";
const MEGABYTES: &str = "nobody sends or reads more; 0 means no limit";
const HEARTBEAT: &str = "below, heartbeats are most of the traffic; above, a dead network goes unnoticed and proxies cut what is \
                         silent";

#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = table! {
    "PORT", Kind::Number(0..=65_535), "those are all ports; 0 lets the system choose one", |o| one(&o.port);
    "CHAT_HOST", Kind::Text(is_address), "", |o| perhaps(&o.host);
    "NODE_ENV", Kind::Choice(&["development", "production", "test"]), "anything else would be taken for development, which is less strict", |o| one(&o.node_env);
    "CLIENT_URL", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_PUBLIC_URL", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_TRUST_PROXY", Kind::Number(0..=16), "it is how many proxies of yours stand in front, and each that is counted too much lets clients choose their address", |o| one(&o.trust_proxy);

    "JWT_SECRET", Kind::Secret, "", |o| perhaps(&o.jwt_secret);
    "CHAT_OLD_JWT_SECRET", Kind::Secret, "", |o| o.old_jwt_secret.clone();
    "CHAT_TOKEN_IN_BODY", Kind::Switch, "", |o| one(&o.token_in_body);
    "CHAT_COOKIE_SAMESITE", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_TOKEN_DAYS", Kind::Number(1..=3_650), "with 0 a token would have ended before it is used, and nobody could log in", |o| one(&o.token_days);
    "CHAT_ACCESS_TOKEN_MINUTES", Kind::Number(1..=1_440), "with 0 a token would have ended before it is used; one that is good for long needs no refresh token", |o| one(&o.access_token_minutes);
    "CHAT_REFRESH_TOKEN_DAYS", Kind::Number(1..=3_650), "with 0 a session would end with its first access token", |o| one(&o.refresh_token_days);
    "CHAT_BCRYPT_COST", Kind::Number(4..=16), "bcrypt begins at 4, and each step doubles the time: 16 takes seconds for a log-in, 31 days", |o| one(&o.bcrypt_cost);
    "CHAT_LOGIN_LIMIT", Kind::Limit(1_000_000), COUNTED, |o| one(&o.login_limit);
    "CHAT_LOGIN_ADDRESS_LIMIT", Kind::Limit(1_000_000), COUNTED, |o| one(&o.login_address_limit);
    "CHAT_SIGNUP_LIMIT", Kind::Limit(1_000_000), COUNTED, |o| one(&o.signup_limit);
    "CHAT_PASSWORD_MIN", Kind::Number(1..=72), "bcrypt reads 72 bytes of a password", |o| perhaps(&o.password_min);
    "CHAT_PASSWORD_CHECK", Kind::Switch, "", |o| one(&o.password_check);
    "CHAT_MESSAGE_LIMIT", Kind::Limit(1_000_000), COUNTED, |o| one(&o.message_limit);
    "CHAT_SEARCH_LIMIT", Kind::Limit(1_000_000), COUNTED, |o| one(&o.search_limit);
    "CHAT_MEDIA_QUOTA", Kind::Limit(1 << 50), MANY_BYTES, |o| one(&o.media_quota);
    "CHAT_MEDIA_RATE", Kind::Limit(1 << 50), MANY_BYTES, |o| one(&o.media_rate);
    "CHAT_FILES_MAX_BYTES", Kind::Number(1..=1 << 40), "with 0 nothing could be stored, and no disk takes more", |o| one(&o.files.max_bytes);
    "CHAT_FILES_QUOTA", Kind::Limit(1 << 50), MANY_BYTES, |o| one(&o.files.quota);
    "CHAT_FILES_RATE", Kind::Limit(1 << 50), MANY_BYTES, |o| one(&o.files.rate);
    "CHAT_FILES_TYPES", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_FILES_LINK_MINUTES", Kind::Number(1..=10_080), "below, links end while a page is open; above, who is removed from a room has them still", |o| one(&o.files.link_minutes);
    "CHAT_FILES_S3_BUCKET", Kind::Text(is_bucket), "", |o| perhaps(&o.files.s3_bucket);
    "CHAT_FILES_S3_ENDPOINT", Kind::Text(is_web_address), "", |o| perhaps(&o.files.s3_endpoint);
    "CHAT_FILES_S3_REGION", Kind::Text(is_name), "", |o| one(&o.files.s3_region);
    "CHAT_FILES_S3_KEY_ID", Kind::Secret, "", |o| perhaps(&o.files.s3_key_id);
    "CHAT_FILES_S3_SECRET", Kind::Secret, "", |o| perhaps(&o.files.s3_secret);
    "CHAT_FILES_S3_PREFIX", Kind::Text(kind::is_one_line), "", |o| one(&o.files.s3_prefix);
    "CHAT_SCAN_COMMAND", Kind::Text(kind::is_one_line), "", |o| perhaps(&o.files.scan_command);
    "CHAT_SCAN_CLAMD", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_READ_BUDGET", Kind::Limit(1_000_000), MEGABYTES, |o| one(&o.read_budget);
    "CHAT_CHANGE_BUDGET", Kind::Limit(10_000_000), COUNTED, |o| one(&o.change_budget);
    "CHAT_EDIT_MINUTES", Kind::Number(0..=5_256_000), "no message is older than ten years; 0 sets no limit", |o| one(&o.edit_minutes);
    "CHAT_KEEP_EDITS", Kind::Switch, "", |o| one(&o.keep_edits);
    "CHAT_SEND_BUDGET", Kind::Limit(1_000_000), MEGABYTES, |o| one(&o.send_budget);

    "CHAT_STORE", Kind::Secret, "", |o| perhaps(&o.store);
    "MONGO_URI", Kind::Secret, "", |o| perhaps(&o.mongo_uri);
    "MONGODB_URI", Kind::Secret, "", |o| perhaps(&o.mongodb_uri);
    "CHAT_DATA_DIR", Kind::Path, "", |_| Vec::new();
    "CHAT_SQLITE_SYNCHRONOUS", Kind::Choice(&["full", "normal"]), "", |o| one(&o.sqlite_synchronous);
    "CHAT_CODEC", Kind::Choice(&["huffman", "zstd", "none"]), "", |o| one(&o.codec);
    "CHAT_CODEC_TABLES", Kind::Path, "", |_| Vec::new();

    "REDIS_URL", Kind::Secret, "", |o| perhaps(&o.redis_url);
    "CHAT_REDIS_CA", Kind::Text(is_file_name), "", |o| perhaps(&o.redis_ca);
    "CHAT_REDIS_CERT", Kind::Text(is_file_name), "", |o| perhaps(&o.redis_cert);
    "CHAT_REDIS_KEY", Kind::Text(is_file_name), "", |o| perhaps(&o.redis_key);
    "CHAT_BUS", Kind::Choice(&["redis", "store", "none"]), "", |o| perhaps(&o.bus);
    "CHAT_NODE", Kind::CheckedElsewhere, "", |_| Vec::new();

    "CHAT_DIALECTS", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_DEFAULT_DIALECT", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_STATIC_DIR", Kind::Path, "", |_| Vec::new();
    "CHAT_DOCS", Kind::Switch, "", |o| perhaps(&o.docs);
    "CHAT_SOCKET_PATH", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_TOKEN_IN_QUERY", Kind::Switch, "", |o| one(&o.token_in_query);

    "CHAT_OPERATORS", Kind::CheckedElsewhere, "", |_| Vec::new();

    "CHAT_RECOVERY_LIMIT", Kind::Number(0..=10_000_000), "all of it is read when a client comes back; 0 lets everybody load afresh", |o| one(&o.recovery_limit);
    "CHAT_POSITION", Kind::Choice(&["event", "argument"]), "", |o| one(&o.position);
    "CHAT_LOG_DAYS", Kind::Number(0..=36_500), "nobody is away for longer than a hundred years; 0 keeps it for ever", |o| one(&o.log_days);
    "CHAT_PING_INTERVAL", Kind::Number(100..=300_000), HEARTBEAT, |o| one(&o.ping_interval);
    "CHAT_PING_TIMEOUT", Kind::Number(100..=300_000), "below, whoever is slow is taken for dead; above, the dead are taken for online", |o| one(&o.ping_timeout);
    "CHAT_STALL_TIMEOUT", Kind::Number(100..=300_000), "below, whoever is slow is cut; above, what waits for those who read nothing fills the memory", |o| one(&o.stall_timeout);
    "CHAT_MAX_CONNECTIONS", Kind::Number(1..=4_000_000), "each is an open file and some kilobytes of memory", |o| perhaps(&o.max_connections);
    "CHAT_ADDRESS_LIMIT", Kind::Number(1..=4_000_000), "with 0 nobody could connect", |o| perhaps(&o.address_limit);
    "CHAT_MEMORY_LIMIT", Kind::CheckedElsewhere, "", |_| Vec::new();
    "CHAT_THREADS", Kind::Number(1..=256), "more threads than cores only pass work to and fro, and thousands of them hang the machine", |o| perhaps(&o.threads);

    "CLOUDINARY_CLOUD_NAME", Kind::Text(is_name), "", |o| perhaps(&o.cloudinary_cloud_name);
    "CLOUDINARY_API_KEY", Kind::Secret, "", |o| perhaps(&o.cloudinary_api_key);
    "CLOUDINARY_API_SECRET", Kind::Secret, "", |o| perhaps(&o.cloudinary_api_secret);
    "CHAT_CLOUDINARY_URL", Kind::Text(is_web_address), "", |o| one(&o.cloudinary_url);
    "RESEND_API_KEY", Kind::Secret, "", |o| perhaps(&o.resend_api_key);
    "EMAIL_FROM", Kind::Text(is_mail_address), "", |o| perhaps(&o.email_from);
    "EMAIL_FROM_NAME", Kind::Text(kind::is_one_line), "", |o| perhaps(&o.email_from_name);
    "CHAT_RESEND_URL", Kind::Text(is_web_address), "", |o| one(&o.resend_url);

    "CHAT_LOG", Kind::Text(is_log_filter), "what is no level would be taken for the name of a part, and everything else would be silent", |o| one(&o.log);
    "CHAT_LOG_FORMAT", Kind::Choice(&["text", "json"]), "", |o| one(&o.log_format);

    "JWT_SECRET_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.jwt_secret_file);
    "CHAT_OLD_JWT_SECRET_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.old_jwt_secret_file);
    "CHAT_STORE_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.store_file);
    "MONGO_URI_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.mongo_uri_file);
    "MONGODB_URI_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.mongodb_uri_file);
    "REDIS_URL_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.redis_url_file);
    "CLOUDINARY_API_KEY_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.cloudinary_api_key_file);
    "CLOUDINARY_API_SECRET_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.cloudinary_api_secret_file);
    "CHAT_FILES_S3_SECRET_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.files_s3_secret_file);
    "RESEND_API_KEY_FILE", Kind::Text(is_file_name), "", |o| perhaps(&o.secret_files.resend_api_key_file);
};
