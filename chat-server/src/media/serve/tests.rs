//! Tests of the routes through a real listener.

use std::{fs, sync::Arc};

use reqwest::{Client, Method, Response, StatusCode, header};
use tempfile::TempDir;

use super::routes;
use crate::media::{DiskMedia, Media, MediaStore, Purpose, samples, test_http};

struct Server {
    _dir: TempDir,
    disk: Arc<DiskMedia>,
    address: String,
    client: Client,
}

impl Server {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let next = std::sync::atomic::AtomicU8::new(0);
        let random = Arc::new(move || [next.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 16]);
        let disk = Arc::new(DiskMedia::new(dir.path().join("media"), "/media", random).unwrap());
        fs::write(dir.path().join("secret.png"), samples::png()).unwrap();
        let address = test_http::serve(routes(Arc::clone(&disk))).await;
        Self { _dir: dir, disk, address, client: test_http::client() }
    }

    async fn store(&self, file: &bytes::Bytes) -> String {
        let media = Media::from_bytes(file.clone(), Purpose::MessageImage).unwrap();
        self.disk.store(media).await.unwrap()
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, path, headers).await
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn assert_error(response: Response, status: StatusCode, message: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(
        response.json::<serde_json::Value>().await.unwrap(),
        serde_json::json!({ "message": message })
    );
}

#[tokio::test]
async fn a_picture_is_served_as_it_is_and_can_do_no_harm() {
    let server = Server::start().await;
    for (kind, file) in samples::all() {
        let url = server.store(&file).await;
        for method in [Method::GET, Method::HEAD] {
            let response = server.ask(method.clone(), &url, &[("accept-encoding", "gzip")]).await;
            assert_eq!(response.status(), StatusCode::OK);
            for (name, value) in [
                ("content-type", kind.content_type()),
                ("content-length", file.len().to_string().as_str()),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "default-src 'none'; sandbox"),
                ("content-disposition", "inline"),
                ("cache-control", "public, max-age=31536000, immutable"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("accept-ranges", "bytes"),
            ] {
                assert_eq!(header(&response, name), value, "{name}");
            }
            let expected = if method == Method::GET { file.clone() } else { bytes::Bytes::new() };
            assert_eq!(response.bytes().await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn a_cached_picture_is_not_sent_again() {
    let server = Server::start().await;
    let url = server.store(&samples::png()).await;
    let first = server.get(&url, &[]).await;
    let tag = header(&first, "etag");
    assert!(tag.starts_with('"'), "{tag}");
    let modified = header(&first, "last-modified");
    for condition in
        [("if-none-match", tag.as_str()), ("if-none-match", "*"), ("if-modified-since", &modified)]
    {
        let response = server.get(&url, &[condition]).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&response, "etag"), tag);
        assert_eq!(header(&response, "cache-control"), "public, max-age=31536000, immutable");
        assert!(response.bytes().await.unwrap().is_empty());
    }
    let changed = server.get(&url, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(changed.bytes().await.unwrap(), samples::png());
}

#[tokio::test]
async fn ranges_are_parts_of_the_same_bytes() {
    let server = Server::start().await;
    let file = samples::jpeg();
    let url = server.store(&file).await;
    for (range, part) in
        [("bytes=3-9", &file[3..10]), ("bytes=-5", &file[file.len() - 5..]), ("bytes=2-", &file[2..])]
    {
        let response = server.get(&url, &[("range", range)]).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&response, "content-type"), "image/jpeg");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(&response.bytes().await.unwrap()[..], part);
    }
    let guarded = server.get(&url, &[("range", "bytes=3-9"), ("if-range", "\"other\"")]).await;
    assert_eq!(guarded.status(), StatusCode::OK);
    assert_eq!(guarded.bytes().await.unwrap(), file);

    let several = server.get(&url, &[("range", "bytes=0-1,3-9,0-,0-,0-")]).await;
    assert_eq!(several.status(), StatusCode::OK);
    assert_eq!(several.bytes().await.unwrap(), file);

    let beyond = server.get(&url, &[("range", "bytes=100000-")]).await;
    assert_eq!(header(&beyond, "content-range"), format!("bytes */{}", file.len()));
    assert_error(beyond, StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable").await;
}

#[tokio::test]
async fn nothing_else_is_found() {
    let server = Server::start().await;
    let url = server.store(&samples::png()).await;
    for path in [
        "/media/..%2fsecret.png".to_owned(),
        "/media/%2e%2e%2fsecret.png".to_owned(),
        "/media/..%5csecret.png".to_owned(),
        "/media/%2fetc%2fpasswd".to_owned(),
        "/media/.tmp".to_owned(),
        "/media/00".to_owned(),
        "/media/%ff%fe.png".to_owned(),
        "/media/%00".to_owned(),
        "/media/ffffffffffffffffffffffffffffffff.png".to_owned(),
        url.replace(".png", ".svg"),
        url.replace(".png", ".PNG"),
        format!("{url}%00"),
        format!("{url}.gz"),
    ] {
        let response = server.get(&path, &[]).await;
        assert_error(response, StatusCode::NOT_FOUND, "Not found").await;
    }
    // Clients normalize such a path before they send it. The raw path matches no route.
    let raw = test_http::raw_get(&server.address, "/media/../../secret.png").await;
    assert!(raw.starts_with("HTTP/1.1 404"), "{raw}");
}

#[tokio::test]
async fn other_methods_are_refused() {
    let server = Server::start().await;
    let url = server.store(&samples::png()).await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let response = server.ask(method, &url, &[]).await;
        assert_eq!(header(&response, header::ALLOW.as_str()), "GET, HEAD");
        assert_error(response, StatusCode::METHOD_NOT_ALLOWED, "Method not allowed").await;
    }
    assert_eq!(server.get(&url, &[]).await.bytes().await.unwrap(), samples::png());
}
