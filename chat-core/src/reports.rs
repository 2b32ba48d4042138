//! Reports: users tell the moderators of a room of a message, or the operators of the server of a person or of a
//! message in a direct conversation.
//!
//! A report is a row in its [queue](Queue). The text of the reported message is copied into the report, so that it can
//! be judged after the message was deleted, and by operators, who are no members of direct conversations. Nobody is
//! notified: those who may see a queue read it when they want to.
//!
//! A user has at most one open report of the same message or person; reporting again answers with the open one.

mod chat;
mod commands;
mod row;
mod write;

#[cfg(test)]
mod tests;

pub use self::commands::{
    CreateReport, ListReports, MAX_REPORTS_AT_ONCE, Queue, Report, ReportPage, Reported, ReportedAs,
    Resolution, ResolveReport, Resolved,
};
pub use self::write::{CloseReport, Closed, FileReport, Filed};
