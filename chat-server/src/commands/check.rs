//! `chat-server check`: reports damage in the store and the media folder.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use chat_core::clock::{Clock, SystemClock};
use chat_core::store::StoreError;
use chat_core::store::inspect::{Finding, Inspected, Inspection};
use chat_core::store::sqlite::SqliteInspector;
use chat_server::config::{CodecConfig, Options, StoreConfig, codec_tables};
use clap::Args;
use serde_json::json;

/// How it is said.
#[derive(Args)]
pub(crate) struct Check {
    /// Write a JSON object for each finding, one a line, and one with the numbers at the end
    #[arg(long)]
    json: bool,
}

/// A message that is about to be stored may reference a file that is younger than this.
const SETTLED_AFTER: Duration = Duration::from_secs(60 * 60);

const LEFTOVER_FILE: &str = "nothing, or delete the file";

impl Check {
    pub(super) fn run(&self, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
        let store = StoreConfig::find(options)?;
        let codec = CodecConfig::find(&options.codec)?.build(codec_tables(&options.codec_tables)?);
        let media = options.data_dir.join("media");
        let mut images = Images { dir: media.is_dir().then_some(media), named: HashSet::new() };
        let mut written = Ok(());
        let print = |finding: &Finding| {
            // If the reader has closed the output, the check continues without printing, and the error is reported at
            // the end.
            if written.is_ok() {
                written = self.print(finding);
            }
        };
        let mut inspection = Inspection::new(codec, print).with_images(|url| images.look(url));
        let name = look(&store, &mut inspection)?;
        let counts = *inspection.counts();
        drop(inspection);
        let mut counts = counts;
        written?;
        for finding in images.nobodys()? {
            counts.leftovers += 1;
            self.print(&finding)?;
        }
        self.print_sum(&name, &counts)?;
        Ok(if counts.damaged > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    fn print(&self, finding: &Finding) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.json {
            return writeln!(out, "{finding}");
        }
        let Finding { kind, id, place, reason, remedy, is_leftover } = finding;
        let state = if *is_leftover { "leftover" } else { "damaged" };
        let line = json!({ "state": state, "kind": kind, "id": id, "place": place, "reason": reason, "remedy": remedy });
        writeln!(out, "{line}")
    }

    fn print_sum(&self, name: &str, counts: &Inspected) -> io::Result<()> {
        let Inspected {
            users, conversations, members, messages, rows, log_entries, damaged, leftovers, ..
        } = counts;
        let mut out = io::stdout().lock();
        if self.json {
            let line = json!({ "state": "sum", "store": name, "users": users, "conversations": conversations,
                "members": members, "messages": messages, "rows": rows, "logEntries": log_entries, "damaged": damaged,
                "leftovers": leftovers });
            return writeln!(out, "{line}");
        }
        let found = match (damaged, leftovers) {
            (0, 0) => "all is well".to_owned(),
            (0, _) => format!("all is well, {leftovers} left over"),
            _ => format!("{damaged} damaged, {leftovers} left over"),
        };
        writeln!(
            out,
            "{name}: {users} accounts, {conversations} conversations, {members} members, {messages} messages, \
             {log_entries} log entries: {found}"
        )
    }
}

/// Checks the store. Returns its name.
fn look(store: &StoreConfig, inspection: &mut Inspection<'_>) -> Result<String, Box<dyn Error>> {
    match store {
        StoreConfig::Memory => Err("CHAT_STORE is memory:, which only a running server can see".into()),
        StoreConfig::Sqlite { path, .. } => {
            let name = path.display().to_string();
            let looked = SqliteInspector::open(path).and_then(|inspector| inspector.run(inspection));
            match looked {
                // Not even the first page is readable. This is a finding, not an error of the check.
                Err(StoreError::Corrupt { id, .. }) => inspection.found(&Finding {
                    kind: "database file",
                    id: "all of it".into(),
                    place: name.clone(),
                    reason: id,
                    remedy: "restore the file from a backup",
                    is_leftover: false,
                }),
                looked => looked?,
            }
            Ok(name)
        }
        #[cfg(feature = "mongodb")]
        StoreConfig::MongoDb { uri } => {
            use chat_core::store::mongodb::MongoInspector;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { MongoInspector::open(uri.expose()).await?.run(inspection).await })?;
            Ok("MongoDB".into())
        }
        #[cfg(not(feature = "mongodb"))]
        StoreConfig::MongoDb { .. } => Err("CHAT_STORE: this program was built without MongoDB".into()),
    }
}

/// The files of the media folder. For each referenced file only the 128 bits of its name are kept, which take 16 bytes.
struct Images {
    dir: Option<PathBuf>,
    named: HashSet<u128>,
}

impl Images {
    /// The problem of a referenced image, if any. Images in other places are not checked.
    fn look(&mut self, url: &str) -> Option<String> {
        let name = url.strip_prefix("/media/")?;
        let Some(number) = number(name) else {
            return Some("the name of its image is none of ours".into());
        };
        self.named.insert(number);
        let dir = self.dir.as_deref().unwrap_or(Path::new("media"));
        let file = dir.join(&name[..2]).join(name);
        match fs::metadata(&file) {
            Ok(found) if found.len() > 0 => None,
            Ok(_) => Some(format!("its image {} is empty", file.display())),
            Err(_) => Some(format!("its image {} is missing", file.display())),
        }
    }

    /// The files that nothing references.
    fn nobodys(&self) -> io::Result<impl Iterator<Item = Finding>> {
        let folders = self.dir.as_ref().map(fs::read_dir).transpose()?;
        let settled = SystemClock.now().before(SETTLED_AFTER).as_millis();
        let settled = SystemTime::UNIX_EPOCH + Duration::from_millis(settled.unsigned_abs());
        // The folders of journals and quotas have names of other lengths.
        let folders = folders.into_iter().flatten().flatten().filter(|folder| folder.file_name().len() == 2);
        let files = folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten();
        Ok(files.filter_map(move |file| {
            let name = file.file_name();
            let number = number(name.to_str()?)?;
            let is_settled = file.metadata().and_then(|file| file.modified()).is_ok_and(|at| at < settled);
            (is_settled && !self.named.contains(&number)).then(|| Finding {
                kind: "image",
                id: name.to_string_lossy().into_owned(),
                place: file.path().display().to_string(),
                reason: "nothing names it".into(),
                remedy: LEFTOVER_FILE,
                is_leftover: true,
            })
        }))
    }
}

/// The number in the name of a stored image.
fn number(name: &str) -> Option<u128> {
    let (digits, _) = name.split_once('.')?;
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u128::from_str_radix(digits, 16).ok() } else { None }
}
