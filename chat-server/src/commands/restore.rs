//! `chat-server restore FOLDER`: replaces the current state with a backup.
//!
//! Everything is verified first, and copied beside the files that it replaces. Then all of it is swapped by renaming.
//! If a rename fails, the renames are undone. If the process dies in between, a note remains, and no server opens the
//! database until the restore is run again. The previous files are kept under another name.
//!
//! The log gets a new [epoch](chat_core::epoch). So pages and clients that have seen changes after the backup start
//! afresh, instead of waiting for positions that now mean something else.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chat_core::clock::{Clock, SystemClock, Timestamp};
use chat_core::store::StoreError;
use chat_core::store::sqlite::{self, Lock};
use chat_server::config::{Options, StoreConfig};
use chat_server::moved;
use clap::Args;

use super::backup::manifest::{CLOUDINARY, DATABASE, Database, MEDIA, Manifest, SECRET, TABLES};
use super::backup::{below, beside, copy, make_folder, sum, sync_folder, sync_folders, write};

/// The suffix of files that are about to replace others.
const STAGED: &str = ".restoring";

/// The suffixes of files that belong to one database. The first four stay with it wherever it is moved: they contain
/// parts of it, or the note that it was moved to MongoDB.
const BESIDE: [&str; 6] = ["-wal", "-shm", "-journal", ".moved", ".reserve", ".reserve-start"];
const PARTS: usize = 4;

/// What is put back.
#[derive(Args)]
pub(crate) struct Restore {
    /// What `chat-server backup` has made
    #[arg(required_unless_present = "by_hand")]
    folder: Option<PathBuf>,
    /// Also when there is something newer than the backup
    #[arg(long)]
    force: bool,
    /// Copy nothing: the files (or MongoDB) have been put back by other means, and clients are to know it
    #[arg(long, conflicts_with_all = ["folder", "force"])]
    by_hand: bool,
}

impl Restore {
    pub(super) fn run(&self, options: &Options) -> Result<(), Box<dyn Error>> {
        let store = StoreConfig::find(options)?;
        let Some(folder) = &self.folder else { return by_hand(&store) };
        let manifest = Manifest::read(folder)?;
        let fits = match &store {
            StoreConfig::Memory => {
                return Err("CHAT_STORE: with memory: there is no place for a backup".into());
            }
            StoreConfig::Sqlite { .. } => manifest.store == "sqlite",
            StoreConfig::MongoDb { .. } => manifest.store == "mongodb",
        };
        if !fits {
            return Err(
                format!("the backup is of {}, and CHAT_STORE names something else", manifest.store).into()
            );
        }
        verify(folder, &manifest)?;
        make_folder(&options.data_dir)?;
        let database = match &store {
            StoreConfig::Sqlite { path, .. } => Some(path.as_path()),
            StoreConfig::Memory | StoreConfig::MongoDb { .. } => None,
        };
        let _lock = database.map(|path| locked(path, &options.data_dir)).transpose()?;
        if let (Some(path), Some(saved)) = (database, &manifest.database) {
            self.refuse_newer(path, saved, &manifest.taken_at)?;
        }
        let mut swap = Swap::new(&options.data_dir);
        let done = stage(&mut swap, folder, &manifest, options, database).and_then(|notes| {
            let left = images_left(&options.data_dir, &manifest)?;
            swap.run(database)?;
            Ok((notes, left))
        });
        swap.clean_up();
        let (notes, left) = done?;
        if let StoreConfig::MongoDb { .. } = &store {
            renew(&store)?;
        }
        tell(&manifest, &swap, left);
        notes.iter().for_each(|note| println!("{note}"));
        Ok(())
    }

