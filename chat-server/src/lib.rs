//! A chat backend that existing Socket.IO frontends connect to unchanged.
//!
//! ```text
//! socket event ──sync──▶ session inbox ──▶ dialect.decode ──▶ Command ──▶ App::dispatch ──▶ Chat::start ──▶ Store
//!                                                                              │
//! socket ◀── session.announce ◀── dialect.outbound ◀── Announcer (in order of positions) ◀── Outcome.deliveries
//! HTTP request ──▶ the dialect's routes ──▶ Command ──▶ the same dispatch
//! ```
//!
//! # In reading order
//! [`serve`] (this file), [`config`], `build` (creates all parts), [`mod@app`] (the parts, for the layers above),
//! `dispatch` (all commands go through it) with `limits`, `accounts`, `background` (periodic work), [`transport`]
//! (accepts connections), [`session`] (one connection; its inbox), [`dialect`] (what the families of frontends send and
//! expect), the announcer (delivers events in order), recovery (resumes a session after a lost connection),
//! [`presence`], [`cluster`] (several nodes), [`http`], [`auth`], [`security_log`], [`media`], [`mail`].
//!
//! Parts do not import the code that composes them: only `session/inbox`, [`transport`], [`http`] and the routes of
//! dialects know [`App`].
//!
//! # Mounting it in an axum app of your own
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use clap::Parser;
//! let options = chat_server::config::Options::parse_from(["my-app"]);
//! let chat = chat_server::app(chat_server::config::Config::check(&options)?).await?;
//! let router = axum::Router::new().route("/hello", axum::routing::get(|| async { "hello" })).merge(chat.router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, router.into_make_service_with_connect_info::<std::net::SocketAddr>()).await?;
//! chat.close().await;
//! # Ok(()) }
//! ```
//! [`app_over`] does the same over a [`Chat`] of your own making, for instance with another store.

mod accounts;
mod address;
mod announce;
pub mod app;
pub mod auth;
mod background;
mod build;
pub mod cluster;
pub mod config;
pub mod describe;
pub mod dialect;
mod dispatch;
mod expiry;
pub mod files;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
mod limits;
pub mod links;
pub mod listeners;
pub mod logging;
pub mod mail;
pub mod media;
pub mod memory;
pub mod moved;
mod opening;
pub mod outages;
pub mod presence;
mod readiness;
mod recovery;
mod refused_pages;
mod relay;
pub mod secret;
pub mod security_log;
pub mod session;
pub mod sessions;
mod starting;
mod summary;
mod surrogates;
pub mod transport;
mod typing;
mod unknown;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chat_core::prelude::Chat;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cluster::Bus;
use crate::config::{Config, ConfigError};
use crate::listeners::Listeners;
use crate::transport::SocketIoEndpoint;

/// Maximum duration of each shutdown step. All steps together end within 10 seconds.
const STEP: Duration = Duration::from_millis(2_500);

