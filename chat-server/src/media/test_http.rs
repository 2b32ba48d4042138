//! Local HTTP servers for the tests of `media` and `mail`.

use axum::Router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// Serves `app` on a free port for as long as the test runs and returns its address, `http://127.0.0.1:…`.
pub(crate) async fn serve(app: Router) -> String {
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), app)
}

/// The same on a port that is already bound.
pub(crate) fn serve_on(listener: TcpListener, app: Router) -> String {
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// An address where no server listens as long as the socket is kept.
pub(crate) fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}

/// A client without the machine's proxy settings and certificates. `reqwest` needs a TLS provider even for plain HTTP.
pub(crate) fn client() -> reqwest::Client {
    // This fails from the second test of a process on, because the provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// Requests exactly this path, which an HTTP client would normalize, and returns the response as text.
pub(crate) async fn raw_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
