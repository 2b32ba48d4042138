//! Tests uploads against a local server that checks them as Cloudinary does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use serde_json::json;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::{CloudinaryConfig, CloudinaryMedia, SignatureAlgorithm, sign};
use crate::{
    media::{ImageKind, Media, MediaError, MediaStore, Purpose, samples, test_http},
    secret::Secret,
};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a-secret";

/// The service: the responses that it gives before it works normally, and what it has received.
#[derive(Default)]
struct Fake {
    first_answers: Mutex<Vec<(StatusCode, &'static str)>>,
    requests: Mutex<usize>,
    taken: Mutex<Vec<(BTreeMap<String, String>, Part)>>,
    destroyed: Mutex<Vec<BTreeMap<String, String>>>,
}

#[derive(Debug)]
struct Part {
    file_name: String,
    content_type: String,
    bytes: Bytes,
}

impl Fake {
    async fn start(self: &Arc<Self>) -> String {
        test_http::serve(self.app()).await
    }

    fn app(self: &Arc<Self>) -> Router {
        let upload = post(upload).layer(DefaultBodyLimit::disable());
        let destroy = post(destroy);
        Router::new()
            .route("/v1_1/{cloud}/image/upload", upload)
            .route("/v1_1/{cloud}/image/destroy", destroy)
            .with_state(Arc::clone(self))
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "error": { "message": message } }))).into_response()
}

async fn upload(
    State(fake): State<Arc<Fake>>,
    Path(cloud): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    *fake.requests.lock().unwrap() += 1;
    assert!(headers.contains_key("content-length"), "the length of the body is announced");
    if let Some((status, text)) = fake.first_answers.lock().unwrap().pop() {
        return (status, text).into_response();
    }
    if cloud != "demo" {
        return refuse(StatusCode::UNAUTHORIZED, "Invalid cloud_name");
    }
    let (fields, file) = parse_multipart(&headers, &body);
    if fields["api_key"] != "1234" {
        return refuse(StatusCode::UNAUTHORIZED, "Unknown API key");
    }
    let signed = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "api_key" | "signature"));
    let text =
        signed.map(|(name, value)| format!("{name}={}", value.replace('&', "%26"))).collect::<Vec<_>>();
    let text = text.join("&");
    let sha1 = hex::encode(Sha1::digest(format!("{text}{SECRET}")));
    let sha256 = hex::encode(Sha256::digest(format!("{text}{SECRET}")));
    let signature = &fields["signature"];
    if *signature != sha1 && *signature != sha256 {
        let message = format!("Invalid Signature {signature}. String to sign - '{text}'.");
        return refuse(StatusCode::UNAUTHORIZED, &message);
    }
    if fields["timestamp"].parse::<u64>().unwrap().abs_diff(NOW) > 3600 {
        return refuse(StatusCode::BAD_REQUEST, "Stale request - reported time is too far from ours");
    }
    if file.bytes.ends_with(b"damaged") {
        return refuse(StatusCode::BAD_REQUEST, "Invalid image file");
    }
    let url = format!("https://res.cloudinary.com/demo/image/upload/v1/{}", file.file_name);
    fake.taken.lock().unwrap().push((fields, file));
    axum::Json(json!({ "public_id": "x", "secure_url": url })).into_response()
}

/// The text fields and the one file of a `multipart/form-data` body (RFC 7578).
fn parse_multipart(headers: &HeaderMap, body: &[u8]) -> (BTreeMap<String, String>, Part) {
    let (fields, file) = parse_fields(headers, body);
    (fields, file.unwrap())
}

