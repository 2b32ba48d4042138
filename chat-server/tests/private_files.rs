//! What the program leaves on the disk can be read by nobody else, whatever the umask of the one who starts it.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program under the loosest umask there is, and answers when it listens, with what it has logged until then.
fn start(folder: &Path) -> (Server, String) {
    let mut child = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\"", env!("CARGO_BIN_EXE_chat-server")])
        .env_clear()
        .env("PORT", "0")
        .env("CHAT_HOST", "127.0.0.1")
        .env("CHAT_DATA_DIR", folder.join("data"))
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let server = Server(child);
    let mut log = String::new();
    for line in lines {
        let line = line.expect("it is text");
        log.push_str(&line);
        log.push('\n');
        if line.contains("listening") {
            return (server, log);
        }
    }
    panic!("it has ended: {log}");
}

/// Everything below a folder, with its mode.
fn modes(path: &Path) -> Vec<(String, u32)> {
    let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let mut found = vec![(path.display().to_string(), mode)];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it can be read") {
            found.extend(modes(&entry.expect("it can be read").path()));
        }
    }
    found
}

#[test]
fn nobody_else_can_read_what_is_made_or_was_open() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let (server, _) = start(folder.path());
    let made = modes(&data);
    for name in ["chat.db", "chat.db-wal", "jwt-secret", "media"] {
        assert!(made.iter().any(|(path, _)| path.ends_with(&format!("/{name}"))), "{name}: {made:?}");
    }
    for (path, mode) in &made {
        assert_eq!(mode & 0o077, 0, "{path} has {mode:o}");
    }
    drop(server);

    let open = |name: &str, mode| {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    open("", 0o755);
    open("chat.db", 0o644);
    open("jwt-secret", 0o664);
    open("media", 0o777);
    let (server, log) = start(folder.path());
    for (path, mode) in modes(&data) {
        assert_eq!(mode & 0o077, 0, "{path} has {mode:o}");
    }
    let secret = fs::read_to_string(data.join("jwt-secret")).expect("it is ours");
    for name in ["data", "data/chat.db", "data/jwt-secret", "data/media"] {
        let path = folder.path().join(name).display().to_string();
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(&path)), "{name}: {log}");
    }
    assert!(!log.contains(secret.trim()), "a warning names the file, not what is in it");
    drop(server);
}
