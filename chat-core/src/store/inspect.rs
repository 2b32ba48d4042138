//! Checks everything that a store holds, for `chat-server check`. It reports damage and changes nothing.
//!
//! The data is read in parts, so a check needs little memory. A server may use the store at the same time: the check
//! may or may not see what it writes, but never reports it as damage.

use std::fmt;
use std::sync::Arc;

use crate::codec::{Codec, DecodeError};
use crate::store::StoredMessage;

/// The maximum size of a decoded body in bytes.
const MAX_DECODED_BYTES: usize = 256 << 20;

/// A problem that the check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of record: `message`, `user`, `conversation`, `member`, `read mark`, `log entry`, ….
    pub kind: &'static str,
    /// The record: an id, a position, or bytes in hexadecimal. Never a text that a user wrote.
    pub id: String,
    /// The location: the table or the collection and the row.
    pub place: String,
    /// What is wrong with the record, without its content.
    pub reason: String,
    /// What the operator can do.
    pub remedy: &'static str,
    /// The record only takes space: no data is lost, and users notice nothing.
    pub is_leftover: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, place, reason, remedy, is_leftover } = self;
        let state = if *is_leftover { "leftover" } else { "damaged" };
        write!(f, "{state} {kind} {id} in {place}: {reason}; to mend: {remedy}")
    }
}

/// How much was checked.
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
    /// The number of damaged records that were reported.
    pub damaged: u64,
    /// The number of reported leftovers, which only take space.
    pub leftovers: u64,
}

/// Returns what is wrong with the image of a URL.
type LookAtImage<'a> = Box<dyn FnMut(&str) -> Option<String> + Send + 'a>;

/// Receives findings, and holds what is needed to check records.
pub struct Inspection<'a> {
    codec: Arc<dyn Codec>,
    tell: Box<dyn FnMut(&Finding) + Send + 'a>,
    image: LookAtImage<'a>,
    counts: Inspected,
}

impl<'a> Inspection<'a> {
    /// Decodes bodies with this codec and passes each finding to `tell` at once.
    pub fn new(codec: Arc<dyn Codec>, tell: impl FnMut(&Finding) + Send + 'a) -> Self {
        Self { codec, tell: Box::new(tell), image: Box::new(|_| None), counts: Inspected::default() }
    }

    /// Calls `image` with the URL of every image of a message or a user. It returns what is wrong with the image.
    pub fn with_images(self, image: impl FnMut(&str) -> Option<String> + Send + 'a) -> Self {
        Self { image: Box::new(image), ..self }
    }

    /// How much was checked so far.
    pub fn counts(&self) -> &Inspected {
        &self.counts
    }

    /// Reports a finding.
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

    /// Checks the body and the image of a message.
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
