//! Tests for [`serve`](super).

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;

fn serve() -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(4096);
    let connection = Connections::new(100, None, true).accept([127, 0, 0, 1].into()).unwrap();
    let stream = HttpStream::new(ours, connection, Duration::from_secs(8));
    let slowly = get(async || {
        tokio::time::sleep(Duration::from_secs(50)).await;
        "slow"
    });
    let router = Router::new().route("/", get(async || "here")).route("/slow", slowly);
    tokio::spawn(serve_connection(stream, ([127, 0, 0, 1], 1).into(), router, CancellationToken::new()));
    theirs
}

async fn ask(client: &mut DuplexStream, path: &str) -> String {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut some) = (Vec::new(), [0; 512]);
    loop {
        let read = client.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "it is answered");
        answer.extend_from_slice(&some[..read]);
        let text = String::from_utf8(answer.clone()).unwrap();
        if text.ends_with("\r\n\r\nhere") || text.ends_with("\r\n\r\nslow") {
            return text;
        }
    }
}

/// The number of seconds after which the server closes the connection.
async fn closed(client: &mut DuplexStream) -> io::Result<u64> {
    let started = Instant::now();
    client.read_to_end(&mut Vec::new()).await?;
    Ok(started.elapsed().as_secs())
}

#[tokio::test]
async fn what_comes_too_fast_waits_and_is_served() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let connections = Connections::new(10_000, None, false);
    let router = Router::new().route("/", get(async || "here"));
    let stop = CancellationToken::new();
    let serving =
        accept_and_serve(listener.into(), router, connections.clone(), Duration::from_secs(8), stop.clone());
    let serving = tokio::spawn(serving);
    let asking = async |from: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 7, from], 0).into()).unwrap();
        let mut client = socket.connect(to).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    };
    while connections.accept([127, 0, 7, 1].into()).is_ok() {}
    let all = futures_util::future::join_all([1, 1, 2, 1, 1, 1, 2, 1].map(asking));
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("all of them are served");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_a_proxys_patience() {
    let mut client = serve();
    for pause in [74, 60, 74] {
        ask(&mut client, "/").await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    // An answer may take longer than a request head.
    ask(&mut client, "/slow").await;
    assert_eq!(closed(&mut client).await.unwrap(), 75);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_own_time_on_a_new_connection_and_on_an_old_one() {
    assert_eq!(closed(&mut serve()).await.unwrap(), 30, "nothing comes at all");

    let mut client = serve();
    client.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    client.write_all(b"TP/1.1\r\n").await.unwrap();
    assert_eq!(closed(&mut client).await.unwrap(), 10, "pieces do not make it longer");

    let mut client = serve();
    ask(&mut client, "/").await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(closed(&mut client).await.unwrap(), 30);
}
