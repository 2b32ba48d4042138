//! Engine.IO as `engine.io-client` speaks it (protocol 4): websocket, long polling, and the change from one to the other.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::COOKIE;

use crate::agenda::{Millis, Owner};
use crate::network::End;
use crate::plan::{Family, Way};
use crate::request::{AbortOnDrop, ask};
use crate::world::{World, page_owner};

/// How long opening a connection may take (`timeout` of the manager).
const OPENING: Millis = 20_000;

/// What separates packets in one body.
const SEPARATOR: char = '\u{1e}';

/// What a connection tells its page.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// It is open.
    Open,
    /// A Socket.IO packet has come.
    Message(String),
    /// It has ended.
    Lost(&'static str),
}

/// A connection. Dropping it closes it, as a browser does whose page goes away.
pub(crate) struct Engine {
    incoming: UnboundedReceiver<Incoming>,
    outgoing: UnboundedSender<String>,
    _task: AbortOnDrop,
}

impl Engine {
    /// Begins to open a connection of a page.
    pub(crate) fn open(world: &Arc<World>, page: usize, way: Way, links: &Arc<AtomicU32>) -> Self {
        let (tell, incoming) = unbounded_channel();
        let (outgoing, to_send) = unbounded_channel();
        let running = Running {
            world: world.clone(),
            page,
            links: links.clone(),
            tell,
            to_send,
            unsent: VecDeque::new(),
        };
        let task = tokio::spawn(running.run(way));
        Self { incoming, outgoing, _task: AbortOnDrop(task) }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Incoming {
        self.incoming.recv().await.unwrap_or(Incoming::Lost("ended"))
    }

    /// Sends a Socket.IO packet.
    pub(crate) fn send(&self, packet: &str) {
        // A connection that has ended says so by itself.
        let _ = self.outgoing.send(format!("4{packet}"));
    }
}

struct Running {
    world: Arc<World>,
    page: usize,
    links: Arc<AtomicU32>,
    tell: UnboundedSender<Incoming>,
    to_send: UnboundedReceiver<String>,
    /// Taken from `to_send` and not sent yet.
    unsent: VecDeque<String>,
}

/// What the open packet says.
struct Opened {
    sid: String,
    /// How long nothing may come from the server.
    silence: Millis,
}

type Socket = WebSocketStream<End>;

/// A poll or a post that is under way.
type Asking = Pin<Box<dyn Future<Output = Result<(u16, axum::body::Bytes), &'static str>> + Send>>;

/// A websocket that is to take over.
type Probing = Pin<Box<dyn Future<Output = Result<Socket, &'static str>> + Send>>;

impl Running {
    async fn run(mut self, way: Way) {
        let ended = match way {
            Way::WebSocket => self.websocket().await,
            Way::Polling | Way::Upgrade => self.polling(way == Way::Upgrade).await,
        };
        let _ = self.tell.send(Incoming::Lost(ended.err().unwrap_or("closed")));
    }

    fn owner(&self) -> Owner {
        page_owner(self.page) + 2
    }

    fn nth(&self) -> u32 {
        self.links.fetch_add(1, Ordering::Relaxed)
    }

    async fn open_websocket(&self, sid: Option<&str>) -> Result<Socket, &'static str> {
        let opening = async {
            let end = self.world.connect(self.page, self.nth()).await?;
            let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
            let url = format!("ws://simulation/socket.io/?EIO=4&transport=websocket{sid}");
            let mut request = url.into_client_request().expect("the URL is good");
            if let Some(cookie) = self.cookie() {
                request.headers_mut().insert(COOKIE, cookie.parse().expect("tokens are plain"));
            }
            match tokio_tungstenite::client_async(request, end).await {
                Ok((socket, _)) => Ok(socket),
                Err(_) => Err("websocket error"),
            }
        };
        self.within(OPENING, opening).await
    }

