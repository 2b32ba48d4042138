//! Several dialects on one method and path: which of them a request means. The rules are those of the wire contracts.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::http::Method as HttpMethod;
use chat::{Http, MountedServer, Socket};
use chat_core::prelude::*;
use chat_server::config::ConfigError;
use chat_server::dialect::route::Names;
use chat_server::dialect::{
    Answer, Asked, Call, DecodeError, Dialect, Dialects, EventPosition, Frames, Inbound, Registered, Route,
};
use chat_server::http::Body;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

/// A dialect that has nothing but routes.
struct Small(&'static str, fn() -> Vec<Route>);

impl Dialect for Small {
    fn name(&self) -> &str {
        self.0
    }

    fn routes(&self) -> Vec<Route> {
        self.1()
    }

    fn events(&self) -> &[&str] {
        &[]
    }

    fn decode(&self, _: &Call<'_>) -> Result<Inbound, DecodeError> {
        Err(DecodeError::UnknownEvent)
    }

    fn outbound(&self, _: &Event, _: EventPosition) -> Frames {
        Frames::new()
    }

    fn reply(&self, _: &Asked<'_>, _: &Reply) -> Answer {
        Answer::done()
    }
}

/// Says who answers, and with what part of the path.
async fn of_path(dialect: Registered, Path(id): Path<String>) -> String {
    json!({ "by": dialect.name(), "id": id }).to_string()
}

/// Says who answers, and that the body has come whole.
async fn of_body(dialect: Registered, body: Body) -> String {
    let form: Value = body.object().expect("it is an object");
    json!({ "by": dialect.name(), "form": form }).to_string()
}

/// kebab: rooms and messages by id, log-in by user name.
fn kebab() -> Vec<Route> {
    vec![
        Route::get("/api/messages/:roomId", of_path).for_ids_of(Names::Conversation),
        Route::delete("/api/messages/:messageId", of_path).for_ids_of(Names::Message),
        Route::post("/api/auth/login", of_body).for_bodies_with(&["username"]),
    ]
}

/// spaced and classic: one path, two answers.
fn of_a_chat() -> Vec<Route> {
    vec![Route::get("/api/message/:chatId", of_path), Route::post("/api/user/login", of_body)]
}

async fn server(default: &str) -> MountedServer {
    let dialects = Dialects::built_in().with(Small("kebab", kebab)).unwrap();
    let dialects =
        dialects.with(Small("spaced", of_a_chat)).unwrap().with(Small("classic", of_a_chat)).unwrap();
    MountedServer::start_with(dialects, |options| options.default_dialect = default.to_owned()).await
}

/// A token as an old backend signs it, which need not tell its dialect.
fn token(claims: &Value) -> Option<String> {
    let key = EncodingKey::from_secret(chat::server::SECRET.as_bytes());
    Some(jsonwebtoken::encode(&Header::default(), claims, &key).expect("it can be signed"))
}

async fn bob(address: SocketAddr) -> (Http, String) {
    let mut bob = Http::new(address);
    let id = bob.sign_up("Bob", "bob@example.com", "secret1").await;
    (bob, id)
}

#[tokio::test]
async fn the_dialect_of_the_token_decides() {
    let server = server("push").await;
    let (mut bob, id) = bob(server.address).await;
    bob.cookie = None;
    for (dialect, path, by) in [
        ("kebab", format!("/api/messages/{id}"), Some("kebab")),
        ("push", format!("/api/messages/{id}"), None),
        ("spaced", format!("/api/message/{id}"), Some("spaced")),
        ("classic", format!("/api/message/{id}"), Some("classic")),
        // None of these is this dialect's, and nothing else tells: the first that is served.
        ("push", format!("/api/message/{id}"), Some("spaced")),
    ] {
        bob.token = token(&json!({ "userId": id, "dialect": dialect }));
        let answer = bob.request(Method::GET, &path, None).await;
        assert_eq!(answer.status, 200, "{dialect} {path}: {answer:?}");
        match by {
            Some(by) => assert_eq!(answer.json(), json!({ "by": by, "id": id }), "{dialect} {path}"),
            None => assert_eq!(answer.json(), json!([]), "push answers with a bare array"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_does_not_tell_leaves_it_to_what_the_id_names() {
    let server = server("push").await;
    let (mut bob, id) = bob(server.address).await;
    let (mut ann, other) = (Http::new(server.address), id.clone());
    let ann_id = ann.sign_up("Ann", "ann@example.com", "secret1").await;
    ann.send(&other, "hello").await;
    let history = ann.request(Method::GET, &format!("/api/messages/{other}"), None).await.json();
    let message = history[0]["_id"].as_str().expect("it has an id").to_owned();
    let unread = bob.request(Method::GET, "/api/unread", None).await.json();
    let room = unread["unread"][0]["roomId"].as_str().expect("it has an id").to_owned();

    // Neither a cookie nor a claim says which dialect it is.
    (bob.cookie, bob.token) = (None, token(&json!({ "userId": id })));
    let of_room = bob.request(Method::GET, &format!("/api/messages/{room}"), None).await;
    assert_eq!(of_room.json()["by"], "kebab", "{of_room:?}");
    let of_person = bob.request(Method::GET, &format!("/api/messages/{ann_id}"), None).await;
    assert_eq!(of_person.json()[0]["text"], "hello", "{of_person:?}");
    // Both take it for a message: the default dialect's.
    let delete = bob.request(Method::DELETE, &format!("/api/messages/{message}"), None).await;
    assert_eq!((delete.status.as_u16(), delete.json()["message"].is_string()), (403, true), "{delete:?}");
    // What names nothing is the default's too.
    let nothing = bob.request(Method::GET, "/api/messages/ffffffffffffffffffffffff", None).await;
    assert_eq!(nothing.json(), json!([]), "{nothing:?}");
    server.stop().await;
}

#[tokio::test]
async fn log_ins_are_told_apart_by_their_bodies_and_without_a_hint_by_the_default() {
    let server = server("push").await;
    let (_, id) = bob(server.address).await;
    let mut page = Http::new(server.address);
    let long = "x".repeat(20_000);
    let by_name = json!({ "email": null, "username": "bob", "password": "secret1", "more": long });
    let answer = page.request(Method::POST, "/api/auth/login", Some(&by_name)).await;
    assert_eq!(answer.json(), json!({ "by": "kebab", "form": by_name }), "the body comes whole");

    let by_email = json!({ "email": "bob@example.com", "password": "secret1" });
    let answer = page.request(Method::POST, "/api/auth/login", Some(&by_email)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["_id"]), (200, &json!(id)), "{answer:?}");
    page.cookie = None;
    let wrong = json!({ "email": "bob@example.com", "password": "secret2" });
    let answer = page.request(Method::POST, "/api/auth/login", Some(&wrong)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["message"]), (400, &json!("Invalid credentials")));
    let neither = page.request(Method::POST, "/api/auth/login", Some(&json!({}))).await;
    assert_eq!(neither.json()["message"], "Email and password are required", "{neither:?}");
    // What is too long for a log-in is answered as where nothing clashes, and no field of it is looked at.
    let too_long = json!({ "username": "x".repeat(100_000) });
    let refused = page.request(Method::POST, "/api/auth/login", Some(&too_long)).await;
    assert_eq!((refused.status.as_u16(), refused.json()["message"].is_string()), (400, true), "{refused:?}");
    server.stop().await;

    for (default, by) in [("spaced", "spaced"), ("classic", "classic"), ("push", "spaced")] {
        let server = self::server(default).await;
        let mut page = Http::new(server.address);
        let form = json!({ "email": "a@b.c" });
        let answer = page.request(Method::POST, "/api/user/login", Some(&form)).await;
        assert_eq!(answer.json()["by"], by, "by default {default}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_native_is_there_whichever_dialects_are_served() {
    let mut server = MountedServer::start(|options| options.dialects = vec!["push".to_owned()]).await;
    let (mut bob, _) = bob(server.address).await;
    let answer = bob.request(Method::GET, "/api/unread", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "unread": [] })));
    // A route of a dialect that is not served is none; the nearest is looked for among those that are.
    let gone = bob.request(Method::POST, "/api/login", Some(&json!({}))).await;
    assert_eq!((gone.status.as_u16(), gone.json()["nearest"].is_null()), (404, true), "{gone:?}");
    let near = bob.request(Method::GET, "/api/auth/checkAuth", None).await;
    assert_eq!(
        (near.status.as_u16(), &near.json()["nearest"]),
        (404, &json!("GET /api/auth/check")),
        "{near:?}"
    );
    // Where no dialect has guests, nobody comes in without a log-in.
    let nobody = Http::new(server.address);
    assert_eq!(Socket::connect(server.address, &nobody).await.err().as_deref(), Some("Authentication error"));
    server.turned_away = 1;
    server.stop().await;
}

#[test]
fn a_dialect_that_cannot_be_served_is_refused_and_nothing_panics() {
    let refused = |dialect: Small| match Dialects::built_in().with(dialect) {
        Err(ConfigError::Unfit(problem)) => problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is taken"),
    };
    for (name, expected) in
        [("push", "there is another one called push"), ("", "its name"), ("My App", "its name")]
    {
        assert!(refused(Small(name, Vec::new)).contains(expected), "{name}");
    }
    for (routes, expected) in [
        (
            (|| vec![Route::get("/a/:b", of_path), Route::get("/a/:c", of_path)]) as fn() -> _,
            "GET /a/:c is there twice",
        ),
        (|| vec![Route::get("/a/{b}", of_path)], "plain parts"),
        (|| vec![Route::get("a", of_path)], "begins with a slash"),
        (|| vec![Route::new(HttpMethod::OPTIONS, "/a", of_path)], "a method that no dialect can have"),
    ] {
        let problem = refused(Small("odd", routes));
        assert!(problem.contains(expected), "{problem}");
    }
}

#[tokio::test]
async fn the_servers_own_paths_are_nobodys() {
    let own: [fn() -> Vec<Route>; 3] = [
        || vec![Route::get("/healthz", of_path)],
        || vec![Route::post("/socket.io/x", of_path)],
        || vec![Route::get("/media/:id", of_path)],
    ];
    for routes in own {
        let path = routes()[0].path().to_owned();
        let dialects = Dialects::built_in().with(Small("odd", routes)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut options = chat::server::default_options();
        options.data_dir = folder.path().to_owned();
        let config = chat_server::config::Config::check_with(&options, dialects).unwrap();
        let Err(ConfigError::Unfit(problem)) =
            chat_server::app_over(config, Chat::in_memory()).await.map(|_| ())
        else {
            panic!("{path} is taken")
        };
        assert!(problem.contains(&path), "{problem}");
    }
}
