//! `chat-server codec file`: compresses files as attachments.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use chat_core::codec::Kind;
use clap::Args;
use serde::Serialize;

use super::Configured;
use super::measure::{Changed, Measured, measure};
use super::report::Table;

#[derive(Args)]
pub(crate) struct File {
    /// Files to compress
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How often everything is timed; the shortest time counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    passes: u32,
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl File {
    pub(super) fn run(&self, configured: &Configured) -> Result<String, Box<dyn Error>> {
        let mut files = Vec::new();
        for path in &self.paths {
            let name = path.display().to_string();
            let body = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
            if body.is_empty() {
                return Err(format!("{name}: is empty").into());
            }
            let measured = measure(&configured.codec, Kind::File, &[&body], self.passes)
                .map_err(|Changed(_)| format!("{name}: has changed by being compressed and decompressed"))?;
            files.push((name, measured));
        }
        let all = Measured::sum(files.iter().map(|(_, measured)| measured));
        let files = files.into_iter().map(|(name, measured)| Row::new(name, &measured)).collect();
        let report = Report { codec: configured.name, files, all: Row::new("all".to_owned(), &all) };
        Ok(if self.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() })
    }
}

/// The result.
#[derive(Serialize)]
struct Report {
    codec: &'static str,
    files: Vec<Row>,
    all: Row,
}

/// The row of one file, or of all files.
#[derive(Serialize)]
struct Row {
    path: String,
    bytes_in: u64,
    bytes_out: u64,
    /// The compressed size divided by the original size.
    ratio: f64,
    /// The order-0 entropy as a ratio of the same kind. In the row of all files, each file has its own entropy.
    order0: f64,
    encode_mb_per_s: f64,
    decode_mb_per_s: f64,
    /// The name of the blob's format. The row of all files may have several.
    format: String,
}

impl Row {
    fn new(path: String, measured: &Measured) -> Self {
        let formats: Vec<_> = measured.formats.keys().map(ToString::to_string).collect();
        Self {
            path,
            bytes_in: measured.bytes_in,
            bytes_out: measured.bytes_out,
            ratio: measured.ratio(),
            order0: measured.order0(),
            encode_mb_per_s: measured.megabytes_per_second(measured.encode),
            decode_mb_per_s: measured.megabytes_per_second(measured.decode),
            format: formats.join(" "),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut table = Table::new([
            "file",
            "bytes in",
            "bytes out",
            "ratio",
            "order-0",
            "encode MB/s",
            "decode MB/s",
            "format",
        ]);
        let all = (self.files.len() > 1).then_some(&self.all);
        for row in self.files.iter().chain(all) {
            table.row([
                row.path.clone(),
                row.bytes_in.to_string(),
                row.bytes_out.to_string(),
                format!("{:.4}", row.ratio),
                format!("{:.4}", row.order0),
                format!("{:.0}", row.encode_mb_per_s),
                format!("{:.0}", row.decode_mb_per_s),
                row.format.clone(),
            ]);
        }
        format!("codec {}\n\n{}", self.codec, table.text())
    }
}