    async fn within<T>(
        &self,
        patience: Millis,
        doing: impl Future<Output = Result<T, &'static str>>,
    ) -> Result<T, &'static str> {
        tokio::select! {
            biased;
            done = doing => done,
            () = self.world.agenda.sleep(patience, self.owner()) => Err("timeout"),
        }
    }

    /// Browsers send their cookie with everything, also when the family of the page has none.
    fn cookie(&self) -> Option<String> {
        let plan = self.world.plan.pages[self.page];
        let token = self.world.people[plan.person].token(plan.family);
        (plan.family == Family::Push).then(|| format!("jwt={token}"))
    }

    async fn websocket(&mut self) -> Result<(), &'static str> {
        let mut socket = self.open_websocket(None).await?;
        let open = self.within(OPENING, next_text(&mut socket)).await?;
        let opened = opened(&open).ok_or("a bad open packet")?;
        let _ = self.tell.send(Incoming::Open);
        self.over_websocket(&mut socket, opened.silence).await
    }

    async fn over_websocket(&mut self, socket: &mut Socket, silence: Millis) -> Result<(), &'static str> {
        let mut deadline = self.world.agenda.now() + silence;
        while let Some(packet) = self.unsent.pop_front() {
            self.send_websocket(socket, packet, deadline).await?;
        }
        let owner = self.owner();
        loop {
            tokio::select! {
                biased;
                text = next_text(socket) => match text?.as_str() {
                    "2" => {
                        deadline = self.world.agenda.now() + silence;
                        self.send_websocket(socket, "3".to_owned(), deadline).await?;
                    }
                    "1" => return Err("closed by the server"),
                    text => self.take(text),
                },
                packet = self.to_send.recv() => match packet {
                    Some(packet) => self.send_websocket(socket, packet, deadline).await?,
                    None => {
                        let _ = socket.close(None).await;
                        return Ok(());
                    }
                },
                () = self.world.agenda.sleep_until(deadline, owner) => return Err("ping timeout"),
            }
        }
    }

    async fn send_websocket(
        &self,
        socket: &mut Socket,
        packet: String,
        deadline: Millis,
    ) -> Result<(), &'static str> {
        tokio::select! {
            biased;
            sent = socket.send(Message::text(packet)) => sent.map_err(|_| "transport error"),
            () = self.world.agenda.sleep_until(deadline, self.owner()) => Err("ping timeout"),
        }
    }

    fn take(&self, packet: &str) {
        if let Some(message) = packet.strip_prefix('4') {
            let _ = self.tell.send(Incoming::Message(message.to_owned()));
        }
    }

    fn ask(&self, method: &'static str, sid: Option<&str>, body: String, patience: Millis) -> Asking {
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let path = format!("/socket.io/?EIO=4&transport=polling{sid}");
        let (world, page, nth) = (self.world.clone(), self.page, self.nth());
        Box::pin(async move {
            let headers = [("content-type", "text/plain;charset=UTF-8")];
            ask(&world, (page, nth), (method, &path), &headers, body, patience).await
        })
    }

    async fn polling(&mut self, upgrade: bool) -> Result<(), &'static str> {
        let (status, body) = self.ask("GET", None, String::new(), OPENING).await?;
        let text = std::str::from_utf8(&body).map_err(|_| "a bad body")?;
        let opened = if status == 200 { opened(text) } else { None }.ok_or("xhr poll error")?;
        let _ = self.tell.send(Incoming::Open);
        let mut deadline = self.world.agenda.now() + opened.silence;
        let mut poll = Some(self.ask("GET", Some(&opened.sid), String::new(), Millis::MAX / 4));
        let mut post: Option<Asking> = None;
        // The websocket is opened beside, and takes over once it is.
        let mut probing: Option<Probing> = None;
        if upgrade {
            probing = Some(self.probe(opened.sid.clone()));
        }
        let mut ready: Option<Socket> = None;
        let owner = self.owner();
        loop {
            if post.is_none() && ready.is_none() && !self.unsent.is_empty() {
                let packets: Vec<_> = self.unsent.drain(..).collect();
                let body = packets.join(&SEPARATOR.to_string());
                post = Some(self.ask("POST", Some(&opened.sid), body, OPENING));
            }
            if poll.is_none()
                && post.is_none()
                && let Some(mut socket) = ready.take()
            {
                // Both directions are quiet: from here on everything goes over the websocket.
                self.send_websocket(&mut socket, "5".to_owned(), deadline).await?;
                return self.over_websocket(&mut socket, opened.silence).await;
            }
            tokio::select! {
                biased;
                answer = under_way(&mut poll) => {
                    poll = None;
                    let (status, body) = answer?;
                    if status != 200 {
                        return Err("xhr poll error");
                    }
                    let text = std::str::from_utf8(&body).map_err(|_| "a bad body")?;
                    for packet in text.split(SEPARATOR) {
                        match packet {
                            "2" => {
                                deadline = self.world.agenda.now() + opened.silence;
                                self.unsent.push_back("3".to_owned());
                            }
                            "1" => return Err("closed by the server"),
                            packet => self.take(packet),
                        }
                    }
                    if ready.is_none() {
                        poll = Some(self.ask("GET", Some(&opened.sid), String::new(), Millis::MAX / 4));
                    }
                }
                answer = under_way(&mut post) => {
                    post = None;
                    if answer?.0 != 200 {
                        return Err("xhr post error");
                    }
                }
                probed = under_way(&mut probing) => {
                    probing = None;
                    // One that fails costs nothing: polling goes on.
                    ready = probed.ok();
                }
                packet = self.to_send.recv() => match packet {
                    Some(packet) => self.unsent.push_back(packet),
                    None => {
                        let _ = self.ask("POST", Some(&opened.sid), "1".to_owned(), OPENING).await;
                        return Ok(());
                    }
                },
                () = self.world.agenda.sleep_until(deadline, owner) => return Err("ping timeout"),
            }
        }
    }

    fn probe(&self, sid: String) -> Probing {
        let (tell, (_, to_send)) = (self.tell.clone(), unbounded_channel());
        let (world, page, links) = (self.world.clone(), self.page, self.links.clone());
        let this = Self { world, page, links, tell, to_send, unsent: VecDeque::new() };
        Box::pin(async move {
            let mut socket = this.open_websocket(Some(&sid)).await?;
            let probing = async {
                socket.send(Message::text("2probe")).await.map_err(|_| "probe error")?;
                let answer = next_text(&mut socket).await?;
                if answer == "3probe" { Ok(()) } else { Err("probe error") }
            };
            this.within(OPENING, probing).await?;
            Ok(socket)
        })
    }
}

async fn under_way<T>(doing: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match doing {
        Some(doing) => doing.await,
        None => std::future::pending().await,
    }
}

async fn next_text(socket: &mut Socket) -> Result<String, &'static str> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(_))) | None => return Err("transport close"),
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err("transport error"),
        }
    }
}

fn opened(packet: &str) -> Option<Opened> {
    let open: Value = serde_json::from_str(packet.strip_prefix('0')?).ok()?;
    let silence = open["pingInterval"].as_u64()? + open["pingTimeout"].as_u64()?;
    Some(Opened { sid: open["sid"].as_str()?.to_owned(), silence })
}
