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

/// An address at which nobody listens as long as the socket is kept.
pub(crate) fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}

/// A client that takes neither proxy nor certificates from the machine. `reqwest` wants a TLS provider even
/// where no TLS is spoken.
pub(crate) fn client() -> reqwest::Client {
    // The second test of a process finds the provider of the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// Asks for exactly this path, which a client would normalise, and returns the answer as text.
pub(crate) async fn raw_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
