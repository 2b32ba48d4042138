//! Tests of refused uploads, which must leave nothing behind.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::*;

#[tokio::test]
async fn what_is_not_what_it_says_is_refused_by_the_field() {
    let site = Site::new(&["--files-max-bytes=1000", "--files-types=image,text,pdf"]).await;
    let ann = site.person("ann").await;
    let png = samples::png();
    for (query, kind, content, status, field) in [
        ("?name=a.exe", "", &png[..], 415, "name:"),
        ("?name=a.png.exe", "image/png", &png, 415, "name:"),
        ("?name=a.jpg", "", &png, 415, "name:"),
        ("?name=a.png", "image/jpeg", &png, 415, "type:"),
        ("?name=a.png", "text/html", &png, 415, "type:"),
        ("?name=a.html", "text/html", b"<script>alert(1)</script>", 415, "name:"),
        ("?name=a.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "name:"),
        ("?name=a.png", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "name:"),
        ("?name=a.txt", "", b"MZ\x90\0\x03\0\0\0", 415, "file:"),
        ("?name=a.txt", "", b"\x7fELF\x02\x01", 415, "file:"),
        ("?name=a.zip", "", b"PK\x03\x04 is not taken here", 415, "file:"),
        ("?name=a.txt", "", b"", 400, "file:"),
        ("?name=%FF.txt", "", b"text", 400, "name:"),
        ("?keepExif=perhaps", "", b"text", 400, "keepExif:"),
        ("?name=a.txt", "", &[b'x'; 1001], 413, "file:"),
        ("", "multipart/form-data", b"text", 400, "Content-Type:"),
        ("", "multipart/form-data; boundary=", b"text", 400, "Content-Type:"),
    ] {
        let headers: Vec<_> =
            [(CONTENT_TYPE, kind)].into_iter().filter(|(_, kind)| !kind.is_empty()).collect();
        let answer =
            site.as_person(&ann, "POST", &format!("{FILES}{query}"), &headers, content.to_vec()).await;
        let message = answer.message();
        assert_eq!(answer.status, status, "{query} {kind}: {message}");
        assert!(message.starts_with(field), "{query} {kind}: {message}");
        assert_eq!(site.stored(), [""; 0], "{query} {kind}");
    }
    assert_eq!(site.app.files.quota.total(ann.user.id), 0);
    assert_eq!(site.app.memory.held(), 0);
    site.upload(&ann, "a.txt", &[b'x'; 1000]).await;
}

#[tokio::test]
async fn text_is_looked_at_to_its_end() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let mut late = vec![b'x'; 200_000];
    *late.last_mut().unwrap() = 0;
    let answer = site.as_person(&ann, "POST", &format!("{FILES}?name=a.txt"), &[], late).await;
    assert_eq!((answer.status, answer.message()), (415, "file: it is no plain text in UTF-8".to_owned()));
    assert_eq!(site.stored(), [""; 0]);
}

#[tokio::test]
async fn forms_that_are_not_whole_or_hold_too_much_are_refused() {
    let site = Site::new(&["--files-max-bytes=100000"]).await;
    let ann = site.person("ann").await;
    let (kind, whole) = form(&[("name=\"file\"; filename=\"a.txt\"", b"some text")]);
    let too_large = vec![b'x'; 100_001];
    let many =
        form(&[("name=\"file\"; filename=\"a.txt\"", b"one"), ("name=\"file\"; filename=\"b.txt\"", b"two")])
            .1;
    let cut = whole[..whole.len() - 15].to_vec();
    let long = vec![b'x'; 2000];
    for (body, status, message) in [
        (form(&[]).1, 400, "file: it is missing"),
        (form(&[("name=\"other\"", b"x")]).1, 400, "file: it is missing"),
        (many, 400, "file: there must be one"),
        (cut, 400, "body: it is no whole form"),
        (b"no form at all".to_vec(), 400, "body: it is no whole form"),
        (Vec::new(), 400, ""),
        (
            form(&[("name=\"file\"; filename=\"a.txt\"", &too_large)]).1,
            413,
            "file: it is larger than 100000 bytes",
        ),
        (form(&[("name=\"name\"", &long)]).1, 400, "body: a field of the form is longer"),
        (form(&[("name=\"name\"", b"\xff"), ("name=\"file\"", b"text")]).1, 400, "name: it is not UTF-8"),
        (form(&[("name=\"keepExif\"", b"maybe"), ("name=\"file\"", b"text")]).1, 400, "keepExif: "),
        (form(&[("name=\"file\"; filename=\"a.png\"", b"text")]).1, 415, "name: "),
    ] {
        let answer = site.as_person(&ann, "POST", FILES, &[(CONTENT_TYPE, &kind)], body).await;
        assert_eq!(answer.status, status, "{message}: {}", answer.message());
        assert!(answer.message().starts_with(message), "{message}: {}", answer.message());
        assert_eq!(site.stored(), [""; 0], "{message}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let half = || {
        let pieces = [Ok(Bytes::from(vec![b'x'; 200_000])), Err(std::io::Error::other("the network"))];
        Body::from_stream(stream::iter(pieces))
    };
    let answer = site.as_person(&ann, "POST", &format!("{FILES}?name=a.txt"), &[], half()).await;
    assert_eq!((answer.status, answer.message()), (400, "the body could not be read".to_owned()));
    let (kind, start) = form(&[("name=\"file\"; filename=\"a.txt\"", b"begins")]);
    let start = Bytes::from(start[..start.len() - 20].to_vec());
    let pieces = [Ok(start), Err(std::io::Error::other("the network"))];
    let body = Body::from_stream(stream::iter(pieces));
    let answer = site.as_person(&ann, "POST", FILES, &[(CONTENT_TYPE, &kind)], body).await;
    assert_eq!((answer.status, answer.message()), (400, "the body could not be read".to_owned()));
    assert_eq!(site.stored(), [""; 0]);
    assert_eq!(site.app.memory.held(), 0);
}

#[tokio::test]
async fn a_head_without_an_end_does_not_fill_the_memory() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let begin = Bytes::from_static(b"--edge\r\nContent-Disposition: form-data; name=\"file\"; x=\"");
    let endless = stream::iter(std::iter::repeat_n(Bytes::from(vec![b'y'; 60_000]), 1000));
    let body = stream::once(async { begin }).chain(endless).map(Ok::<_, Infallible>);
    let kind = "multipart/form-data; boundary=edge";
    let answer = site.as_person(&ann, "POST", FILES, &[(CONTENT_TYPE, kind)], Body::from_stream(body)).await;
    assert_eq!(
        (answer.status, answer.message()),
        (400, "file: a part of the form has no end of its head".to_owned())
    );
    assert_eq!(site.stored(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let begin = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"some text")) });
    let body = Body::from_stream(begin.chain(stream::pending()));
    let answer = site.as_person(&ann, "POST", &format!("{FILES}?name=a.txt"), &[], body).await;
    assert_eq!((answer.status, answer.message()), (408, "the body comes too slowly".to_owned()));
    assert_eq!(site.stored(), [""; 0]);
}

