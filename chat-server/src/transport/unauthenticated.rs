//! How many may be here of whom it is not known yet who they are: connections, and Socket.IO sessions.
//!
//! They are counted by address, by the network around it (of IPv6 the /48 that one site has), and all together. A permit is
//! given back when its holder is known, or gone. Where there are too many, the oldest that does nothing makes room, if it
//! can be asked to leave; otherwise the newcomer is refused. So somebody who only opens connections pushes out their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most permits of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnauthenticatedLimits {
    /// Of all together.
    pub(super) all: usize,
    /// Of one address; of IPv6 one /64.
    pub(super) address: usize,
    /// Of one IPv6 /48.
    pub(super) site: usize,
}

impl UnauthenticatedLimits {
    /// Limits for so many of all: one of so many parts for an address, and half as much again for a site. Never none.
    pub(super) fn shared_by(all: usize, parts: usize) -> Self {
        let all = all.max(4);
        let address = (all / parts.max(1)).max(1);
        Self { all, address, site: address + address / 2 }
    }

    /// The same with so many for an address, if that is given.
    pub(super) fn with_address(self, address: Option<usize>) -> Self {
        let Some(address) = address else { return self };
        Self { address: address.max(1), site: self.site.max(address), ..self }
    }
}

/// Counts who is here without being known.
pub(super) struct Unauthenticated {
    limits: UnauthenticatedLimits,
    present: Mutex<Present>,
    /// Where nobody can be asked to leave: how many may come all the same, and since when that is counted.
    late: Mutex<(usize, Instant)>,
}

/// In a second so many parts of all may come although there are too many. So when a flood has ended others get in at once,
/// and need not wait until all of it has timed out; what that costs is bounded by the time-out.
const LATE_PARTS: usize = 100;

#[derive(Default)]
struct Present {
    next: u64,
    /// In the order in which they came.
    all: BTreeMap<u64, Holder>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    by_site: HashMap<IpAddr, usize>,
}

struct Holder {
    address: IpAddr,
    leave: Option<Arc<Leave>>,
}

/// Among whom somebody is to make room.
#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    Address(IpAddr),
    Site(IpAddr),
}

/// How a holder is asked to leave.
#[derive(Default)]
pub(super) struct Leave {
    asked: AtomicBool,
    notify: Notify,
    busy: AtomicU32,
    /// The websocket that the connection has become.
    wire: OnceLock<Weak<dyn Kill>>,
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leave").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// A websocket, as far as it can be ended.
pub(super) trait Kill: Send + Sync {
    /// Ends it.
    fn kill(&self);
}

/// There are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The right to be here unknown, until it is dropped.
pub(super) struct Permit {
    unauthenticated: Arc<Unauthenticated>,
    number: u64,
}

/// Most of the oldest that are looked at for one that can leave: some microseconds, when there are too many.
const MAX_LOOKED_AT: usize = 4_096;

impl Unauthenticated {
    /// Nobody is here yet.
    pub(super) fn new(limits: UnauthenticatedLimits) -> Arc<Self> {
        Arc::new(Self { limits, present: Mutex::default(), late: Mutex::new((0, Instant::now())) })
    }

    /// How many are here.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.present.lock().all.len()
    }

    /// A permit for somebody from this address. An address of none is limited by all together only. Without `leave` the
    /// holder stays until the permit is dropped.
    ///
    /// # Errors
    /// When there are too many and none of them can leave.
    pub(super) fn acquire(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        leave: Option<Arc<Leave>>,
    ) -> Result<Permit, TooMany> {
        let address = address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let can_leave = leave.is_some();
        let mut present = self.present.lock();
        if let Err(too_many) = self.make_room(&mut present, address)
            && (can_leave || !self.may_come_late())
        {
            return Err(too_many);
        }
        let number = present.next;
        present.next += 1;
        present.all.insert(number, Holder { address, leave });
        present.by_address.entry(address).or_default().insert(number);
        *present.by_site.entry(site(address)).or_default() += 1;
        Ok(Permit { unauthenticated: self.clone(), number })
    }

