//! Answers requests while a start takes long: an index is built, a layout is migrated, or the server waits for a
//! database. A supervisor then sees that the process is alive, and a load balancer that it must wait.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::listeners::Listeners;

/// A start is usually quick. In that case clients wait this long, which is better for them than a refusal.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Maximum duration of one connection.
const CONNECTION: Duration = Duration::from_secs(5);

/// Maximum number of concurrent connections.
const MAX_CONNECTIONS: usize = 256;

/// Answers all requests until it is dropped. Connections that are open then are still served.
pub(crate) async fn answer(listeners: &Listeners) {
    tokio::time::sleep(RETRY_PAUSE).await;
    tracing::info!("the start takes a while; /readyz says \"starting\" until it is done");
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listeners.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(async |request| Ok::<_, Infallible>(answer_one(&request)));
            let serving =
                http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            // Errors and timeouts need no handling here.
            let _ = tokio::time::timeout(CONNECTION, serving).await;
            drop(permit);
        });
    }
}

fn answer_one(request: &Request<Incoming>) -> Response {
    if request.uri().path() == "/healthz" {
        return said(StatusCode::OK, &json!({ "status": "ok" }));
    }
    let message = "The server is starting. Try again in a moment.";
    let mut response =
        said(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "starting", "message": message }));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn said(status: StatusCode, body: &Value) -> Response {
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn who_asks_during_a_long_start_is_told_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = Listeners::from(listener);
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.to_ascii_lowercase()
        };
        let asking = async {
            assert!(ask("/healthz").await.starts_with("http/1.1 200 "));
            for path in ["/readyz", "/socket.io/?EIO=4&transport=polling", "/", "/api/users"] {
                let answer = ask(path).await;
                assert!(answer.starts_with("http/1.1 503 "), "{path}: {answer}");
                assert!(answer.contains("retry-after: 2\r\n") && answer.contains("\"starting\""), "{answer}");
            }
        };
        tokio::select! {
            () = answer(&listeners) => unreachable!("it is dropped"),
            () = asking => {}
        }
    }
}
