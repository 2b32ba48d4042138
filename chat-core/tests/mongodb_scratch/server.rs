//! A server process of a test's own, for tests that take it away or have it fail.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use mongodb::Client;
use mongodb::bson::{Document, doc};
use tempfile::TempDir;

use super::Scratch;

/// A running server, killed at the end. The program of `MONGO_TEST_SERVER` is started with `--port`, `--storage-path` and
/// `--enable-test-commands`; for a real `mongod` that is a script of a few lines.
pub(crate) struct Server {
    process: Child,
    port: u16,
    arguments: &'static [&'static str],
    folder: TempDir,
}

impl Server {
    /// Starts a replica set of one.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["--enable-test-commands"]).await
    }

    /// Starts a server with these arguments, and waits until it answers.
    pub(crate) async fn start_with(arguments: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let process = run(port, arguments, &folder);
        let server = Self { process, port, arguments, folder };
        server.wait().await;
        server
    }

    /// Its URI.
    pub(crate) fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A database on it.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch::on(&self.uri())
    }

    /// Kills it; nobody is told.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server is running");
        self.process.wait().expect("the server has ended");
    }

    /// Starts it again with all its data.
    pub(crate) async fn restart(&mut self) {
        self.process = run(self.port, self.arguments, &self.folder);
        self.wait().await;
    }

    /// Stops it from doing anything (`STOP`), or lets it go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal} must work");
    }

    /// Has commands fail, as `configureFailPoint` describes it.
    pub(crate) async fn fail(&self, mode: impl Into<mongodb::bson::Bson>, data: Document) {
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        self.client().await.database("admin").run_command(command).await.expect("a fail point");
    }

    /// A client of its own.
    pub(crate) async fn client(&self) -> Client {
        let uri = format!("{}/?serverSelectionTimeoutMS=30000&directConnection=true", self.uri());
        Client::with_uri_str(uri).await.expect("a client")
    }

    async fn wait(&self) {
        // The driver looks for the server until it is there.
        let pinged = self.client().await.database("admin").run_command(doc! { "ping": 1 }).await;
        pinged.expect("the server must start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(port: u16, arguments: &[&str], folder: &TempDir) -> Child {
    let program =
        std::env::var("MONGO_TEST_SERVER").expect("MONGO_TEST_SERVER must be a program that starts a server");
    let mut command = Command::new(program);
    command.arg("--port").arg(port.to_string()).arg("--storage-path").arg(folder.path().join("data"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("MONGO_TEST_SERVER must start")
}
