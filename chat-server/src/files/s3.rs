//! Stores files in a bucket of an S3-compatible service (AWS, MinIO, R2, …), through `object_store`.
//!
//! Layout: `<prefix>/ab/<id>` contains the bytes and `<prefix>/ab/<id>.json` the record, as on disk. The record is only
//! created, never replaced (`If-None-Match: *`), which all of these services support by now. A file longer than
//! [`PART`] is uploaded in parts, one after the other. If a part fails, the upload is aborted. A part is completely in
//! memory while it is sent, because the request header contains its hash. So only few parts are sent at once.
//!
//! Requests use the HTTP client of this server, so that there is only one client and one TLS implementation.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::sync::Semaphore;

use super::error::FileError;
use super::id::FileId;
use super::record::FileRecord;
use super::staging::Staged;
use super::staging::blocking;
use super::store::{ByteStream, FileStore, Listed};
use crate::secret::Secret;

/// The minimum size of a part in S3, except the last part.
const PART: usize = 5 << 20;
/// The maximum number of parts in memory at once.
const PARTS_AT_ONCE: usize = 4;

/// How to reach a bucket.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The name of the bucket (`CHAT_FILES_S3_BUCKET`).
    pub bucket: String,
    /// The address of the service, if it is not Amazon's (`CHAT_FILES_S3_ENDPOINT`).
    pub endpoint: Option<String>,
    /// The region (`CHAT_FILES_S3_REGION`).
    pub region: String,
    /// The public part of the credentials (`CHAT_FILES_S3_KEY_ID`).
    pub key_id: String,
    /// The secret part of the credentials (`CHAT_FILES_S3_SECRET`).
    pub secret: Secret,
    /// The prefix of all object names (`CHAT_FILES_S3_PREFIX`).
    pub prefix: String,
}

/// A [`FileStore`] that keeps files in a bucket.
pub struct S3Files {
    store: AmazonS3,
    prefix: String,
    parts: Arc<Semaphore>,
}

impl S3Files {
    /// Prepares requests without sending anything. The clock of this machine must be right within some minutes.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn new(config: &S3Config, client: reqwest::Client) -> Result<Self, FileError> {
        let retry =
            RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_access_key_id(&config.key_id)
            .with_secret_access_key(config.secret.expose())
            .with_retry(retry)
            // Not every service supports bulk deletes.
            .with_disable_bulk_delete(true)
            .with_http_connector(Connector(client));
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let store =
            builder.build().map_err(|error| FileError::caused("S3 cannot be used as configured", error))?;
        let prefix = config.prefix.trim_matches('/').to_owned();
        Ok(Self { store, prefix, parts: Arc::new(Semaphore::new(PARTS_AT_ONCE)) })
    }

    fn folder(&self, shard: u8) -> String {
        let shard = hex::encode([shard]);
        if self.prefix.is_empty() { shard } else { format!("{}/{shard}", self.prefix) }
    }

    fn bytes_at(&self, id: FileId) -> Path {
        Path::from(format!("{}/{id}", self.folder(id.shard())))
    }

    fn record_at(&self, id: FileId) -> Path {
        Path::from(format!("{}/{id}.json", self.folder(id.shard())))
    }

    async fn put_bytes(&self, at: &Path, file: &Staged) -> Result<(), FileError> {
        let opened = file.path().to_owned();
        let mut opened = blocking(move || File::open(opened)).await?;
        let mut parts: Option<Box<dyn MultipartUpload>> = None;
        let mut left = file.size();
        loop {
            // This fails only if the semaphore is closed, which never happens.
            let _turn = self.parts.acquire().await;
            let len = usize::try_from(left).unwrap_or(PART).min(PART);
            let read = blocking(move || {
                let mut part = vec![0; len];
                opened.read_exact(&mut part)?;
                Ok((Bytes::from(part), opened))
            });
            let (part, rest) = read.await?;
            opened = rest;
            left -= len as u64;
            if left == 0 && parts.is_none() {
                self.store
                    .put(at, part.into())
                    .await
                    .map_err(|error| failed("S3 did not take a file", error))?;
                return Ok(());
            }
            let upload = match &mut parts {
                Some(upload) => upload,
                None => {
                    let begun = self.store.put_multipart(at).await;
                    parts.insert(begun.map_err(|error| failed("S3 did not take a file", error))?)
                }
            };
            let mut sent = upload.put_part(PutPayload::from(part)).await;
            if sent.is_ok() && left == 0 {
                sent = upload.complete().await.map(drop);
            }
            if let Err(error) = sent {
                if let Err(error) = upload.abort().await {
                    chat_core::log_throttled!(warn, %error, "an upload to S3 could not be given up");
                }
                return Err(failed("S3 did not take a part of a file", error));
            }
            if left == 0 {
                return Ok(());
            }
        }
    }

    async fn delete(&self, at: &Path) -> Result<(), FileError> {
        match self.store.delete(at).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("S3 did not remove a file", error)),
        }
    }
}

