use std::collections::BTreeSet;
use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use chat_core::prelude::Chat;
use clap::{CommandFactory, FromArgMatches};
use tower::ServiceExt;

use super::*;
use crate::config::Options;

struct Server {
    router: Router,
    _mounted: crate::Mounted,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn new(chat: Chat, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = Options::command().mut_args(|arg| arg.env(None));
        let arguments = ["chat-server"].iter().chain(arguments);
        let mut options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        options.data_dir = folder.path().join("data");
        options.bcrypt_cost = 4;
        let mounted = crate::app_over(Config::check(&options).unwrap(), chat).await.unwrap();
        Self { router: mounted.router(), _mounted: mounted, _folder: folder }
    }

    async fn ask(&self, request: axum::http::request::Builder, body: &'static str) -> (Response, String) {
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().into()).unwrap();
        (Response::from_parts(parts, Body::empty()), text)
    }

    async fn page(&self) -> String {
        self.ask(Request::get("/"), "").await.1
    }
}

/// The paths of all files in a folder, recursively.
fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), &path, found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn every_file_of_the_page_is_served_and_every_module_is_loaded_at_once() {
    let mut there = BTreeSet::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"), "/assets", &mut there);
    let is_other = |path: &str| {
        path == "/assets/index.html"
            || path.starts_with("/assets/socket.io-client/")
            || path.starts_with("/assets/docs/")
    };
    there.retain(|path| !path.ends_with(".LICENSE") && !is_other(path));
    let served: BTreeSet<_> =
        ASSETS.iter().map(|(path, ..)| (*path).to_owned()).filter(|path| path != "/favicon.ico").collect();
    assert_eq!(served, there);
    for path in there.iter().filter(|path| path.starts_with("/assets/app/")) {
        assert!(INDEX.contains(&format!("<link rel=\"modulepreload\" href=\"{path}\">")), "{path}");
    }
}

#[test]
fn the_page_has_no_script_of_its_own_in_it() {
    for script in INDEX.split("<script").skip(1) {
        assert!(script.trim_start().starts_with("src=\"/assets/"), "{script:.60}");
    }
    for (path, _, content) in ASSETS.iter().filter(|(path, ..)| path.starts_with("/assets/app")) {
        let lines = content.split(|byte| *byte == b'\n').count();
        assert!(lines <= 500, "{path} has {lines} lines");
    }
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let server = Server::new(Chat::in_memory(), &[]).await;
    for path in ["/", "/assets/app.js", "/assets/app/outbox.js", "/assets/style.css"] {
        let (first, text) = server.ask(Request::get(path), "").await;
        assert_eq!(first.status(), 200, "{path}");
        assert!(!text.is_empty(), "{path}");
        let etag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"another\", {etag}")] {
            let (again, text) = server.ask(Request::get(path).header(IF_NONE_MATCH, &known), "").await;
            assert_eq!((again.status().as_u16(), &*text), (304, ""), "{path} {known}");
            for name in [CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG] {
                assert_eq!(again.headers().get(&name), first.headers().get(&name), "{path} {name}");
            }
        }
        let (other, text) = server.ask(Request::get(path).header(IF_NONE_MATCH, "\"another\""), "").await;
        assert_eq!(other.status(), 200, "{path}");
        assert!(!text.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn modules_have_a_type_that_browsers_run() {
    let server = Server::new(Chat::in_memory(), &[]).await;
    for (path, kind, _) in ASSETS {
        let (response, _) = server.ask(Request::get(*path), "").await;
        assert_eq!(response.headers()[CONTENT_TYPE], kind, "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_visitor_is_told_that_nobody_is_there() {
    const FIRST: &str = "data-first-account=\"true\"";
    let chat = Chat::in_memory();
    let server = Server::new(chat, &[]).await;
    assert!(server.page().await.contains(FIRST));
    let signup = Request::builder()
        .method(Method::POST)
        .uri("/api/auth/signup")
        .header("content-type", "application/json");
    let body = r#"{"fullName":"Ann","email":"ann@example.com","password":"correct horse"}"#;
    assert_eq!(server.ask(signup, body).await.0.status(), 201);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert!(!server.page().await.contains(FIRST));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_not_called_empty_and_is_not_asked_by_everybody() {
    let (first, chat) = (FirstAccount::default(), Chat::in_memory());
    assert!(first.is_to_come(&chat).await);
    chat.store().close().await.unwrap();
    assert!(first.is_to_come(&chat).await, "it is not asked again at once");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert!(!first.is_to_come(&chat).await);
}

#[tokio::test]
async fn the_page_knows_how_long_a_password_must_be() {
    for (arguments, min) in [(&[][..], 6), (&["--password-min", "10"], 10), (&["--password-min", "2"], 6)] {
        let server = Server::new(Chat::in_memory(), arguments).await;
        assert!(server.page().await.contains(&format!("data-password-min=\"{min}\"")), "{arguments:?}");
    }
}
