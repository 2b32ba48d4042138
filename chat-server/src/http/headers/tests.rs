//! Tests of the headers of every kind of response, through the complete router.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use chat_core::prelude::Chat;
use clap::{CommandFactory, FromArgMatches};
use tower::ServiceExt;

use crate::config::{Config, Options};
use crate::media::{Media, MediaStore, Purpose};

struct Server {
    router: Router,
    image: String,
    _mounted: crate::Mounted,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn new(page: bool, trust_proxy: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = Options::command().mut_args(|arg| arg.env(None));
        let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
        options.data_dir = folder.path().join("data");
        options.bcrypt_cost = 4;
        options.trust_proxy = trust_proxy;
        if page {
            let dist = folder.path().join("dist");
            std::fs::create_dir(&dist).unwrap();
            std::fs::write(dist.join("index.html"), "<!doctype html><script>1</script>").unwrap();
            std::fs::write(dist.join("app.js"), "1").unwrap();
            std::fs::write(dist.join(".env"), "JWT_SECRET=hush").unwrap();
            options.static_dir = Some(dist);
        }
        let config = Config::check(&options).unwrap();
        let mounted = crate::app_over(config, Chat::in_memory()).await.unwrap();
        let png = crate::media::samples::png();
        let media = Media::from_bytes(png, Purpose::MessageImage).unwrap();
        let image = mounted.app.disk.as_ref().unwrap().store(media).await.unwrap();
        Self { router: mounted.router(), image, _mounted: mounted, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.ask(Method::GET, path, &[], "").await
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    assert!(response.headers().get_all(name).iter().count() <= 1, "{name} is there once");
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Path, status, `Cache-Control`, the beginning of `Content-Security-Policy`, `Cross-Origin-Resource-Policy`.
type Row<'a> = (Method, &'a str, u16, Option<&'a str>, &'a str, &'a str);

async fn check(server: &Server, rows: &[Row<'_>]) {
    for (method, path, status, cache, policy, readers) in rows {
        let what = format!("{method} {path}");
        let response = server.ask(method.clone(), path, &[("origin", "http://localhost:5173")], "").await;
        assert_eq!(response.status().as_u16(), *status, "{what}");
        assert_eq!(header(&response, "cache-control"), *cache, "{what}");
        assert!(header(&response, "content-security-policy").unwrap().starts_with(policy), "{what}");
        assert_eq!(header(&response, "cross-origin-resource-policy"), Some(*readers), "{what}");
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(header(&response, "referrer-policy"), Some("same-origin"), "{what}");
        assert_eq!(header(&response, "x-frame-options"), Some("SAMEORIGIN"), "{what}");
        assert_eq!(header(&response, "strict-transport-security"), None, "{what}: over http");
        let has_powers = header(&response, "permissions-policy").is_none();
        let is_folder = !["/media", "/socket.io"].iter().any(|other| path.starts_with(other));
        assert_eq!(has_powers, *readers == "cross-origin" && is_folder, "{what}");
        let exposed = header(&response, "access-control-expose-headers").unwrap();
        for name in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"] {
            assert!(exposed.contains(name), "{what}: {name}");
        }
        assert_eq!(header(&response, "access-control-allow-origin"), Some("http://localhost:5173"), "{what}");
    }
}

const API: Option<&str> = Some("private, no-store");
const NONE: &str = "default-src 'none'";
const SAME: &str = "same-origin";

#[tokio::test]
async fn every_kind_of_answer_has_its_headers() {
    let server = Server::new(false, 0).await;
    let missing = "/media/ffffffffffffffffffffffffffffffff.png";
    let (get, post, options) = (Method::GET, Method::POST, Method::OPTIONS);
    let mut rows: Vec<Row<'_>> = vec![
        (get.clone(), "/", 200, Some("no-cache"), "default-src 'self'", SAME),
        (get.clone(), "/assets/app.js", 200, Some("no-cache"), "default-src 'self'", SAME),
        (get.clone(), "/nothing", 404, API, NONE, SAME),
        (get.clone(), "/healthz", 200, API, NONE, SAME),
        (get.clone(), "/readyz", 200, API, NONE, SAME),
        (get.clone(), &server.image, 200, Some("public, max-age=31536000, immutable"), NONE, "cross-origin"),
        (get.clone(), missing, 404, Some("no-store"), NONE, "cross-origin"),
        (post.clone(), &server.image, 405, Some("no-store"), NONE, "cross-origin"),
        (get.clone(), "/socket.io/?EIO=4&transport=polling", 200, Some("no-store"), NONE, SAME),
        (get.clone(), "/socket.io?EIO=4&transport=polling", 200, Some("no-store"), NONE, SAME),
        (get.clone(), "/socket.io/?EIO=4&transport=polling&sid=x", 400, Some("no-store"), NONE, SAME),
        (get.clone(), "/socket.io/?EIO=9", 400, Some("no-store"), NONE, SAME),
        (get.clone(), "/socket.io/nothing", 404, Some("no-store"), NONE, SAME),
        (get.clone(), "/socket.io/socket.io.js", 200, Some("public, max-age=0"), NONE, "cross-origin"),
        (
            get.clone(),
            "/socket.io/socket.io.min.js.map?x=1",
            200,
            Some("public, max-age=0"),
            NONE,
            "cross-origin",
        ),
        (post.clone(), "/socket.io/socket.io.js", 405, Some("no-store"), NONE, SAME),
        (options.clone(), "/api/auth/login", 405, API, NONE, SAME),
    ];
    for path in [
        "/api/auth/check",
        "/api/messages/users",
        "/api/messages/chats",
        "/api/messages/contacts",
        "/api/users",
        "/api/validate-token",
        "/api/sync",
        "/api/unread",
        "/api/search?q=x",
        "/api/messages/000000000000000000000000",
    ] {
        rows.push((get.clone(), path, 401, API, NONE, SAME));
    }
    for path in ["/api/auth/login", "/api/auth/signup", "/api/register", "/api/login"] {
        rows.push((post.clone(), path, 400, API, NONE, SAME));
        rows.push((get.clone(), path, 405, API, NONE, SAME));
    }
    rows.push((post.clone(), "/api/auth/logout", 200, API, NONE, SAME));
    rows.push((get, "/api/nothing", 404, API, NONE, SAME));
    check(&server, &rows).await;
}

#[tokio::test]
async fn an_owners_page_gets_nothing_that_could_break_it() {
    let server = Server::new(true, 0).await;
    let frames = "frame-ancestors 'self'";
    let rows = [
        (Method::GET, "/", 200, None, frames, "cross-origin"),
        (Method::GET, "/app.js", 200, None, frames, "cross-origin"),
        (Method::GET, "/deep/link", 200, None, frames, "cross-origin"),
        (Method::GET, "/.env", 404, API, NONE, SAME),
        (Method::GET, "/%2eenv", 404, API, NONE, SAME),
        (Method::GET, "/missing.js", 404, API, NONE, SAME),
        (Method::GET, "/api/nothing", 404, API, NONE, SAME),
    ];
    check(&server, &rows).await;
    let page = server.get("/").await;
    assert_eq!(header(&page, "content-security-policy"), Some(frames), "and nothing else");
}

#[tokio::test]
async fn https_is_what_a_trusted_proxy_says() {
    for (trusted, proto, expected) in [
        (0, "https", false),
        (1, "http", false),
        (1, "https", true),
        (1, "https, http", false),
        (2, "https, http", true),
    ] {
        let server = Server::new(false, trusted).await;
        for path in ["/", "/api/nothing", "/socket.io/?EIO=4&transport=polling", &server.image] {
            let response = server.ask(Method::GET, path, &[("x-forwarded-proto", proto)], "").await;
            let found = header(&response, "strict-transport-security");
            assert_eq!(found, expected.then_some("max-age=31536000"), "{trusted} {proto} {path}");
        }
    }
}

#[tokio::test]
async fn a_limit_says_how_it_stands() {
    let server = Server::new(false, 0).await;
    let json = [("content-type", "application/json")];
    let numbers = |response: &Response<Body>| {
        ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            .map(|name| header(response, name).map(|value| value.parse::<u64>().unwrap()))
    };
    for (path, body) in [
        ("/api/login", r#"{"username":"nobody","password":"wrong1"}"#),
        ("/api/auth/login", r#"{"email":"nobody@example.com","password":"wrong1"}"#),
    ] {
        for left in [4, 3, 2, 1, 0] {
            let response = server.ask(Method::POST, path, &json, body).await;
            assert_eq!(response.status(), 400);
            let [limit, remaining, reset] = numbers(&response);
            assert_eq!((limit, remaining), (Some(5), Some(left)), "{path}");
            assert!(reset.is_some_and(|reset| (1..=900).contains(&reset)), "{path}");
        }
        let response = server.ask(Method::POST, path, &json, body).await;
        assert_eq!(response.status(), 429);
        let [limit, remaining, reset] = numbers(&response);
        assert_eq!((limit, remaining), (Some(5), Some(0)), "{path}");
        let retry_after: u64 = header(&response, "retry-after").unwrap().parse().unwrap();
        assert_eq!(reset, Some(retry_after), "{path}");
        assert!((1..=900).contains(&retry_after), "{path}: {retry_after}");
    }
    let body = r#"{"username":"ann","password":"secret1"}"#;
    let response = server.ask(Method::POST, "/api/register", &json, body).await;
    let [limit, remaining, reset] = numbers(&response);
    assert_eq!((response.status().as_u16(), limit, remaining), (200, Some(100), Some(99)));
    assert!(reset.is_some_and(|reset| (1..=900).contains(&reset)));
}

#[test]
fn a_refusal_without_numbers_gets_them() {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::super::rate::complete;

    let numbers = |response: &Response<Body>| {
        ["retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            .map(|name| header(response, name).unwrap().to_owned())
    };
    let bare = complete(StatusCode::TOO_MANY_REQUESTS.into_response());
    assert_eq!(numbers(&bare), ["60", "1", "0", "60"]);
    let known = complete((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response());
    assert_eq!(numbers(&known), ["7", "1", "0", "7"]);
}
