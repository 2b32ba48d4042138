//! The configuration of [files](crate::files).

use std::time::Duration;

use clap::Args;

use super::error::{ConfigError, wrong};
use crate::files::kind::{Group, KINDS, Kind};
use crate::files::scan::ScanConfig;
#[cfg(feature = "s3")]
use crate::{files::s3::S3Config, secret::Secret};

/// The flags and variables of files.
#[derive(Clone, Args)]
#[command(next_help_heading = "Files")]
pub struct FilesOptions {
    /// Bytes of a file at most
    #[arg(long = "files-max-bytes", env = "CHAT_FILES_MAX_BYTES", default_value_t = 100 << 20)]
    pub max_bytes: u64,
    /// Bytes of files that a person may store in total; 0: no limit
    #[arg(long = "files-quota", env = "CHAT_FILES_QUOTA", default_value_t = 1 << 30)]
    pub quota: u64,
    /// Bytes of files that a person may store in an hour; 0: no limit
    #[arg(long = "files-rate", env = "CHAT_FILES_RATE", default_value_t = 1 << 30)]
    pub rate: u64,
    /// Kinds of files that are taken, comma-separated: groups (`image`, `audio`, `video`, `document`, `text`, `archive`) or
    /// endings of names (`png`, `pdf`)
    #[arg(
        long = "files-types",
        env = "CHAT_FILES_TYPES",
        value_delimiter = ',',
        default_value = "image,audio,video,document,text,archive"
    )]
    pub types: Vec<String>,
    /// Minutes for which a signed link is good at least, and a quarter more at most
    #[arg(long = "files-link-minutes", env = "CHAT_FILES_LINK_MINUTES", default_value_t = 60)]
    pub link_minutes: u32,
    /// Bucket of an S3-compatible store in which files are kept, in the place of the data folder
    #[arg(long = "files-s3-bucket", env = "CHAT_FILES_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// Where that store is, unless it is Amazon's: `https://minio.example.com`
    #[arg(long = "files-s3-endpoint", env = "CHAT_FILES_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Its region
    #[arg(long = "files-s3-region", env = "CHAT_FILES_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// The id of its access key
    #[arg(long = "files-s3-key-id", env = "CHAT_FILES_S3_KEY_ID")]
    pub s3_key_id: Option<String>,
    /// The secret of its access key
    #[arg(long = "files-s3-secret", env = "CHAT_FILES_S3_SECRET", hide_env_values = true)]
    pub s3_secret: Option<String>,
    /// What the names of all objects begin with
    #[arg(long = "files-s3-prefix", env = "CHAT_FILES_S3_PREFIX", default_value = "files")]
    pub s3_prefix: String,
    /// Program that looks at every file before it is let in, with its arguments; the path of the file follows them. Exit 0:
    /// clean, 1: infected
    #[arg(long = "scan-command", env = "CHAT_SCAN_COMMAND")]
    pub scan_command: Option<String>,
    /// Where clamd looks at every file before it is let in: `127.0.0.1:3310`, or the path of its socket
    #[arg(long = "scan-clamd", env = "CHAT_SCAN_CLAMD")]
    pub scan_clamd: Option<String>,
}

/// The checked configuration of files.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// See [`FilesOptions::max_bytes`].
    pub max_bytes: u64,
    /// See [`FilesOptions::quota`].
    pub quota: u64,
    /// See [`FilesOptions::rate`].
    pub rate: u64,
    /// The accepted kinds of files.
    pub kinds: Vec<&'static Kind>,
    /// See [`FilesOptions::link_minutes`].
    pub link_life: Duration,
    /// The scanner that checks files before they are accepted.
    pub scan: Option<ScanConfig>,
    /// The bucket that contains the files, if there is one.
    #[cfg(feature = "s3")]
    pub bucket: Option<S3Config>,
}

impl FilesConfig {
    /// Checks the options.
    ///
    /// # Errors
    /// Names the variable that is invalid.
    pub(super) fn check(options: &FilesOptions) -> Result<Self, ConfigError> {
        #[cfg(not(feature = "s3"))]
        if set(&options.s3_bucket).is_some() {
            return Err(wrong("CHAT_FILES_S3_BUCKET", "this server was built without the feature s3"));
        }
        Ok(Self {
            max_bytes: options.max_bytes,
            quota: options.quota,
            rate: options.rate,
            kinds: kinds(&options.types)?,
            link_life: Duration::from_secs(u64::from(options.link_minutes) * 60),
            scan: scan(options)?,
            #[cfg(feature = "s3")]
            bucket: bucket(options)?,
        })
    }

    /// Whether files of this kind are accepted.
    pub fn allows(&self, kind: &Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

/// The value, if it is set and not empty.
fn set(value: &Option<String>) -> Option<String> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(feature = "s3")]
fn bucket(options: &FilesOptions) -> Result<Option<S3Config>, ConfigError> {
    let Some(bucket) = set(&options.s3_bucket) else { return Ok(None) };
    let missing = |variable| wrong(variable, "is missing, CHAT_FILES_S3_BUCKET is set");
    Ok(Some(S3Config {
        bucket,
        endpoint: set(&options.s3_endpoint),
        region: options.s3_region.trim().to_owned(),
        key_id: set(&options.s3_key_id).ok_or_else(|| missing("CHAT_FILES_S3_KEY_ID"))?,
        secret: Secret::new(set(&options.s3_secret).ok_or_else(|| missing("CHAT_FILES_S3_SECRET"))?),
        prefix: options.s3_prefix.trim().to_owned(),
    }))
}

fn scan(options: &FilesOptions) -> Result<Option<ScanConfig>, ConfigError> {
    match (set(&options.scan_command), set(&options.scan_clamd)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(wrong("CHAT_SCAN_CLAMD", "CHAT_SCAN_COMMAND is set as well: one of them scans"))
        }
        (Some(command), None) => {
            Ok(Some(ScanConfig::Command(command.split_whitespace().map(str::to_owned).collect())))
        }
        (None, Some(place)) if place.starts_with('/') => Ok(Some(ScanConfig::ClamdSocket(place))),
        (None, Some(place)) => {
            let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return Err(wrong("CHAT_SCAN_CLAMD", "must be like 127.0.0.1:3310, or the path of a socket"));
            }
            Ok(Some(ScanConfig::Clamd(place)))
        }
    }
}

fn kinds(names: &[String]) -> Result<Vec<&'static Kind>, ConfigError> {
    let mut kinds: Vec<&Kind> = Vec::new();
    for name in names {
        let name = name.trim().trim_start_matches('.').to_ascii_lowercase();
        let group = Group::ALL.into_iter().find(|group| group.name() == name);
        let found: Vec<&Kind> = match group {
            Some(group) => KINDS.iter().filter(|kind| kind.group == group).collect(),
            None => KINDS.iter().filter(|kind| kind.extensions.contains(&&*name)).collect(),
        };
        if found.is_empty() {
            let groups = Group::ALL.map(Group::name).join(", ");
            let problem = format!(
                "{name:?} is not one of {groups}, and no ending of a kind that can be told by its content"
            );
            return Err(wrong("CHAT_FILES_TYPES", problem));
        }
        kinds.extend(found);
    }
    Ok(kinds)
}
