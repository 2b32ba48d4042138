//! HTTP requests of a page.

use std::sync::Arc;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::agenda::Millis;
use crate::plan::Family;
use crate::world::{World, page_owner};

/// Asks once, on a connection of its own, and waits at most so long for the whole answer. `nth` is the connection's
/// number at the page.
///
/// # Errors
/// When the connection breaks or the answer takes too long.
pub(crate) async fn ask(
    world: &Arc<World>,
    (page, nth): (usize, u32),
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: String,
    patience: Millis,
) -> Result<(u16, Bytes), &'static str> {
    let asking = async {
        let end = world.connect(page, nth).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(end)).await.map_err(|_| "the connection broke")?;
        // Ended with the request: whoever gives up hangs up.
        let _running = AbortOnDrop(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let plan = world.plan.pages[page];
        let token = world.people[plan.person].token(plan.family);
        let mut request = Request::builder().method(method).uri(path).header("host", "simulation");
        request = match plan.family {
            Family::Push => request.header("cookie", format!("jwt={token}")),
            Family::Camel => request.header("authorization", format!("Bearer {token}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("the parts are good");
        let answer = sender.send_request(request).await.map_err(|_| "the connection broke")?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|_| "the connection broke")?;
        Ok((status, body.to_bytes()))
    };
    tokio::select! {
        biased;
        answer = asking => answer,
        () = world.agenda.sleep(patience, page_owner(page) + 1) => Err("no answer"),
    }
}

/// A task that ends with whoever has started it.
pub(crate) struct AbortOnDrop(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
