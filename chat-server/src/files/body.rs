//! The body of an upload, as it comes: each piece in time, and the whole in a time that its length allows.

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

/// A body that is being read, shared with what takes it apart.
#[derive(Clone)]
pub(super) struct Source {
    reading: Arc<Mutex<Reading>>,
    /// What was read and has not been given on. Not behind the lock, which the stream holds while it waits for more.
    unclaimed: Arc<AtomicUsize>,
}

struct Reading {
    body: Body,
    started: Instant,
    received: usize,
}

/// So much may be read ahead in search of a part's end: heads of parts are short.
const MAX_UNCLAIMED: usize = 256 << 10;

impl Source {
    pub(super) fn new(body: Body) -> Self {
        let started = Instant::now();
        let reading = Arc::new(Mutex::new(Reading { body, started, received: 0 }));
        Self { reading, unclaimed: Arc::default() }
    }

    /// The next piece.
    pub(super) async fn next(&self) -> Result<Option<Bytes>, FileError> {
        let mut reading = self.reading.lock().await;
        let Reading { body, started, received } = &mut *reading;
        let piece = next(body, *started, *received).await.map_err(FileError::from)?;
        let len = piece.as_ref().map_or(0, Bytes::len);
        reading.received += len;
        self.unclaimed.fetch_add(len, Ordering::Relaxed);
        Ok(piece)
    }

    /// The pieces, one at a time: between two of them the reader is told that it has to wait, or it would read all that has
    /// come before it gives anything on.
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

    /// What was read so far was given on.
    pub(super) fn claim(&self) {
        self.unclaimed.store(0, Ordering::Relaxed);
    }

    /// Reads what is left, within reason, so that a client that is still sending can read its answer.
    pub(super) async fn discard(&self) {
        let body = std::mem::take(&mut self.reading.lock().await.body);
        discard(body).await;
    }

    /// The answer to a request that was refused while its body came.
    pub(super) async fn refuse(&self, error: FileError) -> HttpError {
        if !matches!(error, FileError::Slow | FileError::Broken) {
            self.discard().await;
        }
        error.into()
    }
}
