//! The bus over Redis, on a server of its own that is killed, stopped and started again. Needs the program in
//! `REDIS_SERVER_BIN`; `./test` installs it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chat_server::cluster::{
    Bus, CertificateFiles, Certificates, Heard, RedisBus, RedisConfig, SharedCounters,
};
use chat_server::secret::Secret;
use tempfile::TempDir;
use tokio::sync::mpsc;

const TEST_TIMEOUT: Duration = Duration::from_secs(20);
const PASSWORD: &str = "hunter2-hunter2-hunter2";

/// A running server, killed at the end. It keeps nothing on disk: after a restart it is empty.
struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("there is a free port").port();
        Self { process: run(port, &folder), port, folder }
    }

    fn config(&self) -> RedisConfig {
        RedisConfig::at(Secret::new(format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)))
    }

    fn kill(&mut self) {
        self.process.kill().expect("it is running");
        self.process.wait().expect("it has ended");
    }

    fn restart(&mut self) {
        self.process = run(self.port, &self.folder);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal} must work");
    }

    /// What is kept on it, as its owner sees it.
    async fn keys(&self) -> Vec<String> {
        let client = redis::Client::open(self.config().url.expose()).expect("the address is good");
        let mut connection = client.get_multiplexed_async_connection().await.expect("it is there");
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("it answers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(port: u16, folder: &TempDir) -> Child {
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    command.args(["--requirepass", PASSWORD, "--dir"]).arg(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("REDIS_SERVER_BIN must start")
}

fn program() -> String {
    std::env::var("REDIS_SERVER_BIN").expect("REDIS_SERVER_BIN must be a redis-server")
}

/// A bus, and what it hears.
struct Node {
    bus: Arc<RedisBus>,
    heard: mpsc::Receiver<Heard>,
}

impl Node {
    fn listening(server: &Server, secret: &str) -> Self {
        Self::at(&server.config(), secret)
    }

    fn at(config: &RedisConfig, secret: &str) -> Self {
        let bus = RedisBus::new(config, &Secret::new(secret.into())).expect("the address is good");
        let (to_hear, heard) = mpsc::channel(1_000);
        bus.listen(to_hear);
        Self { bus: Arc::new(bus), heard }
    }

    async fn up(server: &Server, secret: &str) -> Self {
        let mut node = Self::listening(server, secret);
        node.hears_up().await;
        node
    }

    async fn next(&mut self) -> Heard {
        let heard = tokio::time::timeout(TEST_TIMEOUT, self.heard.recv()).await.expect("something is heard");
        heard.expect("the bus goes on")
    }

    async fn hears_up(&mut self) {
        while !matches!(self.next().await, Heard::Up) {}
    }

    async fn hears_down(&mut self) {
        while !matches!(self.next().await, Heard::Down) {}
    }

    async fn hears(&mut self, wanted: &'static str) {
        match self.next().await {
            Heard::Notice(notice) => assert_eq!(notice, wanted),
            other => panic!("{other:?} instead of {wanted}"),
        }
    }

    async fn says(&self, notice: &'static str) {
        self.bus.publish(Bytes::from_static(notice.as_bytes())).await.expect("it is published");
    }

    async fn counts(&self, key: &str, attempt: &[u8], most: u32, within: Duration) -> Option<Duration> {
        self.counters().count(key, attempt, most, within).await.expect("it can be counted")
    }

    fn counters(&self) -> &dyn SharedCounters {
        self.bus.counters().expect("Redis can count")
    }
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn notices_are_heard_by_the_nodes_of_one_deployment() {
    let server = Server::start();
    let mut ours = [Node::up(&server, "ours").await, Node::up(&server, "ours").await];
    let mut foreign = Node::up(&server, "another deployment").await;
    ours[0].says("one").await;
    ours[1].says("two").await;
    for node in &mut ours {
        node.hears("one").await;
        node.hears("two").await;
    }
    foreign.says("three").await;
    foreign.hears("three").await;
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn a_server_that_dies_and_comes_back_is_found_again() {
    let mut server = Server::start();
    let (mut one, mut two) = (Node::up(&server, "s").await, Node::up(&server, "s").await);
    for round in 0..3 {
        server.kill();
        one.hears_down().await;
        two.hears_down().await;
        let asked = Instant::now();
        let refused = one.bus.publish(Bytes::from_static(b"lost")).await.unwrap_err().to_string();
        assert!(!refused.contains(PASSWORD), "{refused}");
        assert!(one.counters().count("k", b"a", 1, TEST_TIMEOUT).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(3), "round {round}: it took {:?}", asked.elapsed());
        server.restart();
        let back = Instant::now();
        one.hears_up().await;
        two.hears_up().await;
        assert!(back.elapsed() < Duration::from_secs(5), "round {round}: it took {:?}", back.elapsed());
        one.says("again").await;
        one.hears("again").await;
        two.hears("again").await;
    }
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn a_server_that_hangs_is_noticed_and_waited_for() {
    let server = Server::start();
    let mut node = Node::up(&server, "s").await;
    server.signal("STOP");
    let asked = Instant::now();
    assert!(node.bus.publish(Bytes::from_static(b"lost")).await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?}", asked.elapsed());
    node.hears_down().await;
    server.signal("CONT");
    node.hears_up().await;
    node.says("again").await;
    // What was published last may have been carried out when the server went on.
    loop {
        if let Heard::Notice(notice) = node.next().await
            && notice == "again"
        {
            break;
        }
    }
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut server = Server::start();
    server.kill();
    let mut node = Node::listening(&server, "s");
    assert!(node.bus.publish(Bytes::from_static(b"lost")).await.is_err());
    server.restart();
    node.hears_up().await;
    node.says("hello").await;
    node.hears("hello").await;
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn nodes_count_together() {
    let server = Server::start();
    let (one, two) = (Node::up(&server, "s").await, Node::up(&server, "s").await);
    let minute = Duration::from_secs(60);
    let mut attempts = Vec::new();
    for n in 0..50_u8 {
        let buses = [one.bus.clone(), two.bus.clone()];
        attempts.push(tokio::spawn(async move {
            let bus = &buses[usize::from(n % 2)];
            bus.counters().expect("Redis can count").count("k", &[n], 5, Duration::from_secs(60)).await
        }));
    }
    let mut allowed = Vec::new();
    for (n, attempt) in (0..50_u8).zip(attempts) {
        match attempt.await.expect("no panic").expect("it can be counted") {
            None => allowed.push(n),
            Some(wait) => assert!(wait <= minute && wait > minute / 2, "{wait:?}"),
        }
    }
    assert_eq!(allowed.len(), 5, "{allowed:?}");
    assert!(one.counts("other", b"x", 5, minute).await.is_none(), "keys are apart");

    two.counters().uncount("k", &[allowed[0]]).await.expect("it is taken back");
    assert!(one.counts("k", b"x", 5, minute).await.is_none());
    assert!(one.counts("k", b"y", 5, minute).await.is_some());
    two.counters().forget("k").await.expect("it is forgotten");
    assert!(one.counts("k", b"y", 5, minute).await.is_none());

    // The window slides.
    let short = Duration::from_millis(300);
    assert!(one.counts("short", b"1", 1, short).await.is_none());
    let wait = two.counts("short", b"2", 1, short).await.expect("one is the most");
    assert!(wait <= short, "{wait:?}");
    let deadline = Instant::now() + TEST_TIMEOUT;
    while two.counts("short", b"2", 1, short).await.is_some() {
        assert!(Instant::now() < deadline, "the window must slide");
        tokio::time::sleep(short / 10).await;
    }
    for key in server.keys().await {
        assert!(key.starts_with("chat-server:"), "{key}");
    }
}

/// Where the child process of the test below finds the server.
const TLS_URL: &str = "REDIS_TLS_TEST_URL";

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn a_server_behind_tls_is_used_when_its_certificate_is_good() {
    if let Ok(url) = std::env::var(TLS_URL) {
        let mut node = Node::at(&RedisConfig::at(Secret::new(url)), "s");
        node.hears_up().await;
        node.says("over TLS").await;
        node.hears("over TLS").await;
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().expect("a plain path");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(path("cert.pem"), made.cert.pem()).expect("it can be written");
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("it can be written");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = free.expect("there is a free port").port();
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port.to_string(), "--save", ""]);
    command.args(["--tls-cert-file", &path("cert.pem"), "--tls-key-file", &path("key.pem")]);
    command.args(["--tls-ca-cert-file", &path("cert.pem"), "--tls-auth-clients", "no"]);
    command.args(["--requirepass", PASSWORD, "--dir", &path("")]);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Server { process: process.expect("REDIS_SERVER_BIN must start"), port, folder };

    // Whom the system trusts is read from where the environment says, and that of this process is not to be changed.
    let url = format!("rediss://:{PASSWORD}@127.0.0.1:{port}");
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["a_server_behind_tls_is_used_when_its_certificate_is_good", "--exact", "--ignored"]);
    child.env(TLS_URL, &url).env("SSL_CERT_FILE", server.folder.path().join("cert.pem"));
    let ran = child.output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "the certificate is trusted: {said}");

    // The same driver, where nobody vouches for the certificate.
    let stranger = redis::Client::open(url).expect("the address is good");
    assert!(stranger.get_multiplexed_async_connection().await.is_err());
}

/// Redis with TLS, which wants to know who its clients are. Its own certificate vouches for itself, and so does theirs.
struct TlsServer {
    server: Server,
    port: u16,
}

impl TlsServer {
    /// Makes certificates and starts a server that has them.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("there is a free port").port();
        make_certificates(&folder);
        let process = run_tls(port, &folder);
        Self { server: Server { process, port, folder }, port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.folder.path().join(name)
    }

    /// All certificates are renewed, and the server is restarted.
    fn renew(&mut self) {
        make_certificates(&self.server.folder);
        self.restart();
    }

    fn restart(&mut self) {
        self.server.kill();
        self.server.process = run_tls(self.port, &self.server.folder);
    }
}

fn make_certificates(folder: &TempDir) {
    for name in ["server", "client"] {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let path = |ending: &str| folder.path().join(format!("{name}.{ending}"));
        std::fs::write(path("pem"), made.cert.pem()).expect("it can be written");
        std::fs::write(path("key"), made.signing_key.serialize_pem()).expect("it can be written");
    }
}

fn run_tls(port: u16, folder: &TempDir) -> Child {
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &port.to_string(), "--save", ""]);
    for (option, name) in [
        ("--tls-cert-file", "server.pem"),
        ("--tls-key-file", "server.key"),
        ("--tls-ca-cert-file", "client.pem"),
    ] {
        command.arg(option).arg(folder.path().join(name));
    }
    command.args(["--tls-auth-clients", "yes", "--requirepass", PASSWORD, "--dir"]).arg(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("REDIS_SERVER_BIN must start")
}

/// The files are read at the start and when that is asked for: connections that are made then use the new ones. A file that
/// cannot be used leaves everything as it was.
#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn certificates_are_renewed_while_the_bus_runs() {
    let mut redis = TlsServer::start();
    // Copies, so that what the server has is not what the node has.
    let own = |name: &str| redis.path(&format!("node-{name}"));
    let (ca, cert, key) = (own("ca.pem"), own("cert.pem"), own("key.pem"));
    let take = |redis: &TlsServer| {
        for (from, to) in [("server.pem", &ca), ("client.pem", &cert), ("client.key", &key)] {
            std::fs::copy(redis.path(from), to).expect("it can be copied");
        }
    };
    take(&redis);
    let files = CertificateFiles { ca: Some(ca.clone()), client: Some((cert.clone(), key.clone())) };
    let certificates = Arc::new(Certificates::read(files).expect("they are good"));
    let url = Secret::new(format!("rediss://:{PASSWORD}@127.0.0.1:{}", redis.port));
    let with = |certificates| RedisConfig { url: url.clone(), certificates };
    let mut node = Node::at(&with(Some(certificates.clone())), "s");
    node.hears_up().await;
    node.says("by the first ones").await;
    node.hears("by the first ones").await;

    // Half of a file: what was read before is used, also for a new connection.
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").expect("it can be written");
    let refused = certificates.read_again().expect_err("it is no certificate").to_string();
    assert!(refused.starts_with("CHAT_REDIS_CA: "), "{refused}");
    redis.restart();
    node.hears_down().await;
    node.hears_up().await;
    node.says("still by the first ones").await;
    node.hears("still by the first ones").await;

    // All of them are renewed. Who has the old ones does not get in.
    redis.renew();
    node.hears_down().await;
    take(&redis);
    certificates.read_again().expect("they are good");
    node.hears_up().await;
    node.says("by the new ones").await;
    node.hears("by the new ones").await;
    let nobody = redis::Client::open(url.expose()).expect("the address is good");
    assert!(nobody.get_multiplexed_async_connection().await.is_err(), "nobody vouches for the server there");
}

#[tokio::test]
#[ignore = "needs a redis-server in REDIS_SERVER_BIN: ./test installs one"]
async fn nodes_with_an_old_secret_are_heard() {
    let server = Server::start();
    let secret = |secret: &str| Secret::new(secret.to_owned());
    let node = async |own: &str, old: &str| {
        let bus = RedisBus::with_old(&server.config(), &secret(own), &[secret(old)]).expect("it is good");
        let (to_hear, heard) = mpsc::channel(1_000);
        bus.listen(to_hear);
        let mut node = Node { bus: Arc::new(bus), heard };
        node.hears_up().await;
        node
    };
    let (mut before, mut after) = (node("old", "new").await, node("new", "old").await);
    let mut never = Node::up(&server, "old").await;
    before.says("by the old one").await;
    for node in [&mut before, &mut after, &mut never] {
        node.hears("by the old one").await;
    }
    after.says("by the new one").await;
    for node in [&mut before, &mut after] {
        node.hears("by the new one").await;
    }
    // It does not know the new secret, so what comes next is what is said under the old one.
    before.says("once more").await;
    never.hears("once more").await;
}
