//! The TCP connections of this server: how many there are, and which of them belong to somebody who is known.
//!
//! A connection is known once a request or a websocket on it was authenticated. Those that are not are limited by
//! [`Unauthenticated`], which leaves the larger part of all descriptors to those who are logged in. When even that is used
//! up, a few are kept in reserve, so that a health check gets through and the server can be asked what is the matter.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::unauthenticated::{Leave, Permit, Unauthenticated, UnauthenticatedLimits};

/// Descriptors for everything else: the database, its readers, images, the log, the other nodes.
const OTHER_FILES: u64 = 192;

/// Connections beyond the limit, for health checks.
const RESERVE: usize = 32;

/// Most connections that are not known, however many descriptors there are: each costs some 10 kB.
const MAX_UNAUTHENTICATED: usize = 20_000;

/// How many connections the descriptors of this process allow: its soft limit, less what everything else needs.
pub(super) fn default_max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
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
    /// Every connection comes from a proxy of ours, so addresses tell nothing.
    behind_proxy: bool,
}

/// One connection.
pub(crate) struct Connection {
    connections: Arc<Connections>,
    known: AtomicBool,
    permit: Mutex<Option<Permit>>,
    leave: Arc<Leave>,
}

tokio::task_local! {
    /// The connection whose request is being answered.
    static CURRENT: Arc<Connection>;
}

impl Connections {
    pub(super) fn new(max: usize, per_address: Option<usize>, behind_proxy: bool) -> Arc<Self> {
        let limits = UnauthenticatedLimits::shared_by((max / 2).min(MAX_UNAUTHENTICATED));
        let unauthenticated = Unauthenticated::new(limits.with_address(per_address));
        Arc::new(Self { max, open: AtomicUsize::new(0), unauthenticated, behind_proxy })
    }

    /// Takes a connection that was accepted. None when there is no room for it, not even in the reserve.
    pub(super) fn accept(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Connection>> {
        let open = self.open.load(Ordering::Relaxed);
        if open >= self.max {
            let made_room = self.unauthenticated.evict_one();
            if open >= self.max + RESERVE || (!made_room && open >= self.max + RESERVE / 2) {
                return None;
            }
        }
        let leave = Arc::new(Leave::default());
        let address = (!self.behind_proxy).then(|| crate::http::one_customer(peer));
        let permit = self.unauthenticated.acquire(address, Some(leave.clone())).ok()?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Connection {
            connections: self.clone(),
            known: AtomicBool::new(false),
            permit: Mutex::new(Some(permit)),
            leave,
        }))
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Somebody who is known uses it.
    pub(crate) fn set_known(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            *self.permit.lock() = None;
        }
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
    pub(crate) fn set_current_known() {
        let _ = CURRENT.try_with(|connection| connection.set_known());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(nr: u8) -> IpAddr {
        [10, 0, 0, nr].into()
    }

    #[test]
    fn idle_connections_make_room_for_others() {
        let connections = Connections::new(100, Some(10), false);
        let idle: Vec<_> = (0..10).map(|_| connections.accept(peer(1)).unwrap()).collect();
        let next = connections.accept(peer(1)).unwrap();
        assert!(idle[0].leave().is_asked() && !idle[1].leave().is_asked());
        assert_eq!(connections.open(), 11, "until it has left");
        drop((idle, next));
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn those_who_are_known_do_not_count_among_the_others() {
        let connections = Connections::new(100, Some(2), false);
        let known: Vec<_> = (0..90)
            .map(|_| {
                let connection = connections.accept(peer(1)).unwrap();
                connection.set_known();
                connection
            })
            .collect();
        assert!(known.iter().all(|connection| !connection.leave().is_asked()));
        drop(known);
    }

    #[test]
    fn when_all_are_used_a_health_check_still_gets_through() {
        let connections = Connections::new(50, None, true);
        let keep = || {
            let connection = connections.accept(peer(1))?;
            connection.set_known();
            Some(connection)
        };
        let known: Vec<_> = (0..50).map(|_| keep().unwrap()).collect();
        // Nobody can be sent away: half of the reserve is for whoever comes, the other half only for who makes room.
        let checks: Vec<_> = (0..RESERVE / 2).map(|_| connections.accept(peer(2)).unwrap()).collect();
        let more: Vec<_> = (0..RESERVE / 2).map(|_| connections.accept(peer(2)).unwrap()).collect();
        assert!(checks[0].leave().is_asked());
        assert!(connections.accept(peer(2)).is_none(), "there are no more descriptors");
        drop((checks, more));
        assert!(connections.accept(peer(2)).is_some());
        drop(known);
    }

    #[tokio::test]
    async fn the_connection_of_a_request_is_found() {
        let connections = Connections::new(50, None, false);
        let connection = connections.accept(peer(1)).unwrap();
        Connection::set_current_known();
        assert!(!connection.known.load(Ordering::Relaxed));
        connection.clone().scope(async { Connection::set_current_known() }).await;
        assert!(connection.known.load(Ordering::Relaxed));
    }
}
