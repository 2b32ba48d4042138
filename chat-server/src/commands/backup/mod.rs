//! `chat-server backup FOLDER`: saves the complete state of this server at one moment, while it runs.
//!
//! **The order.** An image is stored before the message that references it, and may be removed when nothing references
//! it any more. So the images are copied first, then the database, then the images that were added since. Every image
//! that a message in the copied database references existed at that moment, so one of the two passes copies it, unless
//! it was removed in between.

mod files;
pub(crate) mod manifest;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chat_core::clock::{Clock, SystemClock};
use chat_core::store::sqlite::{self, Snapshot};
use chat_server::config::{Options, StoreConfig};
use clap::Args;

pub(crate) use self::files::{below, beside, copy, make_folder, sum, sync_folder, sync_folders, write};
use self::manifest::{CLOUDINARY, DATABASE, Entry, MEDIA, Manifest, SECRET, TABLES};

/// The folder of partially written images.
const UNFINISHED_IMAGES: &str = ".tmp";

/// The folder of quotas, whose files change.
const USAGE: &str = ".usage";

/// Where it is kept.
#[derive(Args)]
pub(crate) struct Backup {
    /// The folder to make; it must not exist yet, or be empty
    folder: PathBuf,
}

impl Backup {
    pub(super) fn run(&self, options: &Options) -> Result<(), Box<dyn Error>> {
        let store = StoreConfig::find(options)?;
        self.check_place(options)?;
        let mut copying = Copying { folder: Unfinished::make(&self.folder)?, files: BTreeMap::new() };
        let taken_at = SystemClock.now();
        let data = &options.data_dir;
        let (kind, snapshot) = match &store {
            StoreConfig::Memory => {
                return Err("CHAT_STORE: with memory: nothing is kept, so there is nothing to save".into());
            }
            StoreConfig::Sqlite { path, .. } => {
                copying.images(data)?;
                let mut snapshot = copying.database(path)?;
                copying.images(data)?;
                if copying.missing_images()? > 0 {
                    // A profile picture that was referenced at that moment was replaced and removed before it was
                    // copied. Another pass is made.
                    snapshot = copying.database(path)?;
                    copying.images(data)?;
                }
                ("sqlite", Some(snapshot))
            }
            StoreConfig::MongoDb { .. } => {
                copying.images(data)?;
                ("mongodb", None)
            }
        };
        let missing = if snapshot.is_some() { copying.missing_images()? } else { 0 };
        let has_secret = copying.file(&data.join(SECRET), SECRET)?;
        copying.tables(options)?;
        let manifest = Manifest::new(kind, taken_at, snapshot, copying.files.into_values().collect());
        manifest.write(&copying.folder.path)?;
        sync_folders(&copying.folder.path)?;
        copying.folder.finish()?;
        self.tell(&manifest, missing, has_secret);
        Ok(())
    }

    /// A backup must not be readable by other users, and must not become part of the next backup.
    fn check_place(&self, options: &Options) -> Result<(), String> {
        let place = resolved(&self.folder);
        let inside = |folder: &Path| place.starts_with(resolved(folder));
        if [MEDIA, CLOUDINARY].iter().any(|name| inside(&options.data_dir.join(name))) {
            return Err(format!("{} is among the images, which are to be saved", self.folder.display()));
        }
        if options.static_dir.as_deref().is_some_and(inside) {
            return Err(format!(
                "{} is in CHAT_STATIC_DIR, which is served to everybody",
                self.folder.display()
            ));
        }
        Ok(())
    }

    fn tell(&self, manifest: &Manifest, missing: usize, has_secret: bool) {
        let bytes: u64 = manifest.files.iter().map(|entry| entry.bytes).sum();
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        let (files, images) = (manifest.files.len(), manifest.images());
        match &manifest.database {
            Some(database) => println!(
                "Saved the log up to position {} and {images} images: {files} files, {mebibytes:.1} MiB, in {}.",
                database.position,
                self.folder.display()
            ),
            None => println!(
                "Saved {images} images: {files} files, {mebibytes:.1} MiB, in {}.\n\
                 NOT in it are accounts and messages: they are in MongoDB. Save them with `mongodump --oplog`, or with a snapshot \
                 of the disks, BEFORE this command each time: so no message in it names an image that is missing here.",
                self.folder.display()
            ),
        }
        if missing > 0 {
            println!(
                "{missing} images that messages or profiles name were not there any more, and are not in it."
            );
        }
        if !has_secret {
            println!("No secret is in it: keep JWT_SECRET elsewhere, or everybody has to log in again.");
        }
    }
}

