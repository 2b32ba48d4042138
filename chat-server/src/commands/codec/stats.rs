//! `chat-server codec stats`: compresses messages.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::BufRead;
use std::path::PathBuf;

use chat_core::codec::Codec;
use clap::Args;
use serde::Serialize;

use super::Configured;
use super::input::{self, Filter, InputError, KindName, Message};
use super::measure::{Changed, Measured, measure};
use super::report::Table;

#[derive(Args)]
pub(crate) struct Stats {
    /// Messages, one JSON object a line: {"group": "en", "text": "…"}, other fields are passed over; `-`: standard input
    file: PathBuf,
    /// Leave out messages of fewer bytes. Those of 50 bytes and fewer are never compressed
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_bytes: usize,
    /// As what the texts are compressed
    #[arg(long, value_enum, default_value = "message")]
    kind: KindName,
    /// Take only lines whose field "split" is this
    #[arg(long)]
    split: Option<String>,
    /// How often everything is timed; the shortest time counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    passes: u32,
    /// Write JSON instead of tables
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(super) fn run(&self, configured: &Configured) -> Result<String, Box<dyn Error>> {
        let report = input::open(&self.file)
            .map_err(Problem::Input)
            .and_then(|input| self.report(input, configured.name, &configured.codec))
            .map_err(|problem| format!("{}: {problem}", self.file.display()))?;
        Ok(if self.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() })
    }

    fn report(&self, input: impl BufRead, name: &'static str, codec: &dyn Codec) -> Result<Report, Problem> {
        let filter = Filter { min_bytes: self.min_bytes, split: self.split.as_deref(), ..Filter::default() };
        let mut by_group = BTreeMap::<String, Vec<Message>>::new();
        for mut message in input::read(input, filter).map_err(Problem::Input)? {
            by_group.entry(std::mem::take(&mut message.group)).or_default().push(message);
        }
        let mut groups = BTreeMap::new();
        for (group, messages) in by_group {
            let bodies: Vec<_> = messages.iter().map(|Message { text, .. }| text.as_bytes()).collect();
            let measured = measure(codec, self.kind.kind(), &bodies, self.passes)
                .map_err(|Changed(index)| Problem::Changed { line: messages[index].line })?;
            groups.insert(group, measured);
        }
        let all = Row::new("all".to_owned(), &Measured::sum(groups.values()));
        let groups = groups.into_iter().map(|(group, measured)| Row::new(group, &measured)).collect();
        Ok(Report { codec: name, kind: self.kind.name(), groups, all })
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Input(InputError),
    #[error("line {line}: the text has changed by being compressed and decompressed")]
    Changed { line: usize },
}

/// The result.
#[derive(Serialize)]
struct Report {
    codec: &'static str,
    kind: &'static str,
    groups: Vec<Row>,
    all: Row,
}

/// The row of one group, or of all groups.
#[derive(Serialize)]
struct Row {
    group: String,
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// The compressed size divided by the original size.
    ratio: f64,
    /// The order-0 entropy as a ratio of the same kind. In the row of all groups, each group has its own entropy.
    order0: f64,
    encode_ns_per_message: f64,
    decode_ns_per_message: f64,
    encode_ns_per_100_bytes: f64,
    decode_ns_per_100_bytes: f64,
    /// The number of blobs of each format, by its name.
    formats: BTreeMap<String, u64>,
}

impl Row {
    fn new(group: String, measured: &Measured) -> Self {
        Self {
            group,
            messages: measured.bodies,
            bytes_in: measured.bytes_in,
            bytes_out: measured.bytes_out,
            ratio: measured.ratio(),
            order0: measured.order0(),
            encode_ns_per_message: measured.per_body(measured.encode),
            decode_ns_per_message: measured.per_body(measured.decode),
            encode_ns_per_100_bytes: measured.per_100_bytes(measured.encode),
            decode_ns_per_100_bytes: measured.per_100_bytes(measured.decode),
            formats: measured.formats.iter().map(|(format, blobs)| (format.to_string(), *blobs)).collect(),
        }
    }
}

impl Report {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().chain([&self.all])
    }

    fn text(&self) -> String {
        let mut table = Table::new([
            "group",
            "messages",
            "bytes in",
            "bytes out",
            "ratio",
            "order-0",
            "encode ns",
            "decode ns",
            "encode ns/100 B",
            "decode ns/100 B",
        ]);
        for row in self.rows() {
            table.row([
                row.group.clone(),
                row.messages.to_string(),
                row.bytes_in.to_string(),
                row.bytes_out.to_string(),
                format!("{:.4}", row.ratio),
                format!("{:.4}", row.order0),
                format!("{:.0}", row.encode_ns_per_message),
                format!("{:.0}", row.decode_ns_per_message),
                format!("{:.0}", row.encode_ns_per_100_bytes),
                format!("{:.0}", row.decode_ns_per_100_bytes),
            ]);
        }
        format!("codec {}, kind {}\n\n{}\n{}", self.codec, self.kind, table.text(), self.formats().text())
    }

    /// The number of blobs of each format, for each group.
    fn formats(&self) -> Table {
        // Sorted by number, not alphabetically. The format without a number comes first.
        let names: BTreeSet<_> =
            self.all.formats.keys().map(|name| (name.parse::<u8>().ok(), name)).collect();
        let mut table =
            Table::new(["blobs by format"].into_iter().chain(names.iter().map(|(_, name)| name.as_str())));
        for row in self.rows() {
            let blobs =
                |(_, name): &(_, &String)| row.formats.get(*name).map_or("-".to_owned(), u64::to_string);
            table.row([row.group.clone()].into_iter().chain(names.iter().map(blobs)));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use chat_core::codec::{Blob, Encoding, Kind};

    use super::*;

    /// Keeps only the first ten bytes.
    struct Lossy;

    impl Codec for Lossy {
        fn encode(&self, _kind: Kind, body: &[u8]) -> Blob {
            Blob { encoding: Encoding::Stored, bytes: body.iter().copied().take(10).collect() }
        }
    }

    #[test]
    fn a_text_that_has_changed_is_named_by_its_line_alone() {
        let stats = Stats {
            file: "-".into(),
            min_bytes: 0,
            kind: KindName::Message,
            split: None,
            passes: 1,
            json: false,
        };
        let lines = r#"{"group":"a","text":"short"}

{"group":"b","text":"short"}
{"group":"a","text":"longer than ten bytes"}"#;
        let Err(problem) = stats.report(lines.as_bytes(), "lossy", &Lossy) else { panic!("nobody noticed") };
        let expected = "line 4: the text has changed by being compressed and decompressed";
        assert_eq!(problem.to_string(), expected);
    }
}
