//! Reports as rows of keyed tables.

use super::{Queue, Report, Reported, ReportedAs, Resolution, Resolved};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, ReportId, UserId};
use crate::store::{Row, Table};

/// The table of a queue and the beginning of the keys of its rows.
pub(super) fn place(queue: Queue) -> (Table, Vec<u8>) {
    match queue {
        Queue::Room(room) => (Table::RoomReports, room.as_bytes().to_vec()),
        Queue::Operators => (Table::Reports, Vec::new()),
    }
}

/// The row of a report.
pub(super) fn key(queue: Queue, id: ReportId) -> (Table, Vec<u8>) {
    let (table, mut key) = place(queue);
    key.extend(id.hex().as_str().as_bytes());
    (table, key)
}

/// The row that exists as long as a user's report of something is open. Its value is the id of the report.
pub(super) fn open_key(by: UserId, about: Reported) -> (Table, Vec<u8>) {
    let about = match about {
        Reported::Message(id) => format!("m{id}"),
        Reported::User(id) => format!("u{id}"),
    };
    (Table::OpenReports, [&by.as_bytes()[..], about.as_bytes()].concat())
}

impl Report {
    /// What is reported.
    pub(super) fn about(&self) -> Reported {
        self.message.map_or(Reported::User(self.user), |(_, message)| Reported::Message(message))
    }

    pub(super) fn to_value(&self) -> Vec<u8> {
        let mut value = vec![self.reason as u8];
        value.extend(self.at.as_millis().to_be_bytes());
        value.extend(self.by.as_bytes());
        value.extend(self.user.as_bytes());
        let (conversation, message) =
            self.message.unwrap_or((ConversationId::from_bytes([0; 12]), MessageId::from_bytes([0; 12])));
        value.push(u8::from(self.message.is_some()));
        value.extend(conversation.as_bytes());
        value.extend(message.as_bytes());
        match self.resolved {
            Some(Resolved { action, by, at }) => {
                value.push(action as u8);
                value.extend(by.as_bytes());
                value.extend(at.as_millis().to_be_bytes());
            }
            None => value.push(0),
        }
        value.extend(u32::try_from(self.text.len()).unwrap_or(u32::MAX).to_be_bytes());
        value.extend(self.text.as_bytes());
        value.extend(self.quote.as_bytes());
        value
    }

    /// `None` when the row is damaged.
    pub(super) fn from_row(row: &Row) -> Option<Self> {
        let id = row.key.get(row.key.len().checked_sub(24)?..)?;
        Self::from_value(std::str::from_utf8(id).ok()?.parse().ok()?, &row.value)
    }

    pub(super) fn from_value(id: ReportId, value: &[u8]) -> Option<Self> {
        let mut rest = Rest(value);
        let reason = rest.byte()?;
        let reason = ReportedAs::ALL.iter().copied().find(|known| *known as u8 == reason)?;
        let at = rest.moment()?;
        let (by, user) = (UserId::from_bytes(rest.take()?), UserId::from_bytes(rest.take()?));
        let has_message = rest.byte()? != 0;
        let message = (ConversationId::from_bytes(rest.take()?), MessageId::from_bytes(rest.take()?));
        let resolved = match rest.byte()? {
            0 => None,
            code => Some(Resolved {
                action: [Resolution::Acted, Resolution::Dismissed]
                    .into_iter()
                    .find(|known| *known as u8 == code)?,
                by: UserId::from_bytes(rest.take()?),
                at: rest.moment()?,
            }),
        };
        let text_len = usize::try_from(u32::from_be_bytes(rest.take()?)).ok()?;
        let (text, quote) = rest.0.split_at_checked(text_len)?;
        let text = std::str::from_utf8(text).ok()?.to_owned();
        let quote = std::str::from_utf8(quote).ok()?.to_owned();
        let message = has_message.then_some(message);
        Some(Self { id, by, user, message, reason, text, quote, at, resolved })
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (some, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*some)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.take().map(|bytes| Timestamp::from_millis(i64::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let (ann, bob) = (UserId::from_bytes([1; 12]), UserId::from_bytes([2; 12]));
        let id = ReportId::from_bytes([7; 12]);
        let at = Timestamp::from_millis(-5);
        let message = Some((ConversationId::from_bytes([3; 12]), MessageId::from_bytes([4; 12])));
        for message in [None, message] {
            for action in [None, Some(Resolution::Acted), Some(Resolution::Dismissed)] {
                for reason in ReportedAs::ALL {
                    let resolved = action.map(|action| Resolved { action, by: ann, at });
                    let report = Report {
                        id,
                        by: ann,
                        user: bob,
                        message,
                        reason: *reason,
                        text: "why, …".into(),
                        quote: "what".into(),
                        at,
                        resolved,
                    };
                    let (_, key) = key(Queue::Operators, id);
                    let row = Row { key, value: report.to_value() };
                    assert_eq!(Report::from_row(&row).as_ref(), Some(&report));
                    let cut = Row { value: row.value[..60].to_vec(), ..row };
                    assert_eq!(Report::from_row(&cut), None);
                }
            }
        }
    }
}
