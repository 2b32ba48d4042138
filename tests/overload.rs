//! Clients that stop reading, send too much, or come all at once: traps of socketioxide 0.18, and promises of ours. What
//! is said in `traps.rs` goes for this file too.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chat::socket::greet;
use chat::websocket::Opening;
use chat::{Http, MountedServer, Packet, Polling, Socket, TestServer, WebSocket, until, within};
use chat_server::config::Options;
use reqwest::Method;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

async fn registered(address: SocketAddr, name: &str) -> Http {
    let mut http = Http::new(address);
    http.register(name, "secret1").await;
    http
}

async fn connected(address: SocketAddr, http: &Http) -> Socket {
    Socket::connect(address, http).await.expect("it is let in")
}

/// A connection that reads only when it is asked to, and whose kernel keeps little for it.
async fn lazy(address: SocketAddr, http: &Http) -> WebSocket {
    let opening =
        Opening { cookie: http.cookie.as_deref(), receive_buffer: Some(4096), ..Opening::default() };
    let mut stream = WebSocket::open(address, opening).await.expect("the upgrade is answered");
    greet(&mut stream, http.token.as_deref()).await.expect("it is let in");
    stream
}

fn message(text: &str, receiver: &str) -> Value {
    json!({ "text": text, "receiver": receiver })
}

/// Waits for a list of who is online that holds these and nobody else.
async fn until_online(socket: &mut Socket, wanted: &[&String]) {
    let mut wanted: Vec<_> = wanted.iter().map(|id| Value::from(id.as_str())).collect();
    wanted.sort_by_key(Value::to_string);
    loop {
        let mut online = socket.event("getOnlineUsers").await;
        online.as_array_mut().expect("it is a list").sort_by_key(Value::to_string);
        if online.as_array() == Some(&wanted) {
            return;
        }
    }
}