#[tokio::test]
async fn nobody_stores_more_than_they_may() {
    let site = Site::new(&["--files-quota=20000", "--files-rate=40000"]).await;
    let (ann, bob) = (site.person("ann").await, site.person("bob").await);
    let first = id_of(&site.upload(&ann, "a.txt", &[b'x'; 15_000]).await);
    let path = format!("{FILES}?name=b.txt");
    let answer = site.as_person(&ann, "POST", &path, &[], vec![b'x'; 6_000]).await;
    assert_eq!(answer.status, 413, "{}", answer.message());
    site.upload(&bob, "a.txt", &[b'x'; 15_000]).await;
    let removed = site.as_person(&ann, "DELETE", &format!("{FILES}/{first}"), &[], Body::empty()).await;
    assert_eq!(removed.status, 204);
    site.upload(&ann, "b.txt", &[b'x'; 20_000]).await;
    let list = site.stored();
    site.as_person(&ann, "DELETE", &format!("{FILES}/{first}"), &[], Body::empty()).await;
    let answer = site.as_person(&ann, "POST", &path, &[], vec![b'x'; 6_000]).await;
    assert!(matches!(answer.status, 413 | 429), "{}", answer.message());
    assert_eq!(site.stored(), list);
}

#[tokio::test]
async fn strangers_store_nothing() {
    let site = Site::new(&[]).await;
    for headers in [&[][..], &[(AUTHORIZATION, "Bearer nonsense")], &[(COOKIE, "jwt=nonsense")]] {
        let answer = site.ask("POST", &format!("{FILES}?name=a.txt"), headers, "text").await;
        assert_eq!(answer.status, 401);
    }
    for path in
        ["/api/v1/files/65a1b2c3d4e5f60718293a4b", "/api/v1/files/..%2f..%2fchat.db", "/api/v1/files/x"]
    {
        assert!(matches!(site.ask("GET", path, &[], Body::empty()).await.status, 401 | 404), "{path}");
    }
    assert_eq!(site.stored(), [""; 0]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_the_scan_finds_or_cannot_see_is_not_let_in() {
    // This scanner accepts files that contain the word.
    let site = Site::new(&["--scan-command=grep -q harmless"]).await;
    let ann = site.person("ann").await;
    let path = format!("{FILES}?name=a.txt");
    let answer = site.as_person(&ann, "POST", &path, &[], "anything else").await;
    assert_eq!((answer.status, answer.message()), (422, "file: it was refused by the virus scan".to_owned()));
    assert_eq!(site.stored(), [""; 0]);
    site.upload(&ann, "a.txt", b"quite harmless").await;
    let site = Site::new(&["--scan-command=/nowhere/at/all"]).await;
    let ann = site.person("ann").await;
    let answer = site.as_person(&ann, "POST", &path, &[], "quite harmless").await;
    assert_eq!(answer.status, 503);
    assert_eq!(site.stored(), [""; 0]);
}

#[tokio::test]
async fn a_form_that_comes_in_small_pieces_is_taken() {
    let site = Site::new(&[]).await;
    let ann = site.person("ann").await;
    let content = "line of text\n".repeat(300);
    let (kind, whole) =
        form(&[("name=\"file\"; filename=\"a.txt\"", content.as_bytes()), ("name=\"name\"", b"b.txt")]);
    for size in [1, 7, 100, whole.len() - 1] {
        let pieces: Vec<_> = whole.chunks(size).map(Bytes::copy_from_slice).collect();
        // The network is silent for a moment between two pieces.
        let pieces = stream::iter(pieces).then(async |piece| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(piece)
        });
        let answer = site
            .as_person(&ann, "POST", FILES, &[(CONTENT_TYPE, &kind)], Body::from_stream(pieces.boxed()))
            .await;
        assert_eq!(answer.status, 201, "{size}: {}", answer.message());
        assert_eq!(
            (answer.json()["size"].as_u64(), &answer.json()["name"]),
            (Some(content.len() as u64), &"b.txt".into())
        );
    }
}
