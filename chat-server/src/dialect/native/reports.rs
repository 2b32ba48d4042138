//! Reports of messages and people.
//!
//! ```text
//! bob > report.create {"messageId":"…","reason":"abuse","note":"please look"} (ack)
//!     {"ok":true,"success":true,"reportId":"…","roomId":"…","messageId":"…","userId":"…","reporterId":"…","reason":"abuse",
//!      "note":"please look","content":"…","timestamp":0,"resolved":null}
//! ann > report.list {"roomId":"…","resolved":false} (ack)      {"ok":true,"success":true,"reports":[the same],"next":null}
//! ann > report.resolve {"reportId":"…","roomId":"…","action":"acted"} (ack)      {…,"resolved":{"action":"acted","userId":"…","timestamp":0}}
//! ```
//! Reports of messages in a room are for those who may delete others' messages there. Reports of people and of direct
//! messages are for the operators (`CHAT_OPERATORS`), who give no `roomId`. `content` is the beginning of the message's
//! text when it was reported.

use chat_core::clock::Timestamp;
use chat_core::command::Command;
use chat_core::reports::{
    CreateReport, ListReports, Queue, Report, ReportPage, Reported, ReportedAs, Resolution, ResolveReport,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::{Arguments, wrong};
use super::shapes::UserId24;
use crate::dialect::DecodeError;

pub(super) fn create(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let about = match (arguments.id("messageId")?, arguments.id("userId")?) {
        (Some(message), None) => Reported::Message(message),
        (None, Some(user)) => Reported::User(user),
        (Some(_), Some(_)) => return Err(wrong("userId", "left out where messageId is given")),
        (None, None) => return Err(DecodeError::Missing("messageId or userId")),
    };
    let reason = arguments.required("reason")?;
    let known = ReportedAs::ALL.iter().copied().find(|known| reason_word(*known) == reason);
    let reason = known.ok_or_else(|| arguments.wrong("reason"))?;
    let text = arguments.text("note")?.map(Into::into).unwrap_or_default();
    Ok(CreateReport { about, reason, text }.into())
}

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let resolved = arguments.flag("resolved")?.unwrap_or_default();
    let after = arguments.id("cursor")?;
    Ok(ListReports { of: queue(arguments)?, resolved, after, limit: arguments.limit()? }.into())
}

pub(super) fn resolve(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let report = arguments.required_id("reportId")?;
    let action = match &*arguments.required("action")? {
        "acted" => Resolution::Acted,
        "dismissed" => Resolution::Dismissed,
        _ => return Err(arguments.wrong("action")),
    };
    Ok(ResolveReport { of: queue(arguments)?, report, action }.into())
}

fn queue(arguments: &Arguments<'_>) -> Result<Queue, DecodeError> {
    Ok(arguments.id("roomId")?.map_or(Queue::Operators, Queue::Room))
}

fn reason_word(reason: ReportedAs) -> &'static str {
    match reason {
        ReportedAs::Spam => "spam",
        ReportedAs::Abuse => "abuse",
        ReportedAs::Sexual => "sexual",
        ReportedAs::Violence => "violence",
        ReportedAs::Other => "other",
    }
}

/// A report. Times are milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Report")]
pub(super) struct ReportObject<'a> {
    report_id: String,
    /// The conversation of the message; null when a person is reported.
    room_id: Option<String>,
    message_id: Option<String>,
    /// The reported person, or the sender of the message.
    user_id: UserId24,
    reporter_id: UserId24,
    #[schemars(extend("enum" = ["spam", "abuse", "sexual", "violence", "other"]))]
    reason: &'static str,
    note: &'a str,
    /// The beginning of the message's text when it was reported.
    content: &'a str,
    timestamp: i64,
    resolved: Option<ResolvedObject>,
}

/// What was done about a report.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Resolved")]
struct ResolvedObject {
    #[schemars(extend("enum" = ["acted", "dismissed"]))]
    action: &'static str,
    user_id: UserId24,
    timestamp: i64,
}

pub(super) fn report(of: &Report) -> ReportObject<'_> {
    let resolved = of.resolved.map(|resolved| ResolvedObject {
        action: match resolved.action {
            Resolution::Acted => "acted",
            Resolution::Dismissed => "dismissed",
        },
        user_id: resolved.by.to_string(),
        timestamp: Timestamp::as_millis(resolved.at),
    });
    ReportObject {
        report_id: of.id.to_string(),
        room_id: of.message.map(|(conversation, _)| conversation.to_string()),
        message_id: of.message.map(|(_, message)| message.to_string()),
        user_id: of.user.to_string(),
        reporter_id: of.by.to_string(),
        reason: reason_word(of.reason),
        note: &of.text,
        content: &of.quote,
        timestamp: Timestamp::as_millis(of.at),
        resolved,
    }
}

/// A page of reports.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReportPage")]
pub(super) struct PageObject<'a> {
    reports: Vec<ReportObject<'a>>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

pub(super) fn page(page: &ReportPage) -> PageObject<'_> {
    PageObject {
        reports: page.reports.iter().map(report).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}
