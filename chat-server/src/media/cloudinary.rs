//! Stores pictures at Cloudinary, through its signed upload API.
//!
//! The request is `POST {base}/v1_1/{cloud name}/image/upload` with a multipart body, and the answer JSON
//! with `secure_url`, or `{"error": {"message": …}}`:
//! <https://cloudinary.com/documentation/image_upload_api_reference#upload>. How it is signed:
//! <https://cloudinary.com/documentation/authentication_signatures>.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use reqwest::{
    Client, Response, StatusCode, Url,
    multipart::{Form, Part},
};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::store::{Media, MediaError, MediaStore, Purpose};
use crate::secret::Secret;

/// Returns the current time.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How to reach an account at Cloudinary.
#[derive(Clone, Debug)]
pub struct CloudinaryConfig {
    /// The account's cloud name (`CLOUDINARY_CLOUD_NAME`).
    pub cloud_name: String,
    /// The public half of the credentials (`CLOUDINARY_API_KEY`).
    pub api_key: String,
    /// The secret half, with which requests are signed (`CLOUDINARY_API_SECRET`).
    pub api_secret: Secret,
    /// The address of the API without `/v1_1` (`CHAT_CLOUDINARY_URL`).
    pub base_url: String,
    /// The folder under which pictures are filed, in a subfolder by purpose; at the top of the account if
    /// `None`.
    pub folder: Option<String>,
}

impl CloudinaryConfig {
    /// The given account at Cloudinary's own address, without a folder.
    #[must_use]
    pub fn new(cloud_name: impl Into<String>, api_key: impl Into<String>, api_secret: Secret) -> Self {
        Self {
            cloud_name: cloud_name.into(),
            api_key: api_key.into(),
            api_secret,
            base_url: "https://api.cloudinary.com".to_owned(),
            folder: None,
        }
    }
}

/// The hash for request signatures. Cloudinary accepts either, unless an account was limited to SHA-256 on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// The default of Cloudinary's own libraries.
    #[default]
    Sha1,
    /// For accounts that accept only SHA-256.
    Sha256,
}

/// A [`MediaStore`] that keeps pictures at Cloudinary.
pub struct CloudinaryMedia {
    config: CloudinaryConfig,
    endpoint: Url,
    client: Client,
    clock: WallClock,
    algorithm: SignatureAlgorithm,
    timeout: Duration,
}

