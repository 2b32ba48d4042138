//! Everybody is cut off, misses messages, the server is killed and started again, and all come back at once.
use super::Session;
use crate::body::{self, Head};
use crate::cli::CrowdArgs;
use crate::proc;
use crate::sio::{self, Joined, Packet, Resume, Target, Ws};
use crate::stats::Hist;
use crate::template::Template;
use crate::users::Vars;
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Each of the crowd gets one message, then all connections are dropped and the senders send what they miss. Then
/// `ready` is printed, and whoever runs this restarts the server and answers with its process id.
pub async fn crowd(s: Session, a: CrowdArgs) -> Result<Value> {
    let (senders, n) = (a.senders.max(1), s.users.len());
    let members = n.checked_sub(senders).filter(|m| *m > 0).context("--conns must exceed --senders")?;
    let shared = Arc::new(Shared::new(&s, members, a.missed)?);

    let mut socks = s.resumable_sockets().await?;
    let crowd = socks.split_off(senders);
    let reading: Vec<_> = crowd
        .into_iter()
        .enumerate()
        .map(|(i, (ws, resume))| tokio::spawn(shared.clone().first(i, ws, resume)))
        .collect();
    let writers: Vec<Ws> = socks.into_iter().map(|(ws, _)| ws).collect();
    let writers = shared.send(writers, 0..1).await?;
    let mut resumes = Vec::with_capacity(members);
    for task in reading {
        resumes.push(task.await??);
    }
    drop(shared.send(writers, 1..a.missed + 1).await?);
    let resumable = resumes.iter().filter(|r| r.pid.is_some()).count();

    let pid = restarted().await?;
    let me = std::process::id();
    let (c0, l0, m0, t0) = (proc::cpu(pid)?, proc::cpu(me)?, proc::machine(), Instant::now());
    let back: Vec<_> = resumes
        .into_iter()
        .enumerate()
        .map(|(i, resume)| {
            let (vars, target, shared) = (s.users[senders + i].clone(), s.t.clone(), shared.clone());
            tokio::spawn(async move { shared.come_back(i, target, vars, resume, t0).await })
        })
        .collect();
    let connected = shared.settle(members as u64, t0).await;
    let (c1, l1) = (proc::cpu(pid)?, proc::cpu(me)?);
    let seconds = t0.elapsed().as_secs_f64();
    let noise = proc::machine().since(m0);
    let rss_kb = proc::rss_kb(pid)?;
    back.iter().for_each(|task| task.abort());

    let mut seen = Seen::default();
    for member in shared.members.iter() {
        member.lock().unwrap().add_to(&mut seen);
    }
    let expected = members as u64 * a.missed;
    let used = c1.since(c0).total_us + l1.since(l0).total_us;
    Ok(s.result(
        "crowd",
        json!({
            "members": members, "resumable": resumable, "missed_each": a.missed, "expected": expected,
            "connected": connected, "recovered": shared.recovered.load(Relaxed),
            "attempts": shared.attempts.load(Relaxed), "back": shared.back.summary(),
            "caught_up": shared.caught_up.summary(), "delivered": seen.delivered,
            "lost": expected - seen.delivered, "duplicated": seen.duplicated, "out_of_order": seen.out_of_order,
            "cpu_us_per_member": c1.since(c0).total_us as f64 / members as f64,
            "loadgen_cpu_us": l1.since(l0).total_us, "rss_kb": rss_kb, "seconds": seconds,
            "machine_busy_pct": noise.busy_pct, "machine_steal_pct": noise.steal_pct,
            "machine_other_pct": noise.other_pct(used, seconds),
        }),
    ))
}

/// Says that everybody is gone, and waits for the process id of the server that was started again.
async fn restarted() -> Result<u32> {
    println!("ready");
    std::io::stdout().flush()?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    line.await??.trim().parse().context("the server's process id on stdin")
}

