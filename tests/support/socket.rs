//! A Socket.IO client (protocol 5), on websocket alone. Frames are read and written by hand, so that nothing a library
//! would smooth over goes unseen.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::websocket::{Opening, WebSocket};
use crate::{Http, within};

/// What came in.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    /// An event.
    Event {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Vec<Value>,
    },
    /// The answer to an event that asked for one.
    Ack {
        /// Which.
        id: u64,
        /// Its arguments.
        arguments: Vec<Value>,
    },
    /// The server has sent this client away: it does not come back by itself.
    Disconnect,
    /// The connection has ended: a client comes back by itself.
    Close,
}

/// A connection. It ends when this is dropped.
pub struct Socket {
    /// The transport's session id.
    pub engine_id: String,
    /// The socket's id, as its client knows it.
    pub id: String,
    outgoing: UnboundedSender<String>,
    incoming: UnboundedReceiver<Packet>,
    /// Came while something else was waited for.
    early: VecDeque<Packet>,
    frames: Arc<Mutex<Vec<String>>>,
    positions: Arc<Mutex<Vec<u64>>>,
    next_ack: u64,
}

/// The event that tells the position of the change that the event before it stands for.
pub const POSITION: &str = "\u{1}position";

impl Socket {
    /// Connects with the token and cookie of `http`.
    ///
    /// # Errors
    /// The words with which the server refused it (`connect_error`).
    ///
    /// # Panics
    /// When the server cannot be reached or speaks another protocol.
    pub async fn connect(address: SocketAddr, http: &Http) -> Result<Self, String> {
        let opening = Opening { cookie: http.cookie.as_deref(), ..Opening::default() };
        let mut stream = WebSocket::open(address, opening).await.expect("the upgrade is answered");
        let ids = greet(&mut stream, http.token.as_deref()).await?;
        Ok(Self::over(stream, ids))
    }

    /// Goes on with a stream whose greeting is done.
    pub fn over(stream: WebSocket, ids: Ids) -> Self {
        let (outgoing, to_send) = unbounded_channel();
        let (received, incoming) = unbounded_channel();
        let (frames, positions) = (Arc::default(), Arc::default());
        let came = Came { received, frames: Arc::clone(&frames), positions: Arc::clone(&positions) };
        tokio::spawn(work(stream, to_send, came));
        let Ids { engine_id, id } = ids;
        Self { engine_id, id, outgoing, incoming, early: VecDeque::new(), frames, positions, next_ack: 0 }
    }

    /// Sends an event.
    pub fn emit(&self, event: &str, argument: &Value) {
        self.emit_all(event, std::slice::from_ref(argument));
    }

    /// Sends an event with any number of arguments.
    pub fn emit_all(&self, event: &str, arguments: &[Value]) {
        self.send(format!("42{}", packet(event, arguments)));
    }

