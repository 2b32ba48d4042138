//! `chat-server copy`: copies everything from a SQLite file into the MongoDB of the configuration.

use std::error::Error;
use std::path::{Path, PathBuf};

use chat_core::clock::{Clock, SystemClock};
use chat_core::store::sqlite::SqliteExport;
use chat_core::store::{Copied, MongoStore, copy_to_mongodb};
use chat_server::config::{Options, StoreConfig};
use clap::Args;

/// Progress is logged after this many messages.
const TELL_AFTER: u64 = 100_000;

/// What is copied.
#[derive(Args)]
pub(crate) struct Copy {
    /// The SQLite file. Unset: chat.db in the data folder
    #[arg(long)]
    from: Option<PathBuf>,
}

impl Copy {
    pub(super) fn run(&self, options: &Options) -> Result<(), Box<dyn Error>> {
        let StoreConfig::MongoDb { uri } = StoreConfig::find(options)? else {
            return Err(
                "CHAT_STORE: must be the mongodb:// or mongodb+srv:// to copy into (or set MONGO_URI)".into(),
            );
        };
        let from = self.from.clone().unwrap_or_else(|| options.data_dir.join("chat.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let file = &from;
        let copied = runtime.block_on(async {
            // Problems of the file are found before the database is changed.
            let from = SqliteExport::open(file)?;
            let to = MongoStore::open(uri.expose()).await?;
            let mut told = 0;
            let copied = copy_to_mongodb(from, &to, |copied| {
                if copied.messages >= told + TELL_AFTER {
                    told = copied.messages;
                    tracing::info!(messages = told, "copying");
                }
            })
            .await?;
            chat_core::store::ChangeLog::close(&to).await?;
            Ok::<_, chat_core::store::StoreError>(copied)
        })?;
        chat_server::moved::mark(file, SystemClock.now()).map_err(|error| {
            format!("everything was copied, but {}.moved cannot be written: {error}", file.display())
        })?;
        println!("{}", said(&copied, file));
        Ok(())
    }
}

fn said(copied: &Copied, file: &Path) -> String {
    let Copied { users, conversations, messages, .. } = copied;
    format!(
        "Copied {users} accounts, {conversations} conversations and {messages} messages. They are still in the file, too, but no \
         server starts on it again while {} is there.",
        chat_server::moved::mark_of(file).display()
    )
}