/// What all members share.
struct Shared {
    ns: String,
    /// `["event"` of what the members are told.
    recv_start: String,
    event: String,
    /// One per member, over `{body}` only.
    data: Vec<Template>,
    run: u32,
    missed: u64,
    members: Vec<std::sync::Mutex<Member>>,
    attempts: AtomicU64,
    recovered: AtomicU64,
    /// From the crowd's start to each member's CONNECT answer, and to its last missed message.
    back: Hist,
    caught_up: Hist,
    /// When anything last happened, in µs since the start.
    last: AtomicU64,
    connected: AtomicU64,
    complete: AtomicU64,
}

/// Which messages one member has got.
#[derive(Default)]
struct Member {
    /// How often each came, the first is the one from before the cut.
    counts: Vec<u32>,
    next: u64,
    out_of_order: u64,
}

#[derive(Default)]
struct Seen {
    delivered: u64,
    duplicated: u64,
    out_of_order: u64,
}

impl Member {
    fn see(&mut self, seq: u64) {
        let Some(count) = self.counts.get_mut(seq as usize) else { return };
        *count += 1;
        if *count == 1 && seq < self.next {
            self.out_of_order += 1;
        }
        self.next = self.next.max(seq + 1);
    }

    fn is_complete(&self) -> bool {
        self.counts.iter().all(|count| *count > 0)
    }

    fn add_to(&self, seen: &mut Seen) {
        seen.delivered += self.counts.iter().skip(1).filter(|count| **count > 0).count() as u64;
        seen.duplicated += self.counts.iter().map(|count| u64::from(count.saturating_sub(1))).sum::<u64>();
        seen.out_of_order += self.out_of_order;
    }
}

impl Shared {
    fn new(s: &Session, members: usize, missed: u64) -> Result<Self> {
        let pairs = s.p.pairs.as_ref().context("the profile has no [pairs]")?;
        let (send, recv) = (&pairs.send, &pairs.recv);
        let event = send.event.clone().context("crowd needs [pairs.send] with an event")?;
        let template = Template::parse(&send.data);
        let data = s.users[s.users.len() - members..]
            .iter()
            .map(|to| {
                let look = |name: &str| match name {
                    "to" => to.get("id").cloned(),
                    name => name.strip_prefix("to_").and_then(|name| to.get(name).cloned()),
                };
                template.partial(look)
            })
            .collect();
        let member = || Member { counts: vec![0; missed as usize + 1], ..Member::default() };
        Ok(Self {
            ns: sio::ns_part(&s.t.ns),
            recv_start: sio::event_start(&recv.event),
            event,
            data,
            run: s.run,
            missed,
            members: (0..members).map(|_| member().into()).collect(),
            attempts: 0.into(),
            recovered: 0.into(),
            back: Hist::default(),
            caught_up: Hist::default(),
            last: 0.into(),
            connected: 0.into(),
            complete: 0.into(),
        })
    }

    /// Sends every member the messages with these numbers, each acknowledged; gives the sockets back.
    async fn send(self: &Arc<Self>, writers: Vec<Ws>, seqs: std::ops::Range<u64>) -> Result<Vec<Ws>> {
        let lanes = writers.len();
        let sending = writers.into_iter().enumerate().map(|(lane, mut ws)| {
            let (shared, seqs) = (self.clone(), seqs.clone());
            async move {
                for member in (lane..shared.members.len()).step_by(lanes) {
                    for seq in seqs.clone() {
                        shared.send_one(&mut ws, member, seq).await?;
                    }
                }
                anyhow::Ok(ws)
            }
        });
        try_join_all(sending).await
    }

    async fn send_one(&self, ws: &mut Ws, member: usize, seq: u64) -> Result<()> {
        let mut text = String::new();
        body::write(&mut text, Head { run: self.run, flow: member as u32, seq, t_us: 0 }, 100);
        let data = self.data[member].render(|name| (name == "body").then(|| text.clone()))?;
        let id = member as u64 * (self.missed + 1) + seq;
        ws.send(Message::text(sio::emit_text(&self.ns, Some(id), &self.event, &data))).await?;
        loop {
            let m = sio::next_text(ws).await?;
            match sio::parse(m.to_text()?, &self.ns) {
                Packet::Ack { id: of, .. } if of == id => return Ok(()),
                Packet::Disconnected => bail!("a sender was disconnected"),
                _ => {}
            }
        }
    }

