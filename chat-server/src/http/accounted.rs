//! Bodies of requests and answers, accounted for in the process's [`Memory`](crate::memory::Memory).

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

/// An answer is given to the connection in pieces of so many bytes, so that what is accounted for is what waits.
const PIECE: usize = 64 << 10;

/// What is held of a request's body, until the request is answered.
pub(super) struct RequestMemory(Arc<Mutex<Received>>);

struct Received {
    memory: Arc<Memory>,
    address: Owner,
    /// Begun when it is worth it, and when it may be known whose it is.
    reservation: Option<Reservation>,
    bytes: usize,
    refused: bool,
}

/// Whose a request is, once that is known.
#[derive(Clone, Default)]
pub(crate) struct Caller(Arc<OnceLock<UserId>>);

tokio::task_local! {
    static CALLER: Caller;
}

impl Caller {
    /// Has [`Self::is`] mean this request while `work` is done.
    pub(super) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CALLER.scope(self, work).await
    }

    /// The request that is being answered is this person's.
    pub(crate) fn is(user: UserId) {
        let _ = CALLER.try_with(|caller| caller.0.set(user));
    }

    /// Who pays for the request that is being answered: the person, or their address while nobody is known.
    pub(super) fn owner(&self, address: Owner) -> Owner {
        self.0.get().map_or(address, |user| Owner::User(*user))
    }
}

/// Accounts for the body of a request as it comes. What is answered is to be kept until the request is answered.
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
    /// The answer, or in its place that there was no room for the body.
    pub(super) fn answer(&self, response: Response) -> Response {
        if self.0.lock().refused { out_of_memory() } else { response }
    }
}

fn out_of_memory() -> Response {
    HttpError::unavailable("The server is busy. Please try again later.", common::BUSY).into_response()
}

/// Accounts for the body of an answer until it is sent; one for which there is no room becomes an error.
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

/// The body of a request.
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

/// The body of an answer.
struct Answer {
    body: Body,
    /// What of its last frame was not given away yet.
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