    fn make_room(&self, present: &mut Present, address: IpAddr) -> Result<(), TooMany> {
        let limited = !address.is_unspecified();
        if limited && present.of_address(address) >= self.limits.address {
            present.evict(Which::Address(address))?;
        }
        let site = site(address);
        if limited && present.by_site.get(&site).copied().unwrap_or(0) >= self.site_limit(address) {
            present.evict(Which::Site(site))?;
        }
        if present.all.len() >= self.limits.all {
            present.evict(Which::All)?;
        }
        Ok(())
    }

    fn may_come_late(&self) -> bool {
        let mut late = self.late.lock();
        if late.1.elapsed() >= Duration::from_secs(1) {
            *late = (0, Instant::now());
        }
        late.0 += 1;
        late.0 <= (self.limits.all / LATE_PARTS).max(1)
    }

    /// Asks the oldest that does nothing to leave; answers whether there was one.
    pub(super) fn evict_one(&self) -> bool {
        self.present.lock().evict(Which::All).is_ok()
    }

    fn site_limit(&self, address: IpAddr) -> usize {
        if address.is_ipv6() { self.limits.site } else { self.limits.address }
    }
}

impl Present {
    fn of_address(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeSet::len)
    }

    /// Asks the oldest of these that does nothing to leave.
    fn evict(&mut self, which: Which) -> Result<(), TooMany> {
        let can_leave = |number: &u64| {
            let leave = self.all.get(number)?.leave.as_ref()?;
            (leave.busy.load(Ordering::Relaxed) == 0).then_some(*number)
        };
        let number = match which {
            Which::All => self.all.keys().take(MAX_LOOKED_AT).find_map(can_leave),
            Which::Address(address) => {
                let theirs = self.by_address.get(&address);
                theirs.and_then(|theirs| theirs.iter().take(MAX_LOOKED_AT).find_map(can_leave))
            }
            Which::Site(site) => {
                let theirs = self.all.iter().filter(|(_, holder)| self::site(holder.address) == site);
                theirs.map(|(number, _)| number).take(MAX_LOOKED_AT).find_map(can_leave)
            }
        };
        let number = number.ok_or(TooMany)?;
        if let Some(leave) = self.all.get(&number).and_then(|holder| holder.leave.as_ref()) {
            leave.ask();
        }
        self.remove(number);
        Ok(())
    }

    fn remove(&mut self, number: u64) {
        let Some(holder) = self.all.remove(&number) else { return };
        if let Some(numbers) = self.by_address.get_mut(&holder.address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_address.remove(&holder.address);
            }
        }
        let site = site(holder.address);
        if let Some(count) = self.by_site.get_mut(&site) {
            *count -= 1;
            if *count == 0 {
                self.by_site.remove(&site);
            }
        }
    }
}

/// The network of one site: of IPv6 a /48 (RFC 6177), of IPv4 the address itself.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

impl Leave {
    fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.notify.notify_one();
        if let Some(wire) = self.wire.get().and_then(Weak::upgrade) {
            wire.kill();
        }
    }

    /// From now on it is asked by ending this websocket, which nobody waits beside.
    pub(super) fn becomes(&self, wire: Arc<dyn Kill>) {
        let _ = self.wire.set(Arc::downgrade(&wire));
        if self.is_asked() {
            wire.kill();
        }
    }

    /// Whether it was asked.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until it is asked. One at a time may wait.
    pub(super) async fn asked(&self) {
        while !self.is_asked() {
            self.notify.notified().await;
        }
    }

    /// Whether it does something.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// It does something, until what is answered is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// See [`Leave::busy`].
