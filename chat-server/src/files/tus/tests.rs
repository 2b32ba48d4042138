//! Tests of resumable uploads through the complete router.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::super::routes::tests::{Answer, Person, Site};
use super::*;

async fn ask(
    site: &Site,
    person: &Person,
    method: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: impl Into<Body>,
) -> Answer {
    let headers: Vec<_> = headers.iter().cloned().chain([(TUS_RESUMABLE, "1.0.0")]).collect();
    let answer = site.as_person(person, method, path, &headers, body).await;
    assert_eq!(answer.text(TUS_RESUMABLE), "1.0.0", "every answer says so");
    answer
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{key} {}", BASE64_STANDARD.encode(value))).collect();
    pairs.join(",")
}

async fn create(site: &Site, person: &Person, length: usize, metadata: &str) -> String {
    let length = length.to_string();
    let headers = [(UPLOAD_LENGTH, &*length), (UPLOAD_METADATA, metadata)];
    let answer = ask(site, person, "POST", UPLOADS, &headers, Body::empty()).await;
    assert_eq!(answer.status, 201, "{}", answer.message());
    assert_eq!(answer.text(UPLOAD_EXPIRES), "Wed, 15 Nov 2023 22:13:20 GMT");
    answer.text(LOCATION).strip_prefix("http://chat.example").unwrap().to_owned()
}

async fn patch(site: &Site, person: &Person, path: &str, at: usize, body: impl Into<Body>) -> Answer {
    patch_with(site, person, path, at, &[], body).await
}

async fn patch_with(
    site: &Site,
    person: &Person,
    path: &str,
    at: usize,
    headers: &[(HeaderName, &str)],
    body: impl Into<Body>,
) -> Answer {
    let at = at.to_string();
    let own = [(UPLOAD_OFFSET, &*at), (CONTENT_TYPE, PART)];
    let headers: Vec<_> = own.into_iter().chain(headers.iter().cloned()).collect();
    ask(site, person, "PATCH", path, &headers, body).await
}

async fn offset(site: &Site, person: &Person, path: &str) -> String {
    let answer = ask(site, person, "HEAD", path, &[], Body::empty()).await;
    assert_eq!(answer.status, 200);
    answer.text(UPLOAD_OFFSET).to_owned()
}

fn file_of(path: &str) -> String {
    path.replace("uploads", "files")
}

