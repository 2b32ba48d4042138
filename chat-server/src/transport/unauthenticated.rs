//! How many may be here of whom it is not known yet who they are: connections, and Socket.IO sessions.
//!
//! They are counted by address, by the network around it (of IPv6 the /48 that one site has), and all together. A permit is
//! given back when its holder is known, or gone. Where there are too many, the oldest that does nothing makes room, of the
//! address or network that has the most; otherwise the newcomer is refused. So somebody who only opens connections pushes out
//! their own, and several who do so push out each other, and nobody else.
//!
//! Holders that [linger](UnauthenticatedLimits::lingering) cost memory for a while after they were asked to leave. They make
//! room for newcomers of addresses that have few only, and no more than all of them together linger at a time: whoever comes
//! again and again to push out others has used up their few.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most permits of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnauthenticatedLimits {
    /// Of all together.
    pub(super) all: usize,
    /// Of one address; of IPv6 one /64.
    pub(super) address: usize,
    /// Of one IPv6 /48.
    pub(super) site: usize,
    /// Those of an address that has no more than so many need not make room for others, and come in although there are too
    /// many. None for holders that are gone as soon as they are asked to leave: for these no address has too many to come in.
    pub(super) few: Option<usize>,
}

impl UnauthenticatedLimits {
    /// Limits for so many of all: one of so many parts for an address, and half as much again for a site. Never none.
    pub(super) fn shared_by(all: usize, parts: usize) -> Self {
        let all = all.max(4);
        let address = (all / parts.max(1)).max(1);
        Self { all, address, site: address + address / 2, few: None }
    }

    /// The same for holders that cost something for a while after they were asked to leave.
    pub(super) fn lingering(self) -> Self {
        Self { few: Some((self.all / FEW_PARTS).max(MIN_FEW).min(self.address)), ..self }
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
}

/// One of so many parts of all is few for one address.
const FEW_PARTS: usize = 500;
/// However few there are of all, that many are few.
const MIN_FEW: usize = 4;

#[derive(Default)]
struct Present {
    next: u64,
    /// In the order in which they came.
    all: BTreeMap<u64, Holder>,
    by_address: Groups,
    by_site: Groups,
    /// How many were asked to leave, or have ended, and are not gone.
    leaving: usize,
}

/// Those of each address or network, in the order in which they came.
#[derive(Default)]
struct Groups {
    of: HashMap<IpAddr, BTreeSet<u64>>,
    by_size: BTreeSet<(usize, IpAddr)>,
}

impl Groups {
    fn count(&self, address: IpAddr) -> usize {
        self.of.get(&address).map_or(0, BTreeSet::len)
    }

    fn numbers(&self, address: IpAddr) -> impl Iterator<Item = &u64> {
        self.of.get(&address).into_iter().flatten()
    }

    /// The one with the most.
    fn greediest(&self) -> Option<(usize, IpAddr)> {
        self.by_size.last().copied()
    }

    fn insert(&mut self, address: IpAddr, number: u64) {
        let numbers = self.of.entry(address).or_default();
        self.by_size.remove(&(numbers.len(), address));
        numbers.insert(number);
        self.by_size.insert((numbers.len(), address));
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(numbers) = self.of.get_mut(&address) else { return };
        self.by_size.remove(&(numbers.len(), address));
        numbers.remove(&number);
        match numbers.len() {
            0 => drop(self.of.remove(&address)),
            left => drop(self.by_size.insert((left, address))),
        }
    }
}

struct Holder {
    address: IpAddr,
    leave: Option<Arc<Leave>>,
}

/// Among whom somebody is to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Address(IpAddr),
    Site(IpAddr),
}

/// Who has the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greed {
    /// The newcomer, or nobody has more.
    Most,
    /// Others.
    Less(Which),
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
    address: IpAddr,
    number: u64,
}

impl Permit {
    #[cfg(test)]
    pub(super) fn holders(&self) -> &Arc<Unauthenticated> {
        &self.unauthenticated
    }

    /// How long its holder may stay, of a time that is `usual` and one that is `shortest`: while there are few, and for those
    /// of whose address there are few, the usual one; the nearer there are to be too many the shorter.
    pub(super) fn time(&self, usual: Duration, shortest: Duration) -> Duration {
        let (limits, present) = (&self.unauthenticated.limits, self.unauthenticated.present.lock());
        let crowd = (2 * present.all.len()).saturating_sub(limits.all);
        if crowd == 0 || present.by_address.count(self.address) <= limits.few.unwrap_or(0) {
            return usual;
        }
        let share = (crowd as f64 / limits.all as f64).min(1.0);
        usual.saturating_sub(usual.saturating_sub(shortest).mul_f64(share))
    }

