//! The sockets that the server listens on: those that it was started with, or one of its own.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixListener;

use chat_server::config::ConfigError;
use chat_server::listeners::Listeners;
use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, socket_acceptconn};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::either::Either;

/// How many may wait to be accepted: after a restart everybody comes back at once.
const BACKLOG: u32 = 4096;

/// The sockets that a service manager has opened for this process (`LISTEN_FDS`, see sd_listen_fds(3)), of TCP or Unix ones.
/// They outlive it, so whoever knocks while it is restarted waits. Their names (`LISTEN_FDNAMES`) are shown in errors and
/// mean nothing else.
pub(crate) struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Inherited {
    /// Takes what the environment says.
    pub(crate) fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(|name| name.chars().filter(|c| c.is_ascii_graphic()).collect());
        Self { names: names.collect(), sockets: ListenFd::from_env() }
    }

    /// All of them, or none when there are none. Needs a tokio runtime.
    ///
    /// # Errors
    /// Names the one that cannot be used.
    pub(crate) fn into_listeners(mut self) -> Result<Listeners, ConfigError> {
        let mut listeners = Listeners::default();
        for n in 0..self.sockets.len() {
            let socket = take(&mut self.sockets, n);
            let added = socket.and_then(|socket| listening(listeners, socket));
            listeners = added.map_err(|problem| {
                let name = self.names.get(n).filter(|name| !name.is_empty());
                let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
                let problem = format!("socket {} of {}{name} {problem}", n + 1, self.sockets.len());
                ConfigError::Variable { variable: "LISTEN_FDS", problem }
            })?;
        }
        Ok(listeners)
    }
}

fn take(sockets: &mut ListenFd, n: usize) -> Result<Either<std::net::TcpListener, UnixListener>, String> {
    if let Ok(Some(listener)) = sockets.take_tcp_listener(n) {
        return Ok(Either::Left(listener));
    }
    match sockets.take_unix_listener(n) {
        Ok(Some(listener)) => Ok(Either::Right(listener)),
        _ => Err("is neither a TCP socket nor a Unix stream socket".to_owned()),
    }
}

fn listening(
    listeners: Listeners,
    socket: Either<std::net::TcpListener, UnixListener>,
) -> Result<Listeners, String> {
    let unusable = |error: io::Error| format!("cannot be used: {error}");
    let is_listening = match &socket {
        Either::Left(socket) => socket_acceptconn(socket),
        Either::Right(socket) => socket_acceptconn(socket),
    };
    if !is_listening.map_err(|error| unusable(error.into()))? {
        return Err("does not listen: with systemd, it must be Accept=no".to_owned());
    }
    match socket {
        Either::Left(socket) => {
            socket.set_nonblocking(true).map_err(unusable)?;
            Ok(listeners.with_tcp(TcpListener::from_std(socket).map_err(unusable)?))
        }
        Either::Right(socket) => {
            socket.set_nonblocking(true).map_err(unusable)?;
            Ok(listeners.with_unix(tokio::net::UnixListener::from_std(socket).map_err(unusable)?))
        }
    }
}

/// Listens on an address, or, if there is none, on all of this machine: of IPv6 and IPv4, as Node does, because `localhost` is
/// `::1` to some clients and `127.0.0.1` to others; where there is no IPv6, of IPv4.
///
/// # Errors
/// Names the variable that must be mended.
pub(crate) fn on(host: Option<IpAddr>, port: u16) -> Result<TcpListener, String> {
    match host {
        Some(host) => bind(host, port),
        None => match bind(Ipv6Addr::UNSPECIFIED.into(), port) {
            Err((_, error)) if is_without_ipv6(&error) => bind(Ipv4Addr::UNSPECIFIED.into(), port),
            bound => bound,
        },
    }
    .map_err(|(address, error)| format!("PORT: cannot listen on {address}: {error}"))
}

fn bind(host: IpAddr, port: u16) -> Result<TcpListener, (SocketAddr, io::Error)> {
    let address = SocketAddr::new(host, port);
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if host == Ipv6Addr::UNSPECIFIED {
            // Whatever the system's default is (`net.ipv6.bindv6only`).
            set_ipv6_v6only(&socket, false)?;
        }
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error| (address, error))
}

/// Whether the kernel has no IPv6, or it is switched off.
fn is_without_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    error.kind() == ErrorKind::AddrNotAvailable
        || matches!(errno, Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NOPROTOOPT))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn peer_over(listener: &std::net::TcpListener, to: IpAddr) -> io::Result<IpAddr> {
        let port = listener.local_addr()?.port();
        let _client = TcpStream::connect((to, port))?;
        Ok(listener.accept()?.1.ip())
    }

    fn listening(host: Option<IpAddr>) -> std::net::TcpListener {
        let listener = on(host, 0).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }

    #[tokio::test]
    async fn without_an_address_it_is_reached_by_ipv4_and_ipv6() {
        let listener = listening(None);
        let peer = peer_over(&listener, Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!(peer.to_canonical(), Ipv4Addr::LOCALHOST);
        // Machines of tests have no IPv6 sometimes; then there was no `::` to listen on either.
        if listener.local_addr().unwrap().is_ipv6() {
            assert_eq!(peer_over(&listener, Ipv6Addr::LOCALHOST.into()).unwrap(), Ipv6Addr::LOCALHOST);
        }
    }

    #[tokio::test]
    async fn an_address_that_is_given_is_kept() {
        let listener = listening(Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(listener.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
        assert!(peer_over(&listener, Ipv6Addr::LOCALHOST.into()).is_err());
        let taken = listener.local_addr().unwrap().port();
        let problem = on(Some(Ipv4Addr::LOCALHOST.into()), taken).unwrap_err();
        assert!(problem.starts_with(&format!("PORT: cannot listen on 127.0.0.1:{taken}: ")), "{problem}");
        let problem = on(None, taken).unwrap_err();
        assert!(problem.starts_with("PORT: cannot listen on "), "{problem}");
    }

    #[test]
    fn what_a_machine_without_ipv6_says_is_known() {
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT] {
            assert!(is_without_ipv6(&errno.into()), "{errno}");
        }
        for errno in [Errno::ADDRINUSE, Errno::ACCESS, Errno::MFILE] {
            assert!(!is_without_ipv6(&errno.into()), "{errno}");
        }
    }
}
