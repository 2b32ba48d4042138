//! Rate limit for new connections of one address. A client that opens connections in quick succession uses CPU time at
//! the expense of other clients, even if few of them are open at a time.
//!
//! Only unauthenticated connections count in the end. A connection that is authenticated later is refunded, so neither
//! a proxy nor a school whose logged-in pupils share one address reaches the limit. Connections above the rate wait, up
//! to a limit; further ones are closed at once, before anything is read and before a task is spawned.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{Bucket, Rate};

/// Rate of new connections of one address: burst, and number per minute. For IPv6 an address is a /64.
pub(super) const ARRIVALS: Rate = Rate { burst: 1_500, per_minute: 6_000 };

/// How often waiting connections are checked again.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Maximum number of waiting connections: in total, and of one address.
const MAX_WAITING: (usize, usize) = (128, 64);

/// From this number of remembered addresses on, inactive ones are removed.
const SWEEP_AT: usize = 10_000;

/// Further addresses are not remembered, and so not limited. Each remembered address has opened a connection within the
/// last minute, which is normal for a large number of clients.
const MAX_REMEMBERED: usize = 100_000;

/// Counts the connections of each address.
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

    /// Counts a connection of this address. Returns whether the rate allows it.
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

    /// Refunds a connection of this address, because it was authenticated.
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

/// Connections above the rate, in order of arrival.
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

    /// Queues a connection. Returns false if there was no room; the connection is closed then.
    pub(super) fn enter(&mut self, stream: S, peer: SocketAddr) -> bool {
        let (of_all, of_address) = MAX_WAITING;
        let theirs = || self.0.iter().filter(|(_, other)| other.ip() == peer.ip()).count();
        let has_room = self.0.len() < of_all && theirs() < of_address;
        if has_room {
            self.0.push_back((stream, peer));
        }
        has_room
    }

    /// Takes all waiting connections, to serve them or to queue them again.
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