    /// Refuses to replace a state that is newer than the backup.
    fn refuse_newer(&self, path: &Path, saved: &Database, taken_at: &str) -> Result<(), Box<dyn Error>> {
        // An interrupted restore has passed this check already.
        if self.force || !path.exists() || sqlite::unfinished_note(path).exists() {
            return Ok(());
        }
        let there = match sqlite::look_at(path) {
            Ok(there) => Database::from(there),
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Refused(_))) => {
                eprintln!("chat-server: what is there cannot be read ({error}); it is kept aside");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let is_same_log = there.epoch.is_some() && there.epoch == saved.epoch;
        let is_newer =
            (is_same_log && there.position > saved.position) || there.changed_at > saved.changed_at;
        if !is_newer {
            return Ok(());
        }
        let when = there.changed_at.map(|at| Timestamp::from_millis(at).iso().as_str().to_owned());
        Err(format!(
            "{} is newer than the backup: its log goes up to position {}, and its last change was made at {}, while the backup \
             of {taken_at} goes up to position {}. With --force it is put aside all the same",
            path.display(),
            there.position,
            when.as_deref().unwrap_or("an unknown time"),
            saved.position
        )
        .into())
    }
}

/// Handles a restore by other means: it only begins a new epoch.
fn by_hand(store: &StoreConfig) -> Result<(), Box<dyn Error>> {
    match store {
        StoreConfig::Memory => return Err("CHAT_STORE: with memory: there is nothing to put back".into()),
        StoreConfig::Sqlite { path, .. } => {
            let _lock = Lock::acquire(path)?;
            sqlite::prepare_restored(path)?;
            // The restored database is to be served, even if the previous one was moved.
            if let Some(noted) = noted_as_moved(path) {
                fs::remove_file(moved::mark_of(path))?;
                println!("{noted}");
            }
        }
        StoreConfig::MongoDb { .. } => renew(store)?,
    }
    println!("Open pages will load afresh what they show; nobody is logged out.");
    Ok(())
}

#[cfg(feature = "mongodb")]
fn renew(store: &StoreConfig) -> Result<(), Box<dyn Error>> {
    use chat_core::store::{ChangeLog, MongoStore};
    let StoreConfig::MongoDb { uri } = store else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = MongoStore::open(uri.expose()).await?;
        store.renew_epoch().await?;
        store.close().await
    })?;
    Ok(())
}

#[cfg(not(feature = "mongodb"))]
fn renew(_store: &StoreConfig) -> Result<(), Box<dyn Error>> {
    Err("this program was built without MongoDB".into())
}

/// Locks the database, so that no other process uses it.
fn locked(path: &Path, like: &Path) -> Result<Lock, Box<dyn Error>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    let lock = Lock::acquire(path).map_err(|error| match error {
        StoreError::Refused(why) => format!("{why}: stop the server first"),
        error => error.to_string(),
    })?;
    give(&beside(path, ".lock"), like)?;
    Ok(lock)
}

/// Verifies that every file is unchanged since the backup.
fn verify(folder: &Path, manifest: &Manifest) -> Result<(), String> {
    for entry in &manifest.files {
        let path = folder.join(&entry.path);
        let found =
            sum(&path).map_err(|error| format!("the backup is not whole: {}: {error}", entry.path))?;
        if found != (entry.bytes, entry.sha256.clone()) {
            return Err(format!(
                "the backup is damaged: {} is not what was saved ({} bytes, SHA-256 {})",
                entry.path, entry.bytes, entry.sha256
            ));
        }
    }
    Ok(())
}

/// Copies everything beside the files that it replaces. Returns notes for the operator.
fn stage(
    swap: &mut Swap,
    folder: &Path,
    manifest: &Manifest,
    options: &Options,
    database: Option<&Path>,
) -> Result<Vec<String>, Box<dyn Error>> {
    let data = &options.data_dir;
    for top in [MEDIA, CLOUDINARY] {
        let place = data.join(top);
        let staged = beside(&place, STAGED);
        let mut entries = manifest.below(top).peekable();
        if entries.peek().is_none() {
            // The backup has no such files.
            swap.replace(place, None);
            continue;
        }
        swap.replace(place, Some(staged.clone()));
        for entry in entries {
            let inner = entry.path.get(top.len() + 1..).unwrap_or_default();
            put(folder, entry, &staged.join(inner), data)?;
        }
        give_folders(&staged, data)?;
        sync_folders(&staged)?;
    }
    for entry in manifest.below(SECRET) {
        let place = data.join(SECRET);
        if sum(&place).is_ok_and(|there| there == (entry.bytes, entry.sha256.clone())) {
            continue;
        }
        let staged = beside(&place, STAGED);
        swap.replace(place, Some(staged.clone()));
        put(folder, entry, &staged, data)?;
    }
    let mut notes = Vec::new();
    for entry in manifest.below(TABLES) {
        notes.extend(put_table(folder, entry, options)?);
    }
    if let Some(path) = database {
        notes.extend(noted_as_moved(path));
        let entry = manifest.below(DATABASE).next().ok_or("the backup is not whole: it has no database")?;
        let staged = beside(path, STAGED);
        for part in &BESIDE[..PARTS] {
            swap.replace(beside(path, part), None);
        }
        // The database comes last, so that all other files exist when it does.
        swap.replace(path.to_owned(), Some(staged.clone()));
        put(folder, entry, &staged, data)?;
        sqlite::prepare_restored(&staged).map_err(|error| format!("the backup cannot be used: {error}"))?;
        fs::File::open(&staged)?.sync_all()?;
    }
    Ok(notes)
}

