//! Accounts for request and response bodies in the memory budget of the process, [`Memory`](crate::memory::Memory).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat_core::id::UserId;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::common;
use super::error::HttpError;
use crate::memory::{MIN_ACCOUNTED, Memory, OutOfMemory, Owner, Reservation};

/// A response body is passed to the connection in pieces of this many bytes, so that the reservation covers what is not
/// yet sent.
const PIECE: usize = 64 << 10;

/// The reservation for the body of a request, until the request is answered.
pub(super) struct RequestMemory(Arc<Mutex<Received>>);

struct Received {
    memory: Arc<Memory>,
    address: Owner,
    /// It is made when the body is large enough to count, as late as possible, because the account may be known by
    /// then.
    reservation: Option<Reservation>,
    bytes: usize,
    refused: bool,
}

/// The account of a request, once it is known.
#[derive(Clone, Default)]
pub(crate) struct Caller(Arc<OnceLock<UserId>>);

tokio::task_local! {
    static CALLER: Caller;
}

impl Caller {
    /// Makes [`Self::is`] refer to this request while `work` runs.
    pub(super) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CALLER.scope(self, work).await
    }

    /// Records the account of the request that is being handled.
    pub(crate) fn is(user: UserId) {
        let _ = CALLER.try_with(|caller| caller.0.set(user));
    }

    /// The owner of the reservation: the account, or the address while the request is not authenticated.
    pub(super) fn owner(&self, address: Owner) -> Owner {
        self.0.get().map_or(address, |user| Owner::User(*user))
    }
}

/// Accounts for a request body while it is received. The caller must keep the returned value until the request is
/// answered.
pub(super) fn request(memory: &Arc<Memory>, address: Owner, request: Request) -> (Request, RequestMemory) {
    let (memory, reservation) = (memory.clone(), None);
    let received = Received { memory, address, reservation, bytes: 0, refused: false };
    let received = Arc::new(Mutex::new(received));
    let accounted = received.clone();
    let request = request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Accounted { body, received: accounted })
    });
    (request, RequestMemory(received))
}

impl Received {
    fn reserve(&mut self) -> Result<(), OutOfMemory> {
        let owner = CALLER.try_with(|caller| caller.owner(self.address)).unwrap_or(self.address);
        self.reservation.get_or_insert_with(|| self.memory.begin(owner)).set(self.bytes)
    }
}

impl RequestMemory {
    /// The response, or an error instead if the memory budget had no room for the body.
    pub(super) fn answer(&self, response: Response) -> Response {
        if self.0.lock().refused { out_of_memory() } else { response }
    }
}

fn out_of_memory() -> Response {
    HttpError::unavailable("The server is busy. Please try again later.", common::BUSY).into_response()
}

/// Accounts for a response body until it is sent. If the memory budget has no room, the response is replaced by an
/// error.
pub(super) fn response(memory: &Arc<Memory>, owner: Owner, response: Response) -> Response {
    let Some(size) = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()) else {
        return response;
    };
    if size < MIN_ACCOUNTED {
        return response;
    }
    match memory.reserve(owner, size) {
        Ok(reservation) => response.map(|body| Body::new(Answer { body, piece: Bytes::new(), reservation })),
        Err(OutOfMemory) => out_of_memory(),
    }
}

/// The body of a request, which is counted while it is received.
struct Accounted {
    body: Body,
    received: Arc<Mutex<Received>>,
}

impl HttpBody for Accounted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        let mut received = self.received.lock();
        received.bytes += frame.data_ref().map_or(0, Bytes::len);
        if received.bytes >= MIN_ACCOUNTED
            && let Err(refused) = received.reserve()
        {
            received.refused = true;
            return Poll::Ready(Some(Err(axum::Error::new(refused))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response, which is sent in pieces.
struct Answer {
    body: Body,
    /// The rest of the current frame.
    piece: Bytes,
    reservation: Reservation,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.reservation.is_cut() {
            return Poll::Ready(Some(Err(axum::Error::new(OutOfMemory))));
        }
        while self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let some = self.piece.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(some)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + self.piece.len() as u64),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
