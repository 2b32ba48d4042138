//! Login sessions of `native` over time and over several nodes.

use std::sync::Arc;
use std::time::Duration;

use chat::{Faults, Http, MountedServer, Network, Packet, Socket};
use chat_core::clock::{ManualClock, Timestamp};
use chat_core::command::{Actor, ListSessions};
use chat_core::model::UserKey;
use chat_core::prelude::Chat;
use chat_core::store::MemoryStore;
use chat_server::config::Options;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn native(options: &mut Options) {
    options.dialects = vec!["native".to_owned()];
}

async fn post(http: &mut Http, path: &str, form: &Value) -> (u16, Value) {
    let answer = http.request(Method::POST, path, Some(form)).await;
    (answer.status.as_u16(), answer.json())
}

/// A new account; the client holds its access token, and its refresh token is returned.
async fn registered(http: &mut Http, name: &str) -> String {
    let form = json!({ "username": name, "password": "river-42" });
    let (status, answer) = post(http, "/api/v1/auth/register", &form).await;
    assert_eq!(status, 201, "{answer}");
    took(http, &answer)
}

/// Keeps the tokens of an answer.
fn took(http: &mut Http, answer: &Value) -> String {
    http.token = answer["token"].as_str().map(str::to_owned);
    answer["refreshToken"].as_str().expect("there is one").to_owned()
}

async fn refreshed(http: &mut Http, token: &str) -> Result<String, u16> {
    match post(http, "/api/v1/auth/refresh", &json!({ "refreshToken": token })).await {
        (200, answer) => Ok(took(http, &answer)),
        (status, _) => Err(status),
    }
}

async fn ask(socket: &mut Socket, event: &str, argument: Value) -> Value {
    let asked = socket.ask(event, &[argument]);
    socket.answer(asked).await
}

