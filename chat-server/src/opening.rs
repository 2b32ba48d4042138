//! Opens the store that is configured, unless that would show people an empty chat, or an old one, in place of theirs.
//!
//! A disk that is not mounted and a variable that was forgotten look like a first start: there is no database. What tells
//! the difference is what a first start does not find beside it: a secret that was kept, images, the log of a SQLite file.
//! The secret is kept only when the store is open, so that a first start that fails leaves nothing of the kind behind.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "mongodb")]
use chat_core::store::MongoStore;
use chat_core::store::sqlite::{AnswerOn, SqliteOptions};
use chat_core::store::{MemoryStore, Opened, SqliteStore, Store, StoreError};

use crate::config::{Config, ConfigError, SecretOrigin, StoreConfig};
use crate::moved;

/// Held in reserve beside the database for when the disk is full: as much as putting the database in order takes.
const RESERVE_BYTES: u64 = 4 << 20;

/// Opens it, and tells what was found, which of a store in memory is nothing.
pub(crate) async fn open(config: &Config) -> Result<(Arc<dyn Store>, Option<Opened>), ConfigError> {
    let evidence = if config.new_database { None } else { evidence(config) };
    match &config.store {
        StoreConfig::Memory => Ok((Arc::new(MemoryStore::new()), None)),
        StoreConfig::Sqlite { path, synchronous } => {
            if let Some(noted) = moved::noted(path) {
                return Err(ConfigError::Unfit(format!(
                    "CHAT_STORE: {} was {noted}: what was written since is there, not here. Set CHAT_STORE or MONGO_URI to \
                     that database again; or, to go on with this file as it was, remove {}",
                    path.display(),
                    moved::mark_of(path).display()
                )));
            }
            let runtime = tokio::runtime::Handle::current();
            let options = SqliteOptions {
                synchronous: *synchronous,
                reserve_bytes: RESERVE_BYTES,
                answer_on: AnswerOn::new(move |answer| drop(runtime.spawn(async move { answer() }))),
                may_make_new: evidence.is_none(),
                ..SqliteOptions::default()
            };
            // Bringing an older layout up to date may take long, and this thread has others to answer.
            let at = path.clone();
            let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&at, options));
            let opened =
                opening.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
            let store = opened.map_err(|error| explained(error, evidence))?;
            let opened = store.opened();
            Ok((Arc::new(store), Some(opened)))
        }
        #[cfg(feature = "mongodb")]
        StoreConfig::MongoDb { uri } => {
            let opened = match evidence {
                None => MongoStore::open(uri.expose()).await,
                Some(_) => MongoStore::open_existing(uri.expose()).await,
            };
            let store = opened.map_err(|error| explained(error, evidence))?;
            let opened = store.opened();
            Ok((Arc::new(store), Some(opened)))
        }
        #[cfg(not(feature = "mongodb"))]
        StoreConfig::MongoDb { .. } => {
            Err(StoreError::Refused("this program was built without MongoDB".into()).into())
        }
    }
}

/// What tells that there was a database once.
fn evidence(config: &Config) -> Option<String> {
    let data = &config.data_dir;
    if config.secret_origin == SecretOrigin::Kept {
        return Some(format!("there is a secret in {}", crate::config::kept_secret(data).display()));
    }
    let media = data.join("media");
    if has_images(&media) {
        return Some(format!("there are images in {}", media.display()));
    }
    if let StoreConfig::Sqlite { path, .. } = &config.store {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = Path::new(&log);
        if log.metadata().is_ok_and(|file| file.len() > 0) {
            return Some(format!("there is the log of one, {}", log.display()));
        }
    }
    None
}

/// What this server itself keeps there by the way has names with a dot.
fn has_images(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
}

fn explained(error: StoreError, evidence: Option<String>) -> ConfigError {
    match (error, evidence) {
        (StoreError::Missing(what), Some(evidence)) => ConfigError::Unfit(format!(
            "CHAT_STORE: there is no database ({what}), but {evidence}: there was one. Is its disk mounted, and are CHAT_STORE (or \
             MONGO_URI) and CHAT_DATA_DIR what they were? Nothing was made. After a move to MongoDB `chat-server copy` brings \
             everything along. To begin with an empty database, start once with --new"
        )),
        (error, _) => error.into(),
    }
}

#[cfg(test)]
mod tests;
