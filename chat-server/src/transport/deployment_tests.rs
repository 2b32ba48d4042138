//! Compares the numbers in examples/deploy with the limits that they must match.

use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use super::connections::{MAX_UNAUTHENTICATED, max_connections_of};
use super::http_stream::HEAD_TIMEOUT;
use super::serve::IDLE_TIMEOUT;
use crate::config::{Config, Options};

const HAPROXY: &str = include_str!("../../../examples/deploy/haproxy.cfg");
const NGINX: &str = include_str!("../../../examples/deploy/nginx.conf");
const SERVICE: &str = include_str!("../../../examples/deploy/chat-server.service");
const SOCKET: &str = include_str!("../../../examples/deploy/chat-server.socket");
const COMPOSE: &str = include_str!("../../../examples/deploy/docker-compose.yml");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The number of clients that the proxies admit at once.
const CLIENTS: u64 = 20_000;
/// Maximum duration of an orderly shutdown; see [`crate::serve`].
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The values of all lines that begin with these words, without trailing comments.
fn all<'a>(file: &'a str, name: &str) -> Vec<&'a str> {
    let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default());
    let parts = lines.flat_map(|line| line.split([';', '{'])).map(str::trim);
    parts.filter_map(|part| Some(part.strip_prefix(name)?.strip_prefix([' ', '='])?.trim())).collect()
}

fn one<'a>(file: &'a str, name: &str) -> &'a str {
    let all = all(file, name);
    assert!(!all.is_empty() && all.iter().all(|value| *value == all[0]), "{name}: {all:?}");
    all[0]
}

fn number(file: &str, name: &str) -> u64 {
    let value = one(file, name);
    value.parse().unwrap_or_else(|_| panic!("{name} {value} is no number"))
}

/// A time in seconds as these files write it: with or without an `s`.
fn time(file: &str, name: &str) -> Duration {
    let value = one(file, name);
    let seconds = value.trim_end_matches('s').parse();
    Duration::from_secs(seconds.unwrap_or_else(|_| panic!("{name} {value} is no number of seconds")))
}

fn config() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let command = Options::command().mut_args(|arg| arg.env(None));
    let data = format!("--data-dir={}", folder.path().display());
    let options = Options::from_arg_matches(&command.get_matches_from(["chat-server", &data])).unwrap();
    let config = Config::check(&options).unwrap();
    (folder, config)
}

#[test]
fn proxies_wait_longer_than_heartbeats_are_apart() {
    let (_folder, config) = config();
    let heartbeat = config.transport.ping_interval + config.transport.ping_timeout;
    for name in ["timeout client", "timeout server", "timeout tunnel"] {
        assert!(time(HAPROXY, name) >= 2 * heartbeat, "haproxy.cfg: {name}");
    }
    for (place, file) in [("nginx.conf", NGINX), ("docs/operations.md", OPERATIONS)] {
        assert!(time(file, "proxy_read_timeout") >= 2 * heartbeat, "{place}");
    }
    assert!(time(NGINX, "proxy_send_timeout") >= 2 * heartbeat);
    assert_eq!(
        HAPROXY.contains("20 seconds together") && NGINX.contains("20 seconds together"),
        heartbeat.as_secs() == 20
    );
}

#[test]
fn proxies_keep_connections_as_the_server_does() {
    assert_eq!(time(HAPROXY, "timeout http-request"), HEAD_TIMEOUT);
    assert_eq!(time(HAPROXY, "timeout http-keep-alive"), IDLE_TIMEOUT);
    // The side that closes an idle connection must be the one that would reuse it.
    assert_eq!(all(NGINX, "keepalive_timeout").len(), NGINX.matches("keepalive 32").count());
    assert!(time(NGINX, "keepalive_timeout") + Duration::from_secs(10) <= IDLE_TIMEOUT);
}

#[test]
fn proxies_take_as_large_requests_as_the_server() {
    let (_folder, config) = config();
    for (place, file) in [("nginx.conf", NGINX), ("docs/operations.md", OPERATIONS)] {
        let largest: usize = one(file, "client_max_body_size").trim_end_matches('m').parse().unwrap();
        assert_eq!(largest << 20, config.transport.max_packet, "{place}");
    }
}

#[test]
fn every_node_has_room_for_all_that_the_proxies_let_in() {
    let open_files = number(SERVICE, "LimitNOFILE");
    assert!(max_connections_of(open_files) as u64 >= CLIENTS);
    // After a restart all clients reconnect at once, and none is authenticated yet.
    assert!(MAX_UNAUTHENTICATED.min(max_connections_of(open_files) / 2) as u64 >= CLIENTS);
    // Both ends of a proxied connection use a file descriptor of the proxy.
    assert!(
        all(HAPROXY, "maxconn").is_empty(),
        "it follows from the limit of files, which not every system allows"
    );
    let files = number(HAPROXY, "fd-hard-limit");
    assert!((2 * CLIENTS + 100..2 * CLIENTS + 1_000).contains(&files), "{files}");
    assert_eq!(number(NGINX, "worker_connections"), 2 * CLIENTS);
    assert!(number(NGINX, "worker_rlimit_nofile") > number(NGINX, "worker_connections"));
}

#[test]
fn systemd_waits_as_long_as_the_server_takes() {
    assert!(time(SERVICE, "TimeoutStopSec") > SHUTDOWN);
    assert_eq!(one(SERVICE, "RestartPreventExitStatus"), "2");
    assert_eq!(one(SERVICE, "Type"), "notify");
    assert!(time(SERVICE, "WatchdogSec") >= Duration::from_secs(10));
    assert_eq!(number(SOCKET, "Backlog"), 4_096);
}

/// A client that reaches a node without its proxy can claim any address.
#[test]
fn who_trusts_a_proxy_listens_on_loopback() {
    assert!(
        SERVICE.contains("\nEnvironment=CHAT_TRUST_PROXY=1\n")
            && SERVICE.contains("\nEnvironment=CHAT_HOST=127.0.0.1\n")
    );
    for address in all(SOCKET, "ListenStream") {
        assert!(address.starts_with("127.0.0.1:") || address.starts_with('/'), "{address}");
    }
    for (place, file) in [("haproxy.cfg", HAPROXY), ("nginx.conf", NGINX)] {
        let nodes = all(file, "server")
            .into_iter()
            .filter_map(|server| server.split(' ').find(|word| word.contains(':')));
        let nodes: Vec<_> = nodes.collect();
        assert!(
            nodes.len() >= 4 && nodes.iter().all(|node| node.starts_with("127.0.0.1:")),
            "{place}: {nodes:?}"
        );
        assert!(file.contains("CHAT_TRUST_PROXY=1") && file.contains("CHAT_HOST=127.0.0.1"), "{place}");
    }
    // Containers cannot bind to loopback only, so no port of a node may be published.
    assert_eq!(all(COMPOSE, "ports:"), ["[\"8080:8080\"]"]);
    // Every documented command that trusts a proxy.
    for line in
        OPERATIONS.lines().filter(|line| line.contains("CHAT_TRUST_PROXY=1") && line.contains(" chat-server"))
    {
        assert!(line.contains("CHAT_HOST=127.0.0.1"), "{line}");
    }
}
