//! What the program can do besides serving. Commands write their result to the standard output; they neither open the
//! store nor make the data folder.

mod codec;

use chat_server::config::Options;
use clap::Subcommand;

/// A command of the program.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure the compression on messages and files of your own
    #[command(subcommand)]
    Codec(codec::CodecCommand),
}

impl Command {
    /// Carries it out. The error is for the operator, and never shows what somebody has written.
    pub(crate) fn run(&self, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            Self::Codec(command) => command.run(options),
        }
    }
}
