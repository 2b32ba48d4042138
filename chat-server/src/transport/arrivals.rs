//! How fast connections of one address may come: whoever opens one after the other costs everybody else the time of the
//! processor, however few stand at a time.
//!
//! Only connections of strangers count in the end: one that turns out to be somebody's is given back, so a school behind one
//! address whose pupils are logged in, or a proxy, does not meet the limit. What comes too fast waits to be served, if little
//! does; the rest is closed at once, before anything of it is read and before it has a task.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{Bucket, Rate};

/// Connections of one address that come at once and in a minute; of IPv6 a /64.
pub(super) const ARRIVALS: Rate = Rate { burst: 1_500, per_minute: 6_000 };

/// How often it is looked whose turn has come of those that wait.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Most connections that wait to be served, of all and of one address.
const MAX_WAITING: (usize, usize) = (128, 64);

/// When so many addresses are remembered, those that have gone quiet are forgotten.
const SWEEP_AT: usize = 10_000;

/// More are not remembered, and so not limited: each has opened a connection within a minute, as a crowd does.
const MAX_REMEMBERED: usize = 100_000;

/// Counts the connections of addresses.
pub(super) struct Arrivals {
    rate: Rate,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    buckets: HashMap<IpAddr, Bucket>,
    sweep_at: usize,
}

impl Arrivals {
    pub(super) fn new(rate: Rate) -> Self {
        let state = Mutex::new(State { buckets: HashMap::new(), sweep_at: SWEEP_AT });
        Self { rate, began: Instant::now(), state }
    }

    /// Counts a connection from this address. Answers whether it may come.
    pub(super) fn count(&self, address: IpAddr) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        if state.buckets.len() >= state.sweep_at {
            state.buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
            state.sweep_at = (2 * state.buckets.len()).max(SWEEP_AT);
        }
        let has_room = state.buckets.len() < MAX_REMEMBERED;
        let bucket = match state.buckets.get_mut(&address) {
            Some(bucket) => bucket,
            None if has_room => state.buckets.entry(address).or_insert(Bucket::full(self.rate, now)),
            None => return true,
        };
        let may_come = bucket.wait(self.rate, now).is_zero();
        if may_come {
            bucket.spend(self.rate, now, 1);
        }
        may_come
    }

    /// A connection from this address is somebody's: it does not count.
    pub(super) fn give_back(&self, address: IpAddr) {
        let now = self.now();
        if let Some(bucket) = self.state.lock().buckets.get_mut(&address) {
            bucket.give_back(self.rate, now, 1);
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::default().after(self.began.elapsed())
    }
}

/// Connections that came too fast, in the order in which they came.
pub(super) struct WaitingRoom<S>(VecDeque<(S, SocketAddr)>);

impl<S> Default for WaitingRoom<S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<S> WaitingRoom<S> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Has a connection wait. Answers whether there was room; if not, it is closed.
    pub(super) fn enter(&mut self, stream: S, peer: SocketAddr) -> bool {
        let (of_all, of_address) = MAX_WAITING;
        let theirs = || self.0.iter().filter(|(_, other)| other.ip() == peer.ip()).count();
        let has_room = self.0.len() < of_all && theirs() < of_address;
        if has_room {
            self.0.push_back((stream, peer));
        }
        has_room
    }

    /// All of them, to be served or to wait on.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (S, SocketAddr)> + use<S> {
        std::mem::take(&mut self.0).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 5, per_minute: 60 };

    fn address(nr: u8) -> IpAddr {
        [10, 0, 0, nr].into()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_one_address_come_at_a_rate_and_others_do_not_wait() {
        let arrivals = Arrivals::new(RATE);
        assert!((0..5).all(|_| arrivals.count(address(1))));
        assert!((0..1_000).all(|_| !arrivals.count(address(1))), "what is refused costs nothing more");
        assert!(arrivals.count(address(2)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((0..10).filter(|_| arrivals.count(address(1))).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_somebodys_does_not_count() {
        let arrivals = Arrivals::new(RATE);
        for _ in 0..1_000 {
            assert!(arrivals.count(address(1)));
            arrivals.give_back(address(1));
        }
        (0..100).for_each(|_| arrivals.give_back(address(1)));
        assert_eq!((0..10).filter(|_| arrivals.count(address(1))).count(), 5, "and makes nothing more");
    }

    #[test]
    fn little_waits_of_all_and_of_one_address() {
        let mut room = WaitingRoom::default();
        let mut enter = |nr: u8| room.enter((), (address(nr), 1).into());
        assert_eq!((0..100).filter(|_| enter(1)).count(), 64);
        assert_eq!((0..40).filter(|_| enter(2)).count(), 40);
        assert_eq!((0..40).filter(|_| enter(3)).count(), 24);
        assert_eq!(room.take().count(), 128);
        assert_eq!(room.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_addresses_are_forgotten() {
        let arrivals = Arrivals::new(RATE);
        for nr in 0..2 * SWEEP_AT as u32 {
            assert!(arrivals.count(IpAddr::from(nr.to_be_bytes())));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(arrivals.state.lock().buckets.len() <= SWEEP_AT);
    }
}
