//! Limits the number of unauthenticated connections and Socket.IO sessions.
//!
//! They are counted by address, by the network around it (for IPv6 the /48 of one site), and in total. A permit is
//! released when its holder is authenticated or gone. When a limit is reached, the oldest idle holder of the address or
//! network that has the most is evicted; otherwise the newcomer is refused. So a client that only opens connections
//! evicts its own, and several such clients evict each other's, but no others.
//!
//! Holders that [linger](UnauthenticatedLimits::lingering) use memory for a while after they were asked to leave. They
//! are evicted only for newcomers of addresses that have few, and at most as many linger at a time as the total limit.
//! A client that reconnects again and again to evict others soon has more than a few.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Maximum number of permits of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnauthenticatedLimits {
    /// In total.
    pub(super) all: usize,
    /// Of one address; for IPv6 of one /64.
    pub(super) address: usize,
    /// Of one IPv6 /48.
    pub(super) site: usize,
    /// An address with at most this many holders keeps its full time, and newcomers of an address with fewer may evict
    /// others. `None` for holders that are gone as soon as they are asked to leave; any address may evict then.
    pub(super) few: Option<usize>,
}

impl UnauthenticatedLimits {
    /// Limits for `all` in total, `all / parts` for an address, and half as much again for a site. No limit is zero.
    pub(super) fn shared_by(all: usize, parts: usize) -> Self {
        let all = all.max(4);
        let address = (all / parts.max(1)).max(1);
        Self { all, address, site: address + address / 2, few: None }
    }

    /// The same for holders that use memory for a while after they were asked to leave.
    pub(super) fn lingering(self) -> Self {
        Self { few: Some((self.all / FEW_PARTS).max(MIN_FEW).min(self.address)), ..self }
    }

    /// The same with this limit for an address, if one is given.
    pub(super) fn with_address(self, address: Option<usize>) -> Self {
        let Some(address) = address else { return self };
        Self { address: address.max(1), site: self.site.max(address), ..self }
    }
}

/// Counts the unauthenticated holders.
pub(super) struct Unauthenticated {
    limits: UnauthenticatedLimits,
    present: Mutex<Present>,
}

/// The total limit divided by this is "few" for one address.
const FEW_PARTS: usize = 500;
/// The least value of "few".
const MIN_FEW: usize = 4;

#[derive(Default)]
struct Present {
    next: u64,
    /// By number, which is the order of arrival.
    all: BTreeMap<u64, Holder>,
    by_address: Groups,
    by_site: Groups,
    /// Holders that were asked to leave or have ended, but are not dropped yet.
    leaving: usize,
}

/// The holders of each address or network, in order of arrival.
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

    /// The group with the most holders.
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

/// The group of holders from which one is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Address(IpAddr),
    Site(IpAddr),
}

/// Who has the most holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greed {
    /// The address of the newcomer, or no other has more.
    Most,
    /// Another address or network.
    Less(Which),
}

/// Asks a holder to leave.
#[derive(Default)]
pub(super) struct Leave {
    asked: AtomicBool,
    notify: Notify,
    busy: AtomicU32,
    /// The websocket that the connection was upgraded to.
    wire: OnceLock<Weak<dyn Kill>>,
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leave").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// A websocket that can be ended.
pub(super) trait Kill: Send + Sync {
    /// Ends the websocket.
    fn kill(&self);
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The right to exist without authentication, until it is dropped.
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

    /// How long the holder may stay. It is `usual` while at most half of all permits are used, and for addresses
    /// with few holders. Above that it falls linearly to `shortest` as the total limit comes nearer.
    pub(super) fn time(&self, usual: Duration, shortest: Duration) -> Duration {
        let (limits, present) = (&self.unauthenticated.limits, self.unauthenticated.present.lock());
        let crowd = (2 * present.all.len()).saturating_sub(limits.all);
        if crowd == 0 || present.by_address.count(self.address) <= limits.few.unwrap_or(0) {
            return usual;
        }
        let share = (crowd as f64 / limits.all as f64).min(1.0);
        usual.saturating_sub(usual.saturating_sub(shortest).mul_f64(share))
    }

