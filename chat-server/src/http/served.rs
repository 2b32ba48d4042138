//! Which files of a folder may be served. Files that are only accidentally in the folder are excluded.
//!
//! If the operator configures their working folder (`CHAT_STATIC_DIR=.`), it contains `.env` and `.git`. The server
//! never serves hidden files (except `.well-known`, RFC 8615), targets of links outside the folder or to hidden files,
//! or the paths in [`Config::private_paths`](crate::config::Config::private_paths). A file is first resolved to its
//! canonical path and then served by that path, so the spelling of the request makes no difference.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

/// A folder to be served.
#[derive(Debug)]
pub(crate) struct Served {
    /// The path from the configuration.
    dir: PathBuf,
    /// The canonical path at the start.
    root: PathBuf,
    private: Vec<PathBuf>,
}

/// The result of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// A file that may be served.
    File(PathBuf),
    /// A folder with an index page. The redirect target ends with a slash.
    Folder(String),
    /// A path that may not be served, or may not exist.
    Private,
    /// The path does not exist.
    Nothing,
}

impl Served {
    /// Serves `dir` without these files and folders. A private file also covers the files beside it whose names begin
    /// with its name, such as `chat.db-wal`.
    pub(crate) fn new(dir: &Path, private: &[PathBuf]) -> Self {
        let private = private.iter().map(|path| resolved(path)).collect();
        Self { dir: dir.to_owned(), root: resolved(dir), private }
    }

    /// Looks up the path of a request.
    pub(crate) async fn find(&self, path: &str) -> Find {
        let Some(inner) = inner(path) else { return Find::Private };
        let (dir, private) = (self.dir.clone(), self.private.clone());
        let is_folder = path.ends_with('/');
        let found = tokio::task::spawn_blocking(move || {
            // The folder may be a symbolic link that now points to another version of the page.
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

    /// The canonical path, if it may be served.
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

/// The path within the folder for the path of a request. `None` for a path that is never served.
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

/// Whether a file is `private`, is inside it, or is beside it and its name begins with that name.
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

/// The canonical path, even if only the beginning of the path exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            // `..` applies after links were followed, as in the operating system.
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
