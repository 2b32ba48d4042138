//! Tests of the queue with a mailer that the test controls.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use super::{MailQueue, QueueLimits};
use crate::mail::{LogMailer, Mail, MailError, Mailer};

const LONG: Duration = Duration::from_mins(1);

/// Reports each mail, holds it until it gets a permit, and counts how many it holds.
struct Gate {
    began: mpsc::UnboundedSender<String>,
    permits: Semaphore,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    sent: Mutex<Vec<String>>,
}

#[async_trait]
impl Mailer for Gate {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_inside.fetch_max(inside, Ordering::SeqCst);
        self.began.send(mail.subject.clone()).unwrap();
        self.permits.acquire().await.unwrap().forget();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        match mail.subject.as_str() {
            "panic" => panic!("a mailer that panics"),
            "refuse" => return Err(MailError::Invalid("the test says so")),
            _ => self.sent.lock().unwrap().push(mail.subject.clone()),
        }
        Ok(())
    }
}

fn gate(permits: usize) -> (Arc<Gate>, mpsc::UnboundedReceiver<String>) {
    let (began, begins) = mpsc::unbounded_channel();
    let gate = Gate {
        began,
        permits: Semaphore::new(permits),
        inside: AtomicUsize::new(0),
        most_inside: AtomicUsize::new(0),
        sent: Mutex::default(),
    };
    (Arc::new(gate), begins)
}

fn mail(subject: &str) -> Mail {
    Mail {
        to: "a@example.com".to_owned(),
        subject: subject.to_owned(),
        text: String::new(),
        html: String::new(),
    }
}

#[tokio::test]
async fn all_mail_is_sent_a_few_at_a_time() {
    let (gate, mut begins) = gate(0);
    let queue = MailQueue::start(gate.clone(), QueueLimits::default(), Arc::default());
    for i in 0..50 {
        queue.post(mail(&i.to_string()));
    }
    assert_eq!(queue.unsent(), 50);
    for i in 0..4 {
        assert_eq!(begins.recv().await.unwrap(), i.to_string());
    }
    gate.permits.add_permits(50);
    assert_eq!(queue.drain(LONG).await, 0);
    assert_eq!(gate.sent.lock().unwrap().len(), 50);
    assert_eq!(gate.most_inside.load(Ordering::SeqCst), 4);
    assert_eq!(queue.unsent(), 0);
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_without_waiting() {
    let (gate, mut begins) = gate(0);
    let queue = MailQueue::start(gate.clone(), QueueLimits { waiting: 3, in_flight: 1 }, Arc::default());
    queue.post(mail("on its way"));
    begins.recv().await.unwrap();
    for i in 0..10 {
        queue.post(mail(&i.to_string()));
    }
    assert_eq!(queue.unsent(), 4);
    gate.permits.add_permits(10);
    assert_eq!(queue.drain(LONG).await, 0);
    assert_eq!(*gate.sent.lock().unwrap(), ["on its way", "0", "1", "2"]);
}

#[tokio::test]
async fn failures_and_panics_do_not_stop_the_rest() {
    let (gate, _begins) = gate(100);
    let queue = MailQueue::start(gate.clone(), QueueLimits { waiting: 10, in_flight: 1 }, Arc::default());
    for subject in ["refuse", "panic", "fine"] {
        queue.post(mail(subject));
    }
    assert_eq!(queue.drain(LONG).await, 0);
    assert_eq!(*gate.sent.lock().unwrap(), ["fine"]);
    assert_eq!(queue.unsent(), 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let (gate, mut begins) = gate(0);
    let queue = MailQueue::start(gate.clone(), QueueLimits { waiting: 10, in_flight: 2 }, Arc::default());
    for i in 0..5 {
        queue.post(mail(&i.to_string()));
    }
    begins.recv().await.unwrap();
    assert_eq!(queue.drain(Duration::from_millis(20)).await, 5);
    queue.post(mail("too late"));
    assert_eq!(queue.drain(LONG).await, 0);
    assert!(gate.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_log_takes_any_mail() {
    let queue = MailQueue::start(Arc::new(LogMailer), QueueLimits::default(), Arc::default());
    queue.post(mail("anything"));
    assert_eq!(queue.drain(LONG).await, 0);
}