impl CloudinaryMedia {
    /// Prepares uploads without sending anything. The clock must be right within an hour, or Cloudinary rejects
    /// requests as stale.
    ///
    /// # Errors
    ///
    /// [`MediaError::Configuration`] when a part of `config` is empty or the address is not an HTTP URL.
    pub fn new(config: CloudinaryConfig, client: Client, clock: WallClock) -> Result<Self, MediaError> {
        if config.cloud_name.is_empty() || config.api_key.is_empty() || config.api_secret.expose().is_empty()
        {
            return Err(MediaError::Configuration(
                "Cloudinary needs a cloud name, an API key and an API secret",
            ));
        }
        let wrong_address = MediaError::Configuration("the address of Cloudinary is not an HTTP URL");
        let Ok(mut endpoint) = Url::parse(&config.base_url) else { return Err(wrong_address) };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(wrong_address);
        }
        match endpoint.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(["v1_1", &config.cloud_name, "image", "upload"]),
            Err(()) => return Err(wrong_address),
        };
        Ok(Self {
            config,
            endpoint,
            client,
            clock,
            algorithm: SignatureAlgorithm::default(),
            timeout: Duration::from_secs(30),
        })
    }

    /// Changes the hash of the signature; SHA-1 if this is not called.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Changes how long one picture may take, the second attempt included; 30 seconds if this is not called.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Uploads a picture, and retries once if the service is unreachable or fails.
    ///
    /// If the service fails after it has stored the picture, an unreferenced copy remains there. This is accepted: with
    /// a name of our own the second attempt would replace the first copy, but then other users could predict the names.
    async fn upload(&self, media: &Media) -> Result<String, MediaError> {
        match self.attempt(media).await {
            Err(Failure::Passing(error)) => {
                chat_core::log_throttled!(
                    warn, %error, "Cloudinary did not take a picture, trying once more"
                );
                self.attempt(media).await.map_err(Failure::into_inner)
            }
            result => result.map_err(Failure::into_inner),
        }
    }

    async fn attempt(&self, media: &Media) -> Result<String, Failure> {
        let request = self.client.post(self.endpoint.clone()).multipart(self.form(media)?);
        let response = request.send().await.map_err(|error| {
            let passing = error.is_connect();
            let error = MediaError::caused("Cloudinary cannot be reached", error.without_url());
            if passing { Failure::Passing(error) } else { Failure::Final(error) }
        })?;
        let status = response.status();
        let body = read_body(response).await.map_err(Failure::Final)?;
        if status.is_success() {
            return secure_url(&body).map_err(Failure::Final);
        }
        Err(refusal(status, &body))
    }

    /// The public id of one of our pictures: the part of its URL between the version and the extension.
    fn public_id<'a>(&self, url: &'a str) -> Option<&'a str> {
        let (_, place) = url.strip_prefix("https://")?.split_once('/')?;
        let (cloud, path) = place.split_once("/image/upload/")?;
        let path = match path.split_once('/') {
            Some((version, path)) if is_version(version) => path,
            _ => path,
        };
        let (id, extension) = path.rsplit_once('.')?;
        let is_ours = cloud == self.config.cloud_name
            && !extension.contains('/')
            && self.config.folder.as_deref().is_none_or(|folder| {
                id.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
            });
        is_ours.then_some(id)
    }

    /// Removes a picture: `POST {base}/v1_1/{cloud name}/image/destroy`, answered `{"result": "ok"}` or
    /// `{"result": "not found"}`: <https://cloudinary.com/documentation/image_upload_api_reference#destroy>.
    async fn destroy(&self, public_id: &str) -> Result<(), MediaError> {
        #[derive(Deserialize)]
        struct Destroyed {
            result: String,
        }

        let since_epoch = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut signed = vec![
            ("timestamp", since_epoch.as_secs().to_string()),
            ("public_id", public_id.to_owned()),
            // This also removes copies in Cloudinary's caches.
            ("invalidate", "true".to_owned()),
        ];
        let signature = sign(&mut signed, &self.config.api_secret, self.algorithm);
        let form = signed.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        let form = form.text("api_key", self.config.api_key.clone()).text("signature", signature);
        let mut endpoint = self.endpoint.clone();
        if let Ok(mut path) = endpoint.path_segments_mut() {
            path.pop().push("destroy");
        }
        let request = self.client.post(endpoint).multipart(form);
        let response = request
            .send()
            .await
            .map_err(|error| MediaError::caused("Cloudinary cannot be reached", error.without_url()))?;
        let status = response.status();
        let body = read_body(response).await?;
        match serde_json::from_slice(&body) {
            Ok(Destroyed { result }) if status.is_success() && matches!(&*result, "ok" | "not found") => {
                Ok(())
            }
            _ => Err(MediaError::unavailable("Cloudinary did not remove a picture")),
        }
    }

    fn form(&self, media: &Media) -> Result<Form, Failure> {
        let since_epoch = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut signed = vec![("timestamp", since_epoch.as_secs().to_string())];
        if let Some(folder) = &self.config.folder {
            let purpose = match media.purpose {
                Purpose::ProfilePicture => "profile-pictures",
                Purpose::MessageImage => "message-images",
            };
            signed.push(("folder", format!("{}/{purpose}", folder.trim_end_matches('/'))));
        }
        let signature = sign(&mut signed, &self.config.api_secret, self.algorithm);
        // The file name does not identify the sender. The bytes are shared, not copied.
        let file = Part::stream_with_length(media.bytes.clone(), media.bytes.len() as u64)
            .file_name(format!("image.{}", media.kind.extension()))
            .mime_str(media.kind.content_type())
            .map_err(|error| Failure::Final(MediaError::caused("a picture has no valid type", error)))?;
        let form = signed.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        Ok(form.text("api_key", self.config.api_key.clone()).text("signature", signature).part("file", file))
    }
}