/// D1. A client that stops reading is never noticed upstream: its heartbeats fail silently, it stays in all rooms and
/// online for ever, and `io.close()` hangs on it. Our stream fails when its peer takes nothing for too long, and all
/// above it ends. Upstream has mended it when this passes with a bare `TcpStream`.
#[tokio::test(flavor = "multi_thread")]
async fn d1_who_stops_reading_is_reaped() {
    let server = MountedServer::start(|options| options.stall_timeout = 300).await;
    let (mut ann, mut bob) = (Http::new(server.address), Http::new(server.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let mut observer = connected(server.address, &ann).await;
    let mut stalled = lazy(server.address, &bob).await;
    until_online(&mut observer, &[&ann_id, &bob_id]).await;
    server.until_sessions(2).await;

    // Far more than the kernels of both sides keep, and far fewer packets than our queue holds.
    let text = "x".repeat(60_000);
    for _ in 0..300 {
        ann.send(&bob_id, &text).await;
        if server.app.sessions.len() == 1 {
            break;
        }
    }
    server.until_sessions(1).await;
    until_online(&mut observer, &[&ann_id]).await;
    within("the end of the stream", async { while stalled.next().await.is_some() {} }).await;
    drop(observer);
    server.stop().await;
}

/// D1, at the end: neither a client that has stopped reading nor what waits for it holds up the shutdown.
#[tokio::test(flavor = "multi_thread")]
async fn d1_who_stops_reading_does_not_hold_up_the_end() {
    let server = TestServer::start(|options| options.stall_timeout = 60_000).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut ann = connected(server.address, &ann).await;
    let stalled = lazy(server.address, &bob).await;
    let text = "x".repeat(60_000);
    for _ in 0..200 {
        ann.emit("privateMessage", &message(&text, "bob"));
    }
    ann.fence().await;
    server.stop().await;
    drop(stalled);
}

/// D13. `max_payload` does not limit messages on websocket: 64 MiB are taken. Ours may have 16 MiB. Who sends more loses
/// that connection, and nobody loses anything else. Upstream has mended it when this passes without
/// `ws_max_message_size`.
#[tokio::test(flavor = "multi_thread")]
async fn d13_a_message_that_is_too_large_closes_its_connection_alone() {
    let server = MountedServer::start(|_| ()).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut other = connected(server.address, &ann).await;
    let mut bob = connected(server.address, &bob).await;
    let mut large = lazy(server.address, &ann).await;
    server.until_sessions(3).await;
    let frame = format!("42{}", json!(["privateMessage", message(&"x".repeat(17 * MIB), "bob")]));
    // The server may end the connection while this is still on its way.
    let _ = within("sending", large.send(frame)).await;
    within("the end of the connection", async { while large.next().await.is_some() {} }).await;
    server.until_sessions(2).await;
    for socket in [&mut other, &mut bob] {
        socket.fence().await;
        assert_eq!(socket.drain().into_iter().find(|packet| !is_roster(packet)), None);
    }
    drop((other, bob));
    server.stop().await;
}

/// D13, on long polling, with and without a length that is told beforehand.
#[tokio::test(flavor = "multi_thread")]
async fn d13_a_post_that_is_too_large_is_refused() {
    let server = MountedServer::start(|_| ()).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut other = connected(server.address, &ann).await;
    let mut bob = connected(server.address, &bob).await;
    for is_told in [true, false] {
        let polling = Polling::connect(&ann).await.expect("it is let in");
        let frame = format!("42{}", json!(["privateMessage", message(&"x".repeat(17 * MIB), "bob")]));
        let body = match is_told {
            true => reqwest::Body::from(frame),
            false => chunked(frame),
        };
        let status = polling.try_post(body).await;
        assert!(status.is_none_or(|status| status == 413 || status == 400), "{status:?}");
        for socket in [&mut other, &mut bob] {
            socket.fence().await;
            assert_eq!(socket.drain().into_iter().find(|packet| !is_roster(packet)), None);
        }
    }
    drop((other, bob));
    server.stop().await;
}

fn chunked(text: String) -> reqwest::Body {
    let bytes = text.into_bytes();
    let chunks: Vec<_> = bytes.chunks(MIB).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
}

fn is_roster(packet: &Packet) -> bool {
    matches!(packet, Packet::Event { name, .. } if name == "getOnlineUsers")
}

/// When the queue of a connection is full, a packet cannot be queued, and upstream goes on with the next. Ours is held
/// back, so that little waits for its client, and is told everything from the log as soon as its client reads on.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_told_everything_in_the_end() {
    const COUNT: usize = 2_500;
    // Neither the deadline for writes nor a heartbeat must be what ends it.
    let patient = |options: &mut Options| {
        (options.stall_timeout, options.ping_timeout) = (300_000, 300_000);
    };
    let server = MountedServer::start(patient).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut ann = connected(server.address, &ann).await;
    let mut slow = lazy(server.address, &bob).await;
    server.until_sessions(2).await;

    // 50 MB: more than the kernels keep and than we let wait.
    let filling = "x".repeat(20_000);
    let mut seen = 0;
    let mut read_on = async |slow: &mut WebSocket, to: usize| {
        while seen < to {
            let frame = within("the next message", slow.next()).await.expect("the connection lives on");
            let Some((_, rest)) = frame.split_once("\"text\":\"no. ") else { continue };
            let number: usize =
                rest.split(' ').next().and_then(|it| it.parse().ok()).expect("they are numbered");
            assert_eq!(number, seen, "what comes next");
            seen += 1;
        }
    };
    for i in 0..COUNT {
        ann.emit("privateMessage", &message(&format!("no. {i} {filling}"), "bob"));
        // Ann must read too: it is not her connection that is to lag.
        ann.event("privateMessage").await;
        if i == COUNT / 2 {
            // It lags, catches up a little, and lags again.
            read_on(&mut slow, COUNT / 4).await;
        }
    }
    read_on(&mut slow, COUNT).await;
    // And then it is live again.
    ann.emit("privateMessage", &message(&format!("no. {COUNT} {filling}"), "bob"));
    read_on(&mut slow, COUNT + 1).await;
    server.until_sessions(2).await;
    drop((ann, slow));
    server.stop().await;
}

/// The same on long polling.
#[tokio::test(flavor = "multi_thread")]
async fn who_polls_too_slowly_is_told_everything_in_the_end() {
    const COUNT: usize = 1_100;
    let server = MountedServer::start(|_| ()).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut ann = connected(server.address, &ann).await;
    let polling = Polling::connect(&bob).await.expect("it is let in");
    // More packets than our queue holds.
    for i in 0..COUNT {
        ann.emit("privateMessage", &message(&format!("no. {i}"), "bob"));
        ann.event("privateMessage").await;
    }
    let polls = async {
        let mut told = 0;
        while told < COUNT {
            let answer = polling.poll_bytes().await;
            assert_eq!(answer.status, 200, "the session lives on");
            let packets = answer.text.split('\u{1e}');
            for (_, rest) in packets.filter_map(|packet| packet.split_once("\"text\":\"no. ")) {
                assert!(rest.starts_with(&format!("{told}\"")), "message {told} is next");
                told += 1;
            }
        }
    };
    within("the last message", polls).await;
    server.until_sessions(2).await;
    drop(ann);
    server.stop().await;
}

/// What waits for one person is bounded over all their connections, also when none of them reads: nothing more is read for
/// them then. Nobody is cut for it, and whoever reads on gets all that they asked for.
#[tokio::test(flavor = "multi_thread")]
async fn answers_nobody_reads_are_bounded_over_all_connections_of_a_person() {
    const CONNECTIONS: usize = 16;
    const ASKED: usize = 3;
    const MAX: usize = 32 * MIB;
    let patient = |options: &mut Options| {
        (options.stall_timeout, options.ping_timeout) = (300_000, 300_000);
        options.read_budget = 0;
    };
    let server = MountedServer::start(patient).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut ann = connected(server.address, &ann).await;
    for _ in 0..3 {
        let mut file = message(&"x".repeat(1_300_000), "bob");
        file["isFile"] = true.into();
        ann.emit("privateMessage", &file);
        ann.event("privateMessage").await;
    }
    let mut lazy_ones = Vec::new();
    for _ in 0..CONNECTIONS {
        lazy_ones.push(lazy(server.address, &bob).await);
    }
    server.until_sessions(1 + CONNECTIONS).await;
    let ask = format!("42{}", json!(["getMessageHistory", { "otherUser": "ann" }]));
    for stream in &mut lazy_ones {
        for _ in 0..ASKED {
            stream.send(ask.clone()).await.expect("the connection stands");
        }
    }
    let user = chat_core::model::UserKey::Username("bob".into());
    let bob = server.app.chat.find_user(&user).await.expect("the store works").expect("he is there").id;
    let unsent = || server.app.sessions.unsent_to(bob);
    until("much waits for him", || unsent() > MAX).await;
    // Two more answers may have been under way.
    for _ in 0..20 {
        assert!(unsent() <= MAX + 3 * 4 * MIB, "{} bytes wait", unsent());
        ann.emit("getMessageHistory", &json!({ "otherUser": "bob", "limit": 1 }));
        ann.event("messageHistory").await;
    }
    let reading = lazy_ones.iter_mut().map(|stream| async {
        let mut answers = 0;
        while answers < ASKED {
            let frame = within("the next answer", stream.next()).await.expect("the connection lives on");
            answers += usize::from(frame.contains("\"messageHistory\""));
        }
    });
    futures_util::future::join_all(reading).await;
    server.until_sessions(1 + CONNECTIONS).await;
    drop((ann, lazy_ones));
    server.stop().await;
}

/// A websocket that says it will take over, and then says nothing, carries nothing; waiting for it to take what waits must
/// not keep the server from everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_stops_in_the_middle_of_the_upgrade_holds_nobody_up() {
    let server = MountedServer::start(|_| ()).await;
    let (ann, bob) = (registered(server.address, "ann").await, registered(server.address, "bob").await);
    let mut socket = connected(server.address, &ann).await;
    let polling = Polling::connect(&bob).await.expect("it is let in");
    let mut silent = polling.probe(server.address).await;
    server.until_sessions(2).await;
    let filling = "x".repeat(50_000);
    for i in 0..30 {
        socket.emit("privateMessage", &message(&format!("{i} {filling}"), "bob"));
        within("the echo", socket.event("privateMessage")).await;
    }
    let mut http = Http::new(server.address);
    let health = within("an answer", http.request(Method::GET, "/healthz", None)).await;
    assert_eq!(health.status, 200);
    silent.close().await;
    drop((socket, silent));
    server.stop().await;
}

