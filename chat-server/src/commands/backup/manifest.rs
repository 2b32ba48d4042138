//! The content of a backup: `manifest.json`, and its checksum in `manifest.sha256`.

use std::fs;
use std::io;
use std::path::{Component, Path};

use chat_core::clock::Timestamp;
use chat_core::store::sqlite::Snapshot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files;

/// The file name of the manifest.
pub(crate) const NAME: &str = "manifest.json";
/// The file with its checksum.
const SUM: &str = "manifest.sha256";

/// The format version that is written, and the newest one that can be read.
const FORM: u32 = 1;

/// The allowed names at the top level of a backup.
const KNOWN: [&str; 5] = [DATABASE, SECRET, MEDIA, CLOUDINARY, TABLES];

/// The database.
pub(crate) const DATABASE: &str = "chat.db";
/// The secret that the server has generated.
pub(crate) const SECRET: &str = "jwt-secret";
/// The images, with their journal and quotas.
pub(crate) const MEDIA: &str = "media";
/// The journal and quotas of images at Cloudinary.
pub(crate) const CLOUDINARY: &str = "cloudinary";
/// The files of CHAT_CODEC_TABLES.
pub(crate) const TABLES: &str = "codec-tables";

/// The manifest of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// The format version of the manifest.
    pub(crate) form: u32,
    /// The version of the program that has written it.
    pub(crate) version: String,
    /// The store of the messages: `sqlite` (in the backup) or `mongodb` (not in the backup).
    pub(crate) store: String,
    /// When the backup was made.
    pub(crate) taken_at: String,
    /// The state of the database, if it is in the backup.
    pub(crate) database: Option<Database>,
    /// All files except the manifest and its checksum.
    pub(crate) files: Vec<Entry>,
}

/// The state of a database; see [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Database {
    /// The version of its tables.
    pub(crate) layout: u32,
    /// The last position of its log.
    pub(crate) position: u64,
    /// When the last change or account was created, whichever is later, in milliseconds since 1970.
    pub(crate) changed_at: Option<i64>,
    /// The epoch of its log, in hexadecimal digits.
    pub(crate) epoch: Option<String>,
}

/// A file in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its path in the backup.
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub(crate) sha256: String,
}

impl From<Snapshot> for Database {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            layout: snapshot.layout,
            position: snapshot.position.0,
            changed_at: snapshot.changed_at.map(Timestamp::as_millis),
            epoch: snapshot.epoch.map(|epoch| format!("{:016x}", epoch.id)),
        }
    }
}

impl Manifest {
    /// The manifest of these files, with the version of this program.
    pub(crate) fn new(
        store: &str,
        taken_at: Timestamp,
        database: Option<Snapshot>,
        files: Vec<Entry>,
    ) -> Self {
        Self {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: store.to_owned(),
            taken_at: taken_at.iso().as_str().to_owned(),
            database: database.map(Database::from),
            files,
        }
    }

    /// Writes the manifest and its checksum into a backup.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        files::write(&folder.join(NAME), &text)?;
        // In the format of sha256sum, which can check it.
        let sum = format!("{}  {NAME}\n", hex::encode(Sha256::digest(&text)));
        files::write(&folder.join(SUM), sum.as_bytes())
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// A message for the operator: the manifest is missing, damaged, or of a newer version.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            fs::read(folder.join(name)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("{} is no backup, or not a whole one: it has no {name}", folder.display())
                }
                _ => format!("{}: {error}", folder.join(name).display()),
            })
        };
        let (text, sum) = (read(NAME)?, read(SUM)?);
        let expected = format!("{}  {NAME}\n", hex::encode(Sha256::digest(&text)));
        if sum != expected.as_bytes() {
            return Err(format!("the backup is damaged: {NAME} is not what {SUM} says"));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| format!("{NAME}: {error}"))?;
        if manifest.form > FORM {
            return Err(format!(
                "the backup is of a newer version of this program ({}), which has to restore it",
                manifest.version
            ));
        }
        for entry in &manifest.files {
            if !is_known(&entry.path) {
                return Err(format!("{NAME} names {:?}, which does not belong in a backup", entry.path));
            }
        }
        Ok(manifest)
    }

    /// The files in a top-level folder, or the one file of that name.
    pub(crate) fn below<'a>(&'a self, top: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.files.iter().filter(move |entry| {
            entry.path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The number of images in the backup.
    pub(crate) fn images(&self) -> usize {
        self.below(MEDIA).filter(|entry| !entry.path.contains("/.")).count()
    }
}

/// Whether a path stays within the backup and is one that `backup` creates.
fn is_known(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let Some(Component::Normal(top)) = parts.next() else { return false };
    KNOWN.iter().any(|known| top == *known) && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let entry = Entry { path: path.into(), bytes: 1, sha256: "00".into() };
        Manifest::new("sqlite", Timestamp::from_millis(1), None, vec![entry])
    }

    #[test]
    fn it_is_read_as_it_was_written_and_any_flipped_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        manifest("media/ab/abcd.png").write(folder.path()).unwrap();
        let read = Manifest::read(folder.path()).unwrap();
        assert_eq!((read.form, read.images(), read.taken_at.as_str()), (FORM, 1, "1970-01-01T00:00:00.001Z"));
        for name in [NAME, SUM] {
            let whole = fs::read(folder.path().join(name)).unwrap();
            for at in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[at] ^= 1;
                fs::write(folder.path().join(name), flipped).unwrap();
                let refused = Manifest::read(folder.path()).unwrap_err();
                assert!(refused.contains(NAME), "{name}, byte {at}: {refused}");
            }
            fs::write(folder.path().join(name), whole).unwrap();
        }
        fs::remove_file(folder.path().join(NAME)).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().contains("not a whole one"));
    }

    #[test]
    fn no_path_leads_out_of_a_backup() {
        for path in ["media/../../etc/passwd", "/etc/passwd", "../chat.db", "other", "media/./../x", ""] {
            let folder = tempfile::tempdir().unwrap();
            manifest(path).write(folder.path()).unwrap();
            assert!(Manifest::read(folder.path()).unwrap_err().contains("does not belong"), "{path}");
        }
    }
}
