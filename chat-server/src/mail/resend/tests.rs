//! Tests against a local server that checks mails as Resend does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::{ResendConfig, ResendMailer, mailbox};
use crate::{
    mail::{Mail, MailError, Mailer, welcome},
    media::test_http,
    secret::Secret,
};

const KEY: &str = "re_123";

/// The service: the answers that it gives before it works normally, and the requests that it has received.
#[derive(Default)]
struct Fake {
    first_answers: Mutex<Vec<(u16, &'static str, Option<&'static str>)>>,
    keys: Mutex<Vec<String>>,
    mails: Mutex<Vec<Value>>,
}

impl Fake {
    fn answering_first(answer: (u16, &'static str, Option<&'static str>), times: usize) -> Arc<Self> {
        Arc::new(Self { first_answers: Mutex::new(vec![answer; times]), ..Self::default() })
    }

    async fn mailer(self: &Arc<Self>) -> ResendMailer {
        let app = Router::new().route("/emails", post(emails)).with_state(Arc::clone(self));
        let config = ResendConfig {
            base_url: test_http::serve(app).await,
            from_name: Some("Chat App".to_owned()),
            ..ResendConfig::new(Secret::new(KEY.to_owned()), "chat@example.com")
        };
        ResendMailer::new(config, test_http::client()).unwrap().with_backoff(Duration::ZERO)
    }

