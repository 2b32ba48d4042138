//! Reads the body of an upload. Each piece, and the whole body, must arrive within a time limit that depends on the
//! length.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::FileError;
use crate::http::body::next;
use crate::http::common::discard;
use crate::http::error::HttpError;

/// A request body that is being read. It is shared with the multipart parser.
#[derive(Clone)]
pub(super) struct Source {
    reading: Arc<Mutex<Reading>>,
    /// Bytes that were read but not yet passed on. This is outside the lock, because the stream holds the lock while it
    /// waits.
    unclaimed: Arc<AtomicUsize>,
}

struct Reading {
    body: Body,
    started: Instant,
    received: usize,
}

/// The maximum number of bytes that the parser may read ahead to find the end of a part's header. Headers of parts are
/// short.
const MAX_UNCLAIMED: usize = 256 << 10;

impl Source {
    pub(super) fn new(body: Body) -> Self {
        let started = Instant::now();
        let reading = Arc::new(Mutex::new(Reading { body, started, received: 0 }));
        Self { reading, unclaimed: Arc::default() }
    }

    /// Reads the next piece.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, FileError> {
        let mut reading = self.reading.lock().await;
        let Reading { body, started, received } = &mut *reading;
        let piece = next(body, *started, *received).await.map_err(FileError::from)?;
        let len = piece.as_ref().map_or(0, Bytes::len);
        reading.received += len;
        self.unclaimed.fetch_add(len, Ordering::Relaxed);
        Ok(piece)
    }

    /// The pieces as a stream. It yields once before each piece. Without that the parser would read everything that has
    /// arrived before it passes anything on.
    pub(super) fn stream(&self) -> impl Stream<Item = Result<Bytes, FileError>> + Send + 'static {
        stream::unfold(self.clone(), |source| async move {
            tokio::task::yield_now().await;
            if source.unclaimed.load(Ordering::Relaxed) > MAX_UNCLAIMED {
                let problem = "a part of the form has no end of its head";
                return Some((Err(FileError::invalid("file", problem)), source));
            }
            Some((source.next().await.transpose()?, source))
        })
    }

    /// Records that everything read so far was passed on.
    pub(super) fn claim(&self) {
        self.unclaimed.store(0, Ordering::Relaxed);
    }

    /// Reads and discards the rest, within limits, so that a client that is still sending can read the response.
    pub(super) async fn discard(&self) {
        let body = std::mem::take(&mut self.reading.lock().await.body);
        discard(body).await;
    }

    /// The response to a request that was refused while its body was still arriving.
    pub(super) async fn refuse(&self, error: FileError) -> HttpError {
        if !matches!(error, FileError::Slow | FileError::Broken) {
            self.discard().await;
        }
        error.into()
    }
}
