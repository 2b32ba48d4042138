//! A browser as far as HTTP goes: it keeps its cookie, and its token.

use std::net::SocketAddr;
use std::sync::Mutex;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::within;

/// One person's HTTP client.
pub struct Http {
    client: Client,
    address: SocketAddr,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Sent as the cookie `jwt`; kept from the server's answers.
    pub cookie: Option<String>,
    seen: Mutex<Vec<String>>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200, most of the time.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text; what is not UTF-8 in it is replaced.
    pub text: String,
}

impl Answer {
    /// The body.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's text; empty when there is none.
    pub fn header(&self, name: impl Into<HeaderName>) -> &str {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Http {
    /// A client without a log-in.
    pub fn new(address: SocketAddr) -> Self {
        // Fails when another client has done it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Idle connections of a server that was restarted are of no use.
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().build();
        Self {
            client: client.expect("a client needs nothing"),
            address,
            token: None,
            cookie: None,
            seen: Mutex::default(),
        }
    }

    /// A client of somebody else, at this address. It is cheaper than a new one.
    pub fn another(&self, address: SocketAddr) -> Self {
        let client = self.client.clone();
        Self { client, address, token: None, cookie: None, seen: Mutex::default() }
    }

    /// Makes a `camel` account.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn register(&mut self, username: &str, password: &str) {
        let form = json!({ "username": username, "password": password });
        let answer = self.request(Method::POST, "/api/register", Some(&form)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.token = answer.json()["token"].as_str().map(str::to_owned);
    }

    /// Makes a `push` account and gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn sign_up(&mut self, full_name: &str, email: &str, password: &str) -> String {
        let form = json!({ "fullName": full_name, "email": email, "password": password });
        let answer = self.request(Method::POST, "/api/auth/signup", Some(&form)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["_id"].as_str().expect("it has an id").to_owned()
    }

    /// Sends a `push` message.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn send(&self, receiver: &str, text: &str) {
        let path = format!("/api/messages/send/{receiver}");
        let body = ("application/json", json!({ "text": text }).to_string().into());
        let answer = self.send_bytes(Method::POST, &path, Some(body)).await.expect("it is answered");
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Sends a request with the log-in there is.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn request(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string().into()));
        let what = format!("{method} {path}");
        let answer = self.send_bytes(method, path, body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap_or_default();
            if let Some((value, _)) = cookie.strip_prefix("jwt=").and_then(|rest| rest.split_once(';')) {
                self.cookie = (!value.is_empty()).then(|| value.to_owned());
            }
        }
        answer
    }

    /// Sends any bytes, and keeps nothing of the answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, reqwest::Body)>,
    ) -> reqwest::Result<Answer> {
        let what = format!("{method} {path}");
        // The links in answers are absolute.
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("http://{}{path}", self.address),
        };
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, format!("jwt={cookie}"));
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        within(&what, async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
            let mut seen = self.seen.lock().expect("nobody panics with it");
            seen.push(format!("{what}: {status} {headers:?} {text}"));
            Ok(Answer { status, headers, text })
        })
        .await
    }

    /// Every answer there was, with its headers.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}