    fn attempts(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

async fn emails(State(fake): State<Arc<Fake>>, headers: HeaderMap, Json(mail): Json<Value>) -> Response {
    let refuse = |status: u16, name: &str| {
        let body = json!({ "statusCode": status, "name": name, "message": "to ada@example.com" });
        (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
    };
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    assert!((1..=256).contains(&key.len()));
    fake.keys.lock().unwrap().push(key);
    if headers["authorization"] != format!("Bearer {KEY}") {
        return refuse(403, "invalid_api_key");
    }
    if let Some((status, name, retry_after)) = fake.first_answers.lock().unwrap().pop() {
        let mut response = refuse(status, name);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", seconds.parse().unwrap());
        }
        return response;
    }
    fake.mails.lock().unwrap().push(mail);
    Json(json!({ "id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794" })).into_response()
}

fn mail() -> Mail {
    welcome("ada@example.com", Some("https://chat.example.com"))
}

fn shows_no_secret(error: &MailError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(KEY) && !shown.contains("ada@"), "{shown}");
}

#[tokio::test]
async fn a_mail_is_sent_as_documented() {
    let fake = Arc::new(Fake::default());
    let mail = mail();
    fake.mailer().await.send(&mail).await.unwrap();
    let expected = json!({
        "from": "Chat App <chat@example.com>",
        "to": ["ada@example.com"],
        "subject": "Welcome to the chat",
        "text": mail.text,
        "html": mail.html,
    });
    assert_eq!(*fake.mails.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn one_mail_has_one_key() {
    let fake = Arc::new(Fake::default());
    let mailer = fake.mailer().await;
    let other = Mail { to: "bob@example.com".to_owned(), ..mail() };
    for mail in [&mail(), &mail(), &other] {
        mailer.send(mail).await.unwrap();
    }
    let keys = fake.keys.lock().unwrap();
    assert!(keys[0] == keys[1] && keys[0] != keys[2]);
    assert!(!keys[0].contains("ada"));
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times_more() {
    for answer in [
        (429, "rate_limit_exceeded", None),
        (500, "application_error", None),
        (503, "", None),
        (409, "concurrent_idempotent_requests", None),
    ] {
        let fake = Fake::answering_first(answer, 3);
        fake.mailer().await.send(&mail()).await.unwrap();
        assert_eq!(fake.attempts(), 4);
        assert_eq!(fake.mails.lock().unwrap().len(), 1);
        let keys = fake.keys.lock().unwrap();
        assert!(keys.iter().all(|key| *key == keys[0]), "a retry keeps the key");
    }
    let fake = Fake::answering_first((500, "application_error", None), 10);
    let error = fake.mailer().await.send(&mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable { .. }));
    assert_eq!(fake.attempts(), 4);
}

#[tokio::test]
async fn the_service_says_how_long_to_wait() {
    let fake = Fake::answering_first((429, "rate_limit_exceeded", Some("0")), 2);
    let mailer = fake.mailer().await.with_backoff(Duration::from_hours(1));
    // Our own pause is an hour, so the test would not finish if it were used.
    tokio::time::timeout(Duration::from_secs(30), mailer.send(&mail())).await.unwrap().unwrap();
    assert_eq!(fake.attempts(), 3);
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (status, name) in [
        (400, "validation_error"),
        (401, "missing_api_key"),
        (403, "validation_error"),
        (409, "invalid_idempotent_request"),
        (422, "missing_required_field"),
        (429, "daily_quota_exceeded"),
        (429, "monthly_quota_exceeded"),
    ] {
        let fake = Fake::answering_first((status, name, None), 1);
        let error = fake.mailer().await.send(&mail()).await.unwrap_err();
        assert!(
            matches!(&error, MailError::Refused { status: s, name: n } if *s == status && n == name),
            "{error}"
        );
        shows_no_secret(&error);
        assert_eq!(fake.attempts(), 1);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_once() {
    let fake = Arc::new(Fake::default());
    let app = Router::new().route("/api/emails", post(emails)).with_state(Arc::clone(&fake));
    let config = ResendConfig {
        base_url: format!("{}/api/", test_http::serve(app).await),
        ..ResendConfig::new(Secret::new("re_guess".to_owned()), "chat@example.com")
    };
    assert!(!format!("{config:?}").contains("re_guess"));
    let error = ResendMailer::new(config, test_http::client()).unwrap().send(&mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Refused { status: 403, .. }));
    assert_eq!(fake.attempts(), 1);
}

#[tokio::test]
async fn silence_and_absence_are_tried_again() {
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let never = post(async move || {
        asked.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let silent = test_http::serve(Router::new().route("/emails", never)).await;
    let (absent, _socket) = test_http::nobody();
    for base_url in [silent, absent] {
        let config =
            ResendConfig { base_url, ..ResendConfig::new(Secret::new(KEY.to_owned()), "chat@example.com") };
        let mailer = ResendMailer::new(config, test_http::client()).unwrap();
        let mailer = mailer.with_backoff(Duration::ZERO).with_timeout(Duration::from_millis(100));
        let error = mailer.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Unavailable { .. }));
        shows_no_secret(&error);
    }
    for _ in 0..4 {
        was_asked.recv().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_can_be_put_into_a_header() {
    let fake = Arc::new(Fake::default());
    let mailer = fake.mailer().await;
    for to in [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com,b@example.com",
    ] {
        let error = mailer.send(&Mail { to: to.to_owned(), ..mail() }).await.unwrap_err();
        assert!(matches!(error, MailError::Invalid(_)), "{to:?}");
    }
    let subject = "Hello\r\nBcc: b@example.com".to_owned();
    mailer.send(&Mail { subject, ..mail() }).await.unwrap();
    assert_eq!(fake.mails.lock().unwrap()[0]["subject"], "Hello Bcc: b@example.com");
}

#[test]
fn the_sender_is_written_as_mail_programs_expect() {
    for (name, expected) in [
        (None, "a@example.com"),
        (Some(" "), "a@example.com"),
        (Some("Chat App"), "Chat App <a@example.com>"),
        (Some("Chät"), "Chät <a@example.com>"),
        (Some("Chat, Inc."), "\"Chat, Inc.\" <a@example.com>"),
        (Some("The \"\\\" App"), "\"The \\\"\\\\\\\" App\" <a@example.com>"),
        (Some("X\r\nBcc: b@example.com"), "\"X Bcc: b@example.com\" <a@example.com>"),
    ] {
        assert_eq!(mailbox(name, "a@example.com"), expected);
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let right = ResendConfig::new(Secret::new(KEY.to_owned()), "chat@example.com");
    for wrong in [
        ResendConfig { api_key: Secret::new(String::new()), ..right.clone() },
        ResendConfig { api_key: Secret::new("re_1\n".to_owned()), ..right.clone() },
        ResendConfig { from: "Chat <chat@example.com>".to_owned(), ..right.clone() },
        ResendConfig { from: String::new(), ..right.clone() },
        ResendConfig { base_url: "api.resend.com".to_owned(), ..right.clone() },
        ResendConfig { base_url: "mailto:a@example.com".to_owned(), ..right },
    ] {
        assert!(matches!(ResendMailer::new(wrong, test_http::client()), Err(MailError::Configuration(_))));
    }
}