    /// The holder has ended and uses less memory from now on, so others may take its place. At most half of the total
    /// limit can be freed in this way at a time, so that newcomers can still evict as many.
    pub(super) fn end(&self) {
        let mut present = self.unauthenticated.present.lock();
        if 2 * present.leaving < self.unauthenticated.limits.all && present.remove(self.number) {
            present.leaving += 1;
        }
    }
}

/// Maximum number of holders that a search for an idle one examines, oldest first. This takes some microseconds.
const MAX_LOOKED_AT: usize = 4_096;

impl Unauthenticated {
    /// Creates a counter without holders.
    pub(super) fn new(limits: UnauthenticatedLimits) -> Arc<Self> {
        Arc::new(Self { limits, present: Mutex::default() })
    }

    /// The number of holders.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.present.lock().all.len()
    }

    /// Returns a permit for a holder at this address. Without an address only the total limit applies. Without `leave`
    /// the holder cannot be evicted.
    ///
    /// # Errors
    /// When a limit is reached and no holder can be evicted.
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

    /// At the limit of its address or site, a newcomer evicts a holder of the same group, unless evicted holders
    /// linger.
    fn push_out_own(&self, present: &mut Present, which: Which) -> Result<(), TooMany> {
        if self.limits.few.is_some() { Err(TooMany) } else { present.evict(which) }
    }

    /// Evicts the oldest idle holder of the address or network that has the most. Returns whether there was one.
    pub(super) fn evict_one(&self) -> bool {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self.present.lock().evict_greediest(nobody).is_ok()
    }

    fn site_limit(&self, address: IpAddr) -> usize {
        if address.is_ipv6() { self.limits.site } else { self.limits.address }
    }
}

impl Present {
    /// Whether another address or network would have more holders than this one, counting the newcomer.
    fn greed(&self, address: IpAddr) -> Greed {
        let own = site(address);
        let of_site = self.by_site.greediest().filter(|(count, _)| *count > self.by_site.count(own) + 1);
        if let Some((_, site)) = of_site.filter(|(_, site)| *site != own) {
            return Greed::Less(Which::Site(site));
        }
        // Probably an address of the same network.
        let of_address = self.by_address.greediest();
        match of_address.filter(|(count, _)| *count > self.by_address.count(address) + 1) {
            Some((_, greediest)) if greediest != address => Greed::Less(Which::Address(greediest)),
            _ => Greed::Most,
        }
    }

    /// Evicts the oldest idle holder of the group that has the most, which may be the newcomer's own address.
    fn evict_greediest(&mut self, newcomer: IpAddr) -> Result<(), TooMany> {
        let greediest = match self.greed(newcomer) {
            Greed::Less(which) => which,
            Greed::Most => Which::Address(newcomer),
        };
        self.evict(greediest).or_else(|TooMany| self.evict(Which::All))
    }

    /// Evicts the oldest idle holder of this group.
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

    /// Returns whether the holder was present.
    fn remove(&mut self, number: u64) -> bool {
        let Some(holder) = self.all.remove(&number) else { return false };
        self.by_address.remove(holder.address, number);
        self.by_site.remove(site(holder.address), number);
        true
    }
}

/// The network of one site: for IPv6 a /48 (RFC 6177), for IPv4 the address itself.
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

    /// From now on, asking the holder to leave ends this websocket. No task waits on `asked` for it.
    pub(super) fn becomes<W: Kill + 'static>(&self, wire: &Arc<W>) {
        let wire_of: Weak<W> = Arc::downgrade(wire);
        let _ = self.wire.set(wire_of);
        if self.is_asked() {
            wire.kill();
        }
    }

    /// Whether the holder was asked to leave.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until the holder is asked to leave. Only one task may wait at a time.
    pub(super) async fn asked(&self) {
        while !self.is_asked() {
            self.notify.notified().await;
        }
    }

    /// Whether the holder is busy.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Marks the holder as busy until the returned guard is dropped.
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
