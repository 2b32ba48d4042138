//! The whole chat server inside an axum app of your own: your routes, your listener, your runtime.
//!
//! ```text
//! PORT=3000 cargo run --example mount
//! curl http://localhost:3000/hello
//! ```
//!
//! Everything else is the chat: its page at `/`, `/api/…`, `/socket.io/`. All variables and flags of `chat-server` work
//! here too (`cargo run --example mount -- --help`).

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use chat_server::app::App;
use chat_server::config::{Config, Options};
use clap::Parser;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let chat = chat_server::app(Config::check(&options)?).await?;
    let router = router(&chat.app).merge(chat.router());

    let listener =
        TcpListener::bind((options.host.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), options.port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // Without this the last packet of each burst waits for the client's acknowledgement, up to 40 ms.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    // With the client's address, or the limits per address count everybody together.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        ended = async { axum::serve(listener, service).await } => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // What is under way is finished, clients are let go so that they come back, everything is on disk.
    chat.close().await;
    Ok(())
}

/// Routes of your own. They may use the chat's parts: its domain, its connections, who is online.
fn router(app: &Arc<App>) -> Router {
    let app = app.clone();
    Router::new()
        .route("/hello", get(|| async { "hello\n" }))
        .route("/connections", get(move || async move { format!("{}\n", app.sessions.len()) }))
}