fn failed(what: &'static str, error: Error) -> FileError {
    FileError::caused(what, error)
}

fn unless_missing<T>(what: &'static str, result: Result<T, Error>) -> Result<Option<T>, FileError> {
    match result {
        Err(Error::NotFound { .. }) => Ok(None),
        result => result.map(Some).map_err(|error| failed(what, error)),
    }
}

#[async_trait]
impl FileStore for S3Files {
    async fn put(&self, record: &FileRecord, file: Staged) -> Result<(), FileError> {
        let text = serde_json::to_vec(record)
            .map_err(|error| FileError::caused("a record could not be written", error))?;
        let (record_at, bytes_at) = (self.record_at(record.id), self.bytes_at(record.id));
        let only_new = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.store.put_opts(&record_at, text.into(), only_new).await;
        match put {
            Err(error @ Error::AlreadyExists { .. }) => return Err(failed("an id was made twice", error)),
            Err(error) => {
                // The service may have stored it nevertheless.
                let _ = self.delete(&record_at).await;
                return Err(failed("S3 did not take a record", error));
            }
            Ok(_) => {}
        }
        let put = self.put_bytes(&bytes_at, &file).await;
        if put.is_err() {
            // What cannot be removed now is removed by the sweep later.
            let _ = self.remove(record.id).await;
        }
        put
    }

    async fn record(&self, id: FileId) -> Result<Option<FileRecord>, FileError> {
        const WHAT: &str = "S3 did not give a record";
        let Some(found) = unless_missing(WHAT, self.store.get(&self.record_at(id)).await)? else {
            return Ok(None);
        };
        let text = found.bytes().await.map_err(|error| failed(WHAT, error))?;
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|error| FileError::caused("a record could not be read", error))
    }

    async fn read(&self, id: FileId, range: Range<u64>) -> Result<Option<ByteStream>, FileError> {
        const WHAT: &str = "S3 did not give a file";
        let at = self.bytes_at(id);
        if range.is_empty() {
            let found = unless_missing(WHAT, self.store.head(&at).await)?;
            return Ok(found.map(|_| stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = unless_missing(WHAT, self.store.get_opts(&at, options).await)?;
        Ok(found.map(|found| found.into_stream().map_err(|error| failed(WHAT, error)).boxed()))
    }

    async fn remove(&self, id: FileId) -> Result<(), FileError> {
        self.delete(&self.bytes_at(id)).await?;
        self.delete(&self.record_at(id)).await
    }

    async fn list(&self, shard: u8) -> Result<Vec<Listed>, FileError> {
        let folder = Path::from(self.folder(shard));
        let mut found: Vec<(FileId, u8)> = Vec::new();
        let mut objects = self.store.list(Some(&folder));
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| failed("S3 did not list the files", error))?;
            let Some(name) = object.location.filename() else { continue };
            let (id, part) = name.strip_suffix(".json").map_or((name, 1), |id| (id, 2));
            if let Ok(id) = id.parse() {
                found.push((id, part));
            }
        }
        Ok(super::store::listed(found))
    }
}

/// Sends the requests of `object_store` with this server's HTTP client.
struct Connector(reqwest::Client);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = reqwest::Body::wrap(body);
        let request =
            reqwest::Request::try_from(axum::http::Request::from_parts(parts, body)).map_err(http_error)?;
        let response =
            axum::http::Response::<reqwest::Body>::from(self.0.execute(request).await.map_err(http_error)?);
        let (parts, body) = response.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(http_error))))
    }
}

/// Omits the URL, which contains the name of the bucket.
fn http_error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Request
    };
    HttpError::new(kind, error.without_url())
}

#[cfg(test)]
mod tests;
