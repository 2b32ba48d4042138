//! Tests of [`data_url`](super).

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
};

use super::{MediaError, parse_data_url};
use crate::media::samples;

const MAX: usize = 10 * 1024 * 1024;

fn url(declared: &str, file: &[u8]) -> String {
    format!("data:{declared};base64,{}", STANDARD.encode(file))
}

#[test]
fn every_kind_comes_out_unchanged() {
    for (kind, file) in samples::all() {
        assert_eq!(parse_data_url(&url(kind.content_type(), &file), MAX).unwrap(), file);
    }
}

#[test]
fn spelling_varies() {
    let file = samples::png();
    let text = STANDARD.encode(&file);
    let (first, second) = text.split_at(20);
    for url in [
        format!("DATA:Image/PNG;Base64,{text}"),
        format!("data:image/png;charset=utf-8;name=me.png;base64,{text}"),
        format!("data:image/png ; base64 ,{text}"),
        format!("  data:image/png;base64,{text}\n"),
        format!("data:image/png;base64,{first}\r\n {second}"),
        format!("data:image/png;base64,{}", STANDARD_NO_PAD.encode(&file)),
        format!("data:image/x-png;base64,{text}"),
    ] {
        assert_eq!(parse_data_url(&url, MAX).unwrap(), file, "{url}");
    }
}

#[test]
fn content_decides_whatever_is_claimed() {
    let claimed = [
        "",
        "image/*",
        "*/*",
        "image",
        "image/",
        "image/png",
        "image/jpg",
        "image/jfif",
        "image/avif",
        "image/heif",
        "image/svg+xml",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain",
        "text/html",
        "null",
        "undefined",
        "multipart/form-data",
        ";name=me.png",
        "image/*;charset=utf-8",
    ];
    for claimed in claimed {
        for (_, file) in samples::all() {
            assert_eq!(parse_data_url(&url(claimed, &file), MAX).unwrap(), file, "{claimed}");
        }
        for refused in [
            &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
            b"<!doctype html><script>alert(1)</script>",
            b"%PDF-1.7\n",
            b"",
        ] {
            let refused = parse_data_url(&url(claimed, refused), MAX);
            assert!(matches!(refused, Err(MediaError::UnsupportedType)), "{claimed}");
        }
    }
    // Old Android sends nothing before the encoding.
    let file = samples::jpeg();
    assert_eq!(parse_data_url(&format!("data:base64,{}", STANDARD.encode(&file)), MAX).unwrap(), file);
}

#[test]
fn what_is_no_base64_data_url_is_malformed() {
    let text = STANDARD.encode(samples::png());
    for url in [
        String::new(),
        "d".to_owned(),
        "dätä:image/png;base64,AAAA".to_owned(),
        "https://example.com/me.png".to_owned(),
        "data:image/png;base64".to_owned(),
        format!("data:image/png,{text}"),
        format!("data:image/png;base64;charset=utf-8,{text}"),
        format!("data:image/png;base64,{}", URL_SAFE.encode([0xfb; 30])),
        format!("data:image/png;base64,{}", text.replace("+8", "%2B8").replace('A', "%41")),
        format!("data:image/png;base64,{text}A"),
        format!("data:image/png;base64,={text}"),
        "data:image/png;base64,é".to_owned(),
    ] {
        assert!(matches!(parse_data_url(&url, MAX), Err(MediaError::Malformed(_))), "{url}");
    }
}

#[test]
fn the_limit_is_exact_and_comes_before_decoding() {
    for (kind, file) in samples::all() {
        let url = url(kind.content_type(), &file);
        assert_eq!(parse_data_url(&url, file.len()).unwrap(), file);
        let limit = file.len() - 1;
        assert!(matches!(parse_data_url(&url, limit), Err(MediaError::TooLarge { limit: l }) if l == limit));
    }
    // This is not base64 at all, but the length is checked first.
    let garbage = format!("data:image/png;base64,{}", "!".repeat(1000));
    assert!(matches!(parse_data_url(&garbage, 100), Err(MediaError::TooLarge { .. })));
    assert!(matches!(parse_data_url(&garbage, 1000), Err(MediaError::Malformed(_))));
}
