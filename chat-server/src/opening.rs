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
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::config::Options;

    fn config(folder: &Path, more: &[&str]) -> Config {
        let command = Options::command().mut_args(|arg| arg.env(None));
        let data = format!("--data-dir={}", folder.display());
        let arguments = ["chat-server", &data].into_iter().chain(more.iter().copied());
        let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        Config::check(&options).unwrap()
    }

    async fn start(folder: &Path, more: &[&str]) -> Result<Option<Opened>, String> {
        let config = config(folder, more);
        let (store, opened) = open(&config).await.map_err(|error| {
            assert!(error.is_for_the_operator(), "{error}");
            error.to_string()
        })?;
        config.keep_secret().unwrap();
        store.close().await.unwrap();
        Ok(opened)
    }

    const SECRET: &str = "--jwt-secret=hush-hush-hush-hush-hush-hush-hush";

    #[tokio::test]
    async fn no_new_database_is_made_beside_what_is_left_of_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let database = folder.join("chat.db");
        assert!(start(folder, &[]).await.unwrap().unwrap().made_new);
        assert!(!start(folder, &[]).await.unwrap().unwrap().made_new);
        std::fs::remove_file(&database).unwrap();
        let refused = start(folder, &[]).await.unwrap_err();
        for word in ["CHAT_STORE: ", "chat.db", "jwt-secret", "--new", "mounted"] {
            assert!(refused.contains(word), "{word}: {refused}");
        }
        assert!(!database.exists());
        assert!(start(folder, &["--store=memory:"]).await.is_ok(), "nobody expects anything of it");
        assert!(start(folder, &["--new"]).await.unwrap().unwrap().made_new);
        assert!(!start(folder, &[]).await.unwrap().unwrap().made_new);
    }

    #[tokio::test]
    async fn images_and_logs_tell_of_a_database_too() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("media")).unwrap();
        std::fs::write(folder.join("media/.usage"), "").unwrap();
        assert!(start(folder, &[SECRET]).await.is_ok(), "that is no image");
        std::fs::remove_file(folder.join("chat.db")).unwrap();
        std::fs::create_dir(folder.join("media/0a")).unwrap();
        assert!(start(folder, &[SECRET]).await.unwrap_err().contains("there are images in "));
        std::fs::remove_dir(folder.join("media/0a")).unwrap();
        std::fs::write(folder.join("chat.db-wal"), "something").unwrap();
        assert!(start(folder, &[SECRET]).await.unwrap_err().contains("chat.db-wal"));
    }

    #[tokio::test]
    async fn a_first_start_that_fails_leaves_no_secret_behind() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = format!("--store=sqlite:{}/nowhere/chat.db", folder.path().display());
        let config = config(folder.path(), &[&nowhere]);
        assert!(open(&config).await.is_err());
        assert!(start(folder.path(), &[]).await.unwrap().unwrap().made_new);
    }

    #[tokio::test]
    async fn a_file_that_was_moved_is_not_served_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("chat.db");
        assert!(start(folder.path(), &[]).await.is_ok());
        moved::mark(&database, chat_core::clock::Timestamp::from_millis(0)).unwrap();
        for more in [&[][..], &["--new"]] {
            let refused = start(folder.path(), more).await.unwrap_err();
            assert!(
                refused.contains("moved to MongoDB at 1970-01-01T") && refused.contains("chat.db.moved"),
                "{refused}"
            );
        }
        std::fs::remove_file(moved::mark_of(&database)).unwrap();
        assert!(start(folder.path(), &[]).await.is_ok());
    }
}
