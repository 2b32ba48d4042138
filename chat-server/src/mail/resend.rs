//! Sends mail through Resend.
//!
//! The request is `POST {base}/emails` with a bearer token and JSON. The answer is `{"id": …}` or `{"statusCode": …,
//! "name": …, "message": …}`: <https://resend.com/docs/api-reference/emails/send-email>. The reasons for refusals:
//! <https://resend.com/docs/api-reference/errors>.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Mail, MailError, Mailer, welcome::one_line};
use crate::secret::Secret;

/// The settings of an account at Resend.
#[derive(Clone, Debug)]
pub struct ResendConfig {
    /// The account's key (`RESEND_API_KEY`).
    pub api_key: Secret,
    /// The bare address of the sender, in a domain that is verified at Resend (`EMAIL_FROM`).
    pub from: String,
    /// The sender's name (`EMAIL_FROM_NAME`).
    pub from_name: Option<String>,
    /// The base URL of the API (`CHAT_RESEND_URL`).
    pub base_url: String,
}

impl ResendConfig {
    /// This account with Resend's default URL and without a sender's name.
    #[must_use]
    pub fn new(api_key: Secret, from: impl Into<String>) -> Self {
        Self { api_key, from: from.into(), from_name: None, base_url: "https://api.resend.com".to_owned() }
    }
}

/// Sends mail through Resend.
pub struct ResendMailer {
    api_key: Secret,
    from: String,
    endpoint: Url,
    client: Client,
    backoff: Duration,
    timeout: Duration,
}

impl ResendMailer {
    /// Creates a mailer. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`MailError::Configuration`] when the key is empty or contains characters that no key has, when the sender is
    /// not an address, or when the URL of the service is not an HTTP URL.
    pub fn new(config: ResendConfig, client: Client) -> Result<Self, MailError> {
        let key = config.api_key.expose();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MailError::Configuration("the key for Resend is empty or not a key"));
        }
        if !is_address(&config.from) {
            return Err(MailError::Configuration(
                "the sender of mail must be an address such as chat@example.com",
            ));
        }
        let wrong_address = MailError::Configuration("the address of Resend is not an HTTP URL");
        let Ok(mut endpoint) = Url::parse(&config.base_url) else { return Err(wrong_address) };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(wrong_address);
        }
        match endpoint.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().push("emails"),
            Err(()) => return Err(wrong_address),
        };
        Ok(Self {
            from: mailbox(config.from_name.as_deref(), &config.from),
            endpoint,
            api_key: config.api_key,
            client,
            backoff: Duration::from_secs(1),
            timeout: Duration::from_secs(15),
        })
    }

    /// Sets the pause before the second attempt, which doubles before each further one. The default is 1 second.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the maximum time of one attempt. The default is 15 seconds.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn attempt(&self, body: &Body<'_>, key: &str) -> Result<(), Failure> {
        let request = self.client.post(self.endpoint.clone()).timeout(self.timeout);
        let request = request.bearer_auth(self.api_key.expose()).header("Idempotency-Key", key).json(body);
        let response = request.send().await.map_err(|error| Failure {
            error: MailError::Unavailable {
                what: "it cannot be reached",
                source: Some(error.without_url().into()),
            },
            retry: Retry::Later,
        })?;
        if response.status().is_success() { Ok(()) } else { Err(refusal(response).await) }
    }
}

#[async_trait]
impl Mailer for ResendMailer {
    /// Makes up to four attempts. Resend sends mails with the same idempotency key only once within 24 hours, so a
    /// retry is safe even if only the answer to the first attempt was lost.
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        const RETRIES: u32 = 3;

        if !is_address(&mail.to) {
            return Err(MailError::Invalid("the recipient is not a plain address"));
        }
        let body = Body {
            from: &self.from,
            to: [&mail.to],
            subject: one_line(&mail.subject),
            text: &mail.text,
            html: &mail.html,
        };
        let key = idempotency_key(&body);
        for retry in 0..RETRIES {
            let Err(failure) = self.attempt(&body, &key).await else { return Ok(()) };
            let pause = match failure.retry {
                Retry::Never => return Err(failure.error),
                Retry::Later => self.backoff * 2_u32.pow(retry),
                Retry::After(pause) => pause,
            };
            let error = failure.error;
            chat_core::log_throttled!(
                warn, subject = mail.subject, %error, ?pause, "a mail was not taken, trying again"
            );
            tokio::time::sleep(pause).await;
        }
        self.attempt(&body, &key).await.map_err(|failure| failure.error)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    from: &'a str,
    to: [&'a str; 1],
    subject: String,
    text: &'a str,
    html: &'a str,
}

/// A key that identifies this mail. It has at most 256 characters and reveals nothing about the mail.
///
/// It depends only on the content. So the same mail to the same recipient within 24 hours is sent only once, even if
/// the server was restarted in between. A mail that must be sent again has to differ in some way.
fn idempotency_key(body: &Body<'_>) -> String {
    let mut hash = Sha256::new();
    for field in [body.from, body.to[0], &body.subject, body.text, body.html] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    format!("chat-server/{}", hex::encode(hash.finalize()))
}

/// A failed attempt, and when to retry.
struct Failure {
    error: MailError,
    retry: Retry,
}

enum Retry {
    Never,
    Later,
    After(Duration),
}

/// Distinguishes temporary from permanent failures.
async fn refusal(response: Response) -> Failure {
    const MAX_PAUSE: Duration = Duration::from_mins(1);

    let status = response.status();
    let asked_pause = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(MAX_PAUSE));
    let name = error_name(response).await;
    let passing = match status {
        // A daily or monthly quota is not renewed while we wait.
        StatusCode::TOO_MANY_REQUESTS => !name.ends_with("quota_exceeded"),
        // An earlier attempt that timed out on our side is still being processed.
        StatusCode::CONFLICT => name == "concurrent_idempotent_requests",
        _ => status.is_server_error(),
    };
    if !passing {
        return Failure { error: MailError::Refused { status: status.as_u16(), name }, retry: Retry::Never };
    }
    let what = if status.is_server_error() { "it failed" } else { "it has too much to do" };
    Failure {
        error: MailError::Unavailable { what, source: None },
        retry: asked_pause.map_or(Retry::Later, Retry::After),
    }
}

/// The service's name for the reason. Its message is not used, because it may contain an address.
async fn error_name(mut response: Response) -> String {
    const LIMIT: usize = 16 * 1024;

    #[derive(Deserialize)]
    struct Refusal {
        name: String,
    }

    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > LIMIT {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    match serde_json::from_slice(&body) {
        Ok(Refusal { name })
            if name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') =>
        {
            name
        }
        _ => "no known reason".to_owned(),
    }
}

/// Whether the text is a single bare address. Does not check that the address exists.
fn is_address(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"');
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()) && !text.contains(forbidden)
}

/// `Name <address>`. The name is quoted where RFC 5322 (section 3.2.4) requires it.
fn mailbox(name: Option<&str>, address: &str) -> String {
    let name = one_line(name.unwrap_or_default());
    let special = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !" !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.is_empty() {
        address.to_owned()
    } else if name.contains(special) {
        format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("{name} <{address}>")
    }
}

#[cfg(test)]
mod tests;
