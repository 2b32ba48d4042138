//! A Socket.IO v5 client over the Engine.IO v4 websocket transport, with frames written by hand.
use crate::profile::{Connect, Emit};
use crate::template::Template;
use crate::users::Vars;
use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A connected socket.
pub type Ws = WebSocketStream<TcpStream>;

/// Where and how sockets connect.
#[derive(Clone)]
pub struct Target {
    /// Address of the server.
    pub addr: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The Engine.IO path.
    pub path: String,
    /// The namespace.
    pub ns: String,
    /// The profile's handshake.
    pub connect: Connect,
}

/// What a client gives back to go on with its session ("connection state recovery").
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// From the answer to CONNECT, where the server offers recovery.
    pub pid: Option<String>,
    /// The last argument of the last event, if that is a text.
    pub offset: Option<String>,
}

/// A socket that has joined its namespace.
pub struct Joined {
    /// The socket.
    pub ws: Ws,
    /// What to come back with.
    pub resume: Resume,
    /// What came before the answer to CONNECT: Node sends what was missed first.
    pub early: Vec<Message>,
}

/// One frame from the server, as far as it matters here; `json` is the unparsed array of arguments.
#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    Ping,
    Connected(&'a str),
    Event { json: &'a str },
    Ack { id: u64, json: &'a str },
    Refused(&'a str),
    Disconnected,
    Other,
}

/// The `/ns,` part that every packet outside the default namespace carries.
pub fn ns_part(ns: &str) -> String {
    if ns == "/" || ns.is_empty() { String::new() } else { format!("{ns},") }
}

/// Reads a frame; `ns` is what `ns_part` made.
pub fn parse<'a>(t: &'a str, ns: &str) -> Packet<'a> {
    let b = t.as_bytes();
    match b.first() {
        Some(b'2') => return Packet::Ping,
        Some(b'4') if b.len() > 1 => {}
        _ => return Packet::Other,
    }
    let Some(rest) = t.get(2..).and_then(|r| r.strip_prefix(ns)) else { return Packet::Other };
    match b[1] {
        b'0' => Packet::Connected(rest),
        b'1' => Packet::Disconnected,
        b'4' => Packet::Refused(rest),
        k @ (b'2' | b'3') => {
            let n = rest.bytes().take_while(u8::is_ascii_digit).count();
            let json = &rest[n..];
            match (k, rest[..n].parse()) {
                (b'2', _) => Packet::Event { json },
                (_, Ok(id)) => Packet::Ack { id, json },
                _ => Packet::Other,
            }
        }
        _ => Packet::Other,
    }
}

/// What the JSON array of an event begins with.
pub fn event_start(event: &str) -> String {
    format!("[{}", serde_json::Value::from(event))
}

/// True when the event's JSON array begins with exactly this name (`start` from `event_start`).
pub fn is_event(json: &str, start: &str) -> bool {
    json.strip_prefix(start).is_some_and(|r| r.starts_with([',', ']']))
}

/// The last argument of an event, if it is a text without escapes.
pub fn offset(json: &str) -> Option<&str> {
    let (before, last) = json.strip_suffix("\"]")?.rsplit_once('"')?;
    (before.ends_with(',') && !last.contains('\\')).then_some(last)
}

/// The frame of an event, with an id when an ack is wanted.
pub fn emit_text(ns: &str, id: Option<u64>, event: &str, data: &str) -> String {
    let id = id.map(|i| i.to_string()).unwrap_or_default();
    let sep = if data.is_empty() { "" } else { "," };
    format!("42{ns}{id}{}{sep}{data}]", event_start(event))
}

/// The next text frame, pings answered.
pub async fn next_text(ws: &mut Ws) -> Result<Message> {
    loop {
        match ws.next().await.context("connection closed")?? {
            m @ Message::Text(_) => {
                if m.to_text()? == "2" {
                    ws.send(Message::text("3")).await?;
                } else {
                    return Ok(m);
                }
            }
            Message::Close(c) => bail!("closed by the server: {c:?}"),
            _ => {}
        }
    }
}

/// Connects from `src`, upgrades, joins the namespace and returns the authenticated socket. With a `resume` it asks to
/// go on with that session.
pub async fn connect(t: &Target, vars: &Vars, src: Option<IpAddr>, resume: &Resume) -> Result<Joined> {
    let look = |v: &str| vars.get(v).cloned();
    let s = if t.addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ip) = src {
        s.bind(SocketAddr::new(ip, 0))?;
    }
    let tcp = s.connect(t.addr).await?;
    tcp.set_nodelay(true)?;
    let q = Template::parse(&t.connect.query).render(look)?;
    let amp = if q.is_empty() { "" } else { "&" };
    let mut req =
        format!("ws://{}{}?EIO=4&transport=websocket{amp}{q}", t.host, t.path).into_client_request()?;
    for (k, v) in &t.connect.headers {
        req.headers_mut().insert(
            hyper::header::HeaderName::from_bytes(k.as_bytes())?,
            Template::parse(v).render(look)?.parse()?,
        );
    }
    let cfg = WebSocketConfig::default().read_buffer_size(8192).max_message_size(Some(64 << 20));
    let (mut ws, _) = client_async_with_config(req, tcp, Some(cfg)).await?;
    let open = next_text(&mut ws).await?;
    if !open.to_text()?.starts_with('0') {
        bail!("no Engine.IO open packet: {open:?}");
    }
    let ns = ns_part(&t.ns);
    let auth = resumed(Template::parse(&t.connect.auth).render(look)?, resume)?;
    ws.send(Message::text(format!("40{ns}{auth}"))).await?;
    let mut early = Vec::new();
    loop {
        let m = next_text(&mut ws).await?;
        match parse(m.to_text()?, &ns) {
            Packet::Connected(json) => {
                let answer: Value = serde_json::from_str(json).unwrap_or(Value::Null);
                let pid = answer.get("pid").and_then(Value::as_str).map(str::to_owned);
                return Ok(Joined { ws, resume: Resume { pid, offset: None }, early });
            }
            Packet::Refused(why) => bail!("CONNECT refused: {why}"),
            Packet::Disconnected => bail!("disconnected during CONNECT"),
            _ => early.push(m),
        }
    }
}

