//! What is configured of [files](crate::files).

use std::time::Duration;

use clap::Args;

use super::{ConfigError, wrong};
use crate::files::kind::{Group, KINDS, Kind};

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
}

/// What is configured of files, checked.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// See [`FilesOptions::max_bytes`].
    pub max_bytes: u64,
    /// See [`FilesOptions::quota`].
    pub quota: u64,
    /// See [`FilesOptions::rate`].
    pub rate: u64,
    /// The kinds that are taken.
    pub kinds: Vec<&'static Kind>,
    /// See [`FilesOptions::link_minutes`].
    pub link_life: Duration,
}

impl FilesConfig {
    /// Checks the options.
    ///
    /// # Errors
    /// Names the variable that cannot be used.
    pub(super) fn check(options: &FilesOptions) -> Result<Self, ConfigError> {
        Ok(Self {
            max_bytes: options.max_bytes,
            quota: options.quota,
            rate: options.rate,
            kinds: kinds(&options.types)?,
            link_life: Duration::from_secs(u64::from(options.link_minutes) * 60),
        })
    }

    /// Whether files of this kind are taken.
    pub fn allows(&self, kind: &Kind) -> bool {
        self.kinds.contains(&kind)
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
