//! What is nobody else's business: the data folder, the database, the secret. Where they may lie, and who may read them.
//!
//! **Modes.** The program sets its umask so that what it makes is its owner's alone. What is there already is looked at
//! at every start and mended, with a warning that names it. Where *others* have any right, the mode is what a usual umask
//! leaves behind, and group and others lose all of it. Where only the *group* may read, somebody has meant it (a backup,
//! say): that stays, but for writing. The secret is never anybody else's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, wrong};
use super::options::Options;
use super::store::StoreConfig;
use crate::http::served::resolved;

/// The file in the data folder that keeps the secret if the configuration names none.
pub(super) const SECRET_FILE: &str = "jwt-secret";

/// What must never be served.
pub(super) fn paths(options: &Options, store: &StoreConfig) -> Vec<PathBuf> {
    let tables = options.codec_tables.iter().map(|file| file.trim()).filter(|file| !file.is_empty());
    let mut paths: Vec<PathBuf> = tables.map(PathBuf::from).collect();
    paths.push(options.data_dir.clone());
    if let StoreConfig::Sqlite { path, .. } = store {
        paths.push(path.clone());
    }
    paths
}

/// Refuses a folder to serve that holds the data folder or the database, or is in the data folder, by whatever links.
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

/// Looks at the modes of the data folder, the secret, the database, and the folders of images, and mends them.
///
/// # Errors
/// When the folder cannot be read. What cannot be mended is only warned of: it may be another's, or on a disk without
/// modes.
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

/// The same for what may be very much: the files in the folders of images. Nothing waits for it, since nobody comes
/// through those folders any more.
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

/// What is in a folder, without links: what those lead to is not ours. Nothing when it is no folder.
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

/// On a folder: everybody may make files in it and remove their own.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
fn mend_one(path: &Path, is_secret: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    // The data folder, or that of images, may be a link that the operator has made; what it leads to is meant. Modes of
    // links mean nothing.
    let metadata = if metadata.is_symlink() { fs::metadata(path)? } else { metadata };
    let mode = metadata.permissions().mode() & 0o7777;
    let wanted = private_mode(mode, is_secret);
    if mode == wanted {
        return Ok(());
    }
    if metadata.is_dir() && mode & STICKY != 0 {
        // Something like /tmp, which the whole machine needs as it is.
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

/// Elsewhere there are no modes.
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
