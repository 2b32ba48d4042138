//! The used part of S3, with the checks that clients often fail: Signature Version 4
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>) and the SHA-256 of every body.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

pub(super) const KEY_ID: &str = "AKIDEXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The objects in the bucket, and the requests that were made.
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) objects: Mutex<BTreeMap<String, Bytes>>,
    pub(super) uploads: Mutex<HashMap<String, BTreeMap<u32, Bytes>>>,
    pub(super) refused: AtomicU64,
    pub(super) parts: AtomicU64,
    /// This part and the later ones are answered with 500; 0 means none.
    pub(super) fails_at_part: AtomicU64,
    next: AtomicU64,
}

impl Bucket {
    pub(super) async fn serve() -> (Arc<Self>, String) {
        let bucket = Arc::<Self>::default();
        let router = axum::Router::new().fallback(answer).with_state(bucket.clone());
        let address = crate::media::test_http::serve(router).await;
        (bucket, address)
    }
}

async fn answer(State(bucket): State<Arc<Bucket>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    if let Err(why) = check(&parts.method, &path, &query, &parts.headers, &body) {
        bucket.refused.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::FORBIDDEN, format!("<Error><Code>{why}</Code></Error>")).into_response();
    }
    let query: HashMap<String, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| {
            let value = percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned();
            (name.to_owned(), value)
        })
        .collect();
    let name = path.strip_prefix("/bucket").unwrap_or_default().trim_start_matches('/').to_owned();
    bucket.carry_out(&parts.method, name, &query, &parts.headers, body)
}

impl Bucket {
    fn carry_out(
        &self,
        method: &Method,
        name: String,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", _) if query.contains_key("list-type") => self.list(&query["prefix"]),
            ("GET" | "HEAD", _) => self.get(&name, headers),
            ("PUT", Some(upload)) => {
                let number: u32 = query["partNumber"].parse().unwrap();
                let fails_at = self.fails_at_part.load(Ordering::Relaxed);
                if fails_at > 0 && u64::from(number) >= fails_at {
                    return StatusCode::BAD_REQUEST.into_response();
                }
                self.parts.fetch_add(1, Ordering::Relaxed);
                self.uploads.lock().get_mut(upload).unwrap().insert(number, body);
                ([("etag", format!("\"part-{number}\""))], "").into_response()
            }
            ("PUT", None) => {
                let mut objects = self.objects.lock();
                if headers.get("if-none-match").is_some_and(|value| value == "*")
                    && objects.contains_key(&name)
                {
                    return StatusCode::PRECONDITION_FAILED.into_response();
                }
                objects.insert(name, body);
                ([("etag", "\"whole\"")], "").into_response()
            }
            ("POST", None) => {
                let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
                self.uploads.lock().insert(id.clone(), BTreeMap::new());
                format!(
                    "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{name}</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                )
                .into_response()
            }
            ("POST", Some(upload)) => {
                let Some(parts) = self.uploads.lock().remove(upload) else {
                    return StatusCode::NOT_FOUND.into_response();
                };
                let named = String::from_utf8_lossy(&body).matches("<PartNumber>").count();
                assert_eq!(named, parts.len(), "all parts are named");
                let whole = parts.into_values().collect::<Vec<_>>().concat();
                self.objects.lock().insert(name, whole.into());
                "<CompleteMultipartUploadResult><ETag>\"all\"</ETag></CompleteMultipartUploadResult>"
                    .into_response()
            }
            ("DELETE", Some(upload)) => {
                self.uploads.lock().remove(upload);
                StatusCode::NO_CONTENT.into_response()
            }
            ("DELETE", None) => {
                self.objects.lock().remove(&name);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }

    fn get(&self, name: &str, headers: &HeaderMap) -> Response {
        let Some(object) = self.objects.lock().get(name).cloned() else {
            return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response();
        };
        let common = [("etag", "\"tag\""), ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")];
        let range = headers.get("range").map(|range| range.to_str().unwrap().to_owned());
        let Some(range) = range else { return (common, Body::from(object)).into_response() };
        let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        let shown = [("content-range", format!("bytes {start}-{end}/{}", object.len()))];
        (StatusCode::PARTIAL_CONTENT, common, shown, Body::from(object.slice(start..=end))).into_response()
    }

    fn list(&self, prefix: &str) -> Response {
        let objects = self.objects.lock();
        let found = objects.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(name, object)| {
            let (time, len) = ("2015-10-21T07:28:00.000Z", object.len());
            format!("<Contents><Key>{name}</Key><LastModified>{time}</LastModified><ETag>t</ETag><Size>{len}</Size></Contents>")
        });
        let found: String = found.collect();
        format!(
            "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        )
        .into_response()
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether a request is signed with the secret, and its body matches the signature.
fn check(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body_hash = text("x-amz-content-sha256");
    if body_hash != hash(body) {
        return Err("XAmzContentSHA256Mismatch");
    }
    let authorization = text("authorization").strip_prefix("AWS4-HMAC-SHA256 ").ok_or("AccessDenied")?;
    let fields: HashMap<_, _> =
        authorization.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let (credential, signed) = (fields["Credential"], fields["SignedHeaders"]);
    let scope = credential
        .strip_prefix(KEY_ID)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or("InvalidAccessKeyId")?;
    for needed in ["host", "x-amz-content-sha256", "x-amz-date"] {
        assert!(signed.split(';').any(|name| name == needed), "{needed} must be signed");
    }
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let signed_headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", text(name).trim())).collect();
    let canonical = format!("{method}\n{path}\n{}\n{signed_headers}\n{signed}\n{body_hash}", pairs.join("&"));
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", text("x-amz-date"), hash(canonical.as_bytes()));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = sign(&key, part);
    }
    if hex::encode(sign(&key, &to_sign)) == fields["Signature"] {
        Ok(())
    } else {
        Err("SignatureDoesNotMatch")
    }
}
