//! The commands of the program other than serving. Commands write their result to the standard output. Only `restore`
//! creates the data folder, only `copy` and `restore` write to a store, and only `backup` and `check` read a store that
//! a server is using.

mod backup;
mod check;
mod codec;
#[cfg(feature = "mongodb")]
mod copy;
mod describe;
mod restore;

use std::process::ExitCode;

use chat_server::config::Options;
use clap::Subcommand;

/// A command of the program.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Look for damaged records in the store and the media folder
    ///
    /// Goes over everything of the configured store (CHAT_STORE and so on) and names every damaged record, one line each, with
    /// where it is, what is wrong and how to mend it, and their number at the end. Nothing is changed, and a server may be
    /// running. Exit code: 0 when all is well, 1 when something is damaged, 2 when it could not look.
    Check(check::Check),
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
    /// Write a description of the API: OpenAPI, AsyncAPI, TypeScript or JSON Schema
    ///
    /// Describes the routes and events of all dialects, as the code has them. A server serves the same under /docs.
    Describe(describe::Describe),
    /// Save everything into a new folder, while the server runs
    ///
    /// Saves the database as it is at one moment, the images, the secret that the server keeps itself, and the files of
    /// CHAT_CODEC_TABLES. Whoever can read the folder can read all messages. What is configured is not in it (JWT_SECRET, .env),
    /// nor is MongoDB.
    Backup(backup::Backup),
    /// Put a backup in the place of what is there
    ///
    /// Stop the server first. The backup is verified before anything is touched. What is there is kept under another name beside
    /// it; what is newer than the backup is only replaced with --force. Open pages load afresh what they show, and nobody is
    /// logged out.
    Restore(restore::Restore),
}

impl Command {
    /// Runs the command. The error is for the operator, and never contains messages of users.
    pub(crate) fn run(&self, options: &Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
        match self {
            Self::Check(check) => return check.run(options),
            Self::Codec(command) => command.run(options)?,
            #[cfg(feature = "mongodb")]
            Self::Copy(copy) => copy.run(options)?,
            Self::Describe(describe) => describe.run()?,
            Self::Backup(backup) => backup.run(options)?,
            Self::Restore(restore) => restore.run(options)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The exit code of a failure.
    pub(crate) fn failure(&self) -> ExitCode {
        match self {
            // Exit code 1 means that something is damaged.
            Self::Check(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
