//! What the program can do besides serving. Commands write their result to the standard output; none makes the data
//! folder, and only `copy` opens a store.

mod codec;
#[cfg(feature = "mongodb")]
mod copy;

use chat_server::config::Options;
use clap::Subcommand;

/// A command of the program.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure the compression on messages and files of your own
    #[command(subcommand)]
    Codec(codec::CodecCommand),
    /// Copy everything from a SQLite file into MongoDB
    ///
    /// Copies accounts, conversations, messages and the log into the MongoDB of CHAT_STORE, MONGO_URI or MONGODB_URI. Stop the
    /// server first. The database must hold nothing of a chat-server yet; collections of others are left alone. Nothing
    /// changes on the way, so pages go on where they were. Images stay in the data folder, and so does the secret.
    #[cfg(feature = "mongodb")]
    Copy(copy::Copy),
}

impl Command {
    /// Carries it out. The error is for the operator, and never shows what somebody has written.
    pub(crate) fn run(&self, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            Self::Codec(command) => command.run(options),
            #[cfg(feature = "mongodb")]
            Self::Copy(copy) => copy.run(options),
        }
    }
}