/// The original backends send the whole list of who is online to everybody at every connect: 40,000 lists when 200
/// connect. Ours are sent at most every 100 ms, and everybody ends with the complete one.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_who_is_online_are_few_when_many_come() {
    const COUNT: usize = 200;
    let server = MountedServer::start(|options| options.signup_limit = 0).await;
    let mut people = Vec::new();
    for i in 0..COUNT {
        let mut http = Http::new(server.address);
        let id = http.sign_up("Somebody", &format!("p{i}@example.com"), "secret1").await;
        people.push((http, id));
    }
    let ids: Vec<_> = people.iter().map(|(_, id)| id).collect();

    let started = Instant::now();
    let address = server.address;
    let mut sockets =
        futures_util::future::join_all(people.iter().map(|(http, _)| connected(address, http))).await;
    for socket in &mut sockets {
        until_online(socket, &ids).await;
    }
    let elapsed = started.elapsed();
    let most = elapsed.div_duration_f64(Duration::from_millis(100)) as usize + 2;
    for socket in &mut sockets {
        socket.fence().await;
        let lists = socket.frames().iter().filter(|frame| frame.contains("\"getOnlineUsers\"")).count();
        assert!(lists <= most, "{lists} lists in {elapsed:?}");
        // A connection's own first list may come behind a newer one; then another complete one follows.
        let mut is_complete = true;
        for packet in socket.drain() {
            let Packet::Event { arguments, .. } = packet else { panic!("{packet:?}") };
            is_complete = arguments[0].as_array().map(Vec::len) == Some(COUNT);
        }
        if !is_complete {
            until_online(socket, &ids).await;
        }
    }

    // All but one go at once, and that one learns of it.
    let mut last = sockets.swap_remove(0);
    drop(sockets);
    until_online(&mut last, &[ids[0]]).await;
    until("one session is left", || server.app.sessions.len() == 1).await;
    drop(last);
    server.stop().await;
}

