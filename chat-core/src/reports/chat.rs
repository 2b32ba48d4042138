//! What the commands do.

use super::row::{key, place};
use super::{
    CloseReport, CreateReport, FileReport, ListReports, MAX_REPORTS_AT_ONCE, Queue, Report, ReportPage,
    Reported, ResolveReport,
};
use crate::chat::Chat;
use crate::command::Outcome;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, ReportId, UserId};
use crate::model::ConversationKind;
use crate::policy;
use crate::policy::room::{Act, may};
use crate::store::write::make;

/// The number of reports that are read at once.
const AT_ONCE: usize = 200;

/// The maximum number of reads for one page, because a queue may have many reports of the other kind.
const MAX_READS: usize = 25;

impl Chat {
    pub(crate) async fn create_report(
        &self,
        actor: UserId,
        command: CreateReport,
    ) -> Result<Outcome<Report>, Error> {
        let CreateReport { about, reason, text } = command;
        let limit = Report::MAX_TEXT_BYTES;
        if text.len() > limit {
            return Err(Error::TooLarge { field: "note", limit, unit: "bytes" });
        }
        let (queue, user, message, quote) = match about {
            Reported::User(user) => (Queue::Operators, user, None, String::new()),
            Reported::Message(id) => self.reported_message(actor, id).await?,
        };
        let at = self.now();
        let id = ReportId::from_bytes(self.next_id(at));
        let report = Report { id, by: actor, user, message, reason, text, quote, at, resolved: None };
        let filed = make(&**self.store(), FileReport { report: report.clone(), queue }).await??;
        if filed.is_new {
            return Ok(Outcome::reply_only(report));
        }
        // It may have been resolved a moment ago, which its row says.
        let known = self.report(queue, filed.id).await?;
        Ok(Outcome::reply_only(known.ok_or(Error::ReportNotFound)?))
    }

    /// The queue for a message, its sender, where it is, and the beginning of its text.
    async fn reported_message(
        &self,
        actor: UserId,
        id: MessageId,
    ) -> Result<(Queue, UserId, Option<(ConversationId, MessageId)>, String), Error> {
        let (stored, conversation) = self.message_for(actor, id).await?;
        if stored.deleted.is_some() {
            return Err(Error::MessageNotFound);
        }
        let sender = stored.sender;
        let queue = match conversation.kind {
            ConversationKind::Room(_) => Queue::Room(conversation.id),
            ConversationKind::Direct { .. } => Queue::Operators,
        };
        let text = self.view(stored, &conversation).await?.message.content.text;
        let end = text.floor_char_boundary(Report::MAX_QUOTE_BYTES);
        Ok((queue, sender, Some((conversation.id, id)), text[..end].to_owned()))
    }

    pub(crate) async fn list_reports(
        &self,
        actor: UserId,
        command: ListReports,
    ) -> Result<Outcome<ReportPage>, Error> {
        let ListReports { of, resolved, after, limit } = command;
        self.may_see(actor, of).await?;
        let limit = limit.clamp(1, MAX_REPORTS_AT_ONCE);
        let (table, prefix) = place(of);
        let mut after = after.map(|after| key(of, after).1);
        let mut page = ReportPage::default();
        for _ in 0..MAX_READS {
            let rows = self.store().rows(table, &prefix, after.as_deref(), AT_ONCE).await?;
            for report in rows.iter().filter_map(Report::from_row) {
                if report.resolved.is_some() != resolved {
                    continue;
                }
                if page.reports.len() == limit {
                    page.next = page.reports.last().map(|last| last.id);
                    return Ok(Outcome::reply_only(page));
                }
                page.reports.push(report);
            }
            if rows.len() < AT_ONCE {
                page.next = None;
                return Ok(Outcome::reply_only(page));
            }
            page.next = rows.iter().filter_map(Report::from_row).next_back().map(|last| last.id);
            after = rows.into_iter().last().map(|row| row.key);
        }
        Ok(Outcome::reply_only(page))
    }

    pub(crate) async fn resolve_report(
        &self,
        actor: UserId,
        command: ResolveReport,
    ) -> Result<Outcome<Report>, Error> {
        let ResolveReport { of, report: id, action } = command;
        self.may_see(actor, of).await?;
        let report = self.report(of, id).await?.ok_or(Error::ReportNotFound)?;
        let (reporter, about) = (report.by, report.about());
        let close = CloseReport { queue: of, id, reporter, about, by: actor, action, at: self.now() };
        let closed = make(&**self.store(), close).await?;
        if let (Err(_), Queue::Room(room)) = (&closed, of) {
            // The actor's role has changed since it was looked up.
            self.directory.refresh_members(room, &[actor]).await;
        }
        Ok(Outcome::reply_only(closed?.report))
    }

    async fn report(&self, queue: Queue, id: ReportId) -> Result<Option<Report>, Error> {
        let (table, key) = key(queue, id);
        let values = self.store().values(table, &[key]).await?;
        Ok(values.into_iter().flatten().next().and_then(|value| Report::from_value(id, &value)))
    }

    /// Checks whether a user may see the reports in a queue.
    async fn may_see(&self, actor: UserId, queue: Queue) -> Result<(), Error> {
        let Queue::Room(room) = queue else {
            return match self.is_operator(actor).await? {
                true => Ok(()),
                false => Err(Error::Forbidden("Only operators can see these reports")),
            };
        };
        let room = self.directory.conversation(room).await?;
        let role = policy::must_be_member(actor, &room)?;
        if !matches!(room.kind, ConversationKind::Room(_)) {
            return Err(Error::ConversationNotFound);
        }
        may(Act::DeleteMessages, Some(role)).map_err(|_| Error::Forbidden("Only moderators can see reports"))
    }
}
