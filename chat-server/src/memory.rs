//! A memory budget for the data that this process holds for clients: request bodies that are being received, answers
//! and events that were not sent yet, and events that wait to be processed.
//!
//! Every part of the server has limits of its own, but their sum over all clients has none. So all large data is
//! charged here to an owner: an account, or an address before authentication. When the sum exceeds the limit, the owner
//! that holds the most is cut, together with all its data, and the others continue. Small data is not charged; the
//! default limit leaves room for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Who is charged for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// An account.
    User(UserId),
    /// Unauthenticated clients at this address.
    Address(IpAddr),
}

/// The budget of the process.
pub struct Memory {
    limit: usize,
    held: Mutex<Held>,
    on_cut: OnceLock<OnCut>,
}

/// Called without a lock when an owner is cut, by the task that has asked for more memory. It must not block.
type OnCut = Box<dyn Fn(Owner) + Send + Sync>;

#[derive(Default)]
struct Held {
    bytes: usize,
    /// The part that belongs to owners that were cut and will soon be released.
    leaving: usize,
    owners: HashMap<Owner, Holding>,
}

struct Holding {
    bytes: usize,
    reservations: usize,
    /// Shared with the reservations of this owner.
    cut: CancellationToken,
}

/// Memory that will soon be released counts as free, up to the limit divided by this.
const LEAVING_SHARE: usize = 4;

/// Amounts below this many bytes at one place are not charged.
pub(crate) const MIN_ACCOUNTED: usize = 64 << 10;

/// No memory is left: the owner holds more than every other owner, or was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server has no memory left for this")]
pub struct OutOfMemory;

/// Bytes that are held for an owner, until this is dropped.
#[must_use]
pub struct Reservation {
    memory: Arc<Memory>,
    owner: Owner,
    bytes: usize,
    cut: CancellationToken,
}

impl Memory {
    /// Creates a budget of this many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default(), on_cut: OnceLock::new() })
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The number of bytes that are held.
    pub fn held(&self) -> usize {
        self.held.lock().bytes
    }

    /// Sets the callback for owners that are cut. Only the first call has an effect.
    pub(crate) fn on_cut(&self, on_cut: impl Fn(Owner) + Send + Sync + 'static) {
        let _ = self.on_cut.set(Box::new(on_cut));
    }

    fn tell_cut(&self, owner: Owner) {
        if let Some(on_cut) = self.on_cut.get() {
            on_cut(owner);
        }
    }

    /// Creates an empty reservation.
    pub fn begin(self: &Arc<Self>, owner: Owner) -> Reservation {
        let mut held = self.held.lock();
        let holding = held.owners.entry(owner).or_insert_with(|| Holding {
            bytes: 0,
            reservations: 0,
            cut: CancellationToken::new(),
        });
        holding.reservations += 1;
        Reservation { memory: self.clone(), owner, bytes: 0, cut: holding.cut.clone() }
    }

    /// Creates a reservation of this many bytes.
    ///
    /// # Errors
    /// When no memory is left.
    pub fn reserve(self: &Arc<Self>, owner: Owner, bytes: usize) -> Result<Reservation, OutOfMemory> {
        let mut reservation = self.begin(owner);
        reservation.set(bytes)?;
        Ok(reservation)
    }
}

impl Held {
    /// Cuts the owner that holds the most, except `asking`, and only if it holds at least `wanted`, which `asking`
    /// would hold. Returns the owner that was cut. Its later reservations are counted from zero.
    fn cut_greediest(&mut self, asking: Owner, wanted: usize) -> Option<Owner> {
        let others = self.owners.iter().filter(|(owner, _)| **owner != asking);
        let (owner, bytes) =
            others.map(|(owner, it)| (*owner, it.bytes)).max_by_key(|(owner, it)| (*it, *owner))?;
        if bytes < wanted {
            return None;
        }
        let holding = self.owners.remove(&owner)?;
        holding.cut.cancel();
        self.leaving += bytes;
        let who = match owner {
            Owner::User(user) => user.to_string(),
            Owner::Address(address) => address.to_string(),
        };
        chat_core::log_throttled!(warn, who, bytes, "the memory limit is reached: who holds the most is cut");
        Some(owner)
    }

    /// Replaces `before` bytes of a reservation by `after`.
    fn change(&mut self, owner: Owner, is_cut: bool, before: usize, after: usize) {
        self.bytes = self.bytes + after - before;
        if is_cut {
            self.leaving = self.leaving + after - before;
        } else if let Some(own) = self.owners.get_mut(&owner) {
            own.bytes = own.bytes + after - before;
        }
    }
}

impl Reservation {
    /// Changes the number of bytes that are held. Shrinking always succeeds.
    ///
    /// # Errors
    /// When the limit would be exceeded and no other owner holds more than this one, or when this owner was cut. The
    /// bytes held before stay held.
    pub fn set(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let mut cut = Vec::new();
        let set = self.set_by_cutting(bytes, &mut cut);
        for owner in cut {
            self.memory.tell_cut(owner);
        }
        set
    }

    fn set_by_cutting(&mut self, bytes: usize, cut: &mut Vec<Owner>) -> Result<(), OutOfMemory> {
        let mut held = self.memory.held.lock();
        if let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) {
            if self.cut.is_cancelled() {
                return Err(OutOfMemory);
            }
            let wanted = held.owners.get(&self.owner).map_or(0, |own| own.bytes) + more;
            // Memory that will soon be released counts as free, as far as the default limit leaves room for it.
            let limit = self.memory.limit;
            while held.bytes - held.leaving.min(limit / LEAVING_SHARE) + more > limit {
                if held.leaving > limit / LEAVING_SHARE {
                    return Err(OutOfMemory);
                }
                cut.push(held.cut_greediest(self.owner, wanted).ok_or(OutOfMemory)?);
            }
        }
        held.change(self.owner, self.cut.is_cancelled(), self.bytes, bytes);
        drop(held);
        self.bytes = bytes;
        Ok(())
    }

    /// The number of bytes that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the owner was cut. All its data must be released then.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Cancelled when the owner is cut.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reservation({} bytes)", self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut held = self.memory.held.lock();
        let is_cut = self.cut.is_cancelled();
        held.change(self.owner, is_cut, self.bytes, 0);
        if is_cut {
            return;
        }
        if let Some(own) = held.owners.get_mut(&self.owner) {
            own.reservations -= 1;
            if own.reservations == 0 {
                held.owners.remove(&self.owner);
            }
        }
    }
}

/// The limit if none is configured: half of the memory that this process may use, by its control group, its own limits
/// or the size of the machine.
pub fn default_limit() -> usize {
    let usable = [control_group(), process_limit(), machine()].into_iter().flatten().min();
    (usable.unwrap_or(1 << 30) / 2).max(MIN_LIMIT)
}

/// With less, not even one large message could be received.
pub const MIN_LIMIT: usize = 64 << 20;

/// The lowest limit of the process's control group and its ancestors (cgroup v2), or of the one that is visible inside
/// a container (v2 or v1).
fn control_group() -> Option<usize> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let above = std::path::Path::new(own).ancestors();
    let files = above.map(|group| {
        format!("/sys/fs/cgroup{}/memory.max", group.display().to_string().trim_end_matches('/'))
    });
    let version_1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned();
    // "max" is not a number; version 1 uses a number larger than any memory instead.
    let limits =
        files.chain([version_1]).filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    limits.min()
}

fn process_limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    let limits = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    limits.into_iter().flatten().min().and_then(|limit| usize::try_from(limit).ok())
}

fn machine() -> Option<usize> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(total.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}

#[cfg(test)]
mod tests;
