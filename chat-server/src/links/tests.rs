//! Tests for the host in links.

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat_core::aspects::Annexes;
use chat_core::id::UserId;
use chat_core::prelude::Chat;
use clap::{CommandFactory, FromArgMatches};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::*;
use crate::config::Options;

fn config(folder: &tempfile::TempDir, trust_proxy: usize, public_url: Option<&str>) -> Config {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    options.data_dir = folder.path().to_owned();
    options.bcrypt_cost = 4;
    options.trust_proxy = trust_proxy;
    options.public_url = public_url.map(str::to_owned);
    Config::check(&options).unwrap()
}

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let pairs = given
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

#[test]
fn a_base_is_the_readers_own_host_or_the_configured_one() {
    let folder = tempfile::tempdir().unwrap();
    let (host, forwarded, proto) = ("host", "x-forwarded-host", "x-forwarded-proto");
    for (trust, given, expected) in [
        (0, &[(host, "chat.example")][..], Some("http://chat.example")),
        (0, &[(host, "[::1]:3000")], Some("http://[::1]:3000")),
        (0, &[], None),
        (0, &[(host, "")], None),
        (0, &[(host, "a.example/x?")], None),
        (0, &[(host, "user@a.example")], None),
        (0, &[(host, "a.example\"><script>")], None),
        // Without a trusted proxy the header is ignored.
        (0, &[(host, "a.example"), (forwarded, "evil.example"), (proto, "https")], Some("http://a.example")),
        (1, &[(host, "a.example"), (proto, "https")], Some("https://a.example")),
        (1, &[(host, "inner"), (forwarded, "a.example")], Some("http://a.example")),
        (1, &[(host, "inner"), (forwarded, "evil.example, a.example")], Some("http://a.example")),
        (
            1,
            &[(host, "inner"), (forwarded, "evil.example"), (forwarded, "a.example")],
            Some("http://a.example"),
        ),
        (2, &[(host, "inner"), (forwarded, "evil.example, a.example, b")], Some("http://a.example")),
        (2, &[(host, "inner"), (forwarded, "a.example")], Some("http://a.example")),
        (1, &[(host, "a.example"), (forwarded, "")], Some("http://a.example")),
    ] {
        let base = Base::of(&headers(given), &config(&folder, trust, None));
        assert_eq!(base, expected.map(Base::new).unwrap_or_default(), "{trust} {given:?}");
    }
    let long = "a".repeat(300);
    assert_eq!(Base::of(&headers(&[(host, &long)]), &config(&folder, 0, None)), Base::default());
    let config = config(&folder, 1, Some("https://chat.example/"));
    let base = Base::of(&headers(&[(host, "evil.example"), (forwarded, "evil.example")]), &config);
    assert_eq!(base, Base::new("https://chat.example"));
}

#[test]
fn only_paths_of_our_own_become_links() {
    let base = Base::new("http://me");
    assert_eq!(base.link("/media/a.png").as_deref(), Some("http://me/media/a.png"));
    for stored in ["", "http://x/media/a.png", "https://x/a", "//evil.example/a.png", "media/a.png", "data:x"]
    {
        assert_eq!(base.link(stored), None, "{stored}");
    }
    assert_eq!(Base::default().link("/media/a.png"), None, "it stays a path, which a page of ours can load");
}

