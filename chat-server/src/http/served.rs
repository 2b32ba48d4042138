//! What of a folder may be served: its files, and nothing that only happens to be reachable there.
//!
//! Whoever names the folder that they work in (`CHAT_STATIC_DIR=.`) has `.env` and `.git` in it. Hidden files are never
//! served (but `.well-known`, RFC 8615), nor what a link leads to outside the folder or to something hidden, nor what
//! [`Config::private_paths`](crate::config::Config::private_paths) names. Files are found first and then served as they
//! were found, by the path that the file system has for them, so spelling makes no difference.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

/// A folder to be served.
#[derive(Debug)]
pub(crate) struct Served {
    /// As the operator named it.
    dir: PathBuf,
    /// Where that was at the start.
    root: PathBuf,
    private: Vec<PathBuf>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// This file, which may be served.
    File(PathBuf),
    /// A folder with a page of its own; its path ends with a slash, as here.
    Folder(String),
    /// Something that may not be served, or may not be there.
    Private,
    /// Nothing.
    Nothing,
}

impl Served {
    /// This folder without these files and folders. A file stands for those beside it whose names go on from its own, as
    /// `chat.db-wal` does.
    pub(crate) fn new(dir: &Path, private: &[PathBuf]) -> Self {
        let private = private.iter().map(|path| resolved(path)).collect();
        Self { dir: dir.to_owned(), root: resolved(dir), private }
    }

    /// Looks a request's path up.
    pub(crate) async fn find(&self, path: &str) -> Find {
        let Some(inner) = inner(path) else { return Find::Private };
        let (dir, private) = (self.dir.clone(), self.private.clone());
        let is_folder = path.ends_with('/');
        let found = tokio::task::spawn_blocking(move || {
            // The folder may be a link that leads to another version of the page now.
            let served = Self { root: resolved(&dir), dir, private };
            served.look_up(&inner, is_folder)
        });
        match found.await {
            Ok(Find::Folder(_)) => Find::Folder(format!("/{}/", path.trim_start_matches('/'))),
            Ok(find) => find,
            Err(_) => Find::Private,
        }
    }

    fn look_up(&self, inner: &Path, is_folder: bool) -> Find {
        let found = match self.canonical(&self.root.join(inner)) {
            Ok(found) => found,
            Err(find) => return find,
        };
        if found.is_dir() {
            return match self.canonical(&found.join("index.html")) {
                Ok(index) if index.is_file() && (is_folder || inner.as_os_str().is_empty()) => {
                    Find::File(index)
                }
                Ok(index) if index.is_file() => Find::Folder(String::new()),
                Err(Find::Private) => Find::Private,
                _ => Find::Nothing,
            };
        }
        match found.is_file() {
            true if is_folder => Find::Nothing,
            true => Find::File(found),
            // Reading a pipe would never end.
            false => Find::Private,
        }
    }

    /// Where a path really leads, if that may be served.
    fn canonical(&self, path: &Path) -> Result<PathBuf, Find> {
        let found = path.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Find::Nothing,
            _ => Find::Private,
        })?;
        let inner = found.strip_prefix(&self.root).map_err(|_| Find::Private)?;
        let is_hidden = inner.components().any(|part| is_hidden(part.as_os_str()));
        if is_hidden || self.private.iter().any(|private| belongs_to(&found, private)) {
            return Err(Find::Private);
        }
        Ok(found)
    }
}

/// The path within the folder that a request's path names; none when it is one that is never served.
fn inner(path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    if decoded.contains(['\0', '\\']) {
        return None;
    }
    let mut inner = PathBuf::new();
    for part in decoded.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if is_hidden(OsStr::new(part)) {
            return None;
        }
        inner.push(part);
    }
    Some(inner)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") && name != ".well-known"
}

/// Whether a file is this one, is in it, or is beside it and named after it.
fn belongs_to(found: &Path, private: &Path) -> bool {
    if found.starts_with(private) {
        return true;
    }
    let names = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_vec());
    let is_beside = found.parent() == private.parent();
    let after = names(found).zip(names(private));
    is_beside
        && after.is_some_and(|(found, private)| {
            found.strip_prefix(&private[..]).is_some_and(|rest| matches!(rest.first(), Some(b'-' | b'.')))
        })
}

/// Where a path leads, also one of which only the beginning exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            // After links were followed, as the system itself does it.
            Component::ParentDir => drop(resolved.pop()),
            part => {
                resolved.push(part);
                if let Ok(canonical) = resolved.canonicalize() {
                    resolved = canonical;
                }
            }
        }
    }
    resolved
}

#[cfg(test)]
mod tests;
