//! `chat-server codec …`: measures the configured compression on the operator's own messages and files, and trains
//! tables.

mod file;
mod input;
mod measure;
mod report;
mod stats;
mod train;

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use chat_core::codec::Codec;
use chat_server::config::{CodecConfig, ConfigError, Options, codec_tables};
use clap::Subcommand;

/// A command about the compression.
#[derive(Subcommand)]
pub(crate) enum CodecCommand {
    /// Compress messages and show what it saves and how long it takes
    ///
    /// Each message is compressed by the codec of CHAT_CODEC with the tables of CHAT_CODEC_TABLES, decompressed and
    /// compared; one that has changed is named by its line, and the exit code is 1. No text is shown. All messages are
    /// held in memory. "order-0" is what no code of single bytes can fall below, made for the group and known without
    /// being sent. Format 19 is that of CHAT_CODEC_TABLES.
    Stats(stats::Stats),
    /// Compress files as attachments and show what it saves and how long it takes
    ///
    /// "order-0" is what no code of single bytes can fall below. Files are held in memory, one at a time.
    File(file::File),
    /// Make tables for the compression from messages of your own
    ///
    /// What is said again and again where you are, such as names, products and turns of speech, then takes a few bits.
    /// Some hundred kilobytes of messages are needed for tables that are worth it. All are held in memory, with some
    /// fifty times their size on top; each megabyte takes some seconds. Equal messages give an equal file.
    ///
    /// Frequent words and names of the messages stand in the file: keep it as private as the messages.
    #[command(after_long_help = LOOP)]
    Train(train::Train),
}

/// An example for the help of the training command.
const LOOP: &str = r#"From messages to tables in use:

  1. Export messages, {"group": "all", "split": "train", "text": "…"}, every tenth with "split": "test".
  2. Train on the ones:
       chat-server codec train messages.jsonl --split train --out ours.cht
  3. See what it saves on the others, without and with it:
       chat-server codec stats messages.jsonl --split test --min-bytes 51
       chat-server --codec-tables ours.cht codec stats messages.jsonl --split test --min-bytes 51
  4. Start the server with CHAT_CODEC_TABLES=ours.cht.

Keep the file from then on: what was written with it cannot be read without. Better tables later are one more file:
CHAT_CODEC_TABLES=ours.cht,newer.cht"#;

impl CodecCommand {
    pub(super) fn run(&self, options: &Options) -> Result<(), Box<dyn Error>> {
        let report = match self {
            Self::Stats(stats) => stats.run(&Configured::new(options)?)?,
            Self::File(file) => file.run(&Configured::new(options)?)?,
            Self::Train(train) => train.run()?,
        };
        match io::stdout().lock().write_all(report.as_bytes()) {
            // The reader has closed the output.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}

/// The codec to measure: the one that the server would use.
struct Configured {
    name: &'static str,
    codec: Arc<dyn Codec>,
}

impl Configured {
    fn new(options: &Options) -> Result<Self, ConfigError> {
        let codec = CodecConfig::find(&options.codec)?;
        let tables = codec_tables(&options.codec_tables)?;
        Ok(Self { name: codec.name(), codec: codec.build(tables) })
    }
}