#[async_trait]
impl MediaStore for CloudinaryMedia {
    async fn store(&self, media: Media) -> Result<String, MediaError> {
        tokio::time::timeout(self.timeout, self.upload(&media))
            .await
            .unwrap_or_else(|_| Err(MediaError::unavailable("Cloudinary did not answer in time")))
    }

    async fn remove(&self, url: &str) -> Result<(), MediaError> {
        let Some(public_id) = self.public_id(url) else { return Ok(()) };
        tokio::time::timeout(self.timeout, self.destroy(public_id))
            .await
            .unwrap_or_else(|_| Err(MediaError::unavailable("Cloudinary did not answer in time")))
    }
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Sorts the given parameters by name and signs them. They must be all parameters of the request except `file` and
/// `api_key`.
///
/// The text to sign is `name=value` joined by `&`, with the secret appended. The signature is its hash in hexadecimal.
/// An `&` within a value is written as `%26` there (signature version 2), so that no value can imitate another
/// parameter.
fn sign(parameters: &mut [(&str, String)], secret: &Secret, algorithm: SignatureAlgorithm) -> String {
    parameters.sort_unstable_by_key(|(name, _)| *name);
    let mut text = String::new();
    for (name, value) in parameters {
        let separator = if text.is_empty() { "" } else { "&" };
        let _ = write!(text, "{separator}{name}={}", value.replace('&', "%26"));
    }
    text.push_str(secret.expose());
    match algorithm {
        SignatureAlgorithm::Sha1 => hex::encode(Sha1::digest(text)),
        SignatureAlgorithm::Sha256 => hex::encode(Sha256::digest(text)),
    }
}

/// An error, and whether a retry may succeed.
enum Failure {
    Passing(MediaError),
    Final(MediaError),
}

impl Failure {
    fn into_inner(self) -> MediaError {
        match self {
            Self::Passing(error) | Self::Final(error) => error,
        }
    }
}

/// Reads a response, which is a small JSON document in every known case. More than 64 KiB is an error.
async fn read_body(mut response: Response) -> Result<Vec<u8>, MediaError> {
    const LIMIT: usize = 64 * 1024;

    let broken = |error: reqwest::Error| MediaError::caused("Cloudinary broke off", error.without_url());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LIMIT {
            return Err(MediaError::unavailable("Cloudinary answered at too great a length"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn secure_url(body: &[u8]) -> Result<String, MediaError> {
    #[derive(Deserialize)]
    struct Uploaded {
        secure_url: String,
    }

    match serde_json::from_slice(body) {
        Ok(Uploaded { secure_url }) if secure_url.starts_with("https://") => Ok(secure_url),
        Ok(_) => Err(MediaError::unavailable("Cloudinary answered with a URL that is not secure")),
        Err(error) => Err(MediaError::caused("Cloudinary answered without a URL", error)),
    }
}

/// Classifies an error response: a refused file, a wrong request, or a failure of the service.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    if status.is_server_error() {
        return Failure::Passing(MediaError::unavailable("Cloudinary failed"));
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        // The message of this error repeats the signed text, so it must not be logged.
        chat_core::log_throttled!(
            error, %status, "Cloudinary refuses our account; check the CLOUDINARY_ variables"
        );
        return Failure::Final(MediaError::unavailable("Cloudinary refuses our account"));
    }
    let message = error_message(body);
    // A wrong clock causes the same status as a damaged picture.
    let about_the_file = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE
    ) && !message.starts_with("Stale request");
    if about_the_file {
        chat_core::log_throttled!(warn, %status, message, "Cloudinary refuses a picture");
        return Failure::Final(MediaError::Refused);
    }
    chat_core::log_throttled!(error, %status, message, "Cloudinary refuses a request");
    Failure::Final(MediaError::unavailable("Cloudinary refuses our request"))
}

/// The message of an error, shortened to one line for the log.
fn error_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }

    serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| "no message".to_owned(),
        |refusal| refusal.error.message.chars().filter(|c| !c.is_control()).take(200).collect(),
    )
}

#[cfg(test)]
mod tests;
