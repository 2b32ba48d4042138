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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn connections_of_all_sockets_are_accepted_and_none_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (one, other) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.2:0").await.unwrap(),
        );
        let addresses = [one.local_addr().unwrap(), other.local_addr().unwrap()];
        let listeners = Listeners::from(one).with_tcp(other).with_unix(UnixListener::bind(&path).unwrap());
        assert_eq!(listeners.tcp_addresses().collect::<Vec<_>>(), addresses);
        assert_eq!(listeners.places().nth(2).unwrap(), path.to_str().unwrap());

        // Many wait at the first, and one at each of the others.
        let mut waiting = Vec::new();
        for _ in 0..20 {
            waiting.push(TcpStream::connect(addresses[0]).await.unwrap());
        }
        waiting.push(TcpStream::connect(addresses[1]).await.unwrap());
        let mut local = UnixStream::connect(&path).await.unwrap();
        let mut came = Vec::new();
        for _ in 0..6 {
            let (stream, peer) = listeners.accept().await.unwrap();
            let place = match &stream {
                Either::Left(stream) => stream.local_addr().unwrap().ip().to_string(),
                Either::Right(_) => "unix".to_owned(),
            };
            assert!(peer.ip().is_loopback());
            came.push((place, stream));
        }
        for place in ["127.0.0.1", "127.0.0.2", "unix"] {
            assert!(came.iter().any(|(other, _)| other == place), "{place} was not served");
        }
        let (_, stream) = came.iter_mut().find(|(place, _)| place == "unix").unwrap();
        stream.write_all(b"hi").await.unwrap();
        let mut said = [0; 2];
        local.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hi");
    }

    #[tokio::test]
    async fn a_connection_that_comes_later_is_accepted_at_any_of_them() {
        let (one, other) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let addresses = [one.local_addr().unwrap(), other.local_addr().unwrap()];
        let listeners = Listeners::from(one).with_tcp(other);
        for address in [addresses[1], addresses[0], addresses[1]] {
            let connecting = async {
                // The other side waits by now.
                tokio::task::yield_now().await;
                TcpStream::connect(address).await.unwrap()
            };
            let (accepted, client) = tokio::join!(listeners.accept(), connecting);
            assert_eq!(accepted.unwrap().1, client.local_addr().unwrap());
        }
    }
}
