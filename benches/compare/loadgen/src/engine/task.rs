//! One connection of a run: sends its flow, if it has one, and accounts for all that arrives.
use super::Conn;
use super::shared::{END, Shared};
use crate::body::{self, Head};
use crate::flow::Flow;
use crate::profile::{Recv, Send};
use crate::sio::{self, Packet, Ws};
use crate::template::Template;
use anyhow::Result;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

pub struct Task {
    sh: Arc<Shared>,
    ns: String,
    send: Arc<Send>,
    /// `["event"` of the message event, and the pointer to the body in its arguments.
    recv_start: String,
    recv_ptr: String,
    data: Template,
    flow: Option<u32>,
    credits: Option<u32>,
    expects: Vec<u32>,
    flows: HashMap<u32, Flow>,
    echo: Flow,
    seen: u64,
    seq: u64,
    inflight: usize,
    ack_times: HashMap<u64, u64>,
    text: String,
}

/// What one connection leaves behind.
pub struct Ended {
    pub flow: Option<u32>,
    pub sent: u64,
    pub unacked: u64,
    pub expects: Vec<u32>,
    pub flows: HashMap<u32, Flow>,
    pub echo: Flow,
    /// Kept open until all connections have ended, so that no one sees another leave.
    pub _ws: Ws,
}

impl Task {
    pub fn new(sh: Arc<Shared>, ns: &str, send: Arc<Send>, recv: &Recv, c: &Conn) -> Self {
        let look = |v: &str| if matches!(v, "body" | "seq") { None } else { c.vars.get(v).cloned() };
        Self {
            ns: sio::ns_part(ns),
            recv_start: sio::event_start(&recv.event),
            recv_ptr: recv.body.clone(),
            data: Template::parse(&send.data).partial(look),
            flow: c.flow,
            credits: c.credits,
            expects: c.expects.clone(),
            flows: HashMap::new(),
            echo: Flow::default(),
            seen: 0,
            seq: 0,
            inflight: 0,
            ack_times: HashMap::new(),
            text: String::new(),
            sh,
            send,
        }
    }

    pub async fn run_to_end(mut self, mut ws: Ws) -> Ended {
        match self.run(&mut ws).await {
            Ok(true) => {}
            Ok(false) => drop(self.sh.closed.fetch_add(1, Relaxed)),
            Err(e) => {
                self.sh.closed.fetch_add(1, Relaxed);
                self.sh.note(&format!("connection: {e:#}"));
            }
        }
        Ended {
            flow: self.flow,
            sent: self.seq,
            unacked: self.ack_times.len() as u64,
            expects: self.expects,
            flows: self.flows,
            echo: self.echo,
            _ws: ws,
        }
    }

    /// From start to end. Returns false when the server closed the connection.
    async fn run(&mut self, ws: &mut Ws) -> Result<bool> {
        let sh = self.sh.clone();
        let mut phase = sh.phase.subscribe();
        let sender = self.flow.filter(|_| self.send.event.is_some());
        let paced = sh.load.rate > 0.0;
        let step =
            if paced { Duration::from_secs_f64(sh.senders as f64 / sh.load.rate) } else { Duration::MAX };
        let mut due = tokio::time::Instant::now();
        if let Some(f) = sender.filter(|_| paced) {
            due += step.mul_f64(f64::from(f) / sh.senders as f64);
        }
        let mut left = sender.is_some();
        loop {
            if let Some(f) = sender {
                if paced {
                    self.send_due(ws, f, &mut due, step).await?;
                } else {
                    self.fill_window(ws, f).await?;
                }
                if left && self.done() {
                    left = false;
                    sh.senders_left.fetch_sub(1, Relaxed);
                }
            }
            let timed = sender.is_some() && paced && !self.done();
            let credited = sender.is_some() && !paced && !self.send.ack && !self.done();
            tokio::select! {
                biased;
                m = ws.next() => {
                    let Some(m) = m else { return Ok(false) };
                    if !self.handle(ws, m?).await? { return Ok(false); }
                    while let Some(m) = ws.next().now_or_never() {
                        let Some(m) = m else { return Ok(false) };
                        if !self.handle(ws, m?).await? { return Ok(false); }
                    }
                }
                r = phase.changed() => if r.is_err() || *phase.borrow() == END { return Ok(true) },
                () = tokio::time::sleep_until(due), if timed => {}
                () = sh.credit[sender.unwrap_or(0) as usize].note.notified(), if credited => {}
            }
        }
    }

    fn done(&self) -> bool {
        let l = &self.sh.load;
        self.sh.stopped() || (l.limit > 0 && self.seq >= l.limit)
    }

