//! Tests of [`client_files`](super).

use super::*;

fn asked(headers: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

#[test]
fn every_file_is_whole() {
    for file in &FILES {
        let mut plain = Vec::new();
        GzDecoder::new(file.gzipped).read_to_end(&mut plain).unwrap();
        assert_eq!(file.plain(), plain);
        let text = String::from_utf8(plain).unwrap();
        match file.name.ends_with(".map") {
            true => assert!(text.starts_with("{\"version\":3,"), "{}", file.name),
            false => {
                assert!(text.contains(VERSION.to_str().unwrap().trim_matches('"')), "{}", file.name);
                assert!(text.contains("Released under the MIT License"), "{}", file.name);
                let map = format!("//# sourceMappingURL={}.map", file.name);
                assert!(text.trim_end().ends_with(&map), "{}", file.name);
            }
        }
    }
}

#[test]
fn encodings_are_as_asked_for() {
    for (asks, gzipped) in [
        (None, false),
        (Some("gzip, deflate, br, zstd"), true),
        (Some("br;q=1.0, GZip;q=0.5"), true),
        (Some("*"), true),
        (Some("identity, *;q=0"), false),
        (Some("gzip;q=0, *"), false),
        (Some("*;q=0, gzip"), true),
        (Some("br"), false),
        (Some(""), false),
    ] {
        let headers: Vec<_> = asks.map(|asks| (ACCEPT_ENCODING, asks)).into_iter().collect();
        let response = serve("socket.io.min.js", &asked(&headers));
        assert_eq!(response.headers().contains_key(CONTENT_ENCODING), gzipped, "{asks:?}");
    }
}

#[test]
fn a_cache_that_has_it_is_told_so() {
    for known in ["\"4.8.3\"", "W/\"4.8.3\"", "\"1\", \"4.8.3\"", "*"] {
        let response = serve("socket.io.js", &asked(&[(IF_NONE_MATCH, known)]));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(response.headers()[ETAG], VERSION);
    }
    for other in ["\"4.8.2\"", "4.8.3", ""] {
        assert_eq!(
            serve("socket.io.js", &asked(&[(IF_NONE_MATCH, other)])).status(),
            StatusCode::OK,
            "{other}"
        );
    }
    for name in ["", "socket.io.msgpack.js", "socket.io.js.gz", "../index.html", "LICENSE"] {
        assert_eq!(serve(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
    }
}
