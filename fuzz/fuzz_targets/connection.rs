//! Any bytes on a connection to the whole server: heads and bodies of HTTP, long polling of both versions, upgrades and the
//! frames behind them. Nothing may panic, and nothing may be answered with 500.

#![no_main]

use std::cell::RefCell;

use chat_core::prelude::Chat;
use chat_server::Mounted;
use chat_server::config::{Config, Options};
use clap::{CommandFactory, FromArgMatches};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

/// So many connections have one server, so that what waits for a timeout does not gather.
const CONNECTIONS: usize = 2_000;

struct Server {
    runtime: Runtime,
    mounted: Mounted,
    connections: usize,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder can be made");
        let command = Options::command().mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["chat-server"]);
        let mut options = Options::from_arg_matches(&matches).expect("the defaults are good");
        options.jwt_secret = Some("a secret that no input can know".to_owned());
        options.bcrypt_cost = 4;
        options.data_dir = data.path().to_owned();
        let config = Config::check(&options).expect("the configuration is good");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mounted = runtime.block_on(chat_server::app_over(config, Chat::in_memory())).expect("it starts");
        Self { runtime, mounted, connections: 0, _data: data }
    }
}

thread_local! {
    static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    SERVER.with_borrow_mut(|slot| {
        if slot.as_ref().is_some_and(|server| server.connections >= CONNECTIONS) {
            *slot = None;
        }
        let server = slot.get_or_insert_with(Server::start);
        server.connections += 1;
        let router = server.mounted.router();
        let answered = server.runtime.block_on(async {
            // A poll that waits is no finding.
            let answer = chat_server::fuzz::connection(router, input);
            tokio::time::timeout(std::time::Duration::from_millis(20), answer).await.unwrap_or_default()
        });
        assert!(!answered.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answered));
    });
});