/// The progress of a backup.
struct Copying {
    folder: Unfinished,
    files: BTreeMap<String, Entry>,
}

impl Copying {
    fn database(&mut self, path: &Path) -> Result<Snapshot, Box<dyn Error>> {
        let to = self.folder.path.join(DATABASE);
        if to.exists() {
            fs::remove_file(&to)?;
        }
        let snapshot = sqlite::back_up(path, &to)?;
        private(&to)?;
        fs::File::open(&to)?.sync_all()?;
        let sum = sum(&to)?;
        self.note(DATABASE.to_owned(), sum);
        Ok(snapshot)
    }

    /// Copies the images that were not copied yet.
    fn images(&mut self, data: &Path) -> Result<(), Box<dyn Error>> {
        for top in [MEDIA, CLOUDINARY] {
            for inner in below(&data.join(top), &[UNFINISHED_IMAGES])? {
                // All file names of the server are ASCII.
                let Some(name) = inner.to_str() else { continue };
                let path = format!("{top}/{name}");
                // Images never change, so they are copied once. The journal entry of an undecided image stays even if
                // it was decided meanwhile, because the message may be missing in the copy of the database.
                if !self.files.contains_key(&path) || inner.starts_with(USAGE) {
                    self.file(&data.join(top).join(&inner), &path)?;
                }
            }
        }
        Ok(())
    }

    fn tables(&mut self, options: &Options) -> Result<(), Box<dyn Error>> {
        let tables = options.codec_tables.iter().map(|file| file.trim()).filter(|file| !file.is_empty());
        for (n, table) in tables.enumerate() {
            let name = Path::new(table).file_name().and_then(|name| name.to_str()).unwrap_or("tables");
            let mut path = format!("{TABLES}/{name}");
            if self.files.contains_key(&path) {
                path = format!("{TABLES}/{n}-{name}");
            }
            if !self.file(Path::new(table), &path)? {
                return Err(format!("CHAT_CODEC_TABLES: there is no file {table}").into());
            }
        }
        Ok(())
    }

    /// Copies a file. Returns whether it existed: unneeded files may be removed at any time.
    fn file(&mut self, from: &Path, path: &str) -> Result<bool, Box<dyn Error>> {
        let to = self.folder.path.join(path);
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        match copy(from, &to) {
            Ok(sum) => self.note(path.to_owned(), sum),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{}: {error}", from.display()).into()),
        }
        Ok(true)
    }

    fn note(&mut self, path: String, (bytes, sha256): (u64, String)) {
        self.files.insert(path.clone(), Entry { path, bytes, sha256 });
    }

    /// The number of images of this server that the copied database references but the backup lacks.
    fn missing_images(&self) -> Result<usize, Box<dyn Error>> {
        let mut missing = std::collections::BTreeSet::new();
        sqlite::images_named(&self.folder.path.join(DATABASE), |url| {
            let Some(name) = url.strip_prefix("/media/").filter(|name| name.is_ascii()) else { return };
            let path = format!("{MEDIA}/{}/{name}", name.get(..2).unwrap_or_default());
            if !self.files.contains_key(&path) {
                missing.insert(path);
            }
        })?;
        Ok(missing.len())
    }
}

/// A backup in progress, under a temporary name. It is removed on drop unless it is [finished](Self::finish).
struct Unfinished {
    path: PathBuf,
    folder: PathBuf,
}

impl Unfinished {
    fn make(folder: &Path) -> Result<Self, Box<dyn Error>> {
        match fs::read_dir(folder) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(format!("{} is not empty", folder.display()).into());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", folder.display()).into()),
        }
        let named = folder.file_name().is_some();
        if !named {
            return Err(format!("{} is no name of a folder to make", folder.display()).into());
        }
        let trimmed: PathBuf = folder.components().collect();
        let path = beside(&trimmed, &format!(".unfinished-{:08x}", rand::random::<u32>()));
        make_folder(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, folder: trimmed })
    }

    fn finish(&self) -> Result<(), Box<dyn Error>> {
        fs::rename(&self.path, &self.folder).map_err(|error| {
            let folder = self.folder.display();
            format!("{folder}: {error} (if a disk is mounted there, name a new folder on it)")
        })?;
        sync_folder(self.folder.parent().unwrap_or(Path::new(".")))?;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A finished backup has another name, so this does not remove it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a file accessible to its owner only. SQLite creates files with the default mode and the umask.
fn private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = path;
    Ok(())
}

/// The canonical path, even if only the beginning of the path exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for known in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (known.canonicalize(), path.strip_prefix(known)) {
            return real.join(rest);
        }
    }
    path
}