pub(super) struct Busy(Arc<Leave>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.unauthenticated.present.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::wire::Wire;
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// Nobody may come late.
    fn limits(all: usize, address: usize, site: usize) -> Arc<Unauthenticated> {
        let unauthenticated = Unauthenticated::new(UnauthenticatedLimits { all, address, site });
        *unauthenticated.late.lock() = (usize::MAX / 2, Instant::now() + Duration::from_secs(3_600));
        unauthenticated
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_come_late_where_nobody_can_leave() {
        let limits = UnauthenticatedLimits { all: 300, address: 2, site: 3 };
        let unauthenticated = Unauthenticated::new(limits);
        let from = || unauthenticated.acquire(address("10.0.0.1"), None);
        let mut held: Vec<_> = (0..2).map(|_| from().unwrap()).collect();
        for _ in 0..3 {
            held.extend((0..3).map(|_| from().unwrap()));
            assert_eq!(from().err(), Some(TooMany));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[test]
    fn each_address_has_its_share_and_gets_it_back() {
        let unauthenticated = limits(5, 2, 3);
        let from = |text: &str| unauthenticated.acquire(address(text), None);
        let first = from("10.0.0.1").unwrap();
        let second = from("10.0.0.1").unwrap();
        assert_eq!(from("10.0.0.1").err(), Some(TooMany));
        drop(first);
        let third = from("10.0.0.1").unwrap();
        let others: Vec<_> = (2..5).map(|nr| from(&format!("10.0.0.{nr}")).unwrap()).collect();
        assert_eq!(from("10.0.0.9").err(), Some(TooMany), "all together");
        drop((second, third, others));
        assert_eq!(unauthenticated.len(), 0);
        let present = unauthenticated.present.lock();
        assert!(present.by_address.is_empty() && present.by_site.is_empty(), "nobody is remembered");
    }

    #[test]
    fn a_site_of_ipv6_has_a_looser_limit_than_each_of_its_networks() {
        let unauthenticated = limits(100, 2, 3);
        let from = |text: &str| unauthenticated.acquire(address(text), None);
        let held: Vec<_> =
            ["2001:db8:1:1::", "2001:db8:1:1::", "2001:db8:1:2::"].map(|text| from(text).unwrap()).into();
        assert!(from("2001:db8:1:1::").is_err());
        assert!(from("2001:db8:1:3::").is_err(), "the site");
        assert!(from("2001:db8:2:1::").is_ok(), "another site");
        drop(held);
        assert!(from("2001:db8:1:3::").is_ok());
    }

    #[test]
    fn the_oldest_that_does_nothing_makes_room() {
        let unauthenticated = limits(10, 2, 10);
        let leaves: Vec<_> = (0..4).map(|_| Arc::new(Leave::default())).collect();
        let from = |nr: usize| unauthenticated.acquire(address("10.0.0.1"), Some(leaves[nr].clone()));
        let (first, second) = (from(0).unwrap(), from(1).unwrap());
        let busy = leaves[0].busy();
        let third = from(2).unwrap();
        assert!(!leaves[0].is_asked() && leaves[1].is_asked() && !leaves[2].is_asked());
        assert!(leaves[1].asked().now_or_never().is_some());
        // What was asked to leave is counted no more, and its end changes nothing.
        drop(second);
        assert_eq!(unauthenticated.len(), 2);
        let also_busy = leaves[2].busy();
        assert_eq!(from(3).err(), Some(TooMany), "both do something");
        drop((busy, also_busy));
        let fourth = from(3).unwrap();
        assert!(leaves[0].is_asked());
        drop((first, third, fourth));
        assert_eq!(unauthenticated.len(), 0);
    }

    #[test]
    fn a_websocket_is_ended_when_it_is_asked_to_leave() {
        let unauthenticated = limits(10, 1, 10);
        let leaves: Vec<_> = (0..3).map(|_| Arc::new(Leave::default())).collect();
        let from = |nr: usize| unauthenticated.acquire(address("10.0.0.1"), Some(leaves[nr].clone()));
        let wire = Arc::new(Wire::new());
        let first = from(0).unwrap();
        leaves[0].becomes(wire.clone());
        let second = from(1).unwrap();
        assert!(wire.is_killed());
        let third = from(2).unwrap();
        let late = Arc::new(Wire::new());
        leaves[1].becomes(late.clone());
        assert!(late.is_killed(), "it was asked while it was being upgraded");
        drop((first, second, third));
    }

    #[test]
    fn without_an_address_only_the_sum_counts() {
        let unauthenticated = limits(3, 1, 1);
        let held: Vec<_> = (0..3).map(|_| unauthenticated.acquire(None, None).unwrap()).collect();
        assert!(unauthenticated.acquire(None, None).is_err());
        assert!(!unauthenticated.evict_one(), "none of them can leave");
        drop(held);
    }
}