    /// Sends an event that asks for an answer, and gives the answer's number.
    pub fn ask(&mut self, event: &str, arguments: &[Value]) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.send(format!("42{id}{}", packet(event, arguments)));
        id
    }

    fn send(&self, frame: String) {
        // Fails when the connection has ended; whoever reads will see that.
        let _ = self.outgoing.send(frame);
    }

    /// What came next.
    ///
    /// # Panics
    /// When nothing comes.
    pub async fn next(&mut self) -> Packet {
        match self.early.pop_front() {
            Some(packet) => packet,
            None => self.receive("a packet").await,
        }
    }

    /// The first argument of the next event of this name. Whatever else comes before waits.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn event(&mut self, wanted: &str) -> Value {
        let is_wanted = |packet: &Packet| matches!(packet, Packet::Event { name, .. } if name == wanted);
        match self.first(wanted, is_wanted).await {
            Packet::Event { arguments, .. } => arguments.into_iter().next().unwrap_or_default(),
            _ => unreachable!("only events are wanted"),
        }
    }

    /// The answer to [`Self::ask`]. Whatever else comes before waits.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn answer(&mut self, wanted: u64) -> Value {
        let is_wanted = |packet: &Packet| matches!(packet, Packet::Ack { id, .. } if *id == wanted);
        match self.first("an acknowledgement", is_wanted).await {
            Packet::Ack { arguments, .. } => arguments.into_iter().next().unwrap_or_default(),
            _ => unreachable!("only acknowledgements are wanted"),
        }
    }

    async fn first(&mut self, what: &str, is_wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(index) = self.early.iter().position(&is_wanted) {
            return self.early.remove(index).expect("it was there");
        }
        loop {
            let packet = self.receive(what).await;
            if is_wanted(&packet) {
                return packet;
            }
            assert_ne!(packet, Packet::Close, "waiting for {what}");
            self.early.push_back(packet);
        }
    }

    async fn receive(&mut self, what: &str) -> Packet {
        within(what, self.incoming.recv()).await.unwrap_or(Packet::Close)
    }

    /// Waits until everything is done that was asked of the server on this connection, and everything has come that it
    /// sent here before. For that it asks what each dialect must look up before it refuses: what only has to be read to
    /// be refused may overtake messages that are being stored.
    pub async fn fence(&mut self) {
        let fences = [
            ("read", json!({ "username": "nobody is called so" })),
            ("typing", json!({ "to": "ffffffffffffffffffffffff" })),
        ];
        for (event, argument) in fences {
            let asked = self.ask(event, &[argument]);
            let answer = self.answer(asked).await;
            assert_eq!(answer["ok"], false, "{answer}");
        }
    }

    /// Takes all that has come and was not looked at. After [`Self::fence`] that is all there was to come.
    pub fn drain(&mut self) -> Vec<Packet> {
        let mut packets: Vec<_> = self.early.drain(..).collect();
        while let Ok(packet) = self.incoming.try_recv() {
            packets.push(packet);
        }
        packets
    }

    /// Reads until the end. Whether the server has said a goodbye that keeps clients away comes with what came before.
    pub async fn rest(&mut self) -> Vec<Packet> {
        let mut packets: Vec<_> = self.early.drain(..).collect();
        loop {
            match self.receive("the end of the connection").await {
                Packet::Close => return packets,
                packet => packets.push(packet),
            }
        }
    }

    /// Ends it as a client's `disconnect()` does.
    pub async fn disconnect(mut self) {
        self.send("41".to_owned());
        // Nothing can be sent any more, and so the websocket is closed too.
        self.outgoing = unbounded_channel().0;
        self.rest().await;
    }

    /// The positions that were told, each right behind an event. They are no packets for whoever asks for [`Self::next`].
    pub fn positions(&self) -> Vec<u64> {
        self.positions.lock().expect("nobody panics with it").clone()
    }

    /// Every frame that came after the greeting, heartbeats left out.
    pub fn frames(&self) -> Vec<String> {
        self.frames.lock().expect("nobody panics with it").clone()
    }
}

/// The names under which the server knows a connection.
#[derive(Debug, Clone)]
pub struct Ids {
    /// The transport's session id.
    pub engine_id: String,
    /// The socket's.
    pub id: String,
}

/// Does what comes before events on a new websocket.
///
/// # Errors
/// The words with which the server refused it.
///
/// # Panics
/// When the server speaks another protocol.
pub async fn greet(stream: &mut WebSocket, token: Option<&str>) -> Result<Ids, String> {
    let open = within("the open packet", stream.next()).await.expect("the connection stands");
    let open: Value =
        serde_json::from_str(open.strip_prefix('0').expect("the first packet is open")).unwrap();
    stream.send(connect_packet(token)).await.expect("the connection stands");
    let answer = within("the answer to CONNECT", stream.next()).await.expect("the connection stands");
    let engine_id = open["sid"].as_str().expect("it has an id").to_owned();
    Ok(Ids { engine_id, id: connected(&answer)? })
}

