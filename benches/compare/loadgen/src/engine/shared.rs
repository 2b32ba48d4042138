//! What all tasks of one run share: the phase, the clock and the counters.
use super::Load;
use crate::stats::Hist;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::{Notify, watch};

pub const WARMUP: u8 = 0;
pub const MEASURE: u8 = 1;
pub const DRAIN: u8 = 2;
pub const END: u8 = 3;

/// Deliveries that a sender without acks may count against its window.
#[derive(Default)]
pub struct Credit {
    pub n: AtomicU64,
    pub note: Notify,
}

/// Counters without a suffix cover the measured window only, those in `_all` the whole run.
pub struct Shared {
    pub t0: Instant,
    pub run: u32,
    pub load: Load,
    pub senders: usize,
    pub phase: watch::Sender<u8>,
    pub latency: Hist,
    pub ack: Hist,
    pub slip: Hist,
    pub sent: AtomicU64,
    pub sent_all: AtomicU64,
    pub delivered: AtomicU64,
    pub delivered_all: AtomicU64,
    pub acked: AtomicU64,
    pub acked_all: AtomicU64,
    pub echoes: AtomicU64,
    pub echoes_all: AtomicU64,
    pub misdelivered: AtomicU64,
    pub send_errors: AtomicU64,
    pub bad_bodies: AtomicU64,
    pub verified: AtomicU64,
    pub foreign: AtomicU64,
    pub closed: AtomicU64,
    pub senders_left: AtomicU64,
    pub others: Mutex<BTreeMap<String, u64>>,
    pub first_error: Mutex<Option<String>>,
    pub credit: Vec<Credit>,
}

impl Shared {
    pub fn new(run: u32, load: Load, flows: usize, senders: usize, by_http: bool) -> Self {
        Self {
            t0: Instant::now(),
            run,
            // a counted run is measured from its first message
            phase: watch::Sender::new(if load.limit > 0 { MEASURE } else { WARMUP }),
            load,
            senders,
            latency: Hist::default(),
            ack: Hist::default(),
            slip: Hist::default(),
            sent: 0.into(),
            sent_all: 0.into(),
            delivered: 0.into(),
            delivered_all: 0.into(),
            acked: 0.into(),
            acked_all: 0.into(),
            echoes: 0.into(),
            echoes_all: 0.into(),
            misdelivered: 0.into(),
            send_errors: 0.into(),
            bad_bodies: 0.into(),
            verified: 0.into(),
            foreign: 0.into(),
            closed: 0.into(),
            senders_left: (if by_http { 0 } else { senders } as u64).into(),
            others: Mutex::default(),
            first_error: Mutex::default(),
            credit: (0..flows.max(1)).map(|_| Credit::default()).collect(),
        }
    }

    /// Microseconds since the run began; the time written into bodies.
    pub fn now(&self) -> u64 {
        self.t0.elapsed().as_micros() as u64
    }

    pub fn measuring(&self) -> bool {
        *self.phase.borrow() == MEASURE
    }

    pub fn stopped(&self) -> bool {
        *self.phase.borrow() >= DRAIN
    }

    /// Counts a failed send and keeps the first one's words.
    pub fn error(&self, what: &str) {
        self.send_errors.fetch_add(1, Relaxed);
        self.note(what);
    }

    /// Keeps the first complaint of a run.
    pub fn note(&self, what: &str) {
        let mut first = self.first_error.lock().unwrap();
        first.get_or_insert_with(|| what.chars().take(300).collect());
    }

    pub fn count_sent(&self) {
        self.sent_all.fetch_add(1, Relaxed);
        if self.measuring() {
            self.sent.fetch_add(1, Relaxed);
        }
    }

    pub fn count_ack(&self, sent_us: u64) {
        self.acked_all.fetch_add(1, Relaxed);
        if self.measuring() {
            self.acked.fetch_add(1, Relaxed);
            self.ack.add(self.now().saturating_sub(sent_us));
        }
    }

    pub fn count_delivery(&self, sent_us: u64) {
        self.delivered_all.fetch_add(1, Relaxed);
        if self.measuring() {
            self.delivered.fetch_add(1, Relaxed);
            self.latency.add(self.now().saturating_sub(sent_us));
        }
    }

    pub fn count_echo(&self) {
        self.echoes_all.fetch_add(1, Relaxed);
        if self.measuring() {
            self.echoes.fetch_add(1, Relaxed);
        }
    }

    pub fn count_other(&self, event: &str) {
        let mut others = self.others.lock().unwrap();
        match others.get_mut(event) {
            Some(n) => *n += 1,
            None => drop(others.insert(event.to_owned(), 1)),
        }
    }
}
