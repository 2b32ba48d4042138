//! What holds for [`listeners`](super).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn connections_of_all_sockets_are_accepted_and_none_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (one, other) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.2:0").await.unwrap());
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
    let (one, other) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
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