/// Serves until `shutdown` is ready, which also works during the start. Then it shuts down in order: no new connections
/// are accepted, running requests finish, clients are disconnected so that they reconnect automatically, and all data
/// is written to disk. The shutdown takes at most 10 seconds.
///
/// # Errors
/// When something configured cannot be used.
///
/// # Example
/// ```
/// use chat_server::config::{Config, Options};
/// use clap::Parser;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("data");
/// # let data = data.to_str().unwrap();
/// // Every variable of the program is a flag, and read from the environment too.
/// let options = Options::parse_from(["my-chat", "--store", "memory:", "--data-dir", data]);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let shutdown = async { /* for instance `tokio::signal::ctrl_c().await` */ };
/// chat_server::serve(listener, Config::check(&options)?, shutdown).await?;
/// # Ok(()) }
/// ```
pub async fn serve(
    listeners: impl Into<Listeners>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConfigError> {
    serve_and_tell(listeners.into(), config, shutdown, |_| {}).await
}

/// The stages of a running server, for its supervisor.
pub enum Stage<'a> {
    /// The server is open and serves from now on.
    Serving(&'a Arc<App>),
    /// The server is shutting down.
    Stopping,
}

/// The same as [`serve`], but reports each stage to `tell`, which must not block.
///
/// # Errors
/// When something configured cannot be used.
pub async fn serve_and_tell(
    listeners: Listeners,
    config: Config,
    shutdown: impl Future<Output = ()>,
    tell: impl Fn(Stage<'_>),
) -> Result<(), ConfigError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let chat = tokio::select! {
        chat = app(config) => chat?,
        () = shutdown.as_mut() => {
            tell(Stage::Stopping);
            tracing::info!("stopped before the start was done");
            return Ok(());
        }
        () = starting::answer(&listeners) => return Ok(()),
    };
    for address in listeners.places() {
        tracing::info!(%address, "listening");
    }
    let address = listeners.tcp_addresses().next();
    for line in summary::lines(&chat.app.config, address, chat.app.opened) {
        tracing::info!("{line}");
    }
    if chat.app.config.trust_proxy > 0 {
        warn_of_ways_past_the_proxy(&listeners);
    }
    let stop = CancellationToken::new();
    let serving = transport::serve_connections(listeners, chat.router(), &chat.app.config, stop.clone());
    let serving = tokio::spawn(serving);
    tell(Stage::Serving(&chat.app));
    shutdown.await;
    tell(Stage::Stopping);
    tracing::info!(connections = chat.app.sessions.len(), "shutting down");
    chat.app.start_draining();
    stop.cancel();
    chat.close_connections().await;
    // Running requests still need the store.
    let mut serving = serving;
    if tokio::time::timeout(STEP / 2, &mut serving).await.is_err() {
        tracing::warn!("some requests were still under way");
        serving.abort();
    }
    chat.app.close(STEP / 2).await;
    tracing::info!("stopped");
    Ok(())
}

/// A client that reaches this server without its proxy can claim any address.
fn warn_of_ways_past_the_proxy(listeners: &Listeners) {
    if let Some(address) =
        listeners.tcp_addresses().find(|address| address.ip().to_canonical().is_unspecified())
    {
        tracing::warn!(
            %address,
            remedy = "set CHAT_HOST=127.0.0.1 if the proxy is on this machine; otherwise let nobody else reach this port",
            "CHAT_TRUST_PROXY is set and the server listens on all addresses: who comes past the proxy can claim any address"
        );
    }
}

/// Opens the server for mounting in an axum app. Call [`Mounted::close`] at the end.
///
/// # Errors
/// When something configured cannot be used.
///
/// # Example
/// ```
/// use axum::routing::get;
/// use chat_server::config::{Config, Options};
/// use clap::Parser;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("data");
/// # let data = data.to_str().unwrap();
/// let options = Options::parse_from(["my-app", "--store", "memory:", "--data-dir", data]);
/// let chat = chat_server::app(Config::check(&options)?).await?;
/// let router = axum::Router::new().route("/hello", get(|| async { "hello" })).merge(chat.router());
/// // Serve it: `axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())`.
/// # drop(router);
/// chat.close().await;
/// # Ok(()) }
/// ```
pub async fn app(config: Config) -> Result<Mounted, ConfigError> {
    Ok(Mounted::new(App::open(config).await?))
}

/// The same over the caller's own chat: with its own store, clock, ids or limits. See [`App::from_chat`].
///
/// # Errors
/// When something configured cannot be used.
pub async fn app_over(config: Config, chat: Chat) -> Result<Mounted, ConfigError> {
    Ok(Mounted::new(App::from_chat(config, chat).await?))
}

/// The same as one of several nodes over the same store, which communicate over `bus`; see [`cluster`].
///
/// # Errors
/// When something configured cannot be used.
pub async fn app_among(config: Config, chat: Chat, bus: Arc<dyn Bus>) -> Result<Mounted, ConfigError> {
    Ok(Mounted::new(App::with_bus(config, chat, Some(bus)).await?))
}

/// The server without a listener.
pub struct Mounted {
    /// Its parts.
    pub app: Arc<App>,
    sockets: SocketIoEndpoint,
}

impl Mounted {
    fn new(app: Arc<App>) -> Self {
        let sockets = SocketIoEndpoint::new(&app);
        Self { app, sockets }
    }

    /// All routes. Serve them with `into_make_service_with_connect_info::<SocketAddr>()`; otherwise the limits per
    /// address count all clients together.
    pub fn router(&self) -> axum::Router {
        http::router(&self.app, self.sockets.clone())
    }

    /// Shuts down in order; see [`serve`].
    pub async fn close(&self) {
        self.close_connections().await;
        self.app.close(STEP / 2).await;
    }

    async fn close_connections(&self) {
        self.app.start_draining();
        let _ = tokio::time::timeout(STEP, self.work_off()).await;
        // A client that has stopped reading would block this forever.
        if tokio::time::timeout(STEP / 2, self.sockets.close()).await.is_err() {
            tracing::warn!("some connections did not take their goodbye");
        }
        transport::end_all(&self.app).await;
    }

    /// Waits until every inbox is empty. Events that clients send meanwhile are still accepted.
    async fn work_off(&self) {
        loop {
            let mut busy = false;
            self.app.sessions.for_all(&mut |session| busy |= !session.is_idle());
            if !busy {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
