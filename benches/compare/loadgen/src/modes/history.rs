//! Reads pages of history as fast as they come, after filling each pair's conversation.
use super::{Session, with_peer};
use crate::cli::LoadArgs;
use crate::http::{Http, Step};
use crate::proc;
use crate::profile::History;
use crate::sio::{self, Packet, Target, Ws};
use crate::stats::Hist;
use crate::template::Template;
use crate::users::Vars;
use anyhow::{Context, Result};
use futures_util::SinkExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

const MEASURE: u8 = 1;
const END: u8 = 2;

/// Every user asks for its pair's page, again as soon as the last one has come.
pub async fn history(s: Session, l: LoadArgs, fill: u64) -> Result<Value> {
    let h = s.p.history.as_ref().context("the profile has no [history]")?;
    let filled = if fill > 0 { s.fill_pairs(&l, fill).await? } else { Value::Null };
    let socks = s.sockets().await?;
    let pages = Arc::new(Pages::new(h.items.clone()));
    let mut tasks = Vec::new();
    for (i, ws) in socks.into_iter().enumerate() {
        let vars = with_peer(&s.users[i], &s.users[(i ^ 1).min(s.users.len() - 1)]);
        let reader = Reader { pages: pages.clone(), h: h.clone(), t: s.t.clone(), vars };
        tasks.push(tokio::spawn(reader.run(ws)));
    }
    tokio::time::sleep(Duration::from_secs_f64(l.warmup)).await;
    let (c0, t0) = (proc::cpu_all(&s.c.pid)?, Instant::now());
    pages.phase.store(MEASURE, Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(l.duration)).await;
    let (c1, seconds) = (proc::cpu_all(&s.c.pid)?, t0.elapsed().as_secs_f64());
    pages.phase.store(END, Relaxed);
    for t in tasks {
        t.await??;
    }
    let n = pages.count.load(Relaxed).max(1);
    let cpu: Vec<f64> = c1.iter().zip(&c0).map(|(a, b)| a.since(*b).total_us as f64 / n as f64).collect();
    Ok(s.result(
        "history",
        json!({
            "fill": filled, "pages": n, "pages_per_s": n as f64 / seconds, "latency": pages.latency.summary(),
            "items_per_page": pages.most.load(Relaxed), "items_per_page_least": pages.least.load(Relaxed),
            "bytes_per_page": pages.bytes.load(Relaxed) / n, "bad_pages": pages.bad.load(Relaxed),
            "cpu_us_per_page": cpu,
        }),
    ))
}

/// What all readers have seen.
struct Pages {
    /// JSON pointer to the messages of a page.
    items: String,
    phase: AtomicU8,
    latency: Hist,
    count: AtomicU64,
    bytes: AtomicU64,
    most: AtomicU64,
    least: AtomicU64,
    bad: AtomicU64,
}

impl Pages {
    fn new(items: String) -> Self {
        Self {
            items,
            phase: 0.into(),
            latency: Hist::default(),
            count: 0.into(),
            bytes: 0.into(),
            most: 0.into(),
            least: u64::MAX.into(),
            bad: 0.into(),
        }
    }

    /// Counts a reader's `k`-th page; false when it is time to stop.
    fn seen(&self, since: Instant, json: &str, k: u64) -> bool {
        // every 16th page only is parsed, to keep this process light
        if k.is_multiple_of(16) {
            let v: Value = serde_json::from_str(json).unwrap_or(Value::Null);
            let n = v.pointer(&self.items).and_then(Value::as_array).map_or(0, |a| a.len() as u64);
            self.most.fetch_max(n, Relaxed);
            self.least.fetch_min(n, Relaxed);
            if n == 0 {
                self.bad.fetch_add(1, Relaxed);
            }
        }
        let phase = self.phase.load(Relaxed);
        if phase == MEASURE {
            self.latency.add(since.elapsed().as_micros() as u64);
            self.count.fetch_add(1, Relaxed);
            self.bytes.fetch_add(json.len() as u64, Relaxed);
        }
        phase < END
    }
}

/// One user asking for pages.
struct Reader {
    pages: Arc<Pages>,
    h: History,
    t: Target,
    vars: Vars,
}

impl Reader {
    async fn run(self, ws: Ws) -> Result<()> {
        match &self.h.http {
            Some(step) => self.by_http(Step::new(step), ws).await,
            None => self.by_socket(ws).await,
        }
    }

    /// Over HTTP; the user's socket stays open meanwhile.
    async fn by_http(&self, step: Step, _online: Ws) -> Result<()> {
        let step = step.partial(|v| self.vars.get(v).cloned());
        let mut http = Http::new(self.t.addr, &self.t.host);
        for k in 0.. {
            let t0 = Instant::now();
            let r = http.step(&step, &|_| None).await?;
            if !self.pages.seen(t0, std::str::from_utf8(r.body())?, k) {
                break;
            }
        }
        Ok(())
    }

    async fn by_socket(&self, mut ws: Ws) -> Result<()> {
        let ns = sio::ns_part(&self.t.ns);
        let event = self.h.event.as_deref().context("[history] needs event or http")?;
        let data = Template::parse(&self.h.data).render(|v| self.vars.get(v).cloned())?;
        let want = self.h.wait_event.as_deref().map(sio::event_start);
        for k in 0.. {
            let t0 = Instant::now();
            let id = want.is_none().then_some(k);
            ws.send(Message::text(sio::emit_text(&ns, id, event, &data))).await?;
            let page = loop {
                let m = sio::next_text(&mut ws).await?;
                match (sio::parse(m.to_text()?, &ns), &want) {
                    (Packet::Ack { id, json }, None) if id == k => break json.to_owned(),
                    (Packet::Event { json }, Some(w)) if sio::is_event(json, w) => {
                        // the pointer counts from the first argument, so the event's name goes
                        break format!("[{}", json[w.len()..].trim_start_matches(','));
                    }
                    _ => {}
                }
            };
            if !self.pages.seen(t0, &page, k) {
                break;
            }
        }
        Ok(())
    }
}
