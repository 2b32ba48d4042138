//! The whole server over MongoDB: what is said there arrives, and is there after a restart.

use chat::{Http, Socket, TestServer};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server in MONGO_TEST_URI: ./test starts one"]
async fn what_is_said_is_there_after_a_restart() {
    let uri = std::env::var("MONGO_TEST_URI").expect("MONGO_TEST_URI must be the URI of a server");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = folder.path().file_name().and_then(|name| name.to_str()).expect("a name nobody else has");
    let uri = format!("{}/chat_test_{}", uri.trim_end_matches('/'), name.trim_start_matches('.'));
    // As in an old .env, not as CHAT_STORE.
    let server = TestServer::start(|options| options.mongo_uri = Some(uri)).await;
    let (mut ann, mut bob) = (Http::new(server.address), Http::new(server.address));
    ann.register("ann", "secret1").await;
    bob.register("bob", "secret1").await;
    let speaking = Socket::connect(server.address, &ann).await.expect("it is let in");
    let mut listening = Socket::connect(server.address, &bob).await.expect("it is let in");
    for text in ["one", "two", "three"] {
        speaking.emit("privateMessage", &json!({ "text": text, "receiver": "bob" }));
        assert_eq!(listening.event("privateMessage").await["text"], text);
    }

    let server = server.restart().await;
    let mut listening = Socket::connect(server.address, &bob).await.expect("the token is good");
    listening.emit("getMessageHistory", &json!({ "otherUser": "ann" }));
    let history = listening.event("messageHistory").await;
    let texts: Vec<_> = history.as_array().expect("a list").iter().map(|said| &said["text"]).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    drop(listening);
    server.stop().await;
}