    async fn send_due(
        &mut self,
        ws: &mut Ws,
        flow: u32,
        due: &mut tokio::time::Instant,
        step: Duration,
    ) -> Result<()> {
        let before = self.seq;
        while !self.done() && tokio::time::Instant::now() >= *due {
            if self.sh.measuring() {
                self.sh.slip.add(due.elapsed().as_micros() as u64);
            }
            *due += step;
            self.push(ws, flow).await?;
        }
        if self.seq > before {
            ws.flush().await?;
        }
        Ok(())
    }

    async fn fill_window(&mut self, ws: &mut Ws, flow: u32) -> Result<()> {
        if !self.send.ack {
            let arrived = self.sh.credit[flow as usize].n.load(Relaxed);
            self.inflight = self.seq.saturating_sub(arrived) as usize;
        }
        let before = self.seq;
        while !self.done() && self.inflight < self.sh.load.window {
            self.push(ws, flow).await?;
        }
        if self.seq > before {
            ws.flush().await?;
        }
        Ok(())
    }

    /// Writes the flow's next message into the socket's buffer.
    async fn push(&mut self, ws: &mut Ws, flow: u32) -> Result<()> {
        use std::fmt::Write;
        let (t_us, seq) = (self.sh.now(), self.seq);
        self.seq += 1;
        self.text.clear();
        self.text.push_str("42");
        self.text.push_str(&self.ns);
        if self.send.ack {
            let _ = write!(self.text, "{seq}");
            self.ack_times.insert(seq, t_us);
        }
        let event = self.send.event.as_deref().unwrap_or("message");
        self.text.push_str(&sio::event_start(event));
        self.text.push(',');
        let (run, len) = (self.sh.run, self.sh.load.body);
        self.data.render_into(&mut self.text, |v, o| match v {
            "body" => body::write(o, Head { run, flow, seq, t_us }, len),
            "seq" => drop(write!(o, "{seq}")),
            other => drop(write!(o, "{{{other}}}")),
        });
        self.text.push(']');
        self.inflight += 1;
        self.sh.count_sent();
        ws.feed(Message::text(self.text.as_str())).await?;
        Ok(())
    }

    async fn handle(&mut self, ws: &mut Ws, m: Message) -> Result<bool> {
        match m {
            Message::Text(t) if t.as_str() == "2" => ws.send(Message::text("3")).await?,
            Message::Text(t) => self.on_text(t.as_str()),
            Message::Close(_) => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn on_text(&mut self, t: &str) {
        match sio::parse(t, &self.ns) {
            Packet::Event { json } if sio::is_event(json, &self.recv_start) => self.on_message(json),
            Packet::Event { json } => {
                let name = json.get(2..).and_then(|s| s.split('"').next()).unwrap_or("");
                self.sh.count_other(name);
            }
            Packet::Ack { id, json } => self.on_ack(id, json),
            _ => {}
        }
    }

    fn on_ack(&mut self, id: u64, json: &str) {
        let Some(t) = self.ack_times.remove(&id) else { return };
        self.inflight = self.inflight.saturating_sub(1);
        self.sh.count_ack(t);
        if let Some((ptr, want)) = &self.send.ack_ok {
            let v: Value = serde_json::from_str(json).unwrap_or(Value::Null);
            if v.pointer(ptr) != Some(want) {
                self.sh.error(&format!("ack {json}"));
            }
        }
    }

    fn on_message(&mut self, json: &str) {
        let Some(h) = body::find(json).filter(|h| h.run == self.sh.run) else {
            self.sh.foreign.fetch_add(1, Relaxed);
            return;
        };
        if self.expects.contains(&h.flow) {
            self.flows.entry(h.flow).or_default().see(h.seq);
            self.sh.count_delivery(h.t_us);
        } else if self.flow == Some(h.flow) {
            self.echo.see(h.seq);
            self.sh.count_echo();
        } else {
            self.sh.misdelivered.fetch_add(1, Relaxed);
        }
        if self.credits == Some(h.flow) {
            let c = &self.sh.credit[h.flow as usize];
            c.n.fetch_add(1, Relaxed);
            if !self.send.ack {
                c.note.notify_one();
            }
        }
        self.seen += 1;
        let every = self.sh.load.verify_every;
        if every > 0 && self.seen % every == 1 % every {
            self.verify(json);
        }
    }

    /// Compares a whole body, byte for byte, where the profile says it stands.
    fn verify(&self, json: &str) {
        let mut event: Value = serde_json::from_str(json).unwrap_or(Value::Null);
        if let Some(all) = event.as_array_mut().filter(|a| !a.is_empty()) {
            all.remove(0);
        }
        let body = event.pointer(&self.recv_ptr).and_then(Value::as_str);
        self.sh.verified.fetch_add(1, Relaxed);
        if !body.is_some_and(|b| body::intact(b, self.sh.load.body)) {
            self.sh.bad_bodies.fetch_add(1, Relaxed);
        }
    }
}
