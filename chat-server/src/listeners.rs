//! The sockets that a server accepts connections on: one or several, of TCP or of this machine (Unix).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// A connection that was accepted.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// Who connects over a Unix socket is on this machine, and has no address.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// All sockets of one server.
#[derive(Debug, Default)]
pub struct Listeners {
    all: Vec<Either<TcpListener, UnixListener>>,
    /// Which one is asked first the next time, so that none is in the way of the others.
    next: AtomicUsize,
}

impl Listeners {
    /// Listens on this one, too.
    #[must_use]
    pub fn with_tcp(mut self, listener: TcpListener) -> Self {
        self.all.push(Either::Left(listener));
        self
    }

    /// Listens on this one, too. Whoever connects there counts as `127.0.0.1`, unless a trusted proxy says otherwise.
    #[must_use]
    pub fn with_unix(mut self, listener: UnixListener) -> Self {
        self.all.push(Either::Right(listener));
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The addresses of those of TCP.
    pub fn tcp_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().filter_map(|listener| match listener {
            Either::Left(listener) => listener.local_addr().ok(),
            Either::Right(_) => None,
        })
    }

    /// Where each of them listens, for people.
    pub(crate) fn places(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(|listener| match listener {
            Either::Left(listener) => listener
                .local_addr()
                .map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string()),
            Either::Right(listener) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(
                    || "a Unix socket without a path".to_owned(),
                    |path| path.display().to_string(),
                )
            }
        })
    }

    /// The next connection of any of them, and where it comes from. Nothing is lost when this is dropped.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        std::future::poll_fn(|context| self.poll_accept(first, context)).await
    }

    fn poll_accept(&self, first: usize, context: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        for n in 0..self.all.len() {
            let accepted = match &self.all[first.wrapping_add(n) % self.all.len()] {
                Either::Left(listener) => {
                    // On a socket for both, IPv4's come as `::ffff:1.2.3.4`.
                    let canonical = |peer: SocketAddr| SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let accepted = listener.poll_accept(context);
                    accepted.map_ok(|(stream, peer)| (Either::Left(stream), canonical(peer)))
                }
                Either::Right(listener) => {
                    listener.poll_accept(context).map_ok(|(stream, _)| (Either::Right(stream), UNIX_PEER))
                }
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self::default().with_tcp(listener)
    }
}

impl From<UnixListener> for Listeners {
    fn from(listener: UnixListener) -> Self {
        Self::default().with_unix(listener)
    }
}

#[cfg(test)]
mod tests;
