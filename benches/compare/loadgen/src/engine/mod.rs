//! Drives connected sockets through warm-up → measure → drain → end, with senders in a closed loop (a window)
//! or at a fixed rate. Used by `pairs`, `room` and the history fill.
//!
//! It counts a message as *delivered* only at a connection that expects its flow. What a sender gets of its
//! own flow without expecting it is an *echo*; anything else that arrives is *misdelivered*.
mod http_sender;
mod outcome;
mod shared;
mod task;

pub use outcome::Outcome;

use crate::http::Step;
use crate::proc;
use crate::profile::{Recv, Send};
use crate::sio::{Target, Ws};
use crate::users::Vars;
use anyhow::Result;
use shared::{DRAIN, END, MEASURE, Shared};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use task::{Ended, Task};

/// How much to send, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// Messages in flight per sender (closed loop).
    pub window: usize,
    /// Messages per second over all senders; 0 = closed loop.
    pub rate: f64,
    /// Length of each body in bytes.
    pub body: usize,
    /// Time before the measured window.
    pub warmup: Duration,
    /// The measured window.
    pub duration: Duration,
    /// Stop each sender after this many messages (0 = run for `duration`).
    pub limit: u64,
    /// Time without any delivery after which the rest counts as lost.
    pub drain: Duration,
    /// Check every n-th delivery's whole body through the profile's JSON pointer (0 = none).
    pub verify_every: u64,
}

/// One connection's part in the load.
pub struct Conn {
    /// The connected socket.
    pub ws: Ws,
    /// Placeholders for this connection's sends (`to`, `room`, `me`, the user's own).
    pub vars: Vars,
    /// Set when this connection sends: the flow number written into its bodies.
    pub flow: Option<u32>,
    /// A delivery of this flow here gives its sender one credit (for windows without acks).
    pub credits: Option<u32>,
    /// The flows whose every message must arrive here.
    pub expects: Vec<u32>,
}

/// One run of the engine.
pub struct Run<'a> {
    /// Where HTTP senders connect to, and the namespace of the sockets.
    pub target: &'a Target,
    /// What a sender does for each message.
    pub send: &'a Send,
    /// How a receiver knows a message.
    pub recv: &'a Recv,
    /// How much to send.
    pub load: Load,
    /// Number of this run, written into each body.
    pub id: u32,
    /// The processes to account.
    pub pids: &'a [u32],
    /// Every sender must get each of its own messages back exactly once.
    pub echo: bool,
}

impl Run<'_> {
    /// Runs the load over `conns` and says what happened.
    pub async fn over(self, conns: Vec<Conn>) -> Result<Outcome> {
        let flows = conns.iter().filter_map(|c| c.flow).max().map_or(0, |m| m as usize + 1);
        let senders = conns.iter().filter(|c| c.flow.is_some()).count();
        // every flow of one run has the same number of receivers
        let fan = (0..flows as u32)
            .map(|f| conns.iter().filter(|c| c.expects.contains(&f)).count() as u64)
            .max()
            .unwrap_or(0);
        let sh = Arc::new(Shared::new(self.id, self.load.clone(), flows, senders, self.send.http.is_some()));
        let send = Arc::new(self.send.clone());
        let (mut tasks, mut http_tasks, mut http_seq) = (Vec::new(), Vec::new(), HashMap::new());
        for c in conns {
            let look = |v: &str| if matches!(v, "body" | "seq") { None } else { c.vars.get(v).cloned() };
            if let (Some(flow), Some(h)) = (c.flow, &send.http) {
                let step = Step::new(h).partial(look);
                let seq: &mut Arc<AtomicU64> = http_seq.entry(flow).or_default();
                for lane in 0..self.load.window.max(1) {
                    let one = http_sender::Lane { flow, lane, step: step.clone(), seq: seq.clone() };
                    http_tasks.push(tokio::spawn(one.run(sh.clone(), self.target.clone())));
                }
            }
            let task = Task::new(sh.clone(), &self.target.ns, send.clone(), self.recv, &c);
            tasks.push(tokio::spawn(task.run_to_end(c.ws)));
        }

        if !self.load.warmup.is_zero() {
            tokio::time::sleep(self.load.warmup).await;
        }
        let before = Reading::take(self.pids)?;
        sh.phase.send_replace(MEASURE);
        if self.load.limit > 0 {
            while if self.send.http.is_some() {
                http_tasks.iter().any(|t| !t.is_finished())
            } else {
                sh.senders_left.load(Relaxed) > 0
            } {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.settle(&sh, fan).await;
        } else {
            tokio::time::sleep(self.load.duration).await;
        }
        let after = Reading::take(self.pids)?;
        sh.phase.send_replace(DRAIN);
        for t in http_tasks {
            t.await?;
        }
        self.settle(&sh, fan).await;
        let rss = self.pids.iter().map(|p| proc::rss_kb(*p)).collect::<Result<Vec<_>>>()?;
        sh.phase.send_replace(END);

        let mut ended: Vec<Ended> = Vec::with_capacity(tasks.len());
        for t in tasks {
            ended.push(t.await?);
        }
        let by_http = http_seq.iter().map(|(f, s)| (*f, s.load(Relaxed)));
        let by_socket =
            ended.iter().filter(|_| self.send.http.is_none()).filter_map(|e| Some((e.flow?, e.sent)));
        let sent: HashMap<u32, u64> = by_http.chain(by_socket).collect();
        let mut out = Outcome::new(&sh, &before, &after, rss);
        out.add_flows(&ended, &sent, self.echo);
        Ok(out)
    }

    /// Waits until all that was sent has arrived and was acknowledged, or nothing has come for `drain`.
    async fn settle(&self, sh: &Shared, fan: u64) {
        let (mut last, mut since) = ((0, 0, 0), Instant::now());
        loop {
            let sent = sh.sent_all.load(Relaxed);
            let now =
                (sh.delivered_all.load(Relaxed), sh.acked_all.load(Relaxed), sh.echoes_all.load(Relaxed));
            let acked = !self.send.ack || self.send.http.is_some() || now.1 >= sent;
            let echoed = !self.echo || now.2 >= sent;
            if (now.0 >= sent * fan && acked && echoed) || since.elapsed() > self.load.drain {
                return;
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The clocks at one end of the measured window.
struct Reading {
    at: Instant,
    machine: proc::Machine,
    server: Vec<proc::Cpu>,
    me: proc::Cpu,
}

impl Reading {
    fn take(pids: &[u32]) -> Result<Self> {
        Ok(Self {
            machine: proc::machine(),
            server: proc::cpu_all(pids)?,
            me: proc::cpu(std::process::id())?,
            at: Instant::now(),
        })
    }
}
