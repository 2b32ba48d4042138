//! Servers in this process.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_core::prelude::{Chat, Store};
use chat_server::Mounted;
use chat_server::app::App;
use chat_server::cluster::Bus;
use chat_server::config::{Config, ConfigError, Options};
use chat_server::dialect::Dialects;
use clap::{CommandFactory, FromArgMatches};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{until, within};

/// The secret of every test server.
pub const SECRET: &str = "a secret for tests only, with more than 32 characters";

/// How long an orderly end may take.
const END: Duration = Duration::from_secs(10);

/// How long after that its last task may take.
const LAST_TASK: Duration = Duration::from_secs(5);

/// Options for tests: the defaults, whatever the environment says, with cheap passwords and a folder of their own.
fn options(data: &TempDir) -> Options {
    Options { data_dir: data.path().to_owned(), ..default_options() }
}

/// The same without a folder.
pub fn default_options() -> Options {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let matches = command.get_matches_from(["chat-server"]);
    let mut options = Options::from_arg_matches(&matches).expect("the defaults are good");
    options.jwt_secret = Some(SECRET.to_owned());
    options.bcrypt_cost = 4;
    // The death of the machine is not tested here, and this is many times faster.
    options.sqlite_synchronous = "normal".to_owned();
    options
}

/// The server's own threads. What it has started and not ended can be counted.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Self {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("server").enable_all().build();
        Self(Some(runtime.expect("threads can be started")))
    }

    fn get(&self) -> &Runtime {
        self.0.as_ref().expect("only dropping takes it out")
    }

    /// Waits until no task is left: no session, no delivery, no timer.
    async fn assert_idle(&self, turned_away: usize) {
        let metrics = self.get().metrics();
        // Each keeps its timer, and all of them together the server with the one task of its presence.
        let allowed = if turned_away == 0 { 0 } else { turned_away + 1 };
        let looking = async {
            let mut looks = tokio::time::interval(Duration::from_millis(2));
            while metrics.num_alive_tasks() > allowed {
                looks.tick().await;
            }
        };
        let ended = tokio::time::timeout(LAST_TASK, looking).await;
        assert!(ended.is_ok(), "{} tasks of the server survived it", metrics.num_alive_tasks());
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A runtime must not be waited for inside another one.
            runtime.shutdown_background();
        }
    }
}

/// The server as its binary runs it, on a port of its own.
pub struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many connections were refused or ended before they were let in. socketioxide keeps a timer for each of them
    /// until 45 seconds are over, also when they have long gone, so the end of the server allows for it. Upstream has
    /// mended this when the tests pass without counting here.
    pub turned_away: usize,
    data: TempDir,
    options: Options,
    threads: Threads,
    running: Option<Running>,
}

struct Running {
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ConfigError>>,
}

impl TestServer {
    /// Starts a server; `configure` changes what must differ from the defaults.
    pub async fn start(configure: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().expect("a folder can be made");
        let mut options = options(&data);
        configure(&mut options);
        Self::start_on(([127, 0, 0, 1], 0).into(), data, options).await
    }

    async fn start_on(address: SocketAddr, data: TempDir, options: Options) -> Self {
        crate::log::capture();
        let threads = Threads::start();
        let config = Config::check(&options).expect("the configuration is good");
        let (shutdown, shut_down) = oneshot::channel();
        let (listening, listens) = oneshot::channel();
        let serving = threads.get().spawn(async move {
            let listener = TcpListener::bind(address).await.expect("the port is free");
            // Connections wait in the listener until the server takes them, so it can be connected to from now on.
            listening.send(listener.local_addr().expect("it is bound")).expect("it is waited for");
            let shutdown = async { drop(shut_down.await) };
            chat_server::serve(listener, config, shutdown).await
        });
        let address = within("the start of a server", listens).await.expect("it binds");
        Self { address, turned_away: 0, data, options, threads, running: Some(Running { shutdown, serving }) }
    }

    /// Begins the end. [`Self::stop`] waits for it.
    pub fn begin_stop(&mut self) {
        if let Some(Running { shutdown, .. }) = &mut self.running {
            let (unused, _) = oneshot::channel();
            let _ = std::mem::replace(shutdown, unused).send(());
        }
    }

    /// Ends it.
    ///
    /// # Panics
    /// When that takes more than 10 seconds, fails, or leaves anything running.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Ends it and starts it again with the same data, at the same address.
    ///
    /// # Panics
    /// As [`Self::stop`].
    pub async fn restart(self) -> Self {
        self.restart_with(|_| ()).await
    }

    /// The same with other options.
    ///
    /// # Panics
    /// As [`Self::stop`].
    pub async fn restart_with(mut self, configure: impl FnOnce(&mut Options)) -> Self {
        self.end().await;
        configure(&mut self.options);
        let (address, options) = (self.address, self.options.clone());
        let data = std::mem::replace(&mut self.data, tempfile::tempdir().expect("a folder can be made"));
        drop(self);
        Self::start_on(address, data, options).await
    }

