//! The commands and what they are answered with.

use std::fmt;

use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, ReportId, UserId};

/// Reports a message or a person. The answer is the report, or the open report that the actor made before.
#[derive(Debug, Clone)]
pub struct CreateReport {
    /// The message or person.
    pub about: Reported,
    /// The kind of offence.
    pub reason: ReportedAs,
    /// The words of the reporter: at most [`Report::MAX_TEXT_BYTES`] bytes; may be empty.
    pub text: String,
}

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// A message that the reporter can read and has not sent.
    Message(MessageId),
    /// Another person.
    User(UserId),
}

/// A kind of offence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedAs {
    /// Unwanted advertising.
    Spam = 1,
    /// Insults, threats, persecution.
    Abuse = 2,
    /// Sexual content.
    Sexual = 3,
    /// Violence, or calls for it.
    Violence = 4,
    /// Something else.
    Other = 5,
}

impl ReportedAs {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Spam, Self::Abuse, Self::Sexual, Self::Violence, Self::Other];
}

/// Lists the reports in a queue, the oldest first. Only for the moderators of the room, or for operators.
#[derive(Debug, Clone, Copy)]
pub struct ListReports {
    /// The queue.
    pub of: Queue,
    /// Only resolved reports, or only open ones.
    pub resolved: bool,
    /// Only reports after this one: the end of the previous page.
    pub after: Option<ReportId>,
    /// The maximum number of reports, up to [`MAX_REPORTS_AT_ONCE`].
    pub limit: usize,
}

/// The maximum number of reports in one answer.
pub const MAX_REPORTS_AT_ONCE: usize = 200;

/// Notes what was done about a report. A report that is resolved already stays as it is. Only for the moderators of
/// the room, or for operators.
#[derive(Debug, Clone, Copy)]
pub struct ResolveReport {
    /// The queue.
    pub of: Queue,
    /// The report.
    pub report: ReportId,
    /// What was done.
    pub action: Resolution,
}

/// Where reports wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Reports of messages in this room, for its moderators.
    Room(ConversationId),
    /// All other reports, for the operators ([`Chat::with_operators`](crate::chat::Chat::with_operators)).
    Operators,
}

/// What was done about a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Something was done: a message was deleted, say, or a member removed.
    Acted = 1,
    /// Nothing had to be done.
    Dismissed = 2,
}

/// Who has resolved a report, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// What was done.
    pub action: Resolution,
    /// By whom.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// A report.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// The reporter.
    pub by: UserId,
    /// The reported person, or the sender of the reported message.
    pub user: UserId,
    /// The reported message and its conversation; none if a person is reported.
    pub message: Option<(ConversationId, MessageId)>,
    /// The kind of offence.
    pub reason: ReportedAs,
    /// The words of the reporter.
    pub text: String,
    /// The beginning of the message's text when it was reported, at most [`Self::MAX_QUOTE_BYTES`] bytes.
    pub quote: String,
    /// The time of the report.
    pub at: Timestamp,
    /// Who has resolved it; none while it is open.
    pub resolved: Option<Resolved>,
}

impl Report {
    /// The maximum size of the reporter's words in bytes.
    pub const MAX_TEXT_BYTES: usize = 2_000;
    /// The maximum size of the quoted text in bytes.
    pub const MAX_QUOTE_BYTES: usize = 4_000;
}

// What users write must not reach the server log.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, by, user, message, reason, text, quote, at, resolved } = self;
        let mut shown = f.debug_struct("Report");
        shown.field("id", id).field("by", by).field("user", user).field("message", message);
        shown.field("reason", reason).field("text_bytes", &text.len()).field("quote_bytes", &quote.len());
        shown.field("at", at).field("resolved", resolved).finish()
    }
}

/// A page of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportPage {
    /// The reports. There may be fewer than the limit although more follow.
    pub reports: Vec<Report>,
    /// The end of this page; none on the last page.
    pub next: Option<ReportId>,
}
