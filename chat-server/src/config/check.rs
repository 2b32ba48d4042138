//! Converts the flags and variables into a checked configuration.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chat_core::policy::Limits as Rules;
use clap::ValueEnum;

use super::error::{ConfigError, wrong};
use super::options::Options;
use super::origins::origins;
use super::{
    AuthConfig, ClusterConfig, CodecConfig, Config, FilesConfig, StoreConfig, TransportConfig, codec_tables,
    private, secrets, settings, socket_path,
};
use crate::auth::password_rules::PasswordRules;
use crate::dialect::{Dialects, PositionStyle};
use crate::http::cookie::SameSite;
use crate::mail::ResendConfig;
use crate::media::{CloudinaryConfig, MediaLimits};
use crate::memory;
use crate::secret::Secret;

impl Config {
    /// Checks the options. Creates the data folder if necessary. If there is no secret, generates one, which is stored
    /// in that folder as soon as the store is open.
    ///
    /// # Errors
    /// Names the variable that is invalid.
    pub fn check(options: &Options) -> Result<Self, ConfigError> {
        Self::check_with(options, Dialects::built_in())
    }

    /// The same with the caller's own dialects. Dialects that were [added](Dialects::with) are enabled, even if
    /// `CHAT_DIALECTS` does not name them.
    ///
    /// # Errors
    /// The same as [`Self::check`].
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
                access_life: Duration::from_secs(u64::from(options.access_token_minutes) * 60),
                refresh_life: Duration::from_secs(u64::from(options.refresh_token_days) * 86_400),
                bcrypt_cost: options.bcrypt_cost,
                login_limit: options.login_limit,
                login_address_limit: options.login_address_limit,
                signup_limit: options.signup_limit,
                passwords: PasswordRules {
                    min: options.password_min.map(usize::from),
                    check_common: options.password_check,
                },
            },
            rules: rules(options),
            message_limit: options.message_limit,
            search_limit: options.search_limit,
            read_budget: options.read_budget,
            change_budget: options.change_budget,
            send_budget: options.send_budget,
            files: FilesConfig::check(&options.files)?,
            media_limits: MediaLimits { quota: options.media_quota, rate: options.media_rate },
            operators: operators(&options.operators)?,
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
            // A frontend may have a page of its own there.
            docs: options.docs.unwrap_or(options.static_dir.is_none()),
            socket_path: socket_path::check(&options.socket_path)?,
            token_in_query: options.token_in_query,
            transport: TransportConfig {
                ping_interval: Duration::from_millis(options.ping_interval.max(1)),
                ping_timeout: Duration::from_millis(options.ping_timeout.max(1)),
                stall_timeout: Duration::from_millis(options.stall_timeout.max(1)),
                // A text file of 10 MB, with room for the escapes of JSON.
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

/// What the core lets people do.
fn rules(options: &Options) -> Rules {
    let minutes = u64::from(options.edit_minutes);
    Rules {
        edit_window: (minutes > 0).then(|| Duration::from_secs(minutes * 60)),
        keeps_edits: options.keep_edits,
        ..Rules::default()
    }
}

/// Approximate cost of an unauthenticated session, with the longest tokens that are kept for it.
const UNAUTHENTICATED_BYTES: usize = 20 << 10;

/// All unauthenticated sessions together may use the memory limit divided by this.
const UNAUTHENTICATED_SHARE: usize = 8;

/// A number of bytes, optionally with `K`, `M` or `G` for powers of 1,024.
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

/// Creates a folder that only its owner can access. It will contain password hashes, messages and the secret.
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// The begin of links: a scheme and a host, optionally with a path.
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

/// The names of the operators.
fn operators(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let names: Vec<_> = given.iter().map(|name| name.trim().to_owned()).collect();
    if names.iter().all(String::is_empty) && names.len() <= 1 {
        return Ok(Vec::new());
    }
    let is_name =
        |name: &String| !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if !names.iter().all(is_name) {
        return Err(wrong(
            "CHAT_OPERATORS",
            "must be user names or e-mail addresses with commas between them",
        ));
    }
    Ok(names)
}

fn node(options: &Options) -> Result<Option<String>, ConfigError> {
    const MAX: usize = 32;
    let Some(name) = options.node.clone().filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.len() > MAX || !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_')) {
        return Err(wrong("CHAT_NODE", "must be up to 32 letters, digits, - and _"));
    }
    Ok(Some(name))
}

fn cloudinary(options: &Options) -> Result<Option<CloudinaryConfig>, ConfigError> {
    let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    match (
        set(&options.cloudinary_cloud_name),
        set(&options.cloudinary_api_key),
        set(&options.cloudinary_api_secret),
    ) {
        (None, None, None) => Ok(None),
        (Some(cloud_name), Some(api_key), Some(api_secret)) => Ok(Some(CloudinaryConfig {
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

fn resend(options: &Options) -> Result<Option<ResendConfig>, ConfigError> {
    let Some(api_key) = options.resend_api_key.clone().filter(|key| !key.is_empty()) else { return Ok(None) };
    let Some(from) = options.email_from.clone().filter(|from| !from.is_empty()) else {
        return Err(wrong("EMAIL_FROM", "is missing, RESEND_API_KEY is set"));
    };
    Ok(Some(ResendConfig {
        api_key: Secret::new(api_key),
        from,
        from_name: options.email_from_name.clone(),
        base_url: options.resend_url.clone(),
    }))
}