    async fn end(&mut self) {
        self.begin_stop();
        let Some(running) = self.running.take() else { return };
        let ended = tokio::time::timeout(END, running.serving).await;
        let ended = ended.unwrap_or_else(|_| panic!("the server has not stopped within {END:?}"));
        ended.expect("the server does not panic").expect("the server ends well");
        self.threads.assert_idle(self.turned_away).await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if self.running.is_some() && !std::thread::panicking() {
            panic!("a test must stop its server: the end asserts too");
        }
    }
}

/// The server in an axum app, for tests that look inside.
pub struct MountedServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many connections were refused or ended before they were let in. socketioxide keeps a timer for each of them
    /// until 45 seconds are over, also when they have long gone, so the end of the server allows for it. Upstream has
    /// mended this when the tests pass without counting here.
    pub turned_away: usize,
    /// Its parts.
    pub app: Arc<App>,
    mounted: Option<Arc<Mounted>>,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    threads: Threads,
    _data: TempDir,
}

impl MountedServer {
    /// Starts a server; `configure` changes what must differ from the defaults.
    pub async fn start(configure: impl FnOnce(&mut Options)) -> Self {
        Self::start_by(configure, chat_server::app).await
    }

    /// Starts one of several over one store, which hear each other by `bus`.
    pub async fn start_among(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        configure: impl FnOnce(&mut Options),
    ) -> Self {
        Self::start_by(configure, |config| chat_server::app_among(config, Chat::new(store), bus)).await
    }

    /// Starts one over a chat of the test's own, with another store or clock.
    pub async fn start_over(chat: Chat, configure: impl FnOnce(&mut Options)) -> Self {
        Self::start_by(configure, |config| chat_server::app_over(config, chat)).await
    }

    /// Starts a server that speaks these dialects too.
    pub async fn start_with(dialects: Dialects, configure: impl FnOnce(&mut Options)) -> Self {
        Self::start_with_by(dialects, configure, chat_server::app).await
    }

    async fn start_by<F>(configure: impl FnOnce(&mut Options), open: impl FnOnce(Config) -> F) -> Self
    where
        F: Future<Output = Result<Mounted, ConfigError>> + Send + 'static,
    {
        Self::start_with_by(Dialects::built_in(), configure, open).await
    }

    async fn start_with_by<F>(
        dialects: Dialects,
        configure: impl FnOnce(&mut Options),
        open: impl FnOnce(Config) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Mounted, ConfigError>> + Send + 'static,
    {
        crate::log::capture();
        let data = tempfile::tempdir().expect("a folder can be made");
        let mut options = options(&data);
        configure(&mut options);
        let config = Config::check_with(&options, dialects).expect("the configuration is good");
        let threads = Threads::start();
        let (shutdown, shut_down) = oneshot::channel();
        let opening = open(config);
        let starting = threads.get().spawn(async move {
            let mounted = opening.await.expect("everything can be opened");
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a port");
            (mounted, listener)
        });
        let (mounted, listener) = within("the start of a server", starting).await.expect("it starts");
        let address = listener.local_addr().expect("it is bound");
        let router = mounted.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = threads.get().spawn(async move {
            let serving = axum::serve(listener, router);
            let serving = serving.with_graceful_shutdown(async { drop(shut_down.await) });
            serving.await.expect("it is served");
        });
        let app = mounted.app.clone();
        Self {
            address,
            turned_away: 0,
            app,
            mounted: Some(Arc::new(mounted)),
            shutdown,
            serving,
            threads,
            _data: data,
        }
    }

    /// Ends the chat, while the HTTP server goes on.
    ///
    /// # Panics
    /// When that takes more than 10 seconds.
    pub async fn close(&self) {
        let mounted = self.mounted.clone().expect("only stopping takes it out");
        let closing = self.threads.get().spawn(async move { mounted.close().await });
        let closed = tokio::time::timeout(END, closing).await;
        closed
            .unwrap_or_else(|_| panic!("the chat has not closed within {END:?}"))
            .expect("it does not panic");
    }

    /// Waits until so many connections are there.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_sessions(&self, wanted: usize) {
        until(&format!("{wanted} sessions"), || self.app.sessions.len() == wanted).await;
    }

    /// Ends it.
    ///
    /// # Panics
    /// When that takes more than 10 seconds, fails, or leaves a session or anything else running.
    pub async fn stop(mut self) {
        self.close().await;
        self.until_sessions(0).await;
        self.mounted.take();
        let Self { app, shutdown, serving, threads, turned_away, .. } = self;
        drop(app);
        let _ = shutdown.send(());
        let ended = tokio::time::timeout(END, serving).await;
        ended.unwrap_or_else(|_| panic!("the server has not stopped within {END:?}")).expect("no panic");
        threads.assert_idle(turned_away).await;
    }
}
