//! What the pages have asked for, and what came of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_core::id::UserId;

/// A message that was asked to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    /// The harness's name for it, the first word of its text.
    pub(crate) token: String,
    /// Which page has sent it.
    pub(crate) page: usize,
    /// On which of the page's connections, if it was sent only once and in order with others.
    pub(crate) in_order_on: Option<u32>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What came of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not known yet.
    Pending,
    /// The server has said that it is stored; in families whose messages have ids, under which.
    Acknowledged(Option<String>),
    /// It will never be known.
    Unknown,
}

/// All sends of all pages, in the order of asking.
#[derive(Default)]
pub(crate) struct Ledger {
    sends: Mutex<Vec<Send>>,
    /// Other changes that are asked for until they are carried out.
    changing: AtomicUsize,
    /// How far people have read, as they were answered.
    marks: Mutex<BTreeMap<(UserId, String), u64>>,
}

impl Ledger {
    /// Notes a send that begins; answers with its number.
    pub(crate) fn begin(&self, send: Send) -> usize {
        let mut sends = self.sends.lock().unwrap();
        sends.push(send);
        sends.len() - 1
    }

    /// It was sent in order with others on this connection.
    pub(crate) fn sent_on(&self, number: usize, connection: u32) {
        self.sends.lock().unwrap()[number].in_order_on = Some(connection);
    }

    /// Notes what came of it. What was acknowledged once stays so.
    pub(crate) fn settle(&self, number: usize, outcome: Outcome) {
        let send = &mut self.sends.lock().unwrap()[number];
        if !matches!(send.outcome, Outcome::Acknowledged(_)) {
            send.outcome = outcome;
        }
    }

    /// The name of a message.
    pub(crate) fn token(&self, number: usize) -> String {
        self.sends.lock().unwrap()[number].token.clone()
    }

    /// Another change is asked for.
    pub(crate) fn change_begins(&self) {
        self.changing.fetch_add(1, Ordering::Relaxed);
    }

    /// It is carried out.
    pub(crate) fn change_ends(&self) {
        self.changing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Somebody was answered that their mark in a conversation is here.
    pub(crate) fn marked(&self, user: UserId, conversation: &str, seq: u64) {
        let mut marks = self.marks.lock().unwrap();
        let mark = marks.entry((user, conversation.to_owned())).or_default();
        *mark = seq.max(*mark);
    }

    /// How far somebody has read a conversation.
    pub(crate) fn mark(&self, user: UserId, conversation: &str) -> u64 {
        self.marks.lock().unwrap().get(&(user, conversation.to_owned())).copied().unwrap_or_default()
    }

    /// What is not settled, if anything.
    pub(crate) fn pending(&self) -> Option<String> {
        let sends = self.sends.lock().unwrap();
        let send = sends.iter().find(|send| send.outcome == Outcome::Pending);
        let change = || {
            let changing = self.changing.load(Ordering::Relaxed);
            (changing > 0).then(|| format!("{changing} changes"))
        };
        send.map(|send| send.token.clone()).or_else(change)
    }

    /// All.
    pub(crate) fn all(&self) -> Vec<Send> {
        self.sends.lock().unwrap().clone()
    }
}