    /// Reads until the first message has come, then lets go without a word.
    async fn first(self: Arc<Self>, i: usize, mut ws: Ws, mut resume: Resume) -> Result<Resume> {
        loop {
            let m = sio::next_text(&mut ws).await?;
            if self.see(i, m.to_text()?, &mut resume) {
                return Ok(resume);
            }
        }
    }

    /// Notes what an event says; true when it is one of the messages.
    fn see(&self, i: usize, text: &str, resume: &mut Resume) -> bool {
        let Packet::Event { json } = sio::parse(text, &self.ns) else { return false };
        if let Some(offset) = sio::offset(json) {
            resume.offset = Some(offset.to_owned());
        }
        let Some(head) = sio::is_event(json, &self.recv_start).then(|| body::find(json)).flatten() else {
            return false;
        };
        let mine = head.run == self.run && head.flow as usize == i;
        if mine {
            self.members[i].lock().unwrap().see(head.seq);
        }
        mine
    }

    /// Comes back as `socket.io-client` does, trying again after 0.5 to 1.5 seconds, and reads for as long as it may.
    async fn come_back(&self, i: usize, target: Target, vars: Vars, mut resume: Resume, t0: Instant) {
        let mut is_complete = false;
        loop {
            self.attempts.fetch_add(1, Relaxed);
            let connecting = tokio::time::timeout(
                Duration::from_secs(20),
                sio::connect(&target, &vars, source(i), &resume),
            );
            if let Ok(Ok(Joined { mut ws, resume: again, early })) = connecting.await {
                self.back.add(self.happened(t0));
                self.connected.fetch_add(1, Relaxed);
                self.recovered.fetch_add(u64::from(again.pid.is_some() && again.pid == resume.pid), Relaxed);
                resume.pid = again.pid;
                let mut early = early.into_iter();
                loop {
                    let next = match early.next() {
                        Some(m) => Some(m),
                        None => ws.next().await.and_then(Result::ok),
                    };
                    let Some(m) = next else { break };
                    let Ok(text) = m.to_text() else { continue };
                    if text == "2" {
                        drop(ws.send(Message::text("3")).await);
                    } else if self.see(i, text, &mut resume) {
                        let now = self.happened(t0);
                        if !is_complete && self.members[i].lock().unwrap().is_complete() {
                            is_complete = true;
                            self.caught_up.add(now);
                            self.complete.fetch_add(1, Relaxed);
                        }
                    }
                }
                self.connected.fetch_sub(1, Relaxed);
            }
            // No two wait equally long.
            let spread = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000;
            tokio::time::sleep(Duration::from_millis(500 + spread)).await;
        }
    }

    fn happened(&self, t0: Instant) -> u64 {
        let now = t0.elapsed().as_micros() as u64;
        self.last.fetch_max(now, Relaxed);
        now
    }

    /// Waits until all are back and nothing comes any more (three minutes at most); gives how many are connected.
    async fn settle(&self, members: u64, t0: Instant) -> u64 {
        while t0.elapsed() < Duration::from_secs(180) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let quiet = t0.elapsed().as_micros() as u64 - self.last.load(Relaxed);
            // What comes twice would have come by then; what is still missing may take longer.
            let patience = if self.complete.load(Relaxed) == members { 3_000_000 } else { 20_000_000 };
            if self.connected.load(Relaxed) == members && quiet > patience {
                break;
            }
        }
        self.connected.load(Relaxed)
    }
}

/// So many connections from one address would run out of ports while old ones linger.
fn source(i: usize) -> Option<std::net::IpAddr> {
    Some(std::net::Ipv4Addr::new(127, 0, 0, 1 + (i % 8) as u8).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_and_late_is_counted() {
        let mut member = Member { counts: vec![0; 4], ..Member::default() };
        for seq in [0, 2, 1, 2, 9] {
            member.see(seq);
        }
        assert!(!member.is_complete());
        let mut seen = Seen::default();
        member.add_to(&mut seen);
        assert_eq!((seen.delivered, seen.duplicated, seen.out_of_order), (2, 1, 1));
        member.see(3);
        assert!(member.is_complete());
    }
}