/// The packet that connects to the namespace.
pub fn connect_packet(token: Option<&str>) -> String {
    token.map_or_else(|| "40".to_owned(), |token| format!("40{}", json!({ "token": token })))
}

/// Reads the answer to [`connect_packet`].
///
/// # Errors
/// The words of a refusal.
///
/// # Panics
/// When it is something else.
pub fn connected(answer: &str) -> Result<String, String> {
    let parse = |json: &str| serde_json::from_str::<Value>(json).expect("packets are JSON");
    if let Some(refusal) = answer.strip_prefix("44") {
        return Err(parse(refusal)["message"].as_str().expect("refusals have a message").to_owned());
    }
    let accepted = answer.strip_prefix("40").unwrap_or_else(|| panic!("not an answer to CONNECT: {answer}"));
    Ok(parse(accepted)["sid"].as_str().expect("it has an id").to_owned())
}

fn packet(event: &str, arguments: &[Value]) -> Value {
    let event = Value::from(event);
    std::iter::once(&event).chain(arguments).cloned().collect()
}

/// The position that a packet tells.
///
/// # Panics
/// When it has another form.
pub fn position(packet: &Packet) -> Option<u64> {
    let Packet::Event { name, arguments } = packet else { return None };
    let [Value::String(position)] = &arguments[..] else {
        assert_ne!(name, POSITION, "{packet:?}");
        return None;
    };
    (name == POSITION).then(|| position.parse().expect("a position is a number"))
}

/// Reads an EVENT, ACK or DISCONNECT packet.
///
/// # Panics
/// When it is something else.
pub fn parse(frame: &str) -> Packet {
    if frame == "41" {
        return Packet::Disconnect;
    }
    let (kind, rest) = frame.split_at_checked(2).unwrap_or_else(|| panic!("a short frame: {frame}"));
    let array = rest.find('[').unwrap_or_else(|| panic!("a frame without arguments: {frame}"));
    let (id, array) = rest.split_at(array);
    let mut arguments: Vec<Value> = serde_json::from_str(array).expect("packets are JSON");
    match kind {
        "42" => {
            assert_eq!(id, "", "our server asks for no answers");
            let name = arguments.remove(0).as_str().expect("events have a name").to_owned();
            Packet::Event { name, arguments }
        }
        "43" => Packet::Ack { id: id.parse().expect("answers are numbered"), arguments },
        _ => panic!("an unknown packet: {frame}"),
    }
}

/// Where what comes is put.
struct Came {
    received: UnboundedSender<Packet>,
    frames: Arc<Mutex<Vec<String>>>,
    positions: Arc<Mutex<Vec<u64>>>,
}

async fn work(mut stream: WebSocket, mut to_send: UnboundedReceiver<String>, came: Came) {
    let Came { received, frames, positions } = came;
    // A position stands behind the event that it belongs to. Of a stream that is handed over the event may have been read.
    let mut is_behind_event = true;
    loop {
        tokio::select! {
            frame = stream.next() => {
                let Some(frame) = frame else { break };
                // Engine.IO's close packet; the end of the stream follows.
                if frame != "1" {
                    let packet = parse(&frame);
                    frames.lock().expect("nobody panics with it").push(frame);
                    let sent_away = packet == Packet::Disconnect;
                    let is_event = matches!(&packet, Packet::Event { .. });
                    match position(&packet) {
                        Some(position) => {
                            assert!(is_behind_event, "a position without its event: {packet:?}");
                            positions.lock().expect("nobody panics with it").push(position);
                            is_behind_event = false;
                        }
                        None => {
                            is_behind_event = is_event;
                            let _ = received.send(packet);
                        }
                    }
                    if sent_away {
                        // Clients close the transport when no namespace is left on it.
                        break;
                    }
                }
            }
            frame = to_send.recv() => {
                let Some(frame) = frame else { break };
                if stream.send(frame).await.is_err() {
                    break;
                }
            }
        }
    }
    stream.close().await;
    let _ = received.send(Packet::Close);
}
