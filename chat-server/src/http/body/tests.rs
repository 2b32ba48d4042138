//! Tests of bodies by content type, size and speed.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use futures_util::stream;

use super::*;

fn request(content_type: Option<&str>, body: impl Into<Incoming>) -> Request {
    let mut request = Request::new(body.into());
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
    }
    request
}

async fn status(request: Request, most: usize) -> u16 {
    match read_body(request, most).await {
        Ok(_) => 200,
        Err(error) => {
            let response = error.into_response();
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
            response.status().as_u16()
        }
    }
}

#[tokio::test]
async fn a_body_says_that_it_is_json() {
    for json in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/json ; charset=utf8 ; x=y",
        "application/vnd.api+json",
        "application/problem+json; charset=utf-8",
    ] {
        assert_eq!(status(request(Some(json), "{}"), 10).await, 200, "{json}");
    }
    for other in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/jsonp",
        "application/+json",
        "application/a b+json",
        "text/x+json",
        "text/plain; application/json",
        "application/json, text/plain",
        "json",
        "",
    ] {
        assert_eq!(status(request(Some(other), "{}"), 10).await, 415, "{other}");
        assert_eq!(status(request(Some(other), ""), 10).await, 200, "{other}: there is nothing to misread");
    }
    assert_eq!(status(request(None, "{}"), 10).await, 415);
    assert_eq!(status(request(None, ""), 10).await, 200);
    let mut twice = request(Some("application/json"), "{}");
    twice.headers_mut().append(CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(status(twice, 10).await, 415);
}

#[tokio::test]
async fn the_largest_body_is_read_and_one_byte_more_is_not() {
    for (most, size, expected) in [
        (MAX_SMALL_BODY_BYTES, MAX_SMALL_BODY_BYTES, 200),
        (MAX_SMALL_BODY_BYTES, MAX_SMALL_BODY_BYTES + 1, 400),
        (MAX_SMALL_BODY_BYTES, MAX_LONG_FIELD_BYTES, 400),
        (MAX_SMALL_BODY_BYTES, MAX_LONG_FIELD_BYTES + 1, 413),
        (MAX_BODY_BYTES, MAX_BODY_BYTES, 200),
        (MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 413),
    ] {
        let body = request(Some("application/json"), "x".repeat(size));
        assert_eq!(status(body, most).await, expected, "{size} of {most}");
    }
    assert_eq!(too_large(MAX_SMALL_BODY_BYTES), "The request is larger than 64 KB");
    assert_eq!(too_large(MAX_BODY_BYTES), "The request is larger than 10 MB");
}

/// A body whose parts arrive at intervals of `seconds`.
fn in_parts(size: usize, parts: usize, seconds: u64) -> Request {
    let parts = stream::unfold(0, move |n| async move {
        if n == parts {
            return None;
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from(vec![b' '; size])), n + 1))
    });
    request(Some("application/json"), Incoming::from_stream(parts))
}

#[tokio::test(start_paused = true)]
async fn a_body_has_time_by_its_size() {
    for (size, parts, seconds, expected, time) in [
        // Byte by byte, without a pause that is too long by itself.
        (1, 1_000, 1, 408, 30),
        (1, 1_000, 15, 408, 30),
        // A pause that is too long.
        (1, 2, 21, 408, 20),
        // Small, and in time.
        (1, 25, 1, 200, 25),
        // Large, at 8 KiB a second, and at slightly less than the required speed.
        (8 << 10, 1_280, 1, 200, 1_280),
        (7 << 10, 1_457, 1, 408, 233),
    ] {
        let started = Instant::now();
        assert_eq!(status(in_parts(size, parts, seconds), MAX_BODY_BYTES).await, expected);
        assert_eq!(started.elapsed().as_secs(), time, "{size} {parts} {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_read_for_ever() {
    for (request, expected) in [(in_parts(100, 1_000_000, 1), 400), (in_parts(1, 1_000_000, 1), 415)] {
        let mut request = request;
        if expected == 415 {
            request.headers_mut().remove(CONTENT_TYPE);
        }
        let started = Instant::now();
        assert_eq!(status(request, 50).await, expected);
        assert!(started.elapsed() < Duration::from_secs(15));
    }
}
