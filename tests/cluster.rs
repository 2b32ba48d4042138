//! Several nodes over one store, in one process, with a bus that loses, doubles, delays and reorders what it carries.

#[path = "cluster/log.rs"]
mod log;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use chat::socket::Ids;
use chat::websocket::Opening;
use chat::{Faults, Http, MountedServer, Network, Packet, Socket, WebSocket, until, within};
use chat_core::command::{Destination, SendMessage};
use chat_core::model::{Content, UserKey};
use chat_core::prelude::Chat;
use chat_core::store::{ChangeLog, MemoryStore};
use chat_server::cluster::{Bus, NoBus};
use futures_util::future::join_all;
use serde_json::{Value, json};

struct Nodes {
    a: MountedServer,
    b: MountedServer,
}

impl Nodes {
    async fn start(bus: impl Fn() -> Arc<dyn Bus>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let a = MountedServer::start_among(store.clone(), bus(), |_| {}).await;
        let b = MountedServer::start_among(store, bus(), |_| {}).await;
        Self { a, b }
    }

    async fn stop(self) {
        self.a.stop().await;
        self.b.stop().await;
    }
}

async fn connected(address: SocketAddr, http: &Http) -> Socket {
    Socket::connect(address, http).await.expect("it is let in")
}

/// The same person at another node.
fn elsewhere(address: SocketAddr, http: &Http) -> Http {
    let mut other = Http::new(address);
    (other.token, other.cookie) = (http.token.clone(), http.cookie.clone());
    other
}

/// Waits for a list of who is online that holds these and nobody else.
async fn until_online(socket: &mut Socket, wanted: &[&String]) {
    let mut wanted: Vec<_> = wanted.iter().map(|id| id.as_str()).collect();
    wanted.sort_unstable();
    loop {
        let online = socket.event("getOnlineUsers").await;
        let mut online: Vec<_> =
            online.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        online.sort_unstable();
        if online == wanted {
            return;
        }
    }
}

const MESSAGES: usize = 150;