/// A note for the operator, if the content of this database was moved to MongoDB.
fn noted_as_moved(database: &Path) -> Option<String> {
    let noted = moved::noted(database)?;
    Some(format!(
        "The database that was here was {noted}. What was written there since is not in what was put back, which is served from now on."
    ))
}

/// Copies a file, and verifies that it is unchanged since the verification.
fn put(
    folder: &Path,
    entry: &super::backup::manifest::Entry,
    to: &Path,
    like: &Path,
) -> Result<(), Box<dyn Error>> {
    if let Some(parent) = to.parent() {
        make_folder(parent)?;
    }
    let copied = copy(&folder.join(&entry.path), to).map_err(|error| format!("{}: {error}", to.display()))?;
    if copied != (entry.bytes, entry.sha256.clone()) {
        return Err(format!("the backup is damaged: {} is not what was saved", entry.path).into());
    }
    give(to, like)?;
    Ok(())
}

/// Tables are files of the operator: an existing one is not replaced.
fn put_table(
    folder: &Path,
    entry: &super::backup::manifest::Entry,
    options: &Options,
) -> Result<Option<String>, Box<dyn Error>> {
    let wanted = (entry.bytes, entry.sha256.clone());
    let named = options.codec_tables.iter().map(|file| Path::new(file.trim()));
    if named.clone().any(|table| sum(table).is_ok_and(|there| there == wanted)) {
        return Ok(None);
    }
    let name = Path::new(&entry.path).file_name().unwrap_or_default();
    let missing = named.clone().find(|table| table.file_name() == Some(name) && !table.exists());
    let place = missing.map_or_else(|| options.data_dir.join(&entry.path), Path::to_owned);
    put(folder, entry, &place, &options.data_dir)?;
    let named =
        if missing.is_some() { "" } else { ": name it in CHAT_CODEC_TABLES, or messages cannot be read" };
    Ok(Some(format!("The tables {} are in {}{named}.", name.display(), place.display())))
}

/// The number of current images that are not in the backup.
fn images_left(data: &Path, manifest: &Manifest) -> Result<usize, Box<dyn Error>> {
    let saved: std::collections::HashSet<&str> =
        manifest.below(MEDIA).filter_map(|entry| entry.path.strip_prefix("media/")).collect();
    let there = below(&data.join(MEDIA), &[".tmp", ".pending", ".usage"])?;
    Ok(there.iter().filter(|path| path.to_str().is_none_or(|path| !saved.contains(path))).count())
}

fn tell(manifest: &Manifest, swap: &Swap, left: usize) {
    let images = manifest.images();
    match &manifest.database {
        Some(Database { position, .. }) => println!(
            "Restored the backup of {}: the log up to position {position}, and {images} images.",
            manifest.taken_at
        ),
        None => println!(
            "Restored the {images} images of the backup of {}. The messages are those of the MongoDB: put its own backup back \
             before this command.",
            manifest.taken_at
        ),
    }
    if swap.asides.is_empty() {
        println!("There was nothing before.");
    } else {
        println!("What was there before is kept until you remove it:");
        swap.asides.iter().for_each(|aside| println!("  {}", aside.display()));
    }
    if left > 0 {
        println!("Among it are {left} images that are not in the backup.");
    }
    println!(
        "Open pages will load afresh what they show; nobody is logged out. Who logged out since the backup is to do it again."
    );
}

