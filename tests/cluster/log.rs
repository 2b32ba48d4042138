//! A log that becomes another one under running nodes.

use super::*;

/// A page's connection, and the pid that it is told: with the one before and the last position it goes on with its session.
async fn page(address: SocketAddr, http: &Http, before: Option<(&str, u64)>) -> (Socket, String) {
    let opening = Opening { cookie: http.cookie.as_deref(), ..Opening::default() };
    let mut stream = WebSocket::open(address, opening).await.expect("the upgrade is answered");
    let open = within("the open packet", stream.next()).await.expect("the connection stands");
    let open: Value = serde_json::from_str(&open[1..]).expect("packets are JSON");
    let mut auth = json!({ "token": http.token });
    if let Some((pid, offset)) = before {
        (auth["pid"], auth["offset"]) = (pid.into(), offset.to_string().into());
    }
    stream.send(format!("40{auth}")).await.expect("the connection stands");
    let answer = within("the answer to CONNECT", stream.next()).await.expect("the connection stands");
    let answer: Value = serde_json::from_str(&answer[2..]).expect("it is let in");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let ids = Ids { engine_id: text(&open["sid"]), id: text(&answer["sid"]) };
    (Socket::over(stream, ids), text(&answer["pid"]))
}

/// So many messages that begin with this word. Others are passed over.
async fn heard(socket: &mut Socket, word: &str, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let message = socket.event("privateMessage").await;
        let text = message["text"].as_str().expect("a text");
        texts.extend(text.starts_with(word).then(|| text.to_owned()));
    }
    texts
}

async fn say(socket: &mut Socket, to: &str, word: &str, count: u64) -> Vec<String> {
    let texts: Vec<_> = (0..count).map(|n| format!("{word} {n}")).collect();
    for text in &texts {
        let asked = socket.ask("privateMessage", &[json!({ "text": text, "receiver": to })]);
        assert_eq!(socket.answer(asked).await["ok"], true, "{text}");
    }
    texts
}

/// An operator puts back a backup of the database while the nodes run: pages begin afresh by themselves, and of what is said
/// from then on nothing is lost, at any node, however far the log had come before.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_under_running_nodes_is_noticed() {
    let store = Arc::new(MemoryStore::new());
    let a = MountedServer::start_among(store.clone(), Arc::new(NoBus), |_| {}).await;
    let b = MountedServer::start_among(store.clone(), Arc::new(NoBus), |_| {}).await;
    let (mut ann, mut bob) = (Http::new(a.address), Http::new(b.address));
    ann.register("ann", "secret1").await;
    bob.register("bob", "secret1").await;
    let (mut anns, _) = page(a.address, &ann, None).await;
    let (mut bobs, pid) = page(b.address, &bob, None).await;
    let kept = say(&mut anns, "bob", "kept", 3).await;
    assert_eq!(heard(&mut bobs, "kept", 3).await, kept);
    let backup = store.save();
    let lost = say(&mut anns, "bob", "lost", 9).await;
    assert_eq!(heard(&mut bobs, "lost", 9).await, lost);
    bobs.fence().await;
    let seen = *bobs.positions().last().expect("it was told positions");
    assert_eq!(seen, 12);

    store.put_back(backup);
    // Perhaps before anybody has noticed: whoever begins afresh finds it in the history.
    let user = async |name: &str| {
        let key = UserKey::Username(name.to_owned());
        b.app.chat.find_user(&key).await.expect("it can be read").expect("they have an account").id
    };
    let to = Destination::Person(UserKey::Id(user("bob").await));
    let between = SendMessage {
        to,
        content: Content::text("between"),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    b.app.dispatch(user("ann").await, between).await.expect("it is sent");
    bobs.rest().await;
    anns.rest().await;
    let (mut anns, _) = page(b.address, &ann, None).await;
    let (mut bobs, again) = page(a.address, &bob, Some((&pid, seen))).await;
    assert_ne!(again, pid, "what it has seen is void");
    bobs.emit("getMessageHistory", &json!({ "otherUser": "ann" }));
    let history = bobs.event("messageHistory").await;
    let history: Vec<_> = history.as_array().expect("a list").iter().map(|said| &said["text"]).collect();
    assert_eq!(history, ["kept 0", "kept 1", "kept 2", "between"]);

    // Beyond where the log had been.
    let new = say(&mut anns, "bob", "new", 20).await;
    assert_eq!(heard(&mut bobs, "new", 20).await, new, "all of it, in order");
    bobs.fence().await;
    let positions: Vec<_> = bobs.positions().into_iter().filter(|at| *at > 4).collect();
    assert_eq!(positions, (5..=24).collect::<Vec<_>>(), "each once");
    assert_eq!(heard(&mut anns, "new", 20).await, new);

    // Both nodes are in one epoch: a session goes on at the other one.
    let at = *bobs.positions().last().expect("it was told positions");
    drop(bobs);
    let more = say(&mut anns, "bob", "more", 2).await;
    let (mut bobs, same) = page(b.address, &bob, Some((&again, at))).await;
    assert_eq!(same, again, "it goes on");
    assert_eq!(heard(&mut bobs, "more", 2).await, more);
    let epoch = store.epoch().await.expect("there is one");
    assert!(epoch.renewals > 0, "{epoch:?}");
    for node in [&a, &b] {
        assert_eq!(node.app.chat.epoch().await.expect("it is known").id, epoch.id);
    }
    let line = "the log has gone back or is another one";
    assert!(chat::log::captured().lines().any(|said| said.contains("ERROR") && said.contains(line)));
    drop((anns, bobs));
    a.stop().await;
    b.stop().await;
}

/// Also where there is one node and nobody to hear, and also when the epoch alone has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_another_epoch_is_noticed() {
    let store = Arc::new(MemoryStore::new());
    let node = MountedServer::start_over(Chat::new(store.clone()), |_| {}).await;
    let mut ann = Http::new(node.address);
    ann.register("ann", "secret1").await;
    let (mut anns, pid) = page(node.address, &ann, None).await;
    let said = say(&mut anns, "ann", "said", 2).await;
    assert_eq!(heard(&mut anns, "said", 2).await, said);
    let renewed = store.renew_epoch().await.expect("another one");
    anns.rest().await;
    let (mut anns, again) = page(node.address, &ann, Some((&pid, 2))).await;
    assert_ne!(again, pid);
    let epoch = store.epoch().await.expect("there is one");
    assert_eq!(epoch, renewed, "it is taken over as it is");
    let said = say(&mut anns, "ann", "on", 2).await;
    assert_eq!(heard(&mut anns, "on", 2).await, said);
    anns.fence().await;
    assert_eq!(anns.positions(), [3, 4]);
    drop(anns);
    node.stop().await;
}
