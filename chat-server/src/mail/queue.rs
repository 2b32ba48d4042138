//! Sends mail in the background, a few at a time. The queue is limited.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, Receiver, Sender, error::TrySendError},
    task::{JoinError, JoinHandle, JoinSet},
};

use super::{Mail, MailError, Mailer};
use crate::outages::{Outages, Part};

/// Maximum numbers of mails that wait and that are being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Maximum number of waiting mails; further ones are dropped. At least 1.
    pub waiting: usize,
    /// Maximum number of mails that are being sent at the same time. At least 1.
    pub in_flight: usize,
}

impl Default for QueueLimits {
    /// 1,000 waiting, 4 being sent.
    fn default() -> Self {
        Self { waiting: 1000, in_flight: 4 }
    }
}

/// A queue of mails.
///
/// One task takes the mails in order of arrival and sends several at a time. It ends after the last mail once the queue
/// is drained or dropped.
pub struct MailQueue {
    sender: Mutex<Option<Sender<Posted>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    unsent: Arc<AtomicUsize>,
}

impl MailQueue {
    /// Starts the sending task.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(mailer: Arc<dyn Mailer>, limits: QueueLimits, outages: Arc<Outages>) -> Self {
        let (sender, receiver) = mpsc::channel(limits.waiting.max(1));
        let worker = tokio::spawn(work(mailer, outages, receiver, limits.in_flight.max(1)));
        Self { sender: Mutex::new(Some(sender)), worker: Mutex::new(Some(worker)), unsent: Arc::default() }
    }

    /// Queues a mail. This never blocks and never fails: if the queue is full or closed, the mail is dropped and a
    /// warning is logged.
    pub fn post(&self, mail: Mail) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else {
            chat_core::log_throttled!(
                warn,
                subject = mail.subject,
                "a mail was dropped because the server is stopping"
            );
            return;
        };
        let posted = Posted { mail, _counted: Counted::new(&self.unsent) };
        if let Err(TrySendError::Full(Posted { mail, .. }) | TrySendError::Closed(Posted { mail, .. })) =
            sender.try_send(posted)
        {
            chat_core::log_throttled!(
                warn,
                subject = mail.subject,
                "a mail was dropped because too many are waiting"
            );
        }
    }

    /// The number of mails that are waiting or being sent.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Closes the queue, waits until all mails are sent or `timeout` has passed, and returns the number of lost mails.
    ///
    /// A mail that the service has refused does not count as lost. Calling this again returns 0 immediately.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut worker) = worker else { return 0 };
        if tokio::time::timeout(timeout, &mut worker).await.is_ok() {
            return 0;
        }
        let lost = self.unsent();
        worker.abort();
        tracing::warn!(lost, "the server stops before all mail is sent");
        lost
    }
}

/// A mail in the queue. It stops being counted on drop, whether it was sent, refused, or lost in a panic.
struct Posted {
    mail: Mail,
    _counted: Counted,
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn work(
    mailer: Arc<dyn Mailer>,
    outages: Arc<Outages>,
    mut waiting: Receiver<Posted>,
    in_flight: usize,
) {
    let mut sending = JoinSet::new();
    loop {
        tokio::select! {
            // When the set is full, nothing is taken from the queue, so the queue fills up and refuses further mails.
            posted = waiting.recv(), if sending.len() < in_flight => {
                let Some(posted) = posted else { break };
                sending.spawn(send(Arc::clone(&mailer), outages.clone(), posted));
            }
            Some(result) = sending.join_next() => note_panic(&result),
        }
    }
    while let Some(result) = sending.join_next().await {
        note_panic(&result);
    }
}

async fn send(mailer: Arc<dyn Mailer>, outages: Arc<Outages>, posted: Posted) {
    let sent = mailer.send(&posted.mail).await;
    if sent.is_ok() {
        outages.worked(Part::Mail);
    }
    if let Err(error) = sent {
        if let MailError::Refused { .. } | MailError::Unavailable { .. } = error {
            return outages.failed(Part::Mail, &error);
        }
        let error: &(dyn std::error::Error + 'static) = &error;
        chat_core::log_throttled!(error, subject = posted.mail.subject, error, "a mail was not sent");
    }
}

/// Each mail is sent by its own task, so a panic in the mailer loses one mail and not the queue.
fn note_panic(result: &Result<(), JoinError>) {
    if let Err(error) = result {
        chat_core::log_throttled!(error, %error, "sending a mail was broken off");
    }
}

#[cfg(test)]
mod tests;
