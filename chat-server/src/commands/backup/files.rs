//! Files that are copied durably, for their owner alone, and what they hold.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes that are copied at once.
const PART: usize = 256 << 10;

/// Writes a file that is there wholly and durably when this returns.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Copies a file over what is there, durably. Answers with the length and SHA-256 of what was copied.
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

/// Makes a folder and those it is in, all of them its owner's alone: the program's umask sees to that.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The same for all folders in it.
pub(crate) fn sync_folders(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(path)
}

/// The files in a folder and those in it, as paths from there; none when there is no such folder. Links are passed over: what
/// they lead to is not ours.
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

/// `chat.db` and `.x` are `chat.db.x`.
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