/// The same for bodies that may have no file.
fn parse_fields(headers: &HeaderMap, body: &[u8]) -> (BTreeMap<String, String>, Option<Part>) {
    let (_, boundary) = headers["content-type"].to_str().unwrap().split_once("boundary=").unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let body = [b"\r\n", body].concat();
    let starts: Vec<usize> = body
        .windows(delimiter.len())
        .enumerate()
        .filter(|(_, it)| *it == delimiter.as_bytes())
        .map(|(i, _)| i)
        .collect();
    let mut fields = BTreeMap::new();
    let mut file = None;
    for pair in starts.windows(2) {
        let part = &body[pair[0] + delimiter.len() + 2..pair[1]];
        let split = part.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(part[..split].to_vec()).unwrap();
        let content = Bytes::copy_from_slice(&part[split + 4..]);
        let attribute = |name: &str| {
            let (_, rest) = head.split_once(&format!(" {name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        match attribute("filename") {
            Some(file_name) => {
                assert_eq!(attribute("name").unwrap(), "file");
                let (_, content_type) = head.split_once("Content-Type: ").unwrap();
                let content_type = content_type.lines().next().unwrap().to_owned();
                file = Some(Part { file_name, content_type, bytes: content });
            }
            None => {
                fields.insert(attribute("name").unwrap(), String::from_utf8(content.to_vec()).unwrap());
            }
        }
    }
    (fields, file)
}

async fn destroy(State(fake): State<Arc<Fake>>, headers: HeaderMap, body: Bytes) -> Response {
    *fake.requests.lock().unwrap() += 1;
    if let Some((status, text)) = fake.first_answers.lock().unwrap().pop() {
        return (status, text).into_response();
    }
    let fields = parse_fields(&headers, &body).0;
    let signed = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "api_key" | "signature"));
    let text: Vec<_> = signed.map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(fields["signature"], hex::encode(Sha1::digest(format!("{}{SECRET}", text.join("&")))));
    let result = if fields["public_id"].ends_with("gone") { "not found" } else { "ok" };
    fake.destroyed.lock().unwrap().push(fields);
    axum::Json(json!({ "result": result })).into_response()
}

fn config(base_url: String) -> CloudinaryConfig {
    CloudinaryConfig { base_url, ..CloudinaryConfig::new("demo", "1234", Secret::new(SECRET.to_owned())) }
}

fn cloudinary(config: CloudinaryConfig) -> CloudinaryMedia {
    let clock = Arc::new(|| UNIX_EPOCH + Duration::from_secs(NOW));
    CloudinaryMedia::new(config, test_http::client(), clock).unwrap()
}

fn media(bytes: Bytes) -> Media {
    Media::from_bytes(bytes, Purpose::ProfilePicture).unwrap()
}

fn assert_ours(result: Result<String, MediaError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, MediaError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains(SECRET));
}

#[test]
fn the_published_examples_are_signed_alike() {
    let secret = Secret::new("abcd".to_owned());
    let sign = |parameters: &[(&'static str, &str)], algorithm| {
        let mut parameters: Vec<_> =
            parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        sign(&mut parameters, &secret, algorithm)
    };
    let short = [("timestamp", "1315060510"), ("public_id", "sample_image")];
    assert_eq!(sign(&short, SignatureAlgorithm::Sha1), "b4ad47fb4e25c7bf5f92a20089f9db59bc302313");
    let eager = ("eager", "w_400,h_300,c_pad|w_260,h_200,c_crop");
    let long = [short[0], short[1], eager];
    assert_eq!(sign(&long, SignatureAlgorithm::Sha1), "bfd09f95f331f558cbd1320e67aa8d488770583e");
    assert_eq!(sign(&short, SignatureAlgorithm::Sha256).len(), 64);
    let smuggled = [("folder", "a&public_id=sample_image"), ("timestamp", "1315060510")];
    let honest = [("folder", "a"), ("public_id", "sample_image"), ("timestamp", "1315060510")];
    assert_ne!(sign(&smuggled, SignatureAlgorithm::Sha1), sign(&honest, SignatureAlgorithm::Sha1));
}

#[tokio::test]
async fn every_kind_arrives_unchanged_and_signed() {
    let fake = Arc::new(Fake::default());
    let cloudinary = cloudinary(config(fake.start().await));
    for (kind, file) in samples::all() {
        let url = cloudinary.store(media(file.clone())).await.unwrap();
        assert_eq!(
            url,
            format!("https://res.cloudinary.com/demo/image/upload/v1/image.{}", kind.extension())
        );
        let (fields, part) = fake.taken.lock().unwrap().pop().unwrap();
        assert_eq!(part.bytes, file);
        assert_eq!(part.content_type, kind.content_type());
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["api_key", "signature", "timestamp"]);
        assert_eq!(fields["timestamp"], NOW.to_string());
    }
}

