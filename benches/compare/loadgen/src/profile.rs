//! A profile describes one server dialect. See `../profiles/*.toml` and README.md.
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One server dialect.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Copied into the results.
    pub name: String,
    /// The Engine.IO path.
    #[serde(default = "d_path")]
    pub path: String,
    /// The Socket.IO namespace.
    #[serde(default = "d_ns")]
    pub namespace: String,
    /// Who they are and how they get their credentials.
    pub users: Users,
    /// How a socket authenticates.
    #[serde(default)]
    pub connect: Connect,
    /// Who is online, as the server pushes it (`connect` checks the last one that each socket got).
    pub presence: Option<Presence>,
    /// Private messages.
    pub pairs: Option<Pairs>,
    /// Rooms.
    pub room: Option<Room>,
    /// Pages of a private conversation.
    pub history: Option<History>,
}

/// Who the users are.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Template over {n} (index) and {run}.
    #[serde(default = "d_id")]
    pub id: String,
    /// Template over {n}, {run} and {id}.
    #[serde(default = "d_name")]
    pub name: String,
    /// HS256 tokens signed here, for servers that need no registration.
    pub jwt: Option<Jwt>,
    /// HTTP steps run once per user, in order; a later step's captures win.
    #[serde(default)]
    pub http: Vec<HttpStep>,
}

/// Tokens signed by the load generator.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The environment variable that holds the secret.
    #[serde(default = "d_secret_env")]
    pub secret_env: String,
    /// JSON template; `exp` and `iat` are added when absent.
    pub claims: String,
}

/// One HTTP request.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct HttpStep {
    /// POST unless said otherwise.
    #[serde(default = "d_post")]
    pub method: String,
    /// Template.
    pub path: String,
    /// JSON template; empty for none.
    #[serde(default)]
    pub body: String,
    /// Templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Accepted status codes; empty means any 2xx.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// JSON pointers into the answer, by placeholder name (`token`, `id`, `room`, or your own).
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    /// Cookie name → placeholder name, from Set-Cookie.
    #[serde(default)]
    pub capture_cookie: BTreeMap<String, String>,
}

/// The handshake of a socket.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// CONNECT payload (JSON template); empty for none.
    #[serde(default)]
    pub auth: String,
    /// More of the query string (template).
    #[serde(default)]
    pub query: String,
    /// Headers of the handshake (templates).
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Events each socket emits once connected.
    #[serde(default)]
    pub after: Vec<Emit>,
}

/// An event sent once.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Emit {
    /// Its name.
    pub event: String,
    /// JSON text of the arguments, without the enclosing brackets.
    #[serde(default)]
    pub data: String,
    /// Ask for an ack and wait for it.
    #[serde(default)]
    pub ack: bool,
    /// Wait for this event instead of an ack.
    pub wait_event: Option<String>,
}

/// How a message is sent.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// An event over the socket …
    pub event: Option<String>,
    /// Its arguments: JSON template with {body}, and {seq} if need be.
    #[serde(default)]
    pub data: String,
    /// Ask for acks, and let the window count unacknowledged messages.
    #[serde(default = "yes")]
    pub ack: bool,
    /// … whose ack must match: JSON pointer into the ack's arguments → expected value.
    pub ack_ok: Option<(String, serde_json::Value)>,
    /// … or an HTTP request.
    pub http: Option<HttpStep>,
}

/// The event that brings a message.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Recv {
    /// Its name.
    pub event: String,
    /// JSON pointer to the body within the event's argument array, e.g. `/0/content`.
    pub body: String,
}

/// Private messages.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// What the sender does.
    pub send: Send,
    /// What the receiver gets.
    pub recv: Recv,
    /// The sender also gets each of its own messages, exactly once. Echoes are never counted as deliveries.
    #[serde(default)]
    pub echo: bool,
}

/// The event that carries the whole list of who is online.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Its name.
    pub event: String,
    /// JSON pointer to the array of user ids within the event's arguments.
    pub ids: String,
}

/// Fan-out in a room.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Template of the room's name, unless `setup` captures `room`.
    #[serde(default = "d_room")]
    pub id: String,
    /// HTTP steps run once by user 0 (create the room); captures may set `room`.
    #[serde(default)]
    pub setup: Vec<HttpStep>,
    /// Events user 0 emits before anybody joins.
    #[serde(default)]
    pub create: Vec<Emit>,
    /// Every member's way in.
    pub join: Emit,
    /// What a sender does.
    pub send: Send,
    /// What a member gets.
    pub recv: Recv,
    /// Whether the sender receives its own message.
    #[serde(default = "yes")]
    pub echo: bool,
}

/// Pages of a conversation.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Ask by this event …
    pub event: Option<String>,
    /// … with these arguments (JSON template over {to} and the like) …
    #[serde(default)]
    pub data: String,
    /// The answer comes as this event rather than as the ack.
    pub wait_event: Option<String>,
    /// … or by an HTTP request.
    pub http: Option<HttpStep>,
    /// JSON pointer to the message array (in the ack's arguments, the event's arguments, or the HTTP body).
    pub items: String,
}

fn d_path() -> String {
    "/socket.io/".into()
}
fn d_ns() -> String {
    "/".into()
}
fn d_id() -> String {
    "u{n}".into()
}
fn d_name() -> String {
    "user{n}".into()
}
fn d_post() -> String {
    "POST".into()
}
fn d_secret_env() -> String {
    "JWT_SECRET".into()
}
fn d_room() -> String {
    "room-{run}".into()
}
fn yes() -> bool {
    true
}

impl Profile {
    /// Reads a TOML (or `.json`) file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let p = if path.extension().is_some_and(|e| e == "json") {
            serde_json::from_str(&text)?
        } else {
            toml::from_str(&text)?
        };
        Ok(p)
    }
}
