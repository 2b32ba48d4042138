//! The TCP connections of this server: how many there are, and which of them belong to somebody who is known.
//!
//! A connection is known once a request or a websocket on it was authenticated. Those that are not are limited by
//! [`Unauthenticated`], which leaves the larger part of all descriptors to those who are logged in. When even that is used
//! up, a few are kept in reserve, so that a health check gets through and the server can be asked what is the matter.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use chat_core::id::UserId;
use parking_lot::Mutex;

use super::arrivals::{ARRIVALS, Arrivals};
use super::unauthenticated::{Leave, Permit, TooMany, Unauthenticated, UnauthenticatedLimits};

/// Descriptors for everything else: the database, its readers, images, the log, the other nodes.
const OTHER_FILES: u64 = 192;

/// Connections beyond the limit, for health checks and short requests: each is served one request.
const RESERVE: usize = 32;

/// Most connections that count as one person's. Further ones are served, but make room for others like a stranger's.
const MAX_OF_PERSON: u32 = 160;

/// Most connections that are not known, however many descriptors there are: each costs some 10 kB.
pub(super) const MAX_UNAUTHENTICATED: usize = 20_000;

/// How many connections the descriptors of this process allow: its soft limit, less what everything else needs.
pub(super) fn default_max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    max_connections_of(limit)
}

/// The same for a process that may have so many files open.
pub(super) fn max_connections_of(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(2 * RESERVE) - RESERVE
}

/// Raises the soft limit of open files to the hard one. Affects the whole process, so it is called by the program and not
/// by the library.
///
/// # Errors
/// When the system refuses; the limit is as it was then.
pub fn raise_open_files_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// All connections of one listener.
pub(super) struct Connections {
    max: usize,
    open: AtomicUsize,
    unauthenticated: Arc<Unauthenticated>,
    /// How many are known to be whose.
    known: Mutex<HashMap<UserId, u32>>,
    /// Every connection comes from a proxy of ours, so addresses tell nothing.
    behind_proxy: bool,
    arrivals: Arrivals,
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// It may be later: others of its address came just before.
    TooFast,
    /// There are too many.
    NoRoom,
}

/// One connection.
pub(crate) struct Connection {
    connections: Arc<Connections>,
    state: Mutex<State>,
    leave: Arc<Leave>,
    /// Where it comes from, if that tells anything.
    address: Option<IpAddr>,
    /// It is one of the last there can be.
    is_reserve: bool,
    /// How many requests have come on it, by their heads.
    requests: AtomicU32,
}

enum State {
    Unknown(#[expect(dead_code, reason = "it is given back when it is dropped")] Permit),
    Known(UserId),
}

tokio::task_local! {
    /// The connection whose request is being answered.
    static CURRENT: Arc<Connection>;
}

impl Connections {
    pub(super) fn new(max: usize, per_address: Option<usize>, behind_proxy: bool) -> Arc<Self> {
        let limits = UnauthenticatedLimits::shared_by((max / 2).min(MAX_UNAUTHENTICATED), 2);
        let unauthenticated = Unauthenticated::new(limits.with_address(per_address));
        let known = Mutex::default();
        let (open, arrivals) = (AtomicUsize::new(0), Arrivals::new(ARRIVALS));
        Arc::new(Self { max, open, unauthenticated, known, behind_proxy, arrivals })
    }

    /// Takes a connection that was accepted.
    ///
    /// # Errors
    /// When there is no room for it, not even in the reserve, and when connections of its address come too fast.
    pub(super) fn accept(self: &Arc<Self>, peer: IpAddr) -> Result<Arc<Connection>, AcceptError> {
        let address = (!self.behind_proxy).then(|| crate::address::one_customer(peer));
        if address.is_some_and(|address| !self.arrivals.count(address)) {
            return Err(AcceptError::TooFast);
        }
        let open = self.open.load(Ordering::Relaxed);
        if open >= self.max {
            self.unauthenticated.evict_one();
        }
        if open >= self.max + RESERVE {
            return Err(AcceptError::NoRoom);
        }
        let leave = Arc::new(Leave::default());
        let permit = self.unauthenticated.acquire(address, Some(leave.clone()));
        let permit = permit.map_err(|TooMany| AcceptError::NoRoom)?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Connection {
            connections: self.clone(),
            state: Mutex::new(State::Unknown(permit)),
            leave,
            address,
            is_reserve: open >= self.max,
            requests: AtomicU32::new(0),
        }))
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether there is room for so many more before the reserve.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.open() + more < self.max
    }
}

impl Connection {
    /// This person uses it.
    pub(crate) fn set_known(&self, user: UserId) {
        let mut state = self.state.lock();
        if matches!(*state, State::Known(_)) {
            return;
        }
        let mut known = self.connections.known.lock();
        let theirs = known.entry(user).or_default();
        if *theirs < MAX_OF_PERSON {
            *theirs += 1;
            drop(known);
            *state = State::Known(user);
            drop(state);
            if let Some(address) = self.address {
                self.connections.arrivals.give_back(address);
            }
        }
    }

    /// Whether it is known whose it is.
    pub(super) fn is_known(&self) -> bool {
        matches!(*self.state.lock(), State::Known(_))
    }

    /// Whether it is served one request only, since there is no room for more.
    pub(super) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// The head of a request has come.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have come.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How it is asked to make room.
    pub(super) fn leave(&self) -> &Arc<Leave> {
        &self.leave
    }

    /// Has [`Self::set_current_known`] mean this connection while `work` is done.
    pub(super) async fn scope<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Whoever has sent the request that is being answered is known. Where the listener is not ours nothing is counted, and
    /// nothing happens.
    pub(crate) fn set_current_known(user: UserId) {
        let _ = CURRENT.try_with(|connection| connection.set_known(user));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if let State::Known(user) = *self.state.get_mut() {
            let mut known = self.connections.known.lock();
            if let Some(theirs) = known.get_mut(&user) {
                *theirs -= 1;
                if *theirs == 0 {
                    known.remove(&user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
