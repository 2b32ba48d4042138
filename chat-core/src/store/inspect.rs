//! Going over everything that a store holds, for `chat-server check`: what is damaged is named, and nothing is changed.
//!
//! Everything is read in parts, so it takes little memory, and a server may use the store meanwhile: what it writes can be
//! seen or not, and is never taken for damage.

use std::fmt;
use std::sync::Arc;

use crate::codec::{Codec, DecodeError};
use crate::store::StoredMessage;

/// Most bytes that a body may decode to.
const MAX_DECODED_BYTES: usize = 256 << 20;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of record: `message`, `user`, `conversation`, `member`, `read mark`, `log entry`, ….
    pub kind: &'static str,
    /// Which one: an id, a position, bytes in hexadecimal. Never a text of somebody's.
    pub id: String,
    /// Where it is: the table or the collection and the row.
    pub place: String,
    /// What is wrong with it, without what it holds.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
    /// It only takes room: nothing is lost, and nobody notices.
    pub is_leftover: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, place, reason, remedy, is_leftover } = self;
        let state = if *is_leftover { "leftover" } else { "damaged" };
        write!(f, "{state} {kind} {id} in {place}: {reason}; to mend: {remedy}")
    }
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// Accounts.
    pub users: u64,
    /// Conversations.
    pub conversations: u64,
    /// Memberships, each with a read mark.
    pub members: u64,
    /// Messages.
    pub messages: u64,
    /// Rows of keyed tables.
    pub rows: u64,
    /// Entries of the log.
    pub log_entries: u64,
    /// What was named that is damaged.
    pub damaged: u64,
    /// What was named that only takes room.
    pub leftovers: u64,
}

/// Answers what is wrong with the image of a URL.
type LookAtImage<'a> = Box<dyn FnMut(&str) -> Option<String> + Send + 'a>;

/// Where findings go, and what is needed to judge.
pub struct Inspection<'a> {
    codec: Arc<dyn Codec>,
    tell: Box<dyn FnMut(&Finding) + Send + 'a>,
    image: LookAtImage<'a>,
    counts: Inspected,
}

impl<'a> Inspection<'a> {
    /// Bodies are decoded by this codec; each finding is told at once.
    pub fn new(codec: Arc<dyn Codec>, tell: impl FnMut(&Finding) + Send + 'a) -> Self {
        Self { codec, tell: Box::new(tell), image: Box::new(|_| None), counts: Inspected::default() }
    }

    /// With somebody who is told the URL of every image that a message or a person has, and answers what is wrong with it.
    pub fn with_images(self, image: impl FnMut(&str) -> Option<String> + Send + 'a) -> Self {
        Self { image: Box::new(image), ..self }
    }

    /// What was looked at so far.
    pub fn counts(&self) -> &Inspected {
        &self.counts
    }

    /// Names something.
    pub fn found(&mut self, finding: &Finding) {
        match finding.is_leftover {
            true => self.counts.leftovers += 1,
            false => self.counts.damaged += 1,
        }
        (self.tell)(finding);
    }

    pub(super) fn counts_mut(&mut self) -> &mut Inspected {
        &mut self.counts
    }

    pub(super) fn damaged(
        &mut self,
        kind: &'static str,
        id: impl fmt::Display,
        place: impl fmt::Display,
        reason: impl fmt::Display,
        remedy: &'static str,
    ) {
        let (id, place, reason) = (id.to_string(), place.to_string(), reason.to_string());
        self.found(&Finding { kind, id, place, reason, remedy, is_leftover: false });
    }

    pub(super) fn leftover(
        &mut self,
        kind: &'static str,
        id: impl fmt::Display,
        place: impl fmt::Display,
        reason: impl fmt::Display,
        remedy: &'static str,
    ) {
        let (id, place, reason) = (id.to_string(), place.to_string(), reason.to_string());
        self.found(&Finding { kind, id, place, reason, remedy, is_leftover: true });
    }

    /// Judges the body and the image of a message.
    pub(super) fn content(&mut self, message: &StoredMessage, place: impl fmt::Display) {
        let decoded = self.codec.decode((&message.body).into(), MAX_DECODED_BYTES);
        let wrong = match decoded.map(String::from_utf8) {
            Ok(Ok(_)) => None,
            Ok(Err(_)) => Some(("the body is not UTF-8".to_owned(), BODY)),
            Err(error @ DecodeError::UnknownTables { .. }) => {
                Some((format!("the body cannot be decoded: {error}"), TABLES))
            }
            Err(error) => Some((format!("the body cannot be decoded: {error}"), BODY)),
        };
        if let Some((reason, remedy)) = wrong {
            self.damaged("message", message.id, &place, reason, remedy);
        }
        if let Some(image) = &message.image {
            self.image(image, "message", &message.id, place);
        }
    }

    pub(super) fn image(
        &mut self,
        url: &str,
        kind: &'static str,
        id: &dyn fmt::Display,
        place: impl fmt::Display,
    ) {
        if let Some(reason) = (self.image)(url) {
            self.damaged(kind, id, place, reason, IMAGE);
        }
    }
}

pub(super) const BODY: &str =
    "restore it from a backup, or delete the record; the others are read without it";
pub(super) const TABLES: &str = "start with the tables that wrote it (CHAT_CODEC_TABLES)";
pub(super) const RECORD: &str = "restore it from a backup, or delete the record";
pub(super) const IMAGE: &str = "restore the file from a backup of the media folder";
pub(super) const REFERENCE: &str = "restore what is missing from a backup, or delete the record";
pub(super) const LOG: &str = "nothing, or delete the entry: it is passed over";
pub(super) const COUNTER: &str = "restore from a backup; until then it is passed over";
pub(super) const INDEX: &str = "nothing, or delete it: it is made again from the messages";
