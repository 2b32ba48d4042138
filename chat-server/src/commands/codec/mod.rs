//! `chat-server codec …`: what the configured compression does to messages and files of one's own.

mod file;
mod input;
mod measure;
mod report;
mod stats;

use std::error::Error;
use std::io::{self, Write};

use chat_server::config::{CodecConfig, Options};
use clap::Subcommand;

/// A command about the compression.
#[derive(Subcommand)]
pub(crate) enum CodecCommand {
    /// Compress messages and show what it saves and how long it takes
    ///
    /// Each message is compressed by the codec of CHAT_CODEC, decompressed and compared; one that has changed is named
    /// by its line, and the exit code is 1. No text is shown. All messages are held in memory. "order-0" is what no code
    /// of single bytes can fall below, made for the group and known without being sent.
    Stats(stats::Stats),
    /// Compress files as attachments and show what it saves and how long it takes
    ///
    /// "order-0" is what no code of single bytes can fall below. Files are held in memory, one at a time.
    File(file::File),
}

impl CodecCommand {
    pub(super) fn run(&self, options: &Options) -> Result<(), Box<dyn Error>> {
        let codec = CodecConfig::find(&options.codec)?;
        let report = match self {
            Self::Stats(stats) => stats.run(codec)?,
            Self::File(file) => file.run(codec)?,
        };
        match io::stdout().lock().write_all(report.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}
