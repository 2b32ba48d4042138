//! Engine.IO by long polling, the way every unmodified client begins, and the upgrade to websocket.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::socket::{Ids, connect_packet, connected};
use crate::websocket::{Opening, WebSocket};
use crate::{Answer, Http, within};

/// What separates packets in one body.
const SEPARATOR: char = '\u{1e}';

/// A connection by long polling. It polls only when it is asked to.
pub struct Polling<'a> {
    http: &'a Http,
    path: String,
    /// Its names.
    pub ids: Ids,
}

impl<'a> Polling<'a> {
    /// Opens a session and connects, with the token and cookie of `http`.
    ///
    /// # Errors
    /// The status with which the session was refused.
    ///
    /// # Panics
    /// When no answer comes, or none of this protocol.
    pub async fn connect(http: &'a Http) -> Result<Self, StatusCode> {
        let path = "/socket.io/?EIO=4&transport=polling";
        let answer = http.send_bytes(Method::GET, path, None).await.expect("polling is answered");
        if answer.status != 200 {
            return Err(answer.status);
        }
        let open: Value = serde_json::from_str(&answer.text[1..]).expect("the open packet is JSON");
        let engine_id = open["sid"].as_str().expect("it has an id").to_owned();
        let path = format!("{path}&sid={engine_id}");
        let mut polling = Self { http, path, ids: Ids { engine_id, id: String::new() } };
        let answer = polling.post(connect_packet(http.token.as_deref())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        polling.ids.id = loop {
            // The first heartbeat may come first.
            let packets = polling.poll().await;
            if let Some(answer) = packets.iter().find(|packet| packet.starts_with('4')) {
                break connected(answer).expect("it is let in");
            }
        };
        Ok(polling)
    }

    /// Sends packets.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        let body = Some(("text/plain;charset=UTF-8", body.into()));
        self.http.send_bytes(Method::POST, &self.path, body).await.expect("polling is answered")
    }

    /// Sends packets to a server that may end the connection instead of answering; gives the status of its answer.
    pub async fn try_post(&self, body: impl Into<reqwest::Body>) -> Option<StatusCode> {
        let body = Some(("text/plain;charset=UTF-8", body.into()));
        self.http.send_bytes(Method::POST, &self.path, body).await.ok().map(|answer| answer.status)
    }

    /// Waits for packets, and gives the answer as it is.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn poll_bytes(&self) -> Answer {
        self.http.send_bytes(Method::GET, &self.path, None).await.expect("polling is answered")
    }

    /// Waits for packets. Heartbeats are answered and left out.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn poll(&self) -> Vec<String> {
        let answer = self.poll_bytes().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut packets: Vec<_> = answer.text.split(SEPARATOR).map(str::to_owned).collect();
        if packets.iter().any(|packet| packet == "2") {
            self.post("3").await;
            packets.retain(|packet| packet != "2");
        }
        packets
    }

    /// Begins the upgrade: afterwards the server has answered the probe on the websocket.
    ///
    /// # Panics
    /// When it does not.
    pub async fn probe(&self, address: std::net::SocketAddr) -> WebSocket {
        let opening = Opening {
            session: Some(&self.ids.engine_id),
            cookie: self.http.cookie.as_deref(),
            ..Opening::default()
        };
        let mut stream = WebSocket::open(address, opening).await.expect("the upgrade is answered");
        stream.send("2probe").await.expect("the connection stands");
        let answer = within("the answer to the probe", stream.next()).await;
        assert_eq!(answer.as_deref(), Some("3probe"));
        stream
    }
}
