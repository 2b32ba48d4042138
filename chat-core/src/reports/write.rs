//! What reporting and resolving change in the store.

use super::row::{key, open_key};
use super::{Queue, Report, Reported, Resolution, Resolved};
use crate::clock::Timestamp;
use crate::id::{ReportId, UserId};
use crate::policy::Refusal;
use crate::policy::room::{Act, may};
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;

/// Files a report, unless the reporter has an open one of the same message or person. Not logged. A message must not be
/// deleted, its reporter must be a member of its conversation and not its sender; a person must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The report, which is open.
    pub report: Report,
    /// Its queue.
    pub queue: Queue,
}

/// The result of [`FileReport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filed {
    /// The open report.
    pub id: ReportId,
    /// Whether it was filed now.
    pub is_new: bool,
}

impl Effect for FileReport {
    fn reads(&self, reads: &mut Reads) {
        match self.report.message {
            Some((conversation, message)) => {
                reads.messages.insert(message);
                reads.ends.insert(conversation);
                reads.roles.insert((conversation, self.report.by));
            }
            None => drop(reads.users.insert(self.report.user)),
        }
        reads.rows.extend([key(self.queue, self.report.id), open_key(self.report.by, self.report.about())]);
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        (1 << 10) + self.report.text.len() + self.report.quote.len()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { report, queue } = self;
        if report.by == report.user {
            return Ok(Err(Refusal::Forbidden("You cannot report yourself")));
        }
        match report.message {
            Some((conversation, id)) => {
                let message = tx.message(id)?.filter(|message| message.conversation == conversation);
                let is_there =
                    message.is_some_and(|message| message.deleted.is_none() && message.sender == report.user);
                if !is_there || tx.role(conversation, report.by)?.is_none() {
                    return Ok(Err(Refusal::MessageNotFound));
                }
            }
            None if tx.user(report.user)?.is_none() => return Ok(Err(Refusal::UserNotFound)),
            None => {}
        }
        let (open_table, open) = open_key(report.by, report.about());
        let known = tx.row(open_table, &open)?.and_then(|id| id.try_into().ok()).map(ReportId::from_bytes);
        if let Some(id) = known {
            return Ok(Ok(Filed { id, is_new: false }));
        }
        let (table, row) = key(*queue, report.id);
        tx.put_row(table, &row, &report.to_value())?;
        tx.put_row(open_table, &open, report.id.as_bytes())?;
        Ok(Ok(Filed { id: report.id, is_new: true }))
    }
}

/// Resolves a report. Not logged. In a room, [`may`] delete others' messages decides, from the role at the moment of the
/// write; for the other queue the caller has checked that `by` is an operator. A report that is resolved stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReport {
    /// The queue.
    pub queue: Queue,
    /// The report.
    pub id: ReportId,
    /// Who has made it.
    pub reporter: UserId,
    /// What it is about.
    pub about: Reported,
    /// Who resolves it.
    pub by: UserId,
    /// What was done.
    pub action: Resolution,
    /// When.
    pub at: Timestamp,
}

/// The result of [`CloseReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The report now.
    pub report: Report,
    /// Whether it was resolved now.
    pub is_new: bool,
}

impl Effect for CloseReport {
    fn reads(&self, reads: &mut Reads) {
        if let Queue::Room(room) = self.queue {
            reads.ends.insert(room);
            reads.roles.insert((room, self.by));
        }
        reads.rows.extend([key(self.queue, self.id), open_key(self.reporter, self.about)]);
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        (1 << 10) + Report::MAX_TEXT_BYTES + Report::MAX_QUOTE_BYTES
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { queue, id, reporter, about, by, action, at } = *self;
        if let Queue::Room(room) = queue
            && let Err(refusal) = may(Act::DeleteMessages, tx.role(room, by)?)
        {
            return Ok(Err(refusal));
        }
        let (table, row) = key(queue, id);
        let found = tx.row(table, &row)?.and_then(|value| Report::from_value(id, &value));
        let found = found.filter(|report| report.by == reporter && report.about() == about);
        let Some(mut report) = found else { return Ok(Err(Refusal::ReportNotFound)) };
        if report.resolved.is_some() {
            return Ok(Ok(Closed { report, is_new: false }));
        }
        report.resolved = Some(Resolved { action, by, at });
        tx.put_row(table, &row, &report.to_value())?;
        let (table, open) = open_key(reporter, about);
        if tx.row(table, &open)?.is_some_and(|known| known == id.as_bytes()) {
            tx.delete_row(table, &open)?;
        }
        Ok(Ok(Closed { report, is_new: true }))
    }
}