#[tokio::test]
async fn a_file_that_comes_in_parts_is_one_file() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let content = "line ä\n".repeat(40_000).into_bytes();
    let path =
        create(&site, &ann, content.len(), &metadata(&[("filename", "a/b.txt"), ("filetype", "text/plain")]))
            .await;
    assert_eq!(site.get(&ann, &file_of(&path)).await.status, 404, "not yet");
    let mut at = 0;
    for part in content.chunks(100_000) {
        assert_eq!(offset(&site, &ann, &path).await, at.to_string());
        let answer = patch(&site, &ann, &path, at, part.to_vec()).await;
        at += part.len();
        assert_eq!(
            (answer.status, answer.text(UPLOAD_OFFSET)),
            (204, &*at.to_string()),
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    let file = site.get(&ann, &file_of(&path)).await;
    assert_eq!((file.status, file.body), (200, content));
    let info = site.get(&ann, &format!("{}/info", file_of(&path))).await.json();
    assert_eq!(info["name"], "b.txt");
    assert_eq!(offset(&site, &ann, &path).await, at.to_string(), "an answer that was lost can be asked for");
    let again = patch(&site, &ann, &path, at, Body::empty()).await;
    assert_eq!(again.status, 404, "there is no upload any more");
    assert_eq!(site.stored().len(), 2, "the file and its record");
}

#[tokio::test]
async fn half_and_repeated_parts_do_no_harm() {
    let site = Site::new(&[]).await;
    let (ann, eve) = (site.person("ann").await, site.person("eve").await);
    let path = create(&site, &ann, 300_000, &metadata(&[("filename", "a.txt")])).await;
    let content: Vec<u8> = (b'a'..=b'z').cycle().take(300_000).collect();
    let half = [Ok(Bytes::copy_from_slice(&content[..100_000])), Err(std::io::Error::other("the network"))];
    let answer = patch(&site, &ann, &path, 0, Body::from_stream(stream::iter(half))).await;
    assert_eq!(answer.status, 400);
    assert_eq!(offset(&site, &ann, &path).await, "100000", "what has come is kept");
    for at in [0, 99_999, 100_001, 300_000] {
        let answer = patch(&site, &ann, &path, at, content[at..].to_vec()).await;
        assert_eq!(answer.status, 409, "{at}: {}", answer.message());
    }
    let answer = patch(&site, &ann, &path, 100_000, vec![b'x'; 200_001]).await;
    assert_eq!((answer.status, offset(&site, &ann, &path).await.as_str()), (400, "100000"));
    for (method, expected) in [("HEAD", 404), ("DELETE", 404)] {
        assert_eq!(ask(&site, &eve, method, &path, &[], Body::empty()).await.status, expected, "{method}");
    }
    assert_eq!(patch(&site, &eve, &path, 100_000, "x").await.status, 404);
    assert_eq!(patch(&site, &ann, &path, 100_000, content[100_000..].to_vec()).await.status, 204);
    assert_eq!(site.get(&ann, &file_of(&path)).await.body, content);
}

#[tokio::test]
async fn a_part_is_what_its_checksum_says_or_was_never_sent() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let path = create(&site, &ann, 10, &metadata(&[("filename", "a.txt")])).await;
    let sha1 = "sha1 ".to_owned() + &BASE64_STANDARD.encode(<sha1::Sha1 as sha1::Digest>::digest(b"hello"));
    let sha256 =
        "sha256 ".to_owned() + &BASE64_STANDARD.encode(<sha2::Sha256 as sha1::Digest>::digest(b"world"));
    let wrong = patch_with(&site, &ann, &path, 0, &[(UPLOAD_CHECKSUM, &sha1)], "hallo").await;
    assert_eq!((wrong.status, offset(&site, &ann, &path).await.as_str()), (460, "0"));
    for unknown in ["md5 AAAA", "sha1", "sha1 ?", "sha1 AAAA"] {
        let answer = patch_with(&site, &ann, &path, 0, &[(UPLOAD_CHECKSUM, unknown)], "hello").await;
        assert_eq!(answer.status, 400, "{unknown}");
    }
    let half = [Ok(Bytes::from_static(b"hel")), Err(std::io::Error::other("the network"))];
    let body = Body::from_stream(stream::iter(half));
    assert_eq!(patch_with(&site, &ann, &path, 0, &[(UPLOAD_CHECKSUM, &sha1)], body).await.status, 400);
    assert_eq!(offset(&site, &ann, &path).await, "0", "half of it cannot be checked");
    assert_eq!(patch_with(&site, &ann, &path, 0, &[(UPLOAD_CHECKSUM, &sha1)], "hello").await.status, 204);
    assert_eq!(patch_with(&site, &ann, &path, 5, &[(UPLOAD_CHECKSUM, &sha256)], "world").await.status, 204);
    assert_eq!(site.get(&ann, &file_of(&path)).await.body, b"helloworld");
}

#[tokio::test]
async fn one_part_comes_at_a_time() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let path = create(&site, &ann, 10, &metadata(&[("filename", "a.txt")])).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let body = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"hello")) });
        first.chain(stream::once(async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(Bytes::from_static(b"world"))
        }))
    };
    let slow = patch(&site, &ann, &path, 0, Body::from_stream(body));
    let other = async {
        begun.notified().await;
        let refused = [
            patch(&site, &ann, &path, 0, "hello").await.status,
            ask(&site, &ann, "DELETE", &path, &[], Body::empty()).await.status,
        ];
        go_on.notify_one();
        refused
    };
    let (slow, refused) = tokio::join!(slow, other);
    assert_eq!((slow.status, refused), (204, [423, 423]));
}