/// Several addresses open sessions without end and log in to none: they push out each other, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn newcomers_get_in_while_several_addresses_take_every_place() {
    const PLACES: usize = 1_000;
    const NEWCOMERS: usize = 20;
    let mut server = MountedServer::start(|options| options.memory_limit = Some("64M".to_owned())).await;
    let ann = registered(server.address, "ann").await;
    let url = format!("http://{}/socket.io/?EIO=4&transport=polling", server.address);
    let opened = async |address: [u8; 4], tries: usize| {
        let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(address)).build();
        let client = client.expect("it can be made");
        let mut opened = 0;
        for _ in 0..tries {
            let answer = within("an answer", client.get(&url).send()).await.expect("it is answered");
            opened += usize::from(answer.status() == 200);
            answer.bytes().await.expect("it has a body");
        }
        opened
    };
    let mut flooded = 0;
    for address in 1..=4 {
        flooded += opened([127, 7, 0, address], PLACES / 4 + 1).await;
    }
    // Some of the first may have timed out by now, on a machine that is very busy.
    assert!(flooded >= PLACES - 4, "{flooded}");
    let late = opened([127, 7, 0, 5], 50).await;
    assert!((1..50).contains(&late), "{late}: one more of them has its few as well");
    for _ in 0..NEWCOMERS {
        let mut newcomer = connected(server.address, &ann).await;
        newcomer.fence().await;
        newcomer.disconnect().await;
    }
    server.until_sessions(0).await;
    // Each of those that are still open has a heartbeat, too.
    server.turned_away = 3 * PLACES;
    server.stop().await;
}
