//! Senders that post their messages over HTTP.
use super::shared::Shared;
use crate::body::{self, Head};
use crate::http::{Http, Step};
use crate::sio::Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One of a flow's keep-alive connections, with one request in flight on it.
pub struct Lane {
    pub flow: u32,
    pub lane: usize,
    pub step: Step,
    /// The flow's next sequence number, shared by its lanes.
    pub seq: Arc<AtomicU64>,
}

impl Lane {
    pub async fn run(self, sh: Arc<Shared>, t: Target) {
        let mut http = Http::new(t.addr, &t.host);
        let lanes = sh.senders * sh.load.window.max(1);
        let paced = sh.load.rate > 0.0;
        let every = if paced { Duration::from_secs_f64(lanes as f64 / sh.load.rate) } else { Duration::ZERO };
        let share = (f64::from(self.flow) + self.lane as f64) / lanes as f64;
        let mut due = tokio::time::Instant::now() + every.mul_f64(share);
        while !sh.stopped() {
            if paced {
                tokio::time::sleep_until(due).await;
                due += every;
            }
            let seq = self.seq.fetch_add(1, Relaxed);
            if sh.load.limit > 0 && seq >= sh.load.limit {
                self.seq.fetch_sub(1, Relaxed);
                break;
            }
            let t_us = sh.now();
            let mut text = String::new();
            body::write(&mut text, Head { run: sh.run, flow: self.flow, seq, t_us }, sh.load.body);
            sh.count_sent();
            let look = move |v: &str| match v {
                "body" => Some(text.clone()),
                "seq" => Some(seq.to_string()),
                _ => None,
            };
            match http.step(&self.step, &look).await {
                Ok(_) => sh.count_ack(t_us),
                Err(e) => sh.error(&format!("{e:#}")),
            }
        }
    }
}