#[tokio::test]
async fn what_is_no_file_that_is_taken_is_refused_by_its_last_part() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let path = create(&site, &ann, 4, &metadata(&[("filename", "a.png")])).await;
    let answer = patch(&site, &ann, &path, 0, "text").await;
    assert_eq!(answer.status, 415);
    assert!(answer.message().starts_with("name: "), "{}", answer.message());
    assert_eq!(ask(&site, &ann, "HEAD", &path, &[], Body::empty()).await.status, 404);
    assert_eq!(site.stored(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_finished_goes_by_itself_or_when_it_is_told_to() {
    let site = Site::new(&["--files-quota=20000"]).await;
    let ann = site.person("ann").await;
    let path = create(&site, &ann, 12_000, "").await;
    let length = [(UPLOAD_LENGTH, "12000")];
    assert_eq!(
        ask(&site, &ann, "POST", UPLOADS, &length, Body::empty()).await.status,
        413,
        "what is coming counts"
    );
    assert_eq!(ask(&site, &ann, "DELETE", &path, &[], Body::empty()).await.status, 204);
    assert_eq!(site.stored(), [""; 0]);
    let path = create(&site, &ann, 12_000, "").await;
    assert_eq!(patch(&site, &ann, &path, 0, vec![b'x'; 5000]).await.status, 204);
    site.clock.advance(Duration::from_hours(23));
    site.app.files.sweep().await.unwrap();
    assert_eq!(offset(&site, &ann, &path).await, "5000");
    site.clock.advance(Duration::from_hours(1));
    site.app.files.sweep().await.unwrap();
    assert_eq!(ask(&site, &ann, "HEAD", &path, &[], Body::empty()).await.status, 404);
    assert_eq!(site.stored(), [""; 0]);
    assert_eq!(ask(&site, &ann, "POST", UPLOADS, &length, Body::empty()).await.status, 201);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let path = create(&site, &ann, 10, &metadata(&[("filename", "a.txt")])).await;
    assert_eq!(patch(&site, &ann, &path, 0, "hello").await.status, 204);
    let dir = site.dir.path().join("files/.uploads");
    std::fs::write(dir.join("65a1b2c3d4e5f60718293a4b.part"), "whose note was never written").unwrap();
    std::fs::write(dir.join("65a1b2c3d4e5f60718293a4c.json"), "half a no").unwrap();
    let quota = &site.app.files.quota;
    let again = uploads::Uploads::open(dir, quota).unwrap();
    let id = path.rsplit('/').next().unwrap().parse().unwrap();
    let upload = again.find(id, ann.user.id).unwrap();
    assert_eq!((upload.offset().await, upload.note.length), (5, 10));
    assert_eq!(site.stored().len(), 2, "what is no upload is gone");
}

#[tokio::test]
async fn what_is_wrong_is_said_by_its_header() {
    let site = Site::new(&["--files-max-bytes=1000"]).await;
    let ann = site.person("ann").await;
    let long = "x".repeat(MAX_METADATA_BYTES + 1);
    for (headers, status, field) in [
        (vec![], 400, "Upload-Length:"),
        (vec![(UPLOAD_LENGTH, "-1")], 400, "Upload-Length:"),
        (vec![(UPLOAD_LENGTH, "0")], 400, "Upload-Length:"),
        (vec![(UPLOAD_LENGTH, "99999999999999999999")], 400, "Upload-Length:"),
        (vec![(UPLOAD_LENGTH, "1001")], 413, "file:"),
        (vec![(UPLOAD_DEFER_LENGTH, "1")], 400, "Upload-Defer-Length:"),
        (vec![(UPLOAD_LENGTH, "10"), (UPLOAD_METADATA, "filename ?")], 400, "Upload-Metadata:"),
        (vec![(UPLOAD_LENGTH, "10"), (UPLOAD_METADATA, "filename //8=")], 400, "Upload-Metadata:"),
        (vec![(UPLOAD_LENGTH, "10"), (UPLOAD_METADATA, &long)], 400, "Upload-Metadata:"),
    ] {
        let answer = ask(&site, &ann, "POST", UPLOADS, &headers, Body::empty()).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.message().starts_with(field), "{headers:?}: {}", answer.message());
    }
    let path = create(&site, &ann, 10, "").await;
    let kind = [(UPLOAD_OFFSET, "0"), (CONTENT_TYPE, "text/plain")];
    assert_eq!(ask(&site, &ann, "PATCH", &path, &kind, "x").await.status, 415);
    let kind = [(UPLOAD_OFFSET, "0"), (CONTENT_TYPE, "image/png")];
    assert_eq!(ask(&site, &ann, "PATCH", &path, &kind, "x").await.status, 415);
    assert_eq!(ask(&site, &ann, "PATCH", &path, &[(CONTENT_TYPE, PART)], "x").await.status, 400);
    for version in ["0.2.2", "1.0.1"] {
        let answer = site.as_person(&ann, "HEAD", &path, &[(TUS_RESUMABLE, version)], Body::empty()).await;
        assert_eq!((answer.status, answer.text(TUS_VERSION)), (412, "1.0.0"));
    }
    let answer = site.ask("OPTIONS", UPLOADS, &[], Body::empty()).await;
    assert_eq!((answer.status, answer.text(TUS_MAX_SIZE)), (204, "1000"));
    assert_eq!(answer.text(TUS_EXTENSION), "creation,termination,checksum,expiration");
    let nobody = [(TUS_RESUMABLE, "1.0.0"), (UPLOAD_LENGTH, "10"), (AUTHORIZATION, "Bearer x")];
    assert_eq!(site.ask("POST", UPLOADS, &nobody, Body::empty()).await.status, 401);
}
