//! The configuration of the store.

use std::path::PathBuf;

use chat_core::store::sqlite::Synchronous;

use super::error::{ConfigError, wrong};
use super::options::Options;
use crate::secret::Secret;

/// The store to use.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// In memory; everything is lost at the end.
    Memory,
    /// An SQLite file.
    Sqlite {
        /// The path of the file.
        path: PathBuf,
        /// When a change counts as durable.
        synchronous: Synchronous,
    },
    /// A MongoDB database.
    MongoDb {
        /// The address of the database, which may contain a password.
        uri: Secret,
    },
}

impl StoreConfig {
    /// The store in CHAT_STORE, or in an old MONGO_URI or MONGODB_URI, or else a file in the data folder.
    ///
    /// # Errors
    /// Names the variable that is invalid.
    pub fn find(options: &Options) -> Result<Self, ConfigError> {
        let options = &options.with_secrets()?;
        let synchronous = match options.sqlite_synchronous.as_str() {
            "full" => Synchronous::Full,
            "normal" => Synchronous::Normal,
            _ => return Err(wrong("CHAT_SQLITE_SYNCHRONOUS", "must be full or normal")),
        };
        let given = [
            ("CHAT_STORE", &options.store),
            ("MONGO_URI", &options.mongo_uri),
            ("MONGODB_URI", &options.mongodb_uri),
        ];
        let set =
            |value: &Option<String>| value.as_deref().map(str::trim).is_some_and(|text| !text.is_empty());
        let Some((variable, Some(uri))) = given.into_iter().find(|(_, value)| set(value)) else {
            return Ok(Self::Sqlite { path: options.data_dir.join("chat.db"), synchronous });
        };
        let uri = uri.trim();
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
        if matches!(scheme, Some("mongodb" | "mongodb+srv")) {
            return mongodb(variable, uri);
        }
        if variable != "CHAT_STORE" {
            return Err(wrong(variable, "must begin with mongodb:// or mongodb+srv://"));
        }
        match uri.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => {
                Ok(Self::Sqlite { path: path.trim_start_matches("//").into(), synchronous })
            }
            _ => Err(wrong("CHAT_STORE", "must be sqlite:PATH, mongodb://…, mongodb+srv://… or memory:")),
        }
    }

    /// Whether several nodes can use the store.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Memory | Self::Sqlite { .. } => false,
            Self::MongoDb { .. } => true,
        }
    }
}

fn mongodb(variable: &'static str, uri: &str) -> Result<StoreConfig, ConfigError> {
    if cfg!(feature = "mongodb") {
        return Ok(StoreConfig::MongoDb { uri: Secret::new(uri.to_owned()) });
    }
    Err(wrong(variable, "this program was built without MongoDB"))
}
