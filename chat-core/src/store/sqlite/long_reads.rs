//! Threads for reads that may take long.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::faults::fault_of_read;
use crate::store::StoreError;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The threads for reads that may take long, so that they do not hold up an executor's thread.
pub(crate) struct LongReads {
    queue: std::sync::mpsc::Sender<Read>,
}

impl LongReads {
    /// Reads of more rows than this go to the threads.
    pub(crate) const FROM: usize = 256;

    /// So many are read at once.
    pub(super) const THREADS: usize = 2;

    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, StoreError> {
        let (queue, reads) = std::sync::mpsc::channel::<Read>();
        let reads = Arc::new(Mutex::new(reads));
        for db in connections {
            let reads = reads.clone();
            let work = move || {
                loop {
                    // The lock is held while waiting for the next one, and not while reading.
                    let read = reads.lock().recv();
                    let Ok(read) = read else { return };
                    read(&db);
                }
            };
            let thread = std::thread::Builder::new().name("sqlite-reader".into());
            thread.spawn(work).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        Ok(Self { queue })
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = tokio::sync::oneshot::channel();
        let job = Box::new(move |db: &Connection| {
            drop(reply.send(read(db).map_err(|error| fault_of_read(&error))));
        });
        self.queue.send(job).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}
