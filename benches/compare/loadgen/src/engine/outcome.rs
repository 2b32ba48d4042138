//! The figures of one run, as they are printed.
use super::Reading;
use super::shared::Shared;
use super::task::Ended;
use crate::stats::Summary;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The figures of one run; the README says what each means.
#[derive(Serialize, Default, Debug)]
pub struct Outcome {
    pub seconds: f64,
    pub sent: u64,
    pub delivered: u64,
    pub acked: u64,
    pub echoes: u64,
    pub delivered_per_s: f64,
    pub sent_per_s: f64,
    pub latency: Summary,
    pub ack_latency: Summary,
    pub send_slip: Summary,
    pub server_cpu_us: Vec<u64>,
    pub server_user_us: Vec<u64>,
    pub server_sys_us: Vec<u64>,
    pub cpu_us_per_delivery: f64,
    pub cpu_us_per_sent: f64,
    pub server_rss_kb: Vec<u64>,
    pub loadgen_cpu_us: u64,
    pub machine_busy_pct: f64,
    pub machine_steal_pct: f64,
    pub machine_other_pct: f64,
    pub sent_all: u64,
    pub expected_all: u64,
    pub delivered_all: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub out_of_order: u64,
    pub misdelivered: u64,
    pub echoes_lost: u64,
    pub echoes_duplicated: u64,
    pub unacked: u64,
    pub foreign: u64,
    pub bad_bodies: u64,
    pub verified: u64,
    pub send_errors: u64,
    pub closed: u64,
    pub first_error: Option<String>,
    pub other_events: BTreeMap<String, u64>,
}

impl Outcome {
    /// All that follows from the counters and the two readings.
    pub(super) fn new(sh: &Shared, before: &Reading, after: &Reading, rss: Vec<u64>) -> Self {
        let get = |a: &AtomicU64| a.load(Relaxed);
        let seconds = (after.at - before.at).as_secs_f64();
        let cpu: Vec<_> = after.server.iter().zip(&before.server).map(|(a, b)| a.since(*b)).collect();
        let me = after.me.since(before.me).total_us;
        let machine = after.machine.since(before.machine);
        let (sent, delivered) = (get(&sh.sent), get(&sh.delivered));
        let first = cpu.first().map_or(0.0, |c| c.total_us as f64);
        let ours = me + cpu.iter().map(|c| c.total_us).sum::<u64>();
        Self {
            seconds,
            sent,
            delivered,
            acked: get(&sh.acked),
            echoes: get(&sh.echoes),
            delivered_per_s: delivered as f64 / seconds,
            sent_per_s: sent as f64 / seconds,
            latency: sh.latency.summary(),
            ack_latency: sh.ack.summary(),
            send_slip: sh.slip.summary(),
            server_cpu_us: cpu.iter().map(|c| c.total_us).collect(),
            server_user_us: cpu.iter().map(|c| c.user_us).collect(),
            server_sys_us: cpu.iter().map(|c| c.sys_us).collect(),
            cpu_us_per_delivery: first / delivered.max(1) as f64,
            cpu_us_per_sent: first / sent.max(1) as f64,
            server_rss_kb: rss,
            loadgen_cpu_us: me,
            machine_busy_pct: machine.busy_pct,
            machine_steal_pct: machine.steal_pct,
            machine_other_pct: machine.other_pct(ours, seconds),
            sent_all: get(&sh.sent_all),
            delivered_all: get(&sh.delivered_all),
            misdelivered: get(&sh.misdelivered),
            foreign: get(&sh.foreign),
            bad_bodies: get(&sh.bad_bodies),
            verified: get(&sh.verified),
            send_errors: get(&sh.send_errors),
            closed: get(&sh.closed),
            first_error: sh.first_error.lock().unwrap().take(),
            other_events: std::mem::take(&mut *sh.others.lock().unwrap()),
            ..Self::default()
        }
    }

    /// What was lost, doubled or reordered, from what each connection saw of each flow.
    pub(super) fn add_flows(&mut self, ended: &[Ended], sent: &HashMap<u32, u64>, echo: bool) {
        for e in ended {
            for f in &e.expects {
                let s = sent.get(f).copied().unwrap_or(0);
                self.expected_all += s;
                self.lost += e.flows.get(f).map_or(s, |x| x.lost(s));
            }
            self.duplicated += e.flows.values().map(|f| f.dup).sum::<u64>();
            self.out_of_order += e.flows.values().map(|f| f.out_of_order).sum::<u64>();
            self.unacked += e.unacked;
            if let Some(f) = e.flow.filter(|_| echo) {
                self.echoes_lost += e.echo.lost(sent.get(&f).copied().unwrap_or(0));
                self.echoes_duplicated += e.echo.dup;
                self.out_of_order += e.echo.out_of_order;
            }
        }
    }
}