/// All users in every kind of event have a link.
#[test]
fn every_event_with_a_person_or_image_is_rewritten() {
    use chat_core::clock::Timestamp;
    use chat_core::id::{ConversationId, MessageId};
    use chat_core::model::{Content, Conversation, ConversationKind, Message, Pair, Relation, Seq};

    let now = Timestamp::from_millis(0);
    let user = Arc::new(User {
        id: UserId::from_bytes([1; 12]),
        username: Some("ann".into()),
        email: None,
        full_name: "Ann".into(),
        picture: "/media/p.png".into(),
        created_at: now,
        updated_at: now,
        last_seen: None,
    });
    let message = Message {
        id: MessageId::from_bytes([2; 12]),
        conversation: ConversationId::from_bytes([3; 12]),
        seq: Seq(1),
        sender: user.id,
        content: Content { image: Some("/media/i.png".into()), ..Content::text("") },
        created_at: now,
        updated_at: now,
        deleted: None,
        annexes: Annexes::default(),
        is_hidden: false,
    };
    let conversation = Arc::new(Conversation {
        id: message.conversation,
        kind: ConversationKind::Direct { pair: Pair::new(user.id, user.id) },
        members: chat_core::model::Members::default(),
        created_at: now,
    });
    let view = MessageView { message, conversation, sender: user.clone(), recipient: Some(user.clone()) };
    let base = Base::new("http://me");
    for event in [
        Event::MessageSent(view.clone()),
        Event::MessageDeleted(view.clone()),
        Event::MessageRestored(view.clone()),
        Event::ProfileUpdated(user.clone()),
        Event::RelationChanged { user: user.id, with: user.clone(), relation: Relation::default() },
        Event::UserRegistered(user),
    ] {
        assert!(holds_paths(&event));
        let shown = base.event(&event);
        assert!(!holds_paths(&shown), "{shown:?}");
        match &*shown {
            Event::MessageSent(view) | Event::MessageDeleted(view) | Event::MessageRestored(view) => {
                assert_eq!(view.message.content.image.as_deref(), Some("http://me/media/i.png"));
                assert_eq!(view.sender.picture, "http://me/media/p.png");
            }
            Event::ProfileUpdated(user)
            | Event::RelationChanged { with: user, .. }
            | Event::UserRegistered(user) => {
                assert_eq!(user.picture, "http://me/media/p.png");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(Base::default().event(&event), Cow::Borrowed(_)));
    }
    let history = chat_core::command::History { messages: vec![view.clone(); 3], has_more: false };
    let history = base.reply(history);
    for shown in &history.messages {
        assert_eq!(shown.message.content.image.as_deref(), Some("http://me/media/i.png"));
        assert_eq!(shown.recipient.as_ref().unwrap().picture, "http://me/media/p.png");
    }
    assert!(Arc::ptr_eq(&history.messages[0].sender, &history.messages[2].sender), "made once");
    assert_eq!(view.sender.picture, "/media/p.png", "what is remembered stays as it is");
}

struct Person {
    router: Router,
    id: String,
    cookie: String,
}

impl Person {
    async fn sign_up(router: &Router, name: &str) -> Self {
        let nobody = Self { router: router.clone(), id: String::new(), cookie: String::new() };
        let form = json!({"fullName": name, "email": format!("{name}@example.com"), "password": "secret1"});
        let (answer, cookie) = nobody.ask("POST", "/api/auth/signup", "own.example", Some(form)).await;
        Self { id: answer["_id"].as_str().unwrap().to_owned(), cookie: cookie.unwrap(), ..nobody }
    }

    async fn ask(&self, method: &str, path: &str, host: &str, body: Option<Json>) -> (Json, Option<String>) {
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        request = request.header("x-forwarded-host", "evil.example").header(COOKIE, &self.cookie);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let cookie = response.headers().get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap());
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (serde_json::from_slice(&bytes).unwrap(), cookie)
    }
}

#[tokio::test]
async fn the_host_of_an_upload_reaches_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    for public_url in [None, Some("https://public.example")] {
        let mounted = crate::app_over(config(&folder, 0, public_url), Chat::in_memory()).await.unwrap();
        let router = mounted.router();
        let (ann, bob) = (Person::sign_up(&router, "ann").await, Person::sign_up(&router, "bob").await);
        let png = format!("data:image/png;base64,{}", STANDARD.encode(crate::media::samples::png()));

        let send = format!("/api/messages/send/{}", bob.id);
        let (sent, _) =
            ann.ask("POST", &send, "evil.example", Some(json!({"text": "look", "image": png}))).await;
        let profile = Some(json!({"profilePic": png}));
        ann.ask("PUT", "/api/auth/update-profile", "evil.example", profile).await;
        let sent_as = public_url.unwrap_or("http://evil.example");
        assert!(sent["image"].as_str().unwrap().starts_with(&format!("{sent_as}/media/")), "{sent}");

        let own = public_url.unwrap_or("http://own.example");
        for (reader, path) in [
            (&bob, format!("/api/messages/{}", ann.id)),
            (&bob, "/api/messages/users".into()),
            (&bob, "/api/messages/chats".into()),
            (&bob, "/api/sync?since=0".into()),
            (&bob, "/api/unread".into()),
            (&bob, "/api/search?q=look".into()),
            (&ann, "/api/auth/check".into()),
        ] {
            let (answer, _) = reader.ask("GET", &path, "own.example", None).await;
            let text = answer.to_string();
            assert!(!text.contains("evil.example"), "{path}: {text}");
            if text.contains("/media/") {
                assert!(text.contains(&format!("\"{own}/media/")), "{path}: {text}");
                assert!(!text.contains("\"/media/"), "{path}: {text}");
            }
        }
        // The store contains no host at all.
        let everybody = mounted.app.chat.store().users(10).await.unwrap();
        assert!(everybody.iter().any(|user| user.picture.starts_with("/media/")));
        mounted.close().await;
    }
}
