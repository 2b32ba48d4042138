//! What the program tells the service manager that has started it, as sd_notify(3) says: over a datagram socket that this test
//! listens on.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest that anything may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be bound");
        socket.set_read_timeout(Some(LIMIT)).expect("it can wait");
        Self { folder, socket, path }
    }

    /// Starts the program with this in its environment, and ends it when the test ends.
    fn start(&self, variables: &[(&str, &str)]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
            .env_clear()
            .env("NOTIFY_SOCKET", &self.path)
            .envs([("PORT", "0"), ("CHAT_HOST", "127.0.0.1"), ("CHAT_STORE", "memory:")])
            .env("CHAT_DATA_DIR", self.folder.path().join("data"))
            .envs(variables.iter().copied())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        Server { child, log }
    }

    /// The next thing that is said: its lines.
    fn hear(&self) -> Vec<String> {
        let mut said = [0; 4096];
        let length = self.socket.recv(&mut said).expect("something is said");
        let said = std::str::from_utf8(&said[..length]).expect("it is text");
        said.lines().map(str::to_owned).collect()
    }

    /// The next thing that is said with this line in it. Others are passed over.
    fn hear_of(&self, line: &str) -> Vec<String> {
        let started = Instant::now();
        loop {
            let said = self.hear();
            if said.iter().any(|other| other == line) {
                return said;
            }
            assert!(started.elapsed() < LIMIT, "{line} is never said");
        }
    }
}

struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("/bin/sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(sent.expect("there is a shell").success());
    }

    /// Waits until something is logged.
    fn logs(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let length = self.log.read_line(&mut line).expect("the log can be read");
            assert_ne!(length, 0, "{words} is never logged");
        }
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn starts_with(said: &[String], beginning: &str) -> bool {
    said.iter().any(|line| line.starts_with(beginning))
}

#[test]
fn a_start_a_reload_and_an_end_are_told() {
    let manager = Manager::new();
    let mut server = manager.start(&[]);
    let first = manager.hear();
    assert_eq!(first, ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=starting"]);
    let ready = manager.hear();
    assert_eq!(ready, ["READY=1", "STATUS=serving, 0 connections"]);

    let before = monotonic();
    server.signal("HUP");
    let reloading = manager.hear_of("RELOADING=1");
    let at =
        reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("the time is said");
    let at = Duration::from_micros(at.parse().expect("it is a number"));
    // systemd takes it for an earlier reload if it is from before this one was asked for.
    assert!(before <= at && at <= monotonic(), "{before:?} {at:?}");
    assert_eq!(manager.hear(), ["READY=1"]);

    server.signal("TERM");
    assert!(manager.hear_of("STOPPING=1").contains(&"STATUS=stopping".to_owned()));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn it_says_that_it_lives_when_that_is_wanted() {
    let manager = Manager::new();
    let _server = manager.start(&[("WATCHDOG_USEC", "200000")]);
    manager.hear_of("READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hear_of("WATCHDOG=1"), ["WATCHDOG=1"]);
    }
}

#[test]
fn a_watchdog_of_another_process_is_none() {
    let manager = Manager::new();
    let server = manager.start(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    manager.hear_of("READY=1");
    server.signal("TERM");
    let mut said = manager.hear();
    while !starts_with(&said, "STOPPING=1") {
        assert!(!starts_with(&said, "WATCHDOG"), "{said:?}");
        said = manager.hear();
    }
}

/// A reload during a long start must not pass for its end.
#[test]
fn a_reload_during_the_start_is_not_its_end() {
    let manager = Manager::new();
    // A database that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = silent.local_addr().expect("it is bound").port();
    let uri = format!("mongodb://127.0.0.1:{port}/chat?serverSelectionTimeoutMS=60000");
    let secret = "a-secret-that-nobody-needs-0123456789abcdef";
    let mut server = manager.start(&[("CHAT_STORE", &uri), ("JWT_SECRET", secret)]);
    assert!(starts_with(&manager.hear(), "EXTEND_TIMEOUT_USEC="));
    let connected = silent.accept().expect("it looks for its database");
    server.signal("HUP");
    server.logs("SIGHUP");
    server.signal("TERM");
    // Otherwise RELOADING or READY would come before.
    assert!(starts_with(&manager.hear(), "STOPPING=1"));
    assert_eq!(server.wait().code(), Some(0));
    drop(connected);
}

#[test]
fn a_manager_that_is_not_there_is_no_reason_not_to_serve() {
    let manager = Manager::new();
    let mut server = manager.start(&[("NOTIFY_SOCKET", "/nowhere/notify")]);
    server.logs("listening");
    server.logs("the service manager could not be told how it is");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

/// The time since the machine was started, as the kernel tells it.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        now.tv_sec.try_into().expect("it is not negative"),
        now.tv_nsec.try_into().expect("nor this"),
    )
}
