//! The traps of socketioxide 0.18 and of TCP that we go round, one test each: what it is, that we are round it, and,
//! where that can be told, how one would notice that upstream has mended it. Those about clients that are too slow, too
//! large or too many are in `overload.rs`.
//!
//! Not here: that a panic in a handler costs one connection only. Nothing that a client can send makes one panic, and
//! there is no seam to put one in from outside.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chat::websocket::Opening;
use chat::{Http, MountedServer, Packet, Polling, Socket, TestServer, WebSocket, log, until, within};
use reqwest::Method;
use serde_json::{Value, json};

async fn registered(address: std::net::SocketAddr, name: &str) -> Http {
    let mut http = Http::new(address);
    http.register(name, "secret1").await;
    http
}

async fn connected(address: std::net::SocketAddr, http: &Http) -> Socket {
    Socket::connect(address, http).await.expect("it is let in")
}

fn message(text: &str, receiver: &str) -> Value {
    json!({ "text": text, "receiver": receiver })
}

/// The number in the texts of the tests that count their messages.
fn number(frame: &str) -> Option<usize> {
    let (_, rest) = frame.split_once("\"text\":\"no. ")?;
    rest.split_once([' ', '"'])?.0.parse().ok()
}

/// D3. `socket.id` is the Engine.IO session id, and whoever knows that of a polling session can post as its owner. So
/// nobody is ever told one, but each client its own in the greeting, and none is logged. Upstream has mended it when
/// [`Socket::id`] and [`Socket::engine_id`] differ.
#[tokio::test]
async fn d3_session_ids_are_told_to_nobody() {
    let server = TestServer::start(|_| ()).await;
    let (mut ann, mut bob) = (Http::new(server.address), Http::new(server.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let carl = registered(server.address, "carl").await;
    let polling = Polling::connect(&bob).await.expect("it is let in");
    let mut sockets = Vec::new();
    for http in [&ann, &ann, &bob, &carl] {
        sockets.push(connected(server.address, http).await);
    }
    let mut ids: HashSet<String> =
        sockets.iter().flat_map(|it| [it.id.clone(), it.engine_id.clone()]).collect();
    ids.extend([polling.ids.id.clone(), polling.ids.engine_id.clone()]);

    ann.send(&bob_id, "hello").await;
    bob.send(&ann_id, "hi").await;
    let history = ann.request(Method::GET, &format!("/api/messages/{bob_id}"), None).await.json();
    let id = history[0]["_id"].as_str().expect("messages have ids");
    ann.request(Method::DELETE, &format!("/api/messages/{id}"), None).await;
    ann.request(Method::PUT, &format!("/api/messages/{id}/restore"), None).await;
    ann.request(Method::PUT, "/api/auth/update-profile", Some(&json!({ "fullName": "Ann O." }))).await;
    for path in
        ["/api/auth/check", "/api/messages/contacts", "/api/messages/chats", "/healthz", "/readyz", "/"]
    {
        ann.request(Method::GET, path, None).await;
    }
    let mut carl = carl;
    carl.request(Method::GET, "/api/users", None).await;
    for (event, argument) in [
        ("typing", json!({ "to": bob_id })),
        ("typing", json!({})),
        ("privateMessage", message("hello", "carl")),
        ("getMessageHistory", json!({ "otherUser": "carl" })),
    ] {
        for socket in &mut sockets {
            let asked = socket.ask(event, std::slice::from_ref(&argument));
            socket.answer(asked).await;
        }
    }
    let polled = polling.poll().await;
    ann.request(Method::POST, "/api/auth/logout", None).await;
    for socket in &mut sockets[..1] {
        socket.rest().await;
    }
    let mut told: Vec<String> = sockets.iter().flat_map(Socket::frames).collect();
    assert!(told.len() > 30, "too little was said to learn from: {told:?}");
    told.extend([ann.seen(), carl.seen()].concat());
    told.extend(polled);
    drop(sockets);
    server.stop().await;
    told.extend(log::captured().lines().map(str::to_owned));
    for line in told {
        assert!(!ids.iter().any(|id| line.contains(id.as_str())), "{line}");
    }
}

/// D4. By default 128 packets before the upgrade to websocket kill the session with all that is in it. Our queue is
/// longer. Upstream has mended it when this passes without `max_buffer_size`.
#[tokio::test(flavor = "multi_thread")]
async fn d4_many_events_before_the_upgrade_are_not_lost() {
    const COUNT: usize = 600;
    let server = TestServer::start(|_| ()).await;
    let bob = registered(server.address, "bob").await;
    let ann = registered(server.address, "ann").await;
    let mut ann = connected(server.address, &ann).await;
    let polling = Polling::connect(&bob).await.expect("it is let in");
    for i in 0..COUNT {
        ann.emit("privateMessage", &message(&format!("no. {i}"), "bob"));
    }
    ann.fence().await;

    let mut stream = polling.probe(server.address).await;
    stream.send("5").await.expect("the connection stands");
    let received = within("all messages", async {
        let mut received = Vec::new();
        while received.len() < COUNT {
            let frame = stream.next().await.expect("the connection stands");
            received.extend(number(&frame));
        }
        received
    })
    .await;
    assert_eq!(received, (0..COUNT).collect::<Vec<_>>());
    // It is a connection like any other now.
    let mut bob = Socket::over(stream, polling.ids.clone());
    bob.fence().await;
    drop((ann, bob));
    server.stop().await;
}

/// D5. When an answer to a poll reaches `max_payload` and the upgrade comes next, the packet that did not fit any more is
/// lost. Ours is 16 MiB; here 6 MB wait, where the default of 100 kB would be reached. What the poll gets and what the
/// websocket gets must be everything, in order. Upstream has mended it when this passes without `max_payload`.
#[tokio::test(flavor = "multi_thread")]
async fn d5_large_poll_answers_before_the_upgrade_lose_nothing() {
    assert_nothing_is_lost_at_the_upgrade(100, 60_000).await;
}

/// D5, beyond our `max_payload`: the second file does not fit into the answer with the first.
#[tokio::test(flavor = "multi_thread")]
async fn d5_large_files_before_the_upgrade_are_not_lost() {
    assert_nothing_is_lost_at_the_upgrade(3, 9_000_000).await;
}

async fn assert_nothing_is_lost_at_the_upgrade(count: usize, size: usize) {
    let server = TestServer::start(|_| ()).await;
    let bob = registered(server.address, "bob").await;
    let ann = registered(server.address, "ann").await;
    let mut ann = connected(server.address, &ann).await;
    let polling = Polling::connect(&bob).await.expect("it is let in");
    let filling = "x".repeat(size);
    for i in 0..count {
        let mut file = message(&format!("no. {i} {filling}"), "bob");
        file["isFile"] = true.into();
        ann.emit("privateMessage", &file);
    }
    ann.fence().await;

    let polled = polling.poll().await;
    let mut stream = polling.probe(server.address).await;
    stream.send("5").await.expect("the connection stands");
    let mut received: Vec<_> = polled.iter().filter_map(|packet| number(packet)).collect();
    // Answers overtake changes that are held back until there is room for them, so a fence alone would not do.
    within("the last file", async {
        while received.len() < count {
            received.extend(number(&stream.next().await.expect("the connection stands")));
        }
    })
    .await;
    stream.send("420[\"fence\"]").await.expect("the connection stands");
    within("the fence", async {
        loop {
            let frame = stream.next().await.expect("the connection stands");
            if frame.starts_with("430") {
                break;
            }
            received.extend(number(&frame));
        }
    })
    .await;
    assert_eq!(received, (0..count).collect::<Vec<_>>());
    drop((ann, stream));
    server.stop().await;
}

/// D6. After `io.close()` there is no namespace any more, and newcomers are told "Invalid namespace": their clients give
/// up. `on_disconnect` is not called for those that were there, and their sockets are never freed. Here newcomers get
/// 503 and those that were there the end of their transport without a goodbye: all come back by themselves. No session
/// is left ([`MountedServer::stop`] asserts that).
#[tokio::test]
async fn d6_a_server_that_stops_loses_no_client() {
    let server = MountedServer::start(|_| ()).await;
    let ann = registered(server.address, "ann").await;
    let mut socket = connected(server.address, &ann).await;
    let polling = Polling::connect(&ann).await.expect("it is let in");
    let poll = polling.poll_bytes();
    let (polled, ()) = tokio::join!(poll, server.close());
    assert!(!polled.text.contains("41"), "a goodbye keeps clients away: {polled:?}");
    assert_eq!(socket.rest().await, [], "nothing, and above all no goodbye");

    assert_eq!(Polling::connect(&ann).await.err().map(|status| status.as_u16()), Some(503));
    let refused = WebSocket::open(server.address, Opening::default()).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(503));
    assert_eq!(polling.post("42[\"fence\"]").await.status, 503);
    let mut http = Http::new(server.address);
    assert_eq!(http.request(Method::GET, "/readyz", None).await.status, 503);
    assert_eq!(http.request(Method::GET, "/healthz", None).await.status, 200);
    server.stop().await;
}

/// D6, as the binary does it: what was sent before the end is done before the end.
#[tokio::test]
async fn d6_what_is_under_way_is_finished() {
    let mut server = TestServer::start(|_| ()).await;
    let http = registered(server.address, "ann").await;
    let mut ann = connected(server.address, &http).await;
    for i in 0..50 {
        ann.emit("privateMessage", &message(&format!("no. {i}"), "ann"));
    }
    // The first is back, so the others are in the server's hands or in the network's.
    ann.event("privateMessage").await;
    server.begin_stop();
    let rest = ann.rest().await;
    assert!(!rest.contains(&Packet::Disconnect), "a goodbye keeps clients away: {rest:?}");
    let server = server.restart().await;
    let mut ann = connected(server.address, &http).await;
    ann.emit("getMessageHistory", &json!({ "otherUser": "ann" }));
    let history = ann.event("messageHistory").await;
    let stored = history.as_array().expect("it is a list").len();
    // Whatever was shown as sent is stored.
    assert!(stored > rest.len(), "{} were shown, {stored} are stored", rest.len() + 1);
    drop(ann);
    server.stop().await;
}

/// D9. Every event is a task of its own upstream, and such tasks overtake each other. Ours are worked off in order; the
/// server has several threads. Upstream has mended it when this passes with a handler that is an `async fn`.
#[tokio::test(flavor = "multi_thread")]
async fn d9_events_of_one_socket_stay_in_order() {
    const COUNT: usize = 2_000;
    let server = TestServer::start(|_| ()).await;
    let ann = registered(server.address, "ann").await;
    let bob = registered(server.address, "bob").await;
    let (mut ann, mut bob) = (connected(server.address, &ann).await, connected(server.address, &bob).await);
    for i in 0..COUNT {
        ann.emit("privateMessage", &message(&format!("no. {i}"), "bob"));
    }
    for socket in [&mut bob, &mut ann] {
        for i in 0..COUNT {
            assert_eq!(socket.event("privateMessage").await["text"], format!("no. {i}"));
        }
    }
    drop((ann, bob));
    server.stop().await;
}

/// D12, and whatever else can go wrong when a connection ends while it begins: no session is left over, and nobody stays
/// online.
#[tokio::test(flavor = "multi_thread")]
async fn d12_connections_that_end_while_they_begin_leave_nothing() {
    const COUNT: usize = 500;
    let mut server = MountedServer::start(|_| ()).await;
    let ann = registered(server.address, "ann").await;
    let token = ann.token.clone();
    // As many at once as a browser that reloads wildly, and some more.
    for round in 0..COUNT / 20 {
        let mut connecting = tokio::task::JoinSet::new();
        for i in 0..20 {
            let (address, token) = (server.address, token.clone());
            connecting.spawn(async move {
                let mut stream = WebSocket::open(address, Opening::default()).await.expect("it is answered");
                let connect = chat::socket::connect_packet(token.as_deref());
                stream.send(connect).await.expect("the connection stands");
                // Some are gone at once, some say goodbye at once, some after they were let in.
                match (round + i) % 3 {
                    0 => drop(stream),
                    1 => {
                        let _ = stream.send("41").await;
                        stream.close().await;
                    }
                    _ => {
                        while stream.next().await.is_some_and(|frame| !frame.starts_with("40")) {}
                        let _ = stream.send("41").await;
                    }
                }
            });
        }
        connecting.join_all().await;
    }
    server.until_sessions(0).await;
    let user = server.app.chat.find_user(&chat_core::model::UserKey::Username("ann".into())).await;
    let user = user.expect("the store works").expect("she is there");
    until("ann is offline", || !server.app.presence.is_online(user.id)).await;
    let mut socket = connected(server.address, &ann).await;
    socket.fence().await;
    socket.disconnect().await;
    server.until_sessions(0).await;
    server.turned_away = COUNT;
    server.stop().await;
}

/// D14. `axum::serve` leaves Nagle's algorithm on: a small packet waits until the one before it is acknowledged, for which
/// a client that talks to and fro takes 40 ms. So of two messages at short intervals the second came late. Upstream
/// (axum) has mended it when this passes on a [`MountedServer`].
#[tokio::test]
async fn d14_small_packets_leave_at_once() {
    let server = TestServer::start(|_| ()).await;
    let ann = registered(server.address, "ann").await;
    let bob = registered(server.address, "bob").await;
    let (mut ann, mut bob) = (connected(server.address, &ann).await, connected(server.address, &bob).await);
    let mut times = Vec::new();
    for _ in 0..30 {
        // To and fro, so that bob's kernel expects him to answer and keeps its acknowledgements back for that.
        bob.fence().await;
        let started = Instant::now();
        for text in ["one", "two"] {
            let asked = ann.ask("privateMessage", &[message(text, "bob")]);
            ann.answer(asked).await;
            assert_eq!(bob.event("privateMessage").await["text"], text);
        }
        times.push(started.elapsed());
    }
    times.sort();
    // Half of them: one slow moment of this machine is no trap.
    assert!(times[15] < Duration::from_millis(25), "{times:?}");
    drop((ann, bob));
    server.stop().await;
}
