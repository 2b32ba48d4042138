//! `chat-server codec train`: trains custom tables.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chat_core::codec::OwnTables;
use chat_core::codec::train::{Plan, Recipe, SHIPPED, Sample, TrainError, train};
use clap::Args;

use super::input::{self, Filter, Message};
use super::report::Table;

#[derive(Args)]
pub(crate) struct Train {
    /// Messages, one JSON object a line: {"group": "en", "text": "…"}, other fields are passed over; `-`: standard input
    file: PathBuf,
    /// File to make
    #[arg(long, value_name = "FILE.cht", required_unless_present = "shipped")]
    out: Option<PathBuf>,
    /// What the set is called in the log; unset: as the file without its ending
    #[arg(long)]
    name: Option<String>,
    /// Most phrases, 257 to 4095. Fewer make a smaller file and compress less
    #[arg(long, value_name = "N", default_value_t = 4095)]
    phrases: usize,
    /// Most contexts, 2 to 64. Each takes 6.5 KB of memory when the set is in use
    #[arg(long, value_name = "N", default_value_t = 64)]
    contexts: usize,
    /// Take only lines whose field "group" is this; may be given several times
    #[arg(long)]
    group: Vec<String>,
    /// Take only lines whose field "split" is this
    #[arg(long)]
    split: Option<String>,
    /// Leave out messages of fewer bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_bytes: usize,
    /// Make the sets that come with the program instead, in this folder. Lines need the field "source" too
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["out", "name", "phrases", "contexts", "group"])]
    shipped: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

impl Train {
    pub(super) fn run(&self) -> Result<String, Box<dyn Error>> {
        match (&self.shipped, &self.out) {
            (Some(folder), _) => self.shipped(folder),
            (None, Some(out)) => self.own(out),
            (None, None) => Err("--out is missing".into()),
        }
    }

    fn own(&self, out: &Path) -> Result<String, Box<dyn Error>> {
        let path = out.display();
        if out.as_os_str().as_encoded_bytes().contains(&b',') {
            return Err(format!("{path}: must have no comma, CHAT_CODEC_TABLES could not name it").into());
        }
        self.may_write(out)?;
        let stem = || out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let plan = Plan {
            name: self.name.clone().unwrap_or_else(stem),
            phrases: self.phrases,
            contexts: self.contexts,
        };
        let messages = self.read(false)?;
        let texts: Vec<&[u8]> = messages.iter().map(|message| message.text.as_bytes()).collect();
        let started = Instant::now();
        let file = train(&plan, &texts)?;
        let seconds = started.elapsed().as_secs_f64();
        let fingerprint = fingerprint(&file)?;
        self.write(out, &file)?;

        let (count, bytes) = (texts.len(), texts.iter().map(|text| text.len()).sum::<usize>());
        Ok(format!(
            "messages     {count}\n\
             bytes        {bytes}\n\
             file         {path}, {} bytes\n\
             name         {}\n\
             fingerprint  {fingerprint:#06x}\n\
             seconds      {seconds:.1}\n\
             \n\
             See what it saves on messages it has not learnt from:\n    \
             chat-server --codec-tables {path} codec stats MESSAGES --min-bytes 51\n\
             Use it:\n    \
             CHAT_CODEC_TABLES={path}\n\
             From then on keep it: what was written with it cannot be read without.\n",
            file.len(),
            plan.name,
        ))
    }

    fn shipped(&self, folder: &Path) -> Result<String, Box<dyn Error>> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let out = |recipe: &Recipe| folder.join(format!("{}.cht", recipe.name));
        for recipe in &SHIPPED {
            self.may_write(&out(recipe))?;
        }
        let messages = self.read(true)?;
        let samples: Vec<Sample<'_>> = messages
            .iter()
            .map(|Message { group, source, text, .. }| Sample { group, source, text })
            .collect();
        let mut table = Table::new(["set", "bytes", "fingerprint", "seconds"]);
        for recipe in &SHIPPED {
            let started = Instant::now();
            let file = recipe.train(&samples).map_err(|error| format!("{}: {error}", recipe.name))?;
            let seconds = started.elapsed().as_secs_f64();
            self.write(&out(recipe), &file)?;
            tracing::info!(set = recipe.name, bytes = file.len(), "a set was made");
            table.row([
                recipe.name.to_owned(),
                file.len().to_string(),
                format!("{:#06x}", fingerprint(&file)?),
                format!("{seconds:.1}"),
            ]);
        }
        Ok(table.text())
    }

    fn read(&self, sources: bool) -> Result<Vec<Message>, String> {
        let filter =
            Filter { min_bytes: self.min_bytes, split: self.split.as_deref(), groups: &self.group, sources };
        input::open(&self.file)
            .and_then(|input| input::read(input, filter))
            .map_err(|error| format!("{}: {error}", self.file.display()))
    }

    /// This is checked before the training, which takes long, and again after it.
    fn may_write(&self, path: &Path) -> Result<(), String> {
        if !folder_of(path).is_dir() {
            return Err(format!("{}: its folder is not there", path.display()));
        }
        match path.symlink_metadata() {
            Ok(_) if !self.force => {
                Err(format!("{}: is there already; --force overwrites it", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file atomically: a concurrent reader sees either the old or the new content.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), String> {
        self.may_write(path)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let unfinished = path.with_file_name(name);
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&unfinished)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            // The directory entry is durable only after this.
            File::open(folder_of(path))?.sync_all()
        };
        write().map_err(|error| {
            // A partial file is useless. If it cannot be removed, the original error is still the one to report.
            let _ = fs::remove_file(&unfinished);
            format!("{}: {error}", path.display())
        })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The number by which frames refer to the set. Loading the set also verifies that a server can load it.
fn fingerprint(file: &[u8]) -> Result<u16, TrainError> {
    let tables = OwnTables::new([file])?;
    Ok(tables.sets().map(|(_, fingerprint)| fingerprint).next().unwrap_or_default())
}
