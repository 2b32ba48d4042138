//! The TCP connections of this server: how many there are, and which of them are authenticated.
//!
//! A connection is authenticated once a request or a websocket on it was. The others are limited by
//! [`Unauthenticated`], which leaves the larger part of all file descriptors to authenticated clients. A few
//! connections beyond the limit are reserved, so that health checks get through and the server can still be queried
//! when it is full.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use chat_core::id::UserId;
use parking_lot::Mutex;

use super::arrivals::{ARRIVALS, Arrivals};
use super::unauthenticated::{Leave, Permit, TooMany, Unauthenticated, UnauthenticatedLimits};

/// File descriptors for everything else: the database, its readers, images, the log, the other nodes.
const OTHER_FILES: u64 = 192;

/// Connections beyond the limit, for health checks and short requests. Each of them serves one request.
const RESERVE: usize = 32;

/// Maximum number of connections that count as authenticated for one account. Further ones are served, but can be
/// evicted like unauthenticated ones.
const MAX_OF_PERSON: u32 = 160;

/// Maximum number of unauthenticated connections, however many file descriptors there are. Each costs about 10 kB.
pub(super) const MAX_UNAUTHENTICATED: usize = 20_000;

/// The number of connections that the soft limit of file descriptors allows, less what everything else needs.
pub(super) fn default_max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    max_connections_of(limit)
}

/// The same for a process with this limit of file descriptors.
pub(super) fn max_connections_of(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(2 * RESERVE) - RESERVE
}

/// Raises the soft limit of open files to the hard limit. This affects the whole process, so only the program calls it,
/// not the library.
///
/// # Errors
/// When the system refuses. The limit is unchanged then.
pub fn raise_open_files_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// All connections of one server.
pub(super) struct Connections {
    max: usize,
    open: AtomicUsize,
    unauthenticated: Arc<Unauthenticated>,
    /// The number of authenticated connections of each account.
    known: Mutex<HashMap<UserId, u32>>,
    /// Every connection comes from our own proxy, so its peer address identifies no client.
    behind_proxy: bool,
    arrivals: Arrivals,
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// The rate limit of its address is reached. The connection may be accepted later.
    TooFast,
    /// There are too many connections.
    NoRoom,
}

/// One connection.
pub(crate) struct Connection {
    connections: Arc<Connections>,
    state: Mutex<State>,
    leave: Arc<Leave>,
    /// The address of the client, unless the connection comes from a proxy.
    address: Option<IpAddr>,
    /// The connection is one of the reserve.
    is_reserve: bool,
    /// The number of requests on the connection, counted when their heads are complete.
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

    /// Registers an accepted connection.
    ///
    /// # Errors
    /// When there is no room, not even in the reserve, or when connections of this address come too fast.
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

    /// Whether `more` connections fit without the reserve.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.open() + more < self.max
    }
}

impl Connection {
    /// Marks the connection as authenticated for this account, unless the account has too many.
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

    /// Whether the connection is authenticated.
    pub(super) fn is_known(&self) -> bool {
        matches!(*self.state.lock(), State::Known(_))
    }

    /// Whether the connection serves only one request, because the server is full.
    pub(super) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Counts a request whose head was received.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The handle that asks the connection to leave.
    pub(super) fn leave(&self) -> &Arc<Leave> {
        &self.leave
    }

    /// Makes [`Self::set_current_known`] refer to this connection while `work` runs.
    pub(super) async fn scope<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Marks the connection of the current request as authenticated. Does nothing under a foreign listener, which
    /// counts no connections.
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