/// Which files replace which.
struct Swap {
    data: PathBuf,
    ending: String,
    /// The paths to replace and their replacements, in the order of the renames.
    places: Vec<(PathBuf, Option<PathBuf>)>,
    /// The new paths of the previous files.
    asides: Vec<PathBuf>,
}

impl Swap {
    fn new(data: &Path) -> Self {
        let now = SystemClock.now().iso();
        let now: String = now.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
        let ending = format!(".before-restore-{now}");
        Self { data: data.to_owned(), ending, places: Vec::new(), asides: Vec::new() }
    }

    /// Adds a replacement, or the removal if `with` is `None`. Removes the remains of an earlier restore.
    fn replace(&mut self, place: PathBuf, with: Option<PathBuf>) {
        if let Some(staged) = &with {
            remove(staged);
        }
        self.places.push((place, with));
    }

    /// Renames everything, or nothing.
    fn run(&mut self, database: Option<&Path>) -> Result<(), Box<dyn Error>> {
        let note = database.map(sqlite::unfinished_note);
        if let Some(note) = &note {
            write(note, b"chat-server restore was not finished\n")?;
            give(note, &self.data)?;
            sync_folder(note.parent().unwrap_or(Path::new("")))?;
        }
        let mut done = Vec::new();
        if let Err(error) = self.rename_all(database, &mut done) {
            let undone = done.iter().rev().all(|(from, to)| fs::rename(to, from).is_ok());
            let how = if undone { "everything is as it was" } else { "run the same command again" };
            if let (true, Some(note)) = (undone, &note) {
                let _ = fs::remove_file(note);
            }
            self.asides.clear();
            return Err(format!("the backup could not be put in its place: {error}; {how}").into());
        }
        if let Some(path) = database {
            // These files contain nothing, and the server creates them again.
            BESIDE[PARTS..].iter().for_each(|part| remove(&beside(path, part)));
        }
        self.sync()?;
        if let Some(note) = note {
            fs::remove_file(&note)?;
            self.sync()?;
        }
        Ok(())
    }

    fn rename_all(&mut self, database: Option<&Path>, done: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
        for (place, with) in &self.places {
            if place.symlink_metadata().is_ok() {
                let aside = self.aside(place, database);
                fs::rename(place, &aside)?;
                done.push((place.clone(), aside.clone()));
                self.asides.push(aside);
            }
            if let Some(staged) = with {
                fs::rename(staged, place)?;
                done.push((staged.clone(), place.clone()));
            }
        }
        Ok(())
    }

    /// The new path of a previous file. The parts of a database keep their common name, so that it can still be opened.
    fn aside(&self, place: &Path, database: Option<&Path>) -> PathBuf {
        if let Some(path) = database {
            let part = BESIDE[..PARTS].iter().find(|part| beside(path, part) == place);
            if let Some(part) = part {
                return beside(&beside(path, &self.ending), part);
            }
        }
        beside(place, &self.ending)
    }

    fn sync(&self) -> io::Result<()> {
        self.places.iter().try_for_each(|(place, _)| sync_folder(place.parent().unwrap_or(Path::new(""))))
    }

    /// Removes files that have not replaced anything.
    fn clean_up(&self) {
        for staged in self.places.iter().filter_map(|(_, with)| with.as_deref()) {
            remove(staged);
            ["-wal", "-shm", "-journal"].iter().for_each(|part| remove(&beside(staged, part)));
        }
    }
}

/// Removes a file or folder, if it exists.
fn remove(path: &Path) {
    let Ok(found) = path.symlink_metadata() else { return };
    let removed = if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = removed {
        eprintln!("chat-server: {} could not be removed: {error}", path.display());
    }
}

/// Gives a file the owner of the data folder, because the restore may run as root and the server as another user.
fn give(path: &Path, like: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (owner, made) = (fs::metadata(like)?, fs::metadata(path)?);
        let is_others = (owner.uid(), owner.gid()) != (made.uid(), made.gid());
        if is_others && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    let _ = (path, like);
    Ok(())
}

fn give_folders(folder: &Path, like: &Path) -> io::Result<()> {
    give(folder, like)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_folders(&entry.path(), like)?;
        }
    }
    Ok(())
}