/// The CONNECT payload of a client that comes back.
fn resumed(auth: String, resume: &Resume) -> Result<String> {
    let Some(pid) = &resume.pid else { return Ok(auth) };
    let auth = if auth.is_empty() { "{}" } else { &auth };
    let mut auth: serde_json::Map<String, Value> = serde_json::from_str(auth)?;
    auth.insert("pid".into(), pid.as_str().into());
    if let Some(offset) = &resume.offset {
        auth.insert("offset".into(), offset.as_str().into());
    }
    Ok(Value::Object(auth).to_string())
}

/// Emits one setup event and waits for what it promises (ack or event), 10 s at most.
pub async fn emit_and_wait(ws: &mut Ws, ns: &str, e: &Emit, vars: &Vars) -> Result<()> {
    const ID: u64 = 999_999_999;
    let ns = ns_part(ns);
    let data = Template::parse(&e.data).render(|v| vars.get(v).cloned())?;
    ws.send(Message::text(emit_text(&ns, e.ack.then_some(ID), &e.event, &data))).await?;
    let want = e.wait_event.as_deref().map(event_start);
    if !e.ack && want.is_none() {
        return Ok(());
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let m = next_text(ws).await?;
            match parse(m.to_text()?, &ns) {
                Packet::Ack { id: ID, .. } if want.is_none() => return Ok(()),
                Packet::Event { json } if want.as_ref().is_some_and(|w| is_event(json, w)) => return Ok(()),
                _ => {}
            }
        }
    })
    .await
    .with_context(|| format!("no answer to {}", e.event))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets() {
        assert_eq!(parse("2", ""), Packet::Ping);
        assert_eq!(parse(r#"42["a",1]"#, ""), Packet::Event { json: r#"["a",1]"# });
        assert_eq!(parse(r#"4217["a"]"#, ""), Packet::Event { json: r#"["a"]"# });
        assert_eq!(parse("4312[]", ""), Packet::Ack { id: 12, json: "[]" });
        assert_eq!(parse(r#"43/chat,5[1]"#, "/chat,"), Packet::Ack { id: 5, json: "[1]" });
        assert_eq!(parse(r#"44{"message":"no"}"#, ""), Packet::Refused(r#"{"message":"no"}"#));
        assert_eq!(emit_text("/c,", Some(3), "e", "{}"), r#"42/c,3["e",{}]"#);
        assert_eq!(parse(r#"40{"sid":"a"}"#, ""), Packet::Connected(r#"{"sid":"a"}"#));
        assert_eq!(offset(r#"["a",{"b":"c"},"17"]"#), Some("17"));
        assert_eq!(offset(r#"["a",{"b":"c"}]"#), None);
        assert_eq!(offset(r#"["a",["b"],7]"#), None);
        assert!(is_event(r#"["new",1]"#, &event_start("new")));
        assert!(!is_event(r#"["newer",1]"#, &event_start("new")));
    }
}
