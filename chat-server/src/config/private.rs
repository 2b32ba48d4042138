//! Protects private data: the data folder, the database, the secret. Checks their location and their file modes.
//!
//! **Modes.** The program sets its umask so that new files are accessible only to their owner. Existing files are
//! checked at every start and corrected, with a warning that names them. If *others* have any permission, the mode
//! comes from a usual umask, and group and others lose all permissions. If only the *group* has permissions, they are
//! intended (for a backup, for instance): they stay, except for writing. The secret is never accessible to group or
//! others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, wrong};
use super::options::Options;
use super::store::StoreConfig;
use crate::http::served::resolved;

/// The file in the data folder that stores the secret, for configurations without one.
pub(super) const SECRET_FILE: &str = "jwt-secret";

/// The paths that must never be served.
pub(super) fn paths(options: &Options, store: &StoreConfig) -> Vec<PathBuf> {
    let tables = options.codec_tables.iter().map(|file| file.trim()).filter(|file| !file.is_empty());
    let mut paths: Vec<PathBuf> = tables.map(PathBuf::from).collect();
    paths.push(options.data_dir.clone());
    if let StoreConfig::Sqlite { path, .. } = store {
        paths.push(path.clone());
    }
    paths
}

/// Refuses a static folder that contains the data folder or the database, or is inside the data folder. Links are
/// resolved.
pub(super) fn check_static_dir(
    dir: &Path,
    options: &Options,
    store: &StoreConfig,
) -> Result<(), ConfigError> {
    if !dir.is_dir() {
        return Err(wrong("CHAT_STATIC_DIR", "is not a folder"));
    }
    let (served, data) = (resolved(dir), resolved(&options.data_dir));
    if data.starts_with(&served) {
        return Err(wrong("CHAT_STATIC_DIR", "holds the folder of CHAT_DATA_DIR, which must not be served"));
    }
    if served.starts_with(&data) {
        return Err(wrong("CHAT_STATIC_DIR", "is in the folder of CHAT_DATA_DIR, which must not be served"));
    }
    if let StoreConfig::Sqlite { path, .. } = store
        && resolved(path).starts_with(&served)
    {
        return Err(wrong("CHAT_STATIC_DIR", "holds the database of CHAT_STORE, which must not be served"));
    }
    Ok(())
}

/// Checks and corrects the modes of the data folder, the secret, the database, and the folders of images.
///
/// # Errors
/// When the folder cannot be read. A mode that cannot be corrected only causes a warning: the file may have another
/// owner, or the disk may not support modes.
pub(super) fn mend(data_dir: &Path, store: &StoreConfig) -> io::Result<()> {
    mend_one(data_dir, false)?;
    mend_one(&data_dir.join(SECRET_FILE), true)?;
    if let StoreConfig::Sqlite { path, .. } = store
        && let Some(name) = path.file_name()
    {
        for beside in ["", "-wal", "-shm", "-journal", ".lock"] {
            let mut name = name.to_owned();
            name.push(beside);
            mend_one(&path.with_file_name(name), false)?;
        }
    }
    for folder in ["media", "cloudinary", "files"].map(|name| data_dir.join(name)) {
        mend_one(&folder, false)?;
        for entry in entries(&folder)? {
            mend_one(&entry, false)?;
        }
    }
    Ok(())
}

/// The same for the files in the folders of images, which may be very many. The start need not wait for it, because
/// these folders themselves are already inaccessible to others.
pub(crate) fn mend_images(dir: &Path) {
    fn below(folder: &Path) -> io::Result<()> {
        for entry in entries(folder)? {
            mend_one(&entry, false)?;
            below(&entry)?;
        }
        Ok(())
    }
    if let Err(error) = below(dir) {
        tracing::warn!(path = %dir.display(), %error, "it could not be seen who may read the stored images");
    }
}

/// The entries of a folder without links, because their targets may not be ours. Empty if it is not a folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            entries.push(entry.path());
        }
    }
    Ok(entries)
}

/// On a folder: all users may create files in it, and remove only their own.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
fn mend_one(path: &Path, is_secret: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    // The data folder or the image folder may be a link that the operator has created, so its target is checked. The
    // mode of a link itself has no meaning.
    let metadata = if metadata.is_symlink() { fs::metadata(path)? } else { metadata };
    let mode = metadata.permissions().mode() & 0o7777;
    let wanted = private_mode(mode, is_secret);
    if mode == wanted {
        return Ok(());
    }
    if metadata.is_dir() && mode & STICKY != 0 {
        // A folder like /tmp, which the whole machine needs unchanged.
        tracing::warn!(path = %path.display(), "a folder that everybody shares is no place for what is private");
        return Ok(());
    }
    let mended = fs::set_permissions(path, fs::Permissions::from_mode(wanted));
    let (path, from, to) = (path.display(), format_args!("{mode:04o}"), format_args!("{wanted:04o}"));
    match mended {
        Ok(()) => tracing::warn!(%path, %from, %to, "others had rights to what is private; it was mended"),
        Err(error) => tracing::warn!(%path, mode = %from, %error, "others have rights to what is private"),
    }
    Ok(())
}

/// Other systems have no modes.
#[cfg(not(unix))]
fn mend_one(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg_attr(not(unix), allow(dead_code))]
fn private_mode(mode: u32, is_secret: bool) -> u32 {
    let others_have_rights = mode & 0o007 != 0;
    mode & if is_secret || others_have_rights { !0o077 } else { !0o020 }
}

#[cfg(test)]
mod tests;
