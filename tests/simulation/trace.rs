//! What happened, with virtual times, and the first rule that was broken.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::agenda::{Agenda, Millis};

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Actor {
    /// Whoever kills and starts servers.
    Operator,
    /// The store.
    Store,
    /// The network.
    Weather,
    /// A page in somebody's browser.
    Page(usize),
}

/// The trace of one run.
pub(crate) struct Trace {
    agenda: Agenda,
    entries: Mutex<Vec<Entry>>,
    broken: Mutex<Option<String>>,
    /// Somebody is told when a rule is broken.
    pub(crate) stop: Notify,
}

struct Entry {
    at: Millis,
    actor: Actor,
    text: String,
}

impl Trace {
    /// An empty one.
    pub(crate) fn new(agenda: &Agenda) -> Self {
        Self {
            agenda: agenda.clone(),
            entries: Mutex::default(),
            broken: Mutex::default(),
            stop: Notify::new(),
        }
    }

    /// Notes that something happened now.
    pub(crate) fn note(&self, actor: Actor, text: impl Into<String>) {
        let entry = Entry { at: self.agenda.now(), actor, text: text.into() };
        self.entries.lock().unwrap().push(entry);
    }

    /// A rule is broken. The first one counts.
    pub(crate) fn broken(&self, actor: Actor, rule: impl Into<String>) {
        let rule = rule.into();
        self.note(actor, format!("BROKEN: {rule}"));
        self.broken.lock().unwrap().get_or_insert_with(|| format!("{actor:?}: {rule}"));
        self.stop.notify_one();
    }

    /// The rule that was broken.
    pub(crate) fn rule(&self) -> Option<String> {
        self.broken.lock().unwrap().clone()
    }

    /// A number that differs if anything went otherwise. What different actors did in the same millisecond has no order.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut entries = self.entries.lock().unwrap();
        entries.sort_by_key(|entry| (entry.at, entry.actor));
        let mut hasher = DefaultHasher::new();
        for Entry { at, actor, text } in entries.iter() {
            (at, actor, text).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// How often something with these words happened.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.entries.lock().unwrap().iter().filter(|entry| entry.text.contains(words)).count()
    }

    /// The last things that happened, for people.
    pub(crate) fn last(&self, most: usize) -> String {
        let entries = self.entries.lock().unwrap();
        let mut text = String::new();
        for Entry { at, actor, text: what } in &entries[entries.len().saturating_sub(most)..] {
            let _ = writeln!(text, "{:>8.3} s  {:<10} {what}", *at as f64 / 1000.0, format!("{actor:?}"));
        }
        text
    }
}