#[tokio::test]
async fn a_large_picture_arrives_unchanged() {
    let fake = Arc::new(Fake::default());
    let cloudinary = cloudinary(config(fake.start().await));
    let mut file = samples::png().to_vec();
    file.extend((0..5 * 1024 * 1024_u32).map(|i| i.to_le_bytes()[1]));
    let file = Bytes::from(file);
    cloudinary.store(media(file.clone())).await.unwrap();
    assert!(fake.taken.lock().unwrap()[0].1.bytes == file);
}

#[tokio::test]
async fn folder_and_hash_can_be_chosen() {
    let fake = Arc::new(Fake::default());
    let config = CloudinaryConfig {
        folder: Some("chat & more/".to_owned()),
        ..config(format!("{}/", fake.start().await))
    };
    let cloudinary = cloudinary(config).with_algorithm(SignatureAlgorithm::Sha256);
    for purpose in [Purpose::MessageImage, Purpose::ProfilePicture] {
        let media = Media { bytes: samples::gif(), kind: ImageKind::Gif, purpose };
        cloudinary.store(media).await.unwrap();
    }
    let taken = fake.taken.lock().unwrap();
    assert_eq!(taken[0].0["folder"], "chat & more/message-images");
    assert_eq!(taken[1].0["folder"], "chat & more/profile-pictures");
    assert_eq!(taken[0].0["signature"].len(), 64);
}

