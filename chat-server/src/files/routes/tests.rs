//! Tests of the file routes through the complete router.

mod refused;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderName;
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_RANGE, CONTENT_SECURITY_POLICY, COOKIE, ETAG,
    IF_NONE_MATCH, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use chat_core::chat::Registration;
use chat_core::clock::{ManualClock, Timestamp};
use chat_core::command::{DeleteMessage, Destination, Reply, SendMessage};
use chat_core::model::{Content, MessageView, PasswordHash, User, UserKey};
use chat_core::prelude::Chat;
use clap::{CommandFactory, FromArgMatches};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::*;
use crate::config::{Config, Options};
use crate::media::samples;

pub(in crate::files) struct Site {
    pub(in crate::files) dir: tempfile::TempDir,
    pub(in crate::files) app: Arc<App>,
    pub(in crate::files) clock: Arc<ManualClock>,
    router: Router,
}

pub(in crate::files) struct Person {
    pub(in crate::files) user: Arc<User>,
    pub(in crate::files) token: String,
}

pub(in crate::files) struct Answer {
    pub(in crate::files) status: u16,
    pub(in crate::files) headers: HeaderMap,
    pub(in crate::files) body: Vec<u8>,
}

impl Answer {
    pub(in crate::files) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    pub(in crate::files) fn text(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(in crate::files) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Site {
    pub(in crate::files) async fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let command = Options::command().mut_args(|arg| arg.env(None));
        let data = format!("--data-dir={}", dir.path().display());
        let arguments =
            ["chat-server", "--store=memory:", &data].into_iter().chain(arguments.iter().copied());
        let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let chat = Chat::in_memory().with_clock(clock.clone());
        let app = App::from_chat(Config::check(&options).unwrap(), chat).await.unwrap();
        let router = crate::Mounted::new(app.clone()).router();
        Self { dir, app, clock, router }
    }

    pub(in crate::files) async fn person(&self, name: &str) -> Person {
        let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
        let user = self.app.chat.register(registration).await.unwrap().user;
        let token = self.app.auth.issue(&user, self.app.config.dialects.default());
        Person { user, token }
    }

    pub(in crate::files) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request =
            axum::http::Request::builder().method(method).uri(path).header("host", "chat.example");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(in crate::files) async fn as_person(
        &self,
        person: &Person,
        method: &str,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let bearer = format!("Bearer {}", person.token);
        let headers: Vec<_> = headers.iter().cloned().chain([(AUTHORIZATION, bearer.as_str())]).collect();
        self.ask(method, path, &headers, body).await
    }

    pub(in crate::files) async fn get(&self, person: &Person, path: &str) -> Answer {
        self.as_person(person, "GET", path, &[], Body::empty()).await
    }

    /// Uploads a file, and returns its object.
    pub(in crate::files) async fn upload(&self, person: &Person, name: &str, content: &[u8]) -> Value {
        let path = format!("{FILES}?name={name}");
        let answer = self.as_person(person, "POST", &path, &[], content.to_vec()).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub(in crate::files) async fn say(&self, from: &Person, to: &Person, text: String) -> MessageView {
        let to = Destination::Person(UserKey::Id(to.user.id));
        let message = SendMessage {
            to,
            content: Content::text(text),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let reply: Reply =
            self.app.dispatch(from.user.id, chat_core::command::Command::from(message)).await.unwrap();
        let Reply::Message(view) = reply else { panic!("{reply:?}") };
        view
    }

    /// The names of all files in the folder, except quotas and references.
    pub(in crate::files) fn stored(&self) -> Vec<String> {
        fn below(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                match path.is_dir() {
                    true if matches!(&*name, ".usage" | ".references") => {}
                    true => below(&path, found),
                    false => found.push(name),
                }
            }
        }
        let mut found = Vec::new();
        below(&self.dir.path().join("files"), &mut found);
        found.sort();
        found
    }
}

pub(in crate::files) fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

pub(in crate::files) fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(b"--edge\r\nContent-Disposition: form-data; ");
        body.extend(head.as_bytes());
        body.extend(b"\r\n\r\n");
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    ("multipart/form-data; boundary=edge".to_owned(), body)
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let content: Vec<u8> = "line ä\n".repeat(50_000).into_bytes();
    let file = site.upload(&ann, "../notes%20of%20mine.txt", &content).await;
    assert_eq!(file["name"], "notes of mine.txt");
    assert_eq!(file["type"], "text/plain");
    assert_eq!(file["size"], content.len());
    assert_eq!(file["sha256"], hex::encode(Sha256::digest(&content)));
    assert_eq!(file["url"], format!("http://chat.example{FILES}/{}", id_of(&file)));
    let path = format!("{FILES}/{}", id_of(&file));
    let whole = site.get(&ann, &path).await;
    assert_eq!((whole.status, &whole.body), (200, &content));
    assert_eq!(whole.text(CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(whole.text(CONTENT_LENGTH), content.len().to_string());
    assert_eq!(whole.text(X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert!(whole.text(CONTENT_SECURITY_POLICY).contains("sandbox"));
    assert!(whole.text(CONTENT_DISPOSITION).starts_with("attachment; filename=\"notes of mine.txt\""));
    assert_eq!((whole.text(ACCEPT_RANGES), whole.text(CACHE_CONTROL)), ("bytes", "private, no-cache"));
    let head = site.as_person(&ann, "HEAD", &path, &[], Body::empty()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.text(CONTENT_LENGTH), content.len().to_string());
    let part = site.as_person(&ann, "GET", &path, &[(RANGE, "bytes=100000-200001")], Body::empty()).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[100_000..=200_001]));
    assert_eq!(part.text(CONTENT_RANGE), format!("bytes 100000-200001/{}", content.len()));
    let none = site.as_person(&ann, "GET", &path, &[(RANGE, "bytes=9999999-")], Body::empty()).await;
    assert_eq!((none.status, none.text(CONTENT_RANGE)), (416, &*format!("bytes */{}", content.len())));
    let tag = whole.text(ETAG);
    let known = site.as_person(&ann, "GET", &path, &[(IF_NONE_MATCH, tag)], Body::empty()).await;
    assert_eq!((known.status, known.body.len(), known.text(ETAG)), (304, 0, tag));
    assert_eq!(site.get(&ann, &format!("{path}/info")).await.json(), file);
}

#[tokio::test]
async fn a_form_is_taken_as_well() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let png = samples::png();
    let (kind, body) = form(&[
        ("name=\"roomId\"", b"what this server does not know"),
        ("name=\"file\"; filename=\"C:\\\\me.png\"\r\nContent-Type: image/png", &png),
        ("name=\"keepExif\"", b"true"),
    ]);
    let answer = site.as_person(&ann, "POST", FILES, &[(CONTENT_TYPE, &kind)], body).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let file = answer.json();
    assert_eq!((file["name"].as_str(), file["type"].as_str()), (Some("me.png"), Some("image/png")));
    let back = site.get(&ann, &format!("{FILES}/{}", id_of(&file))).await;
    assert_eq!(back.body, png);
    assert!(back.text(CONTENT_DISPOSITION).starts_with("inline"));
    assert_eq!(answer.text(LOCATION), file["url"].as_str().unwrap());
    let saved = site.get(&ann, &format!("{FILES}/{}?download=1", id_of(&file))).await;
    assert!(saved.text(CONTENT_DISPOSITION).starts_with("attachment"));
}

#[tokio::test]
async fn those_may_read_a_file_who_see_a_message_that_refers_to_it() {
    let site = Site::new(&[]).await;
    let (ann, bob, eve) = (site.person("ann").await, site.person("bob").await, site.person("eve").await);
    let file = id_of(&site.upload(&ann, "a.txt", b"for bob").await);
    let path = format!("{FILES}/{file}");
    for stranger in [&bob, &eve] {
        for path in [path.clone(), format!("{path}/info"), format!("{path}/link")] {
            assert_eq!(site.get(stranger, &path).await.status, 404, "{path}");
        }
        assert_eq!(site.as_person(stranger, "DELETE", &path, &[], Body::empty()).await.status, 404);
    }
    assert_eq!(site.ask("GET", &path, &[], Body::empty()).await.status, 401);
    let message = site.say(&ann, &bob, format!("look: http://chat.example{path}")).await;
    assert_eq!(site.get(&bob, &path).await.body, b"for bob");
    site.say(&eve, &eve, path.clone()).await;
    assert_eq!(site.get(&eve, &path).await.status, 404, "writing it down lets nobody in");
    assert_eq!(site.as_person(&bob, "DELETE", &path, &[], Body::empty()).await.status, 404, "it is not his");
    let delete = DeleteMessage { message: message.message.id };
    site.app.dispatch(ann.user.id, delete).await.unwrap();
    assert_eq!(site.get(&bob, &path).await.status, 404, "the message is deleted");
    assert_eq!(site.get(&ann, &path).await.status, 200);
    assert_eq!(site.as_person(&ann, "DELETE", &path, &[], Body::empty()).await.status, 204);
    assert_eq!(site.get(&ann, &path).await.status, 404);
    assert_eq!(site.stored(), [""; 0]);
    assert_eq!(site.app.files.quota.total(ann.user.id), 0);
}

#[tokio::test]
async fn a_signed_link_works_without_a_log_in_until_it_ends() {
    let site = Site::new(&["--files-link-minutes=10"]).await;
    let (ann, eve) = (site.person("ann").await, site.person("eve").await);
    let file = id_of(&site.upload(&ann, "me.png", &samples::png()).await);
    let link = site.get(&ann, &format!("{FILES}/{file}/link")).await.json();
    let url = link["url"].as_str().unwrap().strip_prefix("http://chat.example").unwrap().to_owned();
    let shown = site.ask("GET", &url, &[], Body::empty()).await;
    assert_eq!((shown.status, shown.body), (200, samples::png().to_vec()));
    assert_eq!(shown.headers["cross-origin-resource-policy"], "cross-origin");
    assert!(shown.headers[CACHE_CONTROL].to_str().unwrap().starts_with("private, max-age="));
    for wrong in [
        url.replace("sig=", "sig=00"),
        url.replace("exp=", "exp=1"),
        url.split('?').next().unwrap().to_owned(),
    ] {
        assert_eq!(site.ask("GET", &wrong, &[], Body::empty()).await.status, 401, "{wrong}");
        assert_eq!(site.get(&eve, &wrong).await.status, 404, "{wrong}");
    }
    let other = id_of(&site.upload(&ann, "b.png", &samples::png()).await);
    assert_eq!(site.ask("GET", &url.replace(&file, &other), &[], Body::empty()).await.status, 401);
    site.clock.advance(Duration::from_secs(13 * 60));
    assert_eq!(site.ask("GET", &url, &[], Body::empty()).await.status, 401);
    assert_eq!(site.ask("DELETE", &url, &[], Body::empty()).await.status, 401, "it is for reading");
}

#[tokio::test]
async fn a_form_with_a_cookie_needs_an_allowed_origin() {
    let site = Site::new(&["--client-url=https://page.example"]).await;
    let ann = site.person("ann").await;
    let cookie = format!("jwt={}", ann.token);
    let (kind, body) = form(&[("name=\"file\"; filename=\"a.txt\"", b"text")]);
    for (origin, kind, status) in [
        (Some("https://page.example"), &*kind, 201),
        (Some("http://chat.example"), &kind, 201),
        (Some("https://evil.example"), &kind, 401),
        (Some("null"), &kind, 401),
        (None, &kind, 403),
        (None, "text/plain", 403),
        (None, "", 403),
        (None, "application/octet-stream", 201),
    ] {
        let mut headers = vec![(COOKIE, cookie.as_str()), (CONTENT_TYPE, kind)];
        headers.extend(origin.map(|origin| (ORIGIN, origin)));
        headers.retain(|(_, value)| !value.is_empty());
        let answer = site.ask("POST", FILES, &headers, body.clone()).await;
        assert_eq!(answer.status, status, "{origin:?} {kind}: {}", String::from_utf8_lossy(&answer.body));
    }
}

#[tokio::test]
async fn what_nothing_refers_to_goes_after_a_day() {
    let site = Site::new(&[]).await;
    let (ann, bob) = (site.person("ann").await, site.person("bob").await);
    let (kept, unwanted) =
        (site.upload(&ann, "a.txt", b"kept").await, site.upload(&ann, "b.txt", b"unwanted").await);
    let (kept, unwanted) = (format!("{FILES}/{}", id_of(&kept)), format!("{FILES}/{}", id_of(&unwanted)));
    site.say(&ann, &bob, kept.clone()).await;
    site.clock.advance(Duration::from_hours(23));
    assert_eq!(site.app.files.sweep().await.unwrap(), 0);
    let young = site.upload(&ann, "c.txt", b"young").await;
    site.clock.advance(Duration::from_hours(2));
    assert_eq!(site.app.files.sweep().await.unwrap(), 1);
    assert_eq!(site.get(&ann, &unwanted).await.status, 404);
    assert_eq!(site.get(&ann, &kept).await.status, 200);
    assert_eq!(site.get(&ann, &format!("{FILES}/{}", id_of(&young))).await.status, 200);
    assert_eq!(site.app.files.quota.total(ann.user.id), 2 * 4096);
    site.clock.advance(Duration::from_hours(1000));
    assert_eq!(site.app.files.sweep().await.unwrap(), 1);
}

/// A JPEG with a location in its metadata and an orientation of 90 degrees.
#[cfg(feature = "images")]
pub(in crate::files) fn photograph() -> Vec<u8> {
    let photo = image::RgbImage::from_fn(600, 300, |x, y| image::Rgb([(x / 3) as u8, (y / 2) as u8, 90]));
    let mut file = Vec::new();
    photo.write_with_encoder(image::codecs::jpeg::JpegEncoder::new(&mut file)).unwrap();
    let note =
        b"\xff\xe1\0\x2fExif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0GPS 48.2082, ";
    file.splice(2..2, note.iter().copied());
    file
}

#[cfg(feature = "images")]
#[tokio::test]
async fn a_photograph_loses_its_place_and_gets_smaller_copies() {
    use axum::http::header::ACCEPT;

    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let file = site.upload(&ann, "me.jpg", &photograph()).await;
    assert_eq!((file["width"].as_u64(), file["height"].as_u64()), (Some(300), Some(600)), "as it is shown");
    assert!(file["blurhash"].as_str().is_some_and(|hash| hash.len() == 28), "{file}");
    let path = format!("{FILES}/{}", id_of(&file));
    let whole = site.get(&ann, &path).await.body;
    assert_eq!(file["sha256"], hex::encode(Sha256::digest(&whole)), "of what is given back");
    assert!(memchr::memmem::find(&whole, b"GPS").is_none());
    let small = site.get(&ann, &format!("{path}?w=100")).await;
    assert_eq!((small.status, small.text(CONTENT_TYPE)), (200, "image/jpeg"));
    assert!(small.text(CONTENT_DISPOSITION).starts_with("inline; filename=\"me.jpg\""));
    let decoded = image::load_from_memory(&small.body).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (128, 256));
    let again =
        site.as_person(&ann, "GET", &format!("{path}?w=128"), &[(RANGE, "bytes=0-9")], Body::empty()).await;
    assert_eq!((again.status, &again.body[..], again.text(ETAG)), (206, &small.body[..10], small.text(ETAG)));
    assert_eq!(site.get(&ann, &format!("{path}?w=300")).await.body, whole, "it is no larger");
    assert_eq!(site.get(&ann, &format!("{path}?w=nonsense")).await.status, 400);
    let webp = [(ACCEPT, "image/avif,image/webp,*/*")];
    let smaller = site.as_person(&ann, "GET", &format!("{path}?w=64"), &webp, Body::empty()).await;
    assert!(matches!(smaller.text(CONTENT_TYPE), "image/jpeg" | "image/webp"));
    assert_eq!(image::load_from_memory(&smaller.body).unwrap().width(), 64);
    let kept = format!("{FILES}?name=me.jpg&keepExif=true");
    let kept = site.as_person(&ann, "POST", &kept, &[], photograph()).await.json();
    assert_eq!(site.get(&ann, &format!("{FILES}/{}", id_of(&kept))).await.body, photograph());
    for path in [&path, &format!("{FILES}/{}", id_of(&kept))] {
        assert_eq!(site.as_person(&ann, "DELETE", path, &[], Body::empty()).await.status, 204);
    }
    assert_eq!(site.stored(), [""; 0], "the smaller copies go with it");
}

#[cfg(feature = "images")]
#[tokio::test]
async fn a_drawing_is_given_as_webp_to_those_who_take_it() {
    use axum::http::header::ACCEPT;

    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let drawing = image::RgbaImage::from_fn(400, 400, |x, y| {
        image::Rgba([0, 0, 0, ((x / 20 + y / 20) % 2 * 255) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    drawing.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let file = site.upload(&ann, "a.png", file.get_ref()).await;
    let path = format!("{FILES}/{}?w=200", id_of(&file));
    let plain = site.get(&ann, &path).await;
    assert_eq!(plain.text(CONTENT_TYPE), "image/png");
    let webp = site.as_person(&ann, "GET", &path, &[(ACCEPT, "image/webp")], Body::empty()).await;
    assert_eq!(webp.text(CONTENT_TYPE), "image/webp");
    assert!(webp.body.len() < plain.body.len() && webp.text(ETAG) != plain.text(ETAG));
    assert!(webp.text(CONTENT_DISPOSITION).contains("a.webp"));
}

#[tokio::test]
async fn bombs_and_damaged_images_are_refused() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let mut bomb = samples::png().to_vec();
    bomb[16..20].copy_from_slice(&50_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&50_000_u32.to_be_bytes());
    for (content, message) in [
        (bomb, "file: the image has too many pixels"),
        (samples::png()[..50].to_vec(), "file: the image is damaged"),
    ] {
        let answer = site.as_person(&ann, "POST", &format!("{FILES}?name=a.png"), &[], content).await;
        assert_eq!((answer.status, answer.message()), (415, message.to_owned()));
        assert_eq!(site.stored(), [""; 0]);
    }
    let mut sound =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x7d\0\0"
            .to_vec();
    sound.extend([0; 32_000]);
    assert_eq!(site.upload(&ann, "a.wav", &sound).await["duration"], 2000);
}