fn is_error(packet: &Packet, code: &str) -> bool {
    matches!(packet, Packet::Event { name, arguments } if name == "error" && arguments[0]["code"] == code)
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_it_is_renewed() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let chat = Chat::in_memory().with_clock(clock.clone());
    let server = MountedServer::start_over(chat, native).await;
    let mut ann = Http::new(server.address);
    let mut refresh = registered(&mut ann, "ann").await;
    let mut socket = Socket::connect(server.address, &ann).await.expect("it is let in");
    let mut silent = Socket::connect(server.address, &ann).await.expect("it is let in");
    server.until_sessions(2).await;
    for n in 1..=3 {
        clock.advance(14 * MINUTE);
        refresh = refreshed(&mut ann, &refresh).await.expect("it is good");
        let renewed = ask(&mut socket, "session.renew", json!({ "token": ann.token })).await;
        let until = 1_700_000_000_000_i64 + 1_000 * 60 * (14 * n + 15);
        assert_eq!(renewed, json!({ "ok": true, "success": true, "expiresAt": until }));
    }
    let rest = silent.rest().await;
    assert!(rest.iter().any(|packet| is_error(packet, "expired")), "{rest:?}");
    server.until_sessions(1).await;
    socket.fence().await;
    assert_eq!(server.app.expiring(), 1);
    // Nothing but a token that is good until later renews it.
    let old = ann.token.clone();
    clock.advance(14 * MINUTE);
    let until = ask(&mut socket, "session.renew", json!({ "token": old })).await["expiresAt"].clone();
    assert_eq!(until, 1_700_000_000_000_i64 + 1_000 * 60 * 57, "it stays as it was");
    clock.advance(MINUTE);
    let rest = socket.rest().await;
    assert!(rest.iter().any(|packet| is_error(packet, "expired")), "{rest:?}");
    assert_eq!(rest.last(), Some(&Packet::Disconnect));
    server.until_sessions(0).await;
    assert_eq!(server.app.expiring(), 0);

    // Refresh tokens are good for 30 days since the last one.
    for _ in 0..3 {
        clock.advance(29 * DAY);
        refresh = refreshed(&mut ann, &refresh).await.expect("it is good");
    }
    clock.advance(30 * DAY);
    assert_eq!(refreshed(&mut ann, &refresh).await, Err(401));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_tokens_used_at_once_there_is_one_successor() {
    let server = MountedServer::start(native).await;
    let mut ann = Http::new(server.address);
    let first = registered(&mut ann, "ann").await;
    let mut tabs: Vec<_> = (0..12).map(|_| Http::new(server.address)).collect();
    let refreshed_all = join_all(tabs.iter_mut().map(|tab| refreshed(tab, &first))).await;
    let successors: std::collections::HashSet<_> =
        refreshed_all.into_iter().map(|refreshed| refreshed.expect("it was a moment ago")).collect();
    assert_eq!(successors.len(), 1, "whoever has used it has the same one");
    let second = successors.into_iter().next().expect("there is one");
    let third = refreshed(&mut ann, &second).await.expect("it is good");
    // Now the first one was used for certain, and all who hold anything of the session lose it.
    assert_eq!(refreshed(&mut ann, &first).await, Err(401));
    assert_eq!(refreshed(&mut ann, &third).await, Err(401));
    for tab in &mut tabs {
        assert_eq!(tab.request(Method::GET, "/api/v1/sessions", None).await.status, 401);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_refreshes_without_end_is_refused() {
    let server = MountedServer::start(native).await;
    let mut ann = Http::new(server.address);
    let mut token = registered(&mut ann, "ann").await;
    let mut times = 0;
    let refused = loop {
        match refreshed(&mut ann, &token).await {
            Ok(next) => token = next,
            Err(status) => break status,
        }
        times += 1;
    };
    assert_eq!((times, refused), (60, 429));
    assert_eq!(ann.request(Method::GET, "/api/v1/sessions", None).await.status, 200, "it goes on otherwise");
    server.stop().await;
}

#[tokio::test]
async fn guesses_are_counted_and_keep_nobody_else_from_refreshing() {
    let server = MountedServer::start(|options| {
        native(options);
        options.login_address_limit = 3;
    })
    .await;
    let mut ann = Http::new(server.address);
    let token = registered(&mut ann, "ann").await;
    let mut eve = Http::new(server.address);
    let guess = format!("{}{}", &token[..90], "AAAAAA");
    // Of a session of which it is not known that it is one, nothing is changed.
    let guesses = ["", "x", &guess.replace(&guess[40..60], "AAAAAAAAAAAAAAAAAAAA"), "x", "x"];
    let mut statuses = Vec::new();
    for guess in guesses {
        statuses.push(refreshed(&mut eve, guess).await.expect_err("it is none"));
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    refreshed(&mut ann, &token).await.expect("hers is good");
    server.stop().await;
}

/// A session that ends at one node is over at the other one, whether they hear each other or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_everywhere() {
    let network = Network::new(Faults::NONE, 0);
    let store = Arc::new(MemoryStore::new());
    let a = MountedServer::start_among(store.clone(), network.bus(), native).await;
    let mut b = MountedServer::start_among(store, network.bus(), native).await;
    let mut ann = Http::new(a.address);
    let first = registered(&mut ann, "ann").await;
    let mut there = Http::new(b.address);
    there.token = ann.token.clone();
    let mut page = Socket::connect(b.address, &there).await.expect("it is let in");
    let second = refreshed(&mut ann, &first).await.expect("it is good");
    refreshed(&mut ann, &second).await.expect("it is good");
    let revocation = revocation(&a.app, "ann").await;
    assert_eq!(refreshed(&mut ann, &first).await, Err(401), "it was used");
    assert!(page.rest().await.contains(&Packet::Disconnect), "its client must not come back by itself");
    chat::until("the other node knows it", || b.app.auth.is_revoked(&revocation)).await;
    assert_eq!(there.request(Method::GET, "/api/v1/sessions", None).await.status, 401);
    assert!(Socket::connect(b.address, &there).await.is_err());

    // The log says so too, when nobody could be told.
    network.cut().await;
    let mut bob = Http::new(a.address);
    registered(&mut bob, "bob").await;
    there.token = bob.token.clone();
    let mut page = Socket::connect(b.address, &there).await.expect("it is let in");
    assert_eq!(bob.request(Method::POST, "/api/v1/auth/logout", None).await.status, 200);
    let rest = page.rest().await;
    assert!(rest.contains(&Packet::Disconnect), "{rest:?}");
    network.mend().await;
    b.turned_away += 1;
    a.stop().await;
    b.stop().await;
}

/// What stands for the only session of a person in the list of what is revoked.
async fn revocation(app: &chat_server::app::App, name: &str) -> [u8; 32] {
    let found = app.chat.find_user(&UserKey::Username(name.to_owned())).await.expect("the store works");
    let user = found.expect("there is such a person").id;
    let list = app.chat.execute(&Actor { user }, ListSessions { current: None }).await;
    list.expect("the store works").reply.sessions[0].id.revocation(user)
}