#[tokio::test]
async fn a_wrong_account_is_our_fault() {
    let fake = Arc::new(Fake::default());
    let right = config(fake.start().await);
    let wrong_secret = CloudinaryConfig { api_secret: Secret::new("guess".to_owned()), ..right.clone() };
    let wrong_key = CloudinaryConfig { api_key: "1".to_owned(), ..right.clone() };
    let wrong_cloud = CloudinaryConfig { cloud_name: "a/../b".to_owned(), ..right.clone() };
    for config in [wrong_secret, wrong_key, wrong_cloud] {
        assert!(!format!("{config:?}").contains(config.api_secret.expose()));
        assert_ours(cloudinary(config).store(media(samples::png())).await);
    }
    let an_hour_late = Arc::new(|| UNIX_EPOCH + Duration::from_secs(NOW - 3601));
    let late = CloudinaryMedia::new(right, test_http::client(), an_hour_late).unwrap();
    assert_ours(late.store(media(samples::png())).await);
    assert!(fake.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_file_is_the_clients_fault() {
    let fake = Arc::new(Fake::default());
    let cloudinary = cloudinary(config(fake.start().await));
    let damaged = Bytes::from([&samples::png()[..], b"damaged"].concat());
    let error = cloudinary.store(media(damaged)).await.unwrap_err();
    assert!(matches!(error, MediaError::Refused) && error.is_client_error());
    assert_eq!(*fake.requests.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_failing_service_is_asked_twice() {
    let down = (StatusCode::BAD_GATEWAY, "<html>Bad gateway</html>");
    let fake = Arc::new(Fake { first_answers: Mutex::new(vec![down]), ..Fake::default() });
    let cloudinary = cloudinary(config(fake.start().await));
    cloudinary.store(media(samples::png())).await.unwrap();
    assert_eq!(*fake.requests.lock().unwrap(), 2);

    *fake.first_answers.lock().unwrap() = vec![down; 3];
    assert_ours(cloudinary.store(media(samples::png())).await);
    assert_eq!(*fake.requests.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_service_that_comes_back_is_reached_at_the_second_attempt() {
    let fake = Arc::new(Fake::default());
    let (address, socket) = test_http::nobody();
    // The clock is read once for each attempt. At the second reading the service begins to listen.
    let attempts = AtomicUsize::new(0);
    let absent = Mutex::new(Some(socket));
    let app = fake.app();
    let clock = Arc::new(move || {
        if attempts.fetch_add(1, Ordering::SeqCst) == 1 {
            let socket = absent.lock().unwrap().take().unwrap();
            test_http::serve_on(socket.listen(16).unwrap(), app.clone());
        }
        UNIX_EPOCH + Duration::from_secs(NOW)
    });
    let cloudinary = CloudinaryMedia::new(config(address), test_http::client(), clock).unwrap();
    cloudinary.store(media(samples::png())).await.unwrap();
    assert_eq!(*fake.requests.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_our_fault() {
    let fake = Arc::new(Fake::default());
    let cloudinary = cloudinary(config(fake.start().await));
    let endless: &'static str = "x".repeat(70_000).leak();
    for (status, text) in [
        (StatusCode::OK, "{}"),
        (StatusCode::OK, "not JSON"),
        (StatusCode::OK, r#"{"secure_url":"javascript:alert(1)"}"#),
        (StatusCode::OK, endless),
        (StatusCode::TOO_MANY_REQUESTS, ""),
        (StatusCode::from_u16(420).unwrap(), r#"{"error":{"message":"Rate limited"}}"#),
    ] {
        fake.first_answers.lock().unwrap().push((status, text));
        assert_ours(cloudinary.store(media(samples::png())).await);
    }
    assert_eq!(*fake.requests.lock().unwrap(), 6, "none of these is tried again");
}

#[tokio::test]
async fn silence_and_absence_are_our_fault() {
    let (address, _socket) = test_http::nobody();
    assert_ours(cloudinary(config(address)).store(media(samples::png())).await);

    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let never = post(async move || {
        asked.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let address = test_http::serve(Router::new().route("/v1_1/demo/image/upload", never)).await;
    let cloudinary = cloudinary(config(address)).with_timeout(Duration::from_millis(200));
    assert_ours(cloudinary.store(media(samples::png())).await);
    was_asked.recv().await.unwrap();
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let right = config("https://api.cloudinary.com".to_owned());
    for wrong in [
        CloudinaryConfig { cloud_name: String::new(), ..right.clone() },
        CloudinaryConfig { api_key: String::new(), ..right.clone() },
        CloudinaryConfig { api_secret: Secret::new(String::new()), ..right.clone() },
        CloudinaryConfig { base_url: "api.cloudinary.com".to_owned(), ..right.clone() },
        CloudinaryConfig { base_url: "file:///tmp".to_owned(), ..right },
    ] {
        let made = CloudinaryMedia::new(wrong, test_http::client(), Arc::new(|| UNIX_EPOCH));
        assert!(matches!(made, Err(MediaError::Configuration(_))));
    }
}

#[tokio::test]
async fn what_is_ours_is_removed_and_signed() {
    let fake = Arc::new(Fake::default());
    let base = fake.start().await;
    let in_folder = CloudinaryConfig { folder: Some("chat/".to_owned()), ..config(base.clone()) };
    let place = "https://res.cloudinary.com/demo/image/upload";
    for (config, url, public_id) in [
        (config(base.clone()), format!("{place}/v1/abc.png"), "abc"),
        (config(base.clone()), format!("{place}/v1/gone.png"), "gone"),
        (config(base.clone()), format!("{place}/abc.png"), "abc"),
        (in_folder.clone(), format!("{place}/v17/chat/message-images/abc.jpg"), "chat/message-images/abc"),
        (in_folder.clone(), format!("{place}/chat/v1x/abc.jpg"), "chat/v1x/abc"),
    ] {
        cloudinary(config).remove(&url).await.unwrap();
        let fields = fake.destroyed.lock().unwrap().pop().unwrap();
        assert_eq!(
            fields.keys().collect::<Vec<_>>(),
            ["api_key", "invalidate", "public_id", "signature", "timestamp"]
        );
        assert_eq!((&*fields["public_id"], &*fields["timestamp"]), (public_id, &*NOW.to_string()));
    }
    let asked = *fake.requests.lock().unwrap();
    for url in [
        String::new(),
        "/media/abc.png".to_owned(),
        format!("{place}/v1/other/abc.png"),
        format!("{place}/v1/chatter/abc.png"),
        "https://res.cloudinary.com/other/image/upload/v1/chat/abc.png".to_owned(),
        "https://example.com/abc.png".to_owned(),
    ] {
        cloudinary(in_folder.clone()).remove(&url).await.unwrap();
    }
    assert_eq!(*fake.requests.lock().unwrap(), asked, "what is not ours is left alone");
    fake.first_answers.lock().unwrap().push((StatusCode::INTERNAL_SERVER_ERROR, "oh"));
    let failed = cloudinary(config(base)).remove(&format!("{place}/v1/abc.png")).await;
    assert!(matches!(failed, Err(MediaError::Unavailable { .. })), "it may still be there");
}
