//! A dialect from outside the server's crates (`examples/seventh_dialect.rs`) is spoken like those that it brings along: live,
//! after a cut, by guests, over HTTP, and beside the others.

#[expect(dead_code, reason = "its main is run by hand")]
#[path = "../examples/seventh_dialect.rs"]
mod seventh_dialect;

use std::net::SocketAddr;

use chat::websocket::Opening;
use chat::{Answer, Http, MountedServer, Packet, Socket, WebSocket, until, within};
use chat_server::dialect::Dialects;
use reqwest::Method;
use serde_json::{Value, json};

use self::seventh_dialect::Corner;

async fn corner() -> MountedServer {
    let dialects = Dialects::built_in().with(Corner).expect("it can be served");
    MountedServer::start_with(dialects, |_| ()).await
}

/// Somebody with an account of this dialect, and their id.
async fn entered(address: SocketAddr, nick: &str) -> (Http, String) {
    let mut http = Http::new(address);
    let form = json!({ "nick": nick, "phrase": "correct horse battery" });
    let answer = http.request(Method::POST, "/corner/enter", Some(&form)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    http.token = answer.json()["pass"].as_str().map(str::to_owned);
    let id = answer.json()["you"].as_str().expect("they are told who they are").to_owned();
    (http, id)
}

async fn connected(address: SocketAddr, http: &Http) -> Socket {
    Socket::connect(address, http).await.expect("it is let in")
}

/// The next packet, without the news of who is there: who has begun to talk hears of each other at some time.
async fn next_but_presence(socket: &mut Socket) -> Packet {
    loop {
        match socket.next().await {
            Packet::Event { name, .. } if name == "came" => {}
            packet => return packet,
        }
    }
}

fn event(name: &str, argument: &Value) -> Packet {
    Packet::Event { name: name.to_owned(), arguments: vec![argument.clone()] }
}

#[tokio::test]
async fn events_have_several_arguments_and_the_answer_comes_first() {
    let server = corner().await;
    let (ann, ann_id) = entered(server.address, "ann").await;
    let (bob, bob_id) = entered(server.address, "bob").await;
    let mut to_ann = connected(server.address, &ann).await;
    let mut to_bob = connected(server.address, &bob).await;

    to_ann.emit_all("say", &[json!(bob_id), json!("hello"), json!({ "tempId": 7 })]);
    let said = next_but_presence(&mut to_ann).await;
    let Packet::Event { name, arguments } = &said else { panic!("{said:?}") };
    assert_eq!((name.as_str(), &arguments[0]["tempId"]), ("said", &json!(7)), "before it is heard");
    let heard = json!({ "id": arguments[0]["id"], "from": ann_id, "to": bob_id, "text": "hello" });
    assert_eq!(next_but_presence(&mut to_ann).await, event("heard", &heard));
    assert_eq!(to_bob.event("heard").await, heard);

    // With a callback the answer has the same fields.
    let asked = to_ann.ask("say", &[json!(bob_id), json!("again"), json!({ "tempId": "x" })]);
    let answer = to_ann.answer(asked).await;
    assert_eq!(
        (&answer["ok"], &answer["success"], &answer["tempId"]),
        (&json!(true), &json!(true), &json!("x"))
    );
    assert!(answer["id"].is_string(), "{answer}");

    // What the dialect has no word for is native's, and its own words win.
    let asked = to_bob.ask("read", &[json!({ "userId": ann_id })]);
    assert_eq!(to_bob.answer(asked).await["seq"], 2);
    assert_eq!(to_ann.event("messagesRead").await["userId"], json!(bob_id));
    let asked = to_bob.ask("wave", &[]);
    assert_eq!(to_bob.answer(asked).await, json!({ "ok": true, "success": true }));

    to_ann.emit_all("say", &[json!(bob_id), json!("x".repeat(281))]);
    let grumble = to_ann.event("grumble").await;
    assert_eq!(grumble, json!({ "about": "say", "why": "text is larger than 280 characters" }));
    for n in 3..=30 {
        let asked = to_ann.ask("say", &[json!(bob_id), json!(format!("message {n}"))]);
        assert_eq!(to_ann.answer(asked).await["ok"], true, "{n}");
    }
    let asked = to_ann.ask("say", &[json!(bob_id), json!("one too many")]);
    assert_eq!(to_ann.answer(asked).await["error"]["code"], "rate_limited");

    to_bob.disconnect().await;
    assert_eq!(to_ann.event("left").await, json!({ "who": bob_id }));
    to_ann.disconnect().await;
    server.stop().await;
}

#[tokio::test]
async fn only_those_one_has_talked_with_are_told_who_is_there() {
    let server = corner().await;
    let (ann, ann_id) = entered(server.address, "ann").await;
    let (bob, bob_id) = entered(server.address, "bob").await;
    let (cid, _) = entered(server.address, "cid").await;
    let mut to_bob = connected(server.address, &bob).await;
    let asked = to_bob.ask("say", &[json!(ann_id), json!("hello")]);
    assert_eq!(to_bob.answer(asked).await["ok"], true);
    let mut to_cid = connected(server.address, &cid).await;
    let to_ann = connected(server.address, &ann).await;
    assert_eq!(to_bob.event("came").await, json!({ "who": ann_id }));
    to_ann.disconnect().await;
    assert_eq!(to_bob.event("left").await, json!({ "who": ann_id }));
    // Whatever cid was told by now has come before the answer.
    let asked = to_cid.ask("wave", &[]);
    assert_eq!(to_cid.answer(asked).await["ok"], true);
    let is_of_people =
        |packet: &Packet| matches!(packet, Packet::Event { name, .. } if name == "came" || name == "left");
    let told = to_cid.drain();
    assert!(!told.iter().any(is_of_people), "{told:?}");
    assert!(!to_bob.drain().iter().any(is_of_people), "nobody came but ann, who has talked with {bob_id}");
    to_bob.disconnect().await;
    to_cid.disconnect().await;
    server.stop().await;
}

#[tokio::test]
async fn an_event_is_passed_on_as_it_is() {
    let server = corner().await;
    let (ann, ann_id) = entered(server.address, "ann").await;
    let (bob, bob_id) = entered(server.address, "bob").await;
    let (cid, cid_id) = entered(server.address, "cid").await;
    let mut to_ann = connected(server.address, &ann).await;
    let mut devices = [connected(server.address, &bob).await, connected(server.address, &bob).await];
    let mut to_cid = connected(server.address, &cid).await;

    // Who it is from is written by the server, whatever they say.
    let tune = json!({ "tune": "ding", "by": bob_id, "deep": [{ "a": null }] });
    let asked = to_ann.ask("ring", &[json!(bob_id), tune]);
    assert_eq!(to_ann.answer(asked).await, json!({ "ok": true, "success": true }));
    let ringing = json!({ "tune": "ding", "by": ann_id, "deep": [{ "a": null }] });
    for device in &mut devices {
        assert_eq!(device.event("ringing").await, ringing, "on every device");
    }

    let asked = to_cid.ask("user.block", &[json!({ "userId": ann_id })]);
    assert_eq!(to_cid.answer(asked).await["ok"], true);
    let nobody = "0123456789abcdef01234567";
    let long = json!({ "tune": "x".repeat(70_000) });
    for (to, tune, code, message) in [
        (nobody, json!({}), "not_found", "user not found"),
        (&*cid_id, json!({}), "forbidden", "This person cannot be reached"),
        ("nobody", json!({}), "invalid", "who must be a person's id"),
        (&*bob_id, json!(7), "invalid", "the payload must be an object"),
        (&*bob_id, long, "too_large", "ringing is larger than 65536 bytes"),
    ] {
        let asked = to_ann.ask("ring", &[json!(to), tune]);
        let error = to_ann.answer(asked).await["error"].clone();
        assert_eq!(error, json!({ "code": code, "message": message }));
    }
    // It is in no history and no log, and nobody else has heard it.
    let asked = to_ann.ask("message.list", &[json!({ "userId": bob_id })]);
    assert_eq!(to_ann.answer(asked).await["messages"], json!([]));
    let asked = to_ann.ask("sync", &[json!({ "since": "0" })]);
    assert_eq!(to_ann.answer(asked).await["changes"], json!([]));
    for socket in [&mut to_ann, &mut to_cid].into_iter().chain(&mut devices) {
        let asked = socket.ask("wave", &[]);
        socket.answer(asked).await;
        let told = socket.drain();
        let rings = |packet: &Packet| matches!(packet, Packet::Event { name, .. } if name == "ringing");
        assert!(!told.iter().any(rings), "{told:?}");
    }
    for socket in [to_ann, to_cid].into_iter().chain(devices) {
        socket.disconnect().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn it_goes_on_after_a_cut() {
    let server = corner().await;
    let (ann, _) = entered(server.address, "ann").await;
    let (bob, bob_id) = entered(server.address, "bob").await;
    let token = bob.token.as_deref().expect("it is kept");

    let (mut stream, pid) = opened(server.address, &json!({ "token": token })).await;
    let mut to_ann = connected(server.address, &ann).await;
    to_ann.emit_all("say", &[json!(bob_id), json!("one")]);
    let mut offset = None;
    let mut heard = Vec::new();
    while offset.is_none() {
        let frame = within("the first message", stream.next()).await.expect("the connection stands");
        match told(&frame) {
            Some((name, argument)) if name == "\u{1}position" => {
                offset = argument.as_str().map(str::to_owned);
            }
            Some((name, argument)) if name == "heard" => heard.push(argument["text"].clone()),
            _ => {}
        }
    }
    drop(stream);
    server.until_sessions(1).await;
    for text in ["two", "three"] {
        let asked = to_ann.ask("say", &[json!(bob_id), json!(text)]);
        let answer = to_ann.answer(asked).await;
        assert_eq!(answer["ok"], true, "{answer}");
        if text == "two" {
            let asked = to_ann.ask("recall", &[answer["id"].clone()]);
            assert_eq!(to_ann.answer(asked).await["ok"], true);
        }
    }
    let again = json!({ "token": token, "pid": pid, "offset": offset });
    let (mut stream, same) = opened(server.address, &again).await;
    assert_eq!(same, pid, "the session has gone on");
    let mut unheard = 0;
    while heard.last() != Some(&json!("three")) {
        let frame = within("what was missed", stream.next()).await.expect("the connection stands");
        match told(&frame) {
            Some((name, argument)) if name == "heard" => heard.push(argument["text"].clone()),
            Some((name, _)) if name == "unheard" => unheard += 1,
            _ => {}
        }
    }
    assert_eq!((heard, unheard), (vec![json!("one"), json!("three")], 1), "in this dialect's words");
    drop(stream);
    to_ann.disconnect().await;
    server.stop().await;
}

/// Connects with this payload and gives the session's name.
async fn opened(address: SocketAddr, payload: &Value) -> (WebSocket, Value) {
    let mut stream = WebSocket::open(address, Opening::default()).await.expect("the upgrade is answered");
    within("the open packet", stream.next()).await.expect("the connection stands");
    stream.send(format!("40{payload}")).await.expect("the connection stands");
    let answer = within("the answer to CONNECT", stream.next()).await.expect("the connection stands");
    let answer: Value = serde_json::from_str(answer.strip_prefix("40").expect("it is let in")).expect("JSON");
    assert!(answer["pid"].is_string(), "{answer}");
    (stream, answer["pid"].clone())
}

/// Name and argument of an event.
fn told(frame: &str) -> Option<(String, Value)> {
    let (name, argument): (String, Value) = serde_json::from_str(frame.strip_prefix("42")?).ok()?;
    Some((name, argument))
}

#[tokio::test]
async fn routes_are_its_own_and_a_shared_one_goes_by_the_token() {
    let server = corner().await;
    let (mut ann, ann_id) = entered(server.address, "ann").await;
    let mut bob = Http::new(server.address);
    let bob_id = bob.sign_up("Bob", "bob@example.com", "secret1").await;

    let people = ann.request(Method::GET, "/corner/people", None).await;
    assert_eq!(people.json()["people"][0]["who"], json!(bob_id));
    let text = json!({ "text": "hello" });
    let said = ann.request(Method::POST, &format!("/corner/say/{bob_id}"), Some(&text)).await;
    assert_eq!((said.status.as_u16(), &said.json()["text"]), (200, &json!("hello")));

    // One path, two dialects: each page is answered in its own words.
    let of_ann = ann.request(Method::GET, &format!("/api/messages/{bob_id}"), None).await.json();
    assert_eq!(of_ann["heard"][0]["text"], "hello");
    let of_bob = bob.request(Method::GET, &format!("/api/messages/{ann_id}"), None).await.json();
    assert_eq!(of_bob[0]["text"], "hello", "a bare array: {of_bob}");

    // Errors are its own too, also where nothing but the route tells which dialect it is.
    let own = |answer: &Answer, why: &str| {
        assert_eq!(answer.json(), json!({ "why": why, "message": why }), "{answer:?}");
    };
    let long = json!({ "text": "x".repeat(281) });
    let refused = ann.request(Method::POST, &format!("/corner/say/{bob_id}"), Some(&long)).await;
    assert_eq!(refused.status, 400);
    own(&refused, "text is larger than 280 characters");
    let mut nobody = Http::new(server.address);
    let refused = nobody.request(Method::GET, "/corner/people", None).await;
    assert_eq!(refused.status, 401);
    own(&refused, "Unauthorized");
    let form = json!({ "nick": "eve", "phrase": "short" });
    let refused = nobody.request(Method::POST, "/corner/enter", Some(&form)).await;
    own(&refused, "phrase must have at least 10 characters");
    server.stop().await;
}

#[tokio::test]
async fn a_guest_may_do_nothing_but_say_who_it_is() {
    let mut server = corner().await;
    let (ann, ann_id) = entered(server.address, "ann").await;
    let (bob, bob_id) = entered(server.address, "bob").await;
    let mut to_bob = connected(server.address, &bob).await;

    let mut guest = connected(server.address, &Http::new(server.address)).await;
    let asked = guest.ask("say", &[json!(bob_id), json!("let me in")]);
    let answer = guest.answer(asked).await;
    assert_eq!(answer["error"]["code"], "unauthenticated", "{answer}");
    assert_eq!(server.app.sessions.len(), 1);

    // What comes right behind the greeting waits until it is known who it is.
    let knocked = guest.ask("knock", &[json!({ "pass": ann.token })]);
    guest.emit_all("say", &[json!(bob_id), json!("it is me"), json!({ "tempId": 1 })]);
    assert_eq!(guest.answer(knocked).await["ok"], true);
    assert_eq!(guest.event("said").await["tempId"], 1);
    let heard = to_bob.event("heard").await;
    assert_eq!((&heard["from"], &heard["text"]), (&json!(ann_id), &json!("it is me")));
    let welcome = Packet::Event { name: "welcome".to_owned(), arguments: Vec::new() };
    assert!(guest.drain().contains(&welcome));

    // A pass that is no good sends its guest away, and a token that is no good lets no guest in.
    let mut stranger = connected(server.address, &Http::new(server.address)).await;
    let asked = stranger.ask("knock", &[json!({ "pass": "no.such.pass" })]);
    assert_eq!(stranger.answer(asked).await["error"]["message"], "nobody knows you here");
    assert_eq!(stranger.rest().await.last(), Some(&Packet::Disconnect));
    let mut forged = Http::new(server.address);
    forged.token = Some("no.such.token".to_owned());
    server.turned_away = 1;
    assert!(Socket::connect(server.address, &forged).await.is_err());

    guest.disconnect().await;
    to_bob.disconnect().await;
    server.stop().await;
}

/// A connection counts as one only after its client was told so: what a fast client says in between is not lost.
#[tokio::test]
async fn whenever_an_event_comes_behind_a_greeting_it_is_answered() {
    let server = corner().await;
    let (ann, _) = entered(server.address, "ann").await;
    let (_, bob_id) = entered(server.address, "bob").await;
    for round in 0..28 {
        let mut guest = connected(server.address, &Http::new(server.address)).await;
        let knocked = guest.ask("knock", &[json!({ "pass": ann.token })]);
        if round % 2 == 1 {
            assert_eq!(guest.answer(knocked).await["ok"], true);
        }
        guest.emit_all("say", &[json!(bob_id), json!("it is me"), json!({ "tempId": round })]);
        assert_eq!(guest.event("said").await["tempId"], round);
        guest.disconnect().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn guests_that_go_while_they_greet_leave_nothing() {
    let mut server = corner().await;
    let (ann, ann_id) = entered(server.address, "ann").await;
    let knock = format!("42{}", json!(["knock", { "pass": ann.token }]));
    for round in 0..60 {
        let mut stream = WebSocket::open(server.address, Opening::default()).await.expect("it is answered");
        stream.send("40").await.expect("the connection stands");
        if round % 3 > 0 {
            while stream.next().await.is_some_and(|frame| !frame.starts_with("40")) {}
        }
        let _ = stream.send(knock.as_str()).await;
        if round % 2 == 1 {
            let _ = stream.send("41").await;
        }
        drop(stream);
    }
    server.until_sessions(0).await;
    let ann_id = ann_id.parse().expect("it is an id");
    until("ann is offline", || !server.app.presence.is_online(ann_id)).await;
    server.turned_away = 60;
    server.stop().await;
}
