//! Log-ins that end, and tokens under a secret that was changed.

use std::sync::Arc;
use std::time::Duration;

use chat::server::SECRET;
use chat::{Http, MountedServer, Packet, Polling, Socket, TestServer, until, within};
use chat_core::clock::{ManualClock, Timestamp};
use chat_core::prelude::Chat;
use reqwest::Method;
use serde_json::{Value, json};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A server whose clock the test turns.
async fn at_a_standstill() -> (MountedServer, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let chat = Chat::in_memory().with_clock(clock.clone());
    (MountedServer::start_over(chat, |_| ()).await, clock)
}

async fn registered(server: &MountedServer, name: &str) -> Http {
    let mut http = Http::new(server.address);
    http.register(name, "secret1").await;
    http
}

fn is_error(packet: &Packet, code: &str) -> bool {
    matches!(packet, Packet::Event { name, arguments } if name == "error" && arguments[0]["code"] == code)
}

#[tokio::test]
async fn a_silent_websocket_ends_with_its_token() {
    let (server, clock) = at_a_standstill().await;
    let ann = registered(&server, "ann").await;
    let mut early = Socket::connect(server.address, &ann).await.expect("it is let in");
    clock.advance(WEEK - Duration::from_secs(1));
    let bob = registered(&server, "bob").await;
    let mut late = Socket::connect(server.address, &bob).await.expect("it is let in");
    server.until_sessions(2).await;
    late.emit("privateMessage", &json!({ "text": "still here", "receiver": "ann" }));
    assert_eq!(early.event("privateMessage").await["text"], "still here");

    clock.advance(Duration::from_secs(1));
    let rest = early.rest().await;
    assert!(rest.iter().any(|packet| is_error(packet, "expired")), "{rest:?}");
    assert_eq!(rest.last(), Some(&Packet::Disconnect), "its client does not come back by itself");
    server.until_sessions(1).await;
    late.fence().await;
    // What is said now is told to nobody who has no log-in any more.
    late.emit("privateMessage", &json!({ "text": "gone", "receiver": "ann" }));
    assert_eq!(late.event("privateMessage").await["text"], "still here");
    assert_eq!(late.event("privateMessage").await["text"], "gone");

    // The clock may leap.
    clock.advance(50 * WEEK);
    assert!(late.rest().await.contains(&Packet::Disconnect));
    server.until_sessions(0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_silent_poller_ends_with_its_token() {
    let (server, clock) = at_a_standstill().await;
    let ann = registered(&server, "ann").await;
    let polling = Polling::connect(&ann).await.expect("it is let in");
    server.until_sessions(1).await;
    clock.advance(WEEK);
    let mut packets = Vec::new();
    within("the end", async {
        while !packets.iter().any(|packet| packet == "41") {
            packets.extend(polling.poll().await);
        }
    })
    .await;
    assert!(packets.iter().any(|packet| packet.contains(r#""code":"expired""#)), "{packets:?}");
    server.until_sessions(0).await;
    // As clients do, when no namespace is left on it.
    polling.post("1").await;
    server.stop().await;
}

#[tokio::test]
async fn a_token_without_an_expiry_ends_nothing() {
    let (server, clock) = at_a_standstill().await;
    let mut ann = registered(&server, "ann").await;
    let ends = Socket::connect(server.address, &ann).await.expect("it is let in");
    ann.token = Some(signed(&json!({ "username": "ann" }), SECRET));
    let mut stays = Socket::connect(server.address, &ann).await.expect("it is let in");
    server.until_sessions(2).await;
    clock.advance(100 * WEEK);
    server.until_sessions(1).await;
    stays.fence().await;
    drop((ends, stays));
    server.stop().await;
}

/// A token as an old backend makes it.
fn signed(claims: &Value, secret: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("it can be signed")
}

#[tokio::test]
async fn only_tokens_that_log_in_do() {
    let mut server = TestServer::start(|options| options.old_jwt_secret = vec!["short".to_owned()]).await;
    let mut ann = Http::new(server.address);
    let id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    ann.cookie = None;
    let fork =
        json!({ "id": id, "email": "ann@example.com", "name": "Ann", "role": "user", "isAdmin": false });
    for (claims, secret, is_good) in [
        (json!({ "userId": id }), SECRET, true),
        (fork.clone(), SECRET, true),
        (fork, "short", true),
        (json!({ "userId": id }), "no longer, or never, a secret of this server", false),
        (json!({ "userId": id, "type": "refresh" }), SECRET, false),
        (json!({ "id": id, "purpose": "reset" }), "short", false),
        (json!({ "email": "ann@example.com" }), SECRET, false),
    ] {
        ann.token = Some(signed(&claims, secret));
        let answer = ann.request(Method::GET, "/api/auth/check", None).await;
        assert_eq!(answer.status, if is_good { 200 } else { 401 }, "{claims}");
        match Socket::connect(server.address, &ann).await {
            Ok(_) => assert!(is_good, "{claims}"),
            Err(refusal) => {
                assert!(!is_good, "{claims}: {refusal}");
                server.turned_away += 1;
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_stay_logged_in_and_go_on_when_the_secret_changes() {
    let new = "a new secret for tests only, with more than 32 characters";
    let mut server = TestServer::start(|_| ()).await;
    let mut ann = Http::new(server.address);
    ann.sign_up("Ann", "ann@example.com", "secret1").await;
    for old in [vec![SECRET.to_owned()], Vec::new()] {
        let is_good = !old.is_empty();
        server = server
            .restart_with(|options| {
                options.jwt_secret = Some(new.to_owned());
                options.old_jwt_secret = old;
            })
            .await;
        let answer = ann.request(Method::GET, "/api/auth/check", None).await;
        assert_eq!(answer.status, if is_good { 200 } else { 401 });
        if is_good {
            let socket = Socket::connect(server.address, &ann).await.expect("it is let in");
            socket.disconnect().await;
        } else {
            assert!(Socket::connect(server.address, &ann).await.is_err());
            server.turned_away += 1;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn answers_for_anybody_are_without_cookies() {
    let mut server = TestServer::start(|options| options.client_url = vec!["*".to_owned()]).await;
    let mut ann = Http::new(server.address);
    ann.sign_up("Ann", "ann@example.com", "secret1").await;
    let cookie = format!("jwt={}", ann.cookie.clone().expect("she is logged in"));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client needs nothing");
    let ask = async |path: &str, origin: &str, cookie: &[u8]| {
        let request = client.get(format!("http://{}{path}", server.address)).header("origin", origin);
        let request =
            request.header("cookie", reqwest::header::HeaderValue::from_bytes(cookie).expect("bytes"));
        within("an answer", request.send()).await.expect("it is answered")
    };
    let own = format!("http://{}", server.address);
    for origin in ["https://evil.example", "null", "http://localhost:5173"] {
        for path in ["/api/auth/check", "/socket.io/?EIO=4&transport=polling"] {
            let answer = ask(path, origin, cookie.as_bytes()).await;
            let headers = answer.headers();
            assert_eq!(
                headers.get("access-control-allow-origin").map(|value| value.as_bytes()),
                Some(&b"*"[..])
            );
            assert_eq!(headers.get("access-control-allow-credentials"), None, "{path} {origin}");
            match path {
                "/api/auth/check" => {
                    assert_eq!(answer.status(), 401, "{origin}: its visitor's cookie does not count");
                }
                _ => {
                    let open = within("the open packet", answer.text()).await.expect("it is all there");
                    let open: Value = serde_json::from_str(&open[1..]).expect("it is JSON");
                    let sid = open["sid"].as_str().expect("it has an id");
                    let end = client.post(format!("http://{}{path}&sid={sid}", server.address)).body("1");
                    within("the end", end.send()).await.expect("it is answered");
                    server.turned_away += 1;
                }
            }
        }
    }
    assert_eq!(ask("/api/auth/check", &own, cookie.as_bytes()).await.status(), 200, "the server's own page");
    // Other cookies may hold any bytes.
    let with_others = [b"name=J\xf6rg; ", cookie.as_bytes(), b"; x=\xff"].concat();
    assert_eq!(ask("/api/auth/check", &own, &with_others).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn connections_that_have_ended_are_not_waited_for() {
    let (server, _) = at_a_standstill().await;
    let mut ann = registered(&server, "ann").await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(Socket::connect(server.address, &ann).await.expect("it is let in"));
    }
    let issued = ann.token.replace(signed(&json!({ "username": "ann" }), SECRET));
    sockets.push(Socket::connect(server.address, &ann).await.expect("it is let in"));
    ann.token = issued;
    let polling = Polling::connect(&ann).await.expect("it is let in");
    server.until_sessions(7).await;
    assert_eq!(server.app.expiring(), 6, "one token does not expire");
    for socket in sockets {
        socket.disconnect().await;
    }
    polling.post("41\u{1e}1").await;
    until("nobody is waited for", || server.app.expiring() == 0).await;
    server.until_sessions(0).await;
    server.stop().await;
}
