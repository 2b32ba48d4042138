//! Copies files durably, readable only by their owner, and computes their checksums.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The number of bytes that are copied at once.
const PART: usize = 256 << 10;

/// Writes a file completely and durably.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Copies a file durably and overwrites the target. Returns the length and SHA-256 of the content.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<(u64, String)> {
    let mut source = File::open(from)?;
    let mut target = create(to)?;
    let sum = read_through(&mut source, |part| target.write_all(part))?;
    target.sync_all()?;
    Ok(sum)
}

/// The length and SHA-256 of a file.
pub(crate) fn sum(path: &Path) -> io::Result<(u64, String)> {
    read_through(&mut File::open(path)?, |_| Ok(()))
}

/// Creates a folder and its parents. The umask of the program makes them accessible to their owner only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Makes the directory entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The same, recursively.
pub(crate) fn sync_folders(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(path)
}

/// The files in a folder, recursively, as relative paths. The list is empty if the folder does not exist. Symbolic
/// links are skipped, because their targets do not belong to the server.
pub(crate) fn below(folder: &Path, skip: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let entries = match fs::read_dir(folder.join(&inner)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = inner.join(entry.file_name());
            if kind.is_dir() && !skip.iter().any(|name| entry.file_name() == *name) {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Appends an ending: `chat.db` and `.x` become `chat.db.x`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn read_through(file: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut part = vec![0; PART];
    loop {
        match file.read(&mut part)? {
            0 => return Ok((bytes, hex::encode(hash.finalize()))),
            read => {
                each(&part[..read])?;
                hash.update(&part[..read]);
                bytes += read as u64;
            }
        }
    }
}
