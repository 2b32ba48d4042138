//! Engine.IO over a websocket, with nothing above it: texts go out and come in, and heartbeats are answered.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use reqwest::StatusCode;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::COOKIE;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::within;

/// A websocket that is read only when it is asked to, so that a test can be a client that has stopped reading.
pub struct WebSocket(WebSocketStream<TcpStream>);

/// What a websocket is opened with.
#[derive(Debug, Clone, Default)]
pub struct Opening<'a> {
    /// The log-in cookie.
    pub cookie: Option<&'a str>,
    /// The Engine.IO session that is upgraded; none for a new one.
    pub session: Option<&'a str>,
    /// Bytes that the kernel keeps for a client that does not read.
    pub receive_buffer: Option<u32>,
}

impl WebSocket {
    /// Opens it.
    ///
    /// # Errors
    /// The status with which the server refused the upgrade.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn open(address: SocketAddr, opening: Opening<'_>) -> Result<Self, StatusCode> {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        if let Some(bytes) = opening.receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("it can be small");
        }
        let stream = within("connecting", socket.connect(address)).await.expect("the server listens");
        stream.set_nodelay(true).expect("it can be set");
        let session = opening.session.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{session}");
        let mut request = url.into_client_request().expect("the URL is good");
        if let Some(cookie) = opening.cookie {
            let cookie = format!("jwt={cookie}").parse().expect("tokens are plain");
            request.headers_mut().insert(COOKIE, cookie);
        }
        // Browsers have no limit, and this library has.
        let unlimited = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let upgrading = tokio_tungstenite::client_async_with_config(request, stream, Some(unlimited));
        match within("the upgrade", upgrading).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, text: impl Into<String>) -> Result<(), Box<Error>> {
        Ok(self.0.send(Message::text(text.into())).await?)
    }

    /// The next text that is no heartbeat, or nothing when the connection has ended.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) if text == "2" => {
                    // When this fails, so does the next reading.
                    let _ = self.0.send(Message::text("3")).await;
                }
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => panic!("a binary frame: our events have none"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// Says goodbye as websockets do.
    pub async fn close(&mut self) {
        let _ = self.0.close(None).await;
    }
}