    /// Its holder has ended, and costs less from now on: others may have its place. No more than half of all are left to go by
    /// themselves at a time, so that newcomers may push out as many.
    pub(super) fn end(&self) {
        let mut present = self.unauthenticated.present.lock();
        if 2 * present.leaving < self.unauthenticated.limits.all && present.remove(self.number) {
            present.leaving += 1;
        }
    }
}

/// Most of the oldest that are looked at for one that can leave: some microseconds, when there are too many.
const MAX_LOOKED_AT: usize = 4_096;

impl Unauthenticated {
    /// Nobody is here yet.
    pub(super) fn new(limits: UnauthenticatedLimits) -> Arc<Self> {
        Arc::new(Self { limits, present: Mutex::default() })
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
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut present = self.present.lock();
        self.make_room(&mut present, address)?;
        let number = present.next;
        present.next += 1;
        present.all.insert(number, Holder { address, leave });
        present.by_address.insert(address, number);
        present.by_site.insert(site(address), number);
        Ok(Permit { unauthenticated: self.clone(), address, number })
    }

    fn make_room(&self, present: &mut Present, address: IpAddr) -> Result<(), TooMany> {
        let limited = !address.is_unspecified();
        let site = site(address);
        if limited && present.by_address.count(address) >= self.limits.address {
            self.push_out_own(present, Which::Address(address))?;
        }
        if limited && present.by_site.count(site) >= self.site_limit(address) {
            self.push_out_own(present, Which::Site(site))?;
        }
        if present.all.len() < self.limits.all {
            return Ok(());
        }
        let Some(few) = self.limits.few else { return present.evict_greediest(address) };
        let has_few = present.by_address.count(address) < few;
        if !has_few || present.leaving >= self.limits.all || present.greed(address) == Greed::Most {
            return Err(TooMany);
        }
        present.evict_greediest(address)
    }

    /// Who has as many as they may pushes out their own, where that leaves nothing behind.
    fn push_out_own(&self, present: &mut Present, which: Which) -> Result<(), TooMany> {
        if self.limits.few.is_some() { Err(TooMany) } else { present.evict(which) }
    }

    /// Asks the oldest that does nothing to leave, of those who have the most; answers whether there was one.
    pub(super) fn evict_one(&self) -> bool {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self.present.lock().evict_greediest(nobody).is_ok()
    }

    fn site_limit(&self, address: IpAddr) -> usize {
        if address.is_ipv6() { self.limits.site } else { self.limits.address }
    }
}

impl Present {
    /// Whether somebody has more than this address, with one more.
    fn greed(&self, address: IpAddr) -> Greed {
        let own = site(address);
        let of_site = self.by_site.greediest().filter(|(count, _)| *count > self.by_site.count(own) + 1);
        if let Some((_, site)) = of_site.filter(|(_, site)| *site != own) {
            return Greed::Less(Which::Site(site));
        }
        // In the same network, most likely.
        let of_address = self.by_address.greediest();
        match of_address.filter(|(count, _)| *count > self.by_address.count(address) + 1) {
            Some((_, greediest)) if greediest != address => Greed::Less(Which::Address(greediest)),
            _ => Greed::Most,
        }
    }

    /// Asks the oldest that does nothing to leave, of those who have the most. Who has the most already pushes out their own.
    fn evict_greediest(&mut self, newcomer: IpAddr) -> Result<(), TooMany> {
        let greediest = match self.greed(newcomer) {
            Greed::Less(which) => which,
            Greed::Most => Which::Address(newcomer),
        };
        self.evict(greediest).or_else(|TooMany| self.evict(Which::All))
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
                self.by_address.numbers(address).take(MAX_LOOKED_AT).find_map(can_leave)
            }
            Which::Site(site) => self.by_site.numbers(site).take(MAX_LOOKED_AT).find_map(can_leave),
        };
        let number = number.ok_or(TooMany)?;
        if let Some(leave) = self.all.get(&number).and_then(|holder| holder.leave.as_ref()) {
            leave.ask();
        }
        self.remove(number);
        self.leaving += 1;
        Ok(())
    }

    /// Answers whether it was there.
    fn remove(&mut self, number: u64) -> bool {
        let Some(holder) = self.all.remove(&number) else { return false };
        self.by_address.remove(holder.address, number);
        self.by_site.remove(site(holder.address), number);
        true
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
    pub(super) fn becomes<W: Kill + 'static>(&self, wire: &Arc<W>) {
        let wire_of: Weak<W> = Arc::downgrade(wire);
        let _ = self.wire.set(wire_of);
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
        let mut present = self.unauthenticated.present.lock();
        if !present.remove(self.number) {
            present.leaving -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