/// Two people with a page at each node say a lot at the same time, on all four pages.
async fn everybody_sees_everything_once_in_one_order(bus: impl Fn() -> Arc<dyn Bus>) {
    let nodes = Nodes::start(bus).await;
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    ann.register("ann", "secret1").await;
    bob.register("bob", "secret1").await;
    let mut pages = Vec::new();
    for (person, to) in [(&ann, "bob"), (&bob, "ann")] {
        for node in [&nodes.a, &nodes.b] {
            pages.push((connected(node.address, person).await, to));
        }
    }
    let all = pages.len() * MESSAGES;
    let seen = join_all(pages.iter_mut().enumerate().map(async |(page, (socket, to))| {
        for n in 0..MESSAGES {
            socket.emit("privateMessage", &json!({ "text": format!("{page} {n}"), "receiver": to }));
        }
        let mut seen = Vec::new();
        while seen.len() < all {
            if let Packet::Event { name, arguments } = socket.next().await
                && name == "privateMessage"
            {
                assert_eq!(arguments.len(), 1);
                seen.push(arguments[0]["text"].clone());
            }
        }
        // The position of the last one has come before the answers.
        socket.fence().await;
        let positions = socket.positions();
        assert_eq!(positions.len(), all, "every change has its position");
        positions.into_iter().zip(seen).collect::<Vec<_>>()
    }))
    .await;
    for (page, seen) in seen.iter().enumerate() {
        assert!(
            seen.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "page {page}: in order, nothing twice: {seen:?}"
        );
        assert_eq!(seen.len(), all);
    }
    for other in &seen[1..] {
        assert_eq!(&seen[0], other, "all pages see one order");
    }
    // Whatever came more often than once would have come by now.
    for (socket, _) in &mut pages {
        socket.fence().await;
        let more = socket.drain();
        let more = more
            .iter()
            .filter(|packet| matches!(packet, Packet::Event { name, .. } if name == "privateMessage"));
        assert_eq!(more.count(), 0);
    }
    drop(pages);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_delivered_once_in_one_order() {
    let network = Network::new(Faults::NONE, 0);
    everybody_sees_everything_once_in_one_order(|| network.bus()).await;
    let published = network.published.load(Ordering::Relaxed);
    assert!(
        published < 4 * MESSAGES as u64,
        "bells are rung together, not one for each message: {published}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn also_when_notices_are_lost_doubled_and_late() {
    for seed in 0..3 {
        let faults = Faults { lost: 40, doubled: 20, delay: Duration::from_millis(30) };
        let network = Network::new(faults, seed);
        everybody_sees_everything_once_in_one_order(|| network.bus()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn also_when_no_notice_arrives_ever() {
    let network = Network::new(Faults { lost: 100, ..Faults::NONE }, 0);
    everybody_sees_everything_once_in_one_order(|| network.bus()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_without_a_bus() {
    everybody_sees_everything_once_in_one_order(|| Arc::new(NoBus)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_and_who_is_new_is_told_on_other_nodes() {
    let network = Network::new(Faults::NONE, 0);
    let nodes = Nodes::start(|| network.bus()).await;
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let (anns, mut bobs) = (connected(nodes.a.address, &ann).await, connected(nodes.b.address, &bob).await);
    for (event, told, typing) in [("typing", "userTyping", true), ("stopTyping", "userStoppedTyping", false)]
    {
        anns.emit(event, &json!({ "to": bob_id }));
        assert_typing(&bobs.event(told).await, &ann_id, typing);
    }
    let carl_id = Http::new(nodes.a.address).sign_up("Carl", "carl@example.com", "secret1").await;
    assert_eq!(bobs.event("userJoined").await["_id"], Value::from(carl_id));
    drop((anns, bobs));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_online_anywhere_is_online_everywhere() {
    let network = Network::new(Faults::NONE, 0);
    let nodes = Nodes::start(|| network.bus()).await;
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let mut anns = connected(nodes.a.address, &ann).await;
    until_online(&mut anns, &[&ann_id]).await;
    // Two tabs there and one here.
    let there = [connected(nodes.b.address, &bob).await, connected(nodes.b.address, &bob).await];
    let here = connected(nodes.a.address, &bob).await;
    until_online(&mut anns, &[&ann_id, &bob_id]).await;
    until("Bob is known there and here", || {
        nodes.a.app.sessions.len() == 2 && nodes.b.app.sessions.len() == 2
    })
    .await;
    for socket in there {
        socket.disconnect().await;
    }
    nodes.b.until_sessions(0).await;
    assert!(nodes.a.app.presence.is_online(bob_id.parse().expect("an id")), "he is still here");
    here.disconnect().await;
    until_online(&mut anns, &[&ann_id]).await;

    // What was missed while nobody was heard is asked for.
    network.cut().await;
    let bobs = connected(nodes.b.address, &bob).await;
    nodes.b.until_sessions(1).await;
    network.mend().await;
    until_online(&mut anns, &[&ann_id, &bob_id]).await;
    network.cut().await;
    bobs.disconnect().await;
    nodes.b.until_sessions(0).await;
    network.mend().await;
    until_online(&mut anns, &[&ann_id]).await;
    let answer = elsewhere(nodes.a.address, &ann).request(Method::GET, "/api/messages/users", None).await;
    let listed = answer.json();
    assert_eq!(listed[0]["online"], false, "{listed}");
    drop(anns);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_takes_its_people_along() {
    let network = Network::new(Faults::NONE, 0);
    let nodes = Nodes::start(|| network.bus()).await;
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let mut anns = connected(nodes.a.address, &ann).await;
    let bobs = connected(nodes.b.address, &bob).await;
    until_online(&mut anns, &[&ann_id, &bob_id]).await;
    nodes.b.stop().await;
    drop(bobs);
    until_online(&mut anns, &[&ann_id]).await;
    drop(anns);
    nodes.a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_void_everywhere_at_once() {
    let network = Network::new(Faults::NONE, 0);
    let mut nodes = Nodes::start(|| network.bus()).await;
    let mut ann = Http::new(nodes.a.address);
    ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let mut there = elsewhere(nodes.b.address, &ann);
    let mut page = connected(nodes.b.address, &there).await;
    assert_eq!(ann.request(Method::POST, "/api/auth/logout", None).await.status, 200);
    assert!(page.rest().await.contains(&Packet::Disconnect), "its client must not come back by itself");
    assert_eq!(there.request(Method::GET, "/api/auth/check", None).await.status, 401);
    assert!(Socket::connect(nodes.b.address, &there).await.is_err());

    // Also when nobody could be told.
    network.cut().await;
    let mut bob = Http::new(nodes.a.address);
    bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let mut there = elsewhere(nodes.b.address, &bob);
    let mut page = connected(nodes.b.address, &there).await;
    assert_eq!(bob.request(Method::POST, "/api/auth/logout", None).await.status, 200);
    assert_eq!(there.request(Method::GET, "/api/auth/check", None).await.status, 200, "it cannot know yet");
    network.mend().await;
    assert!(page.rest().await.contains(&Packet::Disconnect));
    assert_eq!(there.request(Method::GET, "/api/auth/check", None).await.status, 401);
    nodes.b.turned_away += 3;
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_begins_while_its_token_is_revoked_elsewhere_ends() {
    let network = Network::new(Faults::NONE, 0);
    let mut nodes = Nodes::start(|| network.bus()).await;
    for n in 0..10 {
        let mut ann = Http::new(nodes.a.address);
        ann.sign_up("Ann", &format!("ann{n}@example.com"), "secret1").await;
        let there = elsewhere(nodes.b.address, &ann);
        let log_out = ann.request(Method::POST, "/api/auth/logout", None);
        let (answer, page) = tokio::join!(log_out, Socket::connect(nodes.b.address, &there));
        assert_eq!(answer.status, 200);
        match page {
            Ok(mut page) => assert!(page.rest().await.contains(&Packet::Disconnect), "round {n}"),
            Err(_) => nodes.b.turned_away += 1,
        }
    }
    nodes.stop().await;
}

/// Two people, one at each node, and what the one hears.
async fn ann_and_bob(nodes: &Nodes) -> (Socket, Socket, String, String) {
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    let (anns, bobs) = (connected(nodes.a.address, &ann).await, connected(nodes.b.address, &bob).await);
    (anns, bobs, ann_id, bob_id)
}

fn assert_typing(told: &Value, user: &str, typing: bool) {
    assert_eq!((&told["userId"], &told["typing"]), (&json!(user), &json!(typing)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_or_repeated_does_nothing() {
    let network = Network::new(Faults::NONE, 0);
    let nodes = Nodes::start(|| network.bus()).await;
    let (anns, mut bobs, ann_id, bob_id) = ann_and_bob(&nodes).await;
    anns.emit("typing", &json!({ "to": bob_id }));
    assert_typing(&bobs.event("userTyping").await, &ann_id, true);
    anns.emit("stopTyping", &json!({ "to": bob_id }));
    assert_typing(&bobs.event("userStoppedTyping").await, &ann_id, false);
    let stranger = "ffffffffffffffffffffffff".to_owned();
    until_online(&mut bobs, &[&ann_id, &bob_id]).await;

    // Everything again, as it was.
    let recorded = network.recorded();
    for notice in &recorded {
        network.forge(notice.clone()).await;
    }
    for notice in recorded {
        // Under somebody else's name, with somebody else's words, and without a seal.
        let text = String::from_utf8(notice.to_vec()).expect("notices are texts");
        let (seal, content) = text.split_at(text.find('{').expect("it has a content"));
        let content: Value = serde_json::from_str(content).expect("it is JSON");
        for (field, value) in [
            ("from", json!("0102030405060708")),
            ("number", json!(1_000_000)),
            ("at", json!(content["at"].as_i64().expect("a time") + 1)),
            ("notices", json!([{ "changed": { "number": 1, "came": stranger, "went": "" } }])),
            ("notices", json!([{ "everybody": { "number": 1_000, "people": "" } }])),
            ("notices", json!(["bye"])),
        ] {
            let mut forged = content.clone();
            forged[field] = value;
            network.forge(format!("{seal}{forged}")).await;
            network.forge(forged.to_string()).await;
            network.forge(format!("2.{}.{forged}", "0".repeat(64))).await;
        }
    }
    // Notices are heard in order: whatever comes of those has come before this.
    let carl_id = Http::new(nodes.a.address).sign_up("Carl", "carl@example.com", "secret1").await;
    assert_eq!(bobs.event("userJoined").await["_id"], Value::from(carl_id));
    bobs.fence().await;
    for packet in bobs.drain() {
        let Packet::Event { name, arguments } = packet else { panic!("{packet:?}") };
        assert_ne!(name, "userTyping", "{arguments:?}");
        assert_ne!(arguments[0][0], stranger, "{name}");
    }
    assert!(nodes.b.app.presence.is_online(ann_id.parse().expect("an id")));
    assert!(!nodes.b.app.presence.is_online(stranger.parse().expect("an id")));
    drop((anns, bobs));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_each_other_while_the_secret_changes() {
    let network = Network::new(Faults::NONE, 0);
    let store = Arc::new(MemoryStore::new());
    let secrets =
        ["the first secret, of more than 32 characters", "the second secret, of more than 32 characters"];
    let start = async |secret: usize| {
        let configure = |options: &mut chat_server::config::Options| {
            options.jwt_secret = Some(secrets[secret].to_owned());
            options.old_jwt_secret = vec![secrets[1 - secret].to_owned()];
        };
        MountedServer::start_among(store.clone(), network.bus(), configure).await
    };
    let nodes = Nodes { a: start(0).await, b: start(1).await };
    let (mut anns, mut bobs, ann_id, bob_id) = ann_and_bob(&nodes).await;
    anns.emit("typing", &json!({ "to": bob_id }));
    assert_eq!(bobs.event("userTyping").await["userId"], Value::from(ann_id.as_str()));
    bobs.emit("typing", &json!({ "to": ann_id }));
    assert_eq!(anns.event("userTyping").await["userId"], Value::from(bob_id.as_str()));
    drop((anns, bobs));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_notices_do_no_harm() {
    let network = Network::new(Faults::NONE, 0);
    let nodes = Nodes::start(|| network.bus()).await;
    let (mut ann, mut bob) = (Http::new(nodes.a.address), Http::new(nodes.b.address));
    ann.register("ann", "secret1").await;
    bob.register("bob", "secret1").await;
    let mut anns = connected(nodes.a.address, &ann).await;
    let bobs = connected(nodes.b.address, &bob).await;
    for strange in [
        "",
        "[",
        r#"{"v":1,"from":"0102030405060708","notices":[{"bell":18446744073709551615}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"bell":1000000}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"typing":{"conversation":"x","user":"y","typing":true}}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"registered":{"user":"000000000000000000000000"}}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"everybody":{"number":1,"people":"zz"}}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"sent":{"by":[["000000000000000000000000",4294967295]]}}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":[{"revoked":{"token":"00","until":1}}]}"#,
        r#"{"v":1,"from":"0102030405060708","notices":["bye","hello",{"ask":{"node":"0102030405060708"}}]}"#,
    ] {
        network.forge(strange).await;
    }
    for n in 0..10 {
        bobs.emit("privateMessage", &json!({ "text": format!("{n}"), "receiver": "ann" }));
        assert_eq!(anns.event("privateMessage").await["text"], format!("{n}"));
    }
    drop((anns, bobs));
    nodes.stop().await;
}
