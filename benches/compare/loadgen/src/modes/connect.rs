//! Opens connections, holds them, and measures what that costs the server.
use super::{Session, merge};
use crate::proc::{self, Cpu};
use crate::profile::Presence;
use crate::sio::{self, Packet, Ws};
use crate::stats::Hist;
use crate::users::Vars;
use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Connects all users, waits until the server has pushed all it wants to, then holds for `hold` seconds.
pub async fn connect(s: Session, hold: f64) -> Result<Value> {
    let (pids, n) = (&s.c.pid, s.users.len());
    let rss = || pids.iter().map(|p| proc::rss_kb(*p)).collect::<Result<Vec<_>>>();
    let me = std::process::id();
    let held = Arc::new(Held::new(n, &s.t.ns, s.p.presence.as_ref()));
    let h = Hist::default();

    let (r0, c0, l0, t0) = (rss()?, proc::cpu_all(pids)?, proc::cpu(me)?, Instant::now());
    s.each_socket(&h, |i, ws, _| drop(tokio::spawn(held.clone().read(i, ws)))).await?;
    let (c1, connecting) = (proc::cpu_all(pids)?, t0.elapsed().as_secs_f64());
    held.quiet().await;
    let (r1, c2, l2, t2) = (rss()?, proc::cpu_all(pids)?, proc::cpu(me)?, Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(hold)).await;
    let (r2, c3, holding) = (rss()?, proc::cpu_all(pids)?, t2.elapsed().as_secs_f64());

    let per_conn_kb = |a: &[u64], b: &[u64]| -> Vec<f64> {
        a.iter().zip(b).map(|(x, y)| (*x as f64 - *y as f64) / n as f64).collect()
    };
    let per_conn_us = |a: &[Cpu], b: &[Cpu]| -> Vec<f64> {
        a.iter().zip(b).map(|(x, y)| x.since(*y).total_us as f64 / n as f64).collect()
    };
    let idle: Vec<f64> = per_conn_us(&c3, &c2).iter().map(|x| x / holding).collect();
    let figures = json!({
        "connects_per_s": n as f64 / connecting, "connect_seconds": connecting, "handshake": h.summary(),
        "cpu_us_per_connect": per_conn_us(&c1, &c0),
        "cpu_us_per_connect_settled": per_conn_us(&c2, &c0),
        "loadgen_cpu_us": l2.since(l0).total_us,
        "rss_before_kb": r0, "rss_kb": r1, "rss_after_hold_kb": r2,
        "rss_per_conn_kb": per_conn_kb(&r1, &r0), "rss_per_conn_after_hold_kb": per_conn_kb(&r2, &r0),
        "hold_seconds": holding, "idle_cpu_us_per_conn_s": idle,
    });
    Ok(s.result("connect", merge(figures, held.figures(&s.users))))
}

/// What arrives on the held connections.
struct Held {
    ns: String,
    /// `["event"` and the pointer to the list of ids, when the profile has a `[presence]`.
    roster: Option<(String, String)>,
    /// The last roster each connection got, unparsed.
    last: Vec<Mutex<Option<Utf8Bytes>>>,
    events: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicU64,
}

impl Held {
    fn new(n: usize, ns: &str, presence: Option<&Presence>) -> Self {
        Self {
            ns: sio::ns_part(ns),
            roster: presence.map(|p| (sio::event_start(&p.event), p.ids.clone())),
            last: (0..n).map(|_| Mutex::default()).collect(),
            events: 0.into(),
            bytes: 0.into(),
            closed: 0.into(),
        }
    }

    /// Reads one connection to its end and answers its pings.
    async fn read(self: Arc<Self>, i: usize, mut ws: Ws) {
        while let Some(Ok(m)) = ws.next().await {
            self.bytes.fetch_add(m.len() as u64, Relaxed);
            let Message::Text(t) = m else { continue };
            if t.as_str() == "2" {
                drop(ws.send(Message::text("3")).await);
                continue;
            }
            self.events.fetch_add(1, Relaxed);
            if self.roster_args(&t).is_some() {
                *self.last[i].lock().unwrap() = Some(t);
            }
        }
        self.closed.fetch_add(1, Relaxed);
    }

    /// The arguments of a roster event as a JSON array without its opening bracket.
    fn roster_args<'a>(&self, text: &'a str) -> Option<&'a str> {
        let (start, _) = self.roster.as_ref()?;
        match sio::parse(text, &self.ns) {
            Packet::Event { json } if sio::is_event(json, start) => {
                Some(json[start.len()..].trim_start_matches(','))
            }
            _ => None,
        }
    }

    /// Waits until the server has pushed nothing for two seconds (five minutes at most).
    async fn quiet(&self) {
        let (mut last, mut still) = (u64::MAX, 0);
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.events.load(Relaxed);
            still = if now == last { still + 1 } else { 0 };
            if still == 4 {
                return;
            }
            last = now;
        }
    }

    fn figures(&self, users: &[Vars]) -> Value {
        let mut v = json!({
            "pushed_events": self.events.load(Relaxed), "pushed_bytes": self.bytes.load(Relaxed),
            "closed": self.closed.load(Relaxed),
        });
        if let Some((_, ptr)) = &self.roster {
            let all: HashSet<&str> = users.iter().map(|u| u["id"].as_str()).collect();
            let right =
                self.last.iter().filter(|t| self.complete(t.lock().unwrap().as_deref(), ptr, &all)).count();
            v["rosters_right"] = json!(right);
            v["rosters_wrong"] = json!(self.last.len() - right);
        }
        v
    }

    /// True when a connection's last roster names everybody exactly once.
    fn complete(&self, text: Option<&str>, ptr: &str, all: &HashSet<&str>) -> bool {
        let args = text.and_then(|t| self.roster_args(t)).unwrap_or("]");
        let args: Value = serde_json::from_str(&format!("[{args}")).unwrap_or(Value::Null);
        let Some(ids) = args.pointer(ptr).and_then(Value::as_array) else { return false };
        let named: HashSet<&str> = ids.iter().filter_map(Value::as_str).collect();
        ids.len() == all.len() && named == *all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosters() {
        let p = Presence { event: "online".into(), ids: "/0".into() };
        let h = Held::new(3, "/", Some(&p));
        *h.last[0].lock().unwrap() = Some(r#"42["online",["a","b"],7]"#.into());
        *h.last[1].lock().unwrap() = Some(r#"42["online",["a","a"]]"#.into());
        let users = ["a", "b"].map(|x| Vars::from([("id".to_owned(), x.to_owned())]));
        let v = h.figures(&users);
        assert_eq!((&v["rosters_right"], &v["rosters_wrong"]), (&json!(1), &json!(2)));
    }
}
