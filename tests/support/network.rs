//! A bus between servers of one process that does to notices what networks do. What it does is drawn from a seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use chat_server::cluster::{Bus, BusError, Heard, SharedCounters};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;

/// What becomes of notices.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Of each hundred, so many never arrive.
    pub lost: u32,
    /// Of each hundred, so many arrive twice.
    pub doubled: u32,
    /// Each arrives up to so much later, whatever was published after it.
    pub delay: Duration,
}

impl Faults {
    /// Everything arrives at once, in order.
    pub const NONE: Self = Self { lost: 0, doubled: 0, delay: Duration::ZERO };
}

/// The network.
pub struct Network {
    faults: Faults,
    dice: Mutex<StdRng>,
    ends: Mutex<Vec<mpsc::Sender<Heard>>>,
    is_cut: Mutex<bool>,
    /// All that was published.
    recorded: Mutex<Vec<Bytes>>,
    /// How many notices were published.
    pub published: AtomicU64,
}

impl Network {
    /// A network with these faults.
    pub fn new(faults: Faults, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            faults,
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            ends: Mutex::default(),
            is_cut: Mutex::new(false),
            recorded: Mutex::default(),
            published: AtomicU64::new(0),
        })
    }

    /// One server's way into it.
    pub fn bus(self: &Arc<Self>) -> Arc<dyn Bus> {
        Arc::new(End(self.clone()))
    }

    /// Nobody hears anybody, and is told so.
    pub async fn cut(&self) {
        *self.is_cut.lock().expect("nobody panics with it") = true;
        self.say(Heard::Down).await;
    }

    /// Everybody hears everybody again.
    pub async fn mend(&self) {
        *self.is_cut.lock().expect("nobody panics with it") = false;
        self.say(Heard::Up).await;
    }

    /// Notices from nowhere arrive everywhere.
    pub async fn forge(&self, notice: impl Into<Bytes>) {
        self.say(Heard::Notice(notice.into())).await;
    }

    /// All that was published so far.
    pub fn recorded(&self) -> Vec<Bytes> {
        self.recorded.lock().expect("nobody panics with it").clone()
    }

    async fn say(&self, heard: Heard) {
        let ends = self.ends.lock().expect("nobody panics with it").clone();
        for end in ends {
            // Fails when that server has ended.
            let _ = end.send(heard.clone()).await;
        }
    }
}

struct End(Arc<Network>);

#[async_trait]
impl Bus for End {
    fn listen(&self, heard: mpsc::Sender<Heard>) {
        if !*self.0.is_cut.lock().expect("nobody panics with it") {
            heard.try_send(Heard::Up).expect("it has room for one");
        }
        self.0.ends.lock().expect("nobody panics with it").push(heard);
    }

    async fn publish(&self, notice: Bytes) -> Result<(), BusError> {
        self.0.published.fetch_add(1, Ordering::Relaxed);
        self.0.recorded.lock().expect("nobody panics with it").push(notice.clone());
        if *self.0.is_cut.lock().expect("nobody panics with it") {
            return Err(BusError("it is cut".into()));
        }
        let ends = self.0.ends.lock().expect("nobody panics with it").clone();
        let Faults { lost, doubled, delay } = self.0.faults;
        for end in ends {
            let (copies, delays) = {
                let mut dice = self.0.dice.lock().expect("nobody panics with it");
                let copies = match dice.random_range(0..100) {
                    drawn if drawn < lost => 0,
                    drawn if drawn < lost + doubled => 2,
                    _ => 1,
                };
                (copies, [0; 2].map(|_| delay.mul_f64(dice.random())))
            };
            for delay in delays.into_iter().take(copies) {
                let (end, notice) = (end.clone(), Heard::Notice(notice.clone()));
                if delay.is_zero() {
                    let _ = end.try_send(notice);
                    continue;
                }
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = end.try_send(notice);
                });
            }
        }
        Ok(())
    }

    fn counters(&self) -> Option<&dyn SharedCounters> {
        None
    }
}
