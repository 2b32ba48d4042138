//! The chat list. All statements of one list run in one snapshot.

use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::damage::{skip, sound};
use super::rows::{self, MAX_BYTES_AT_ONCE, MESSAGE, place, read_message, read_position};
use super::unread::Counting;
use super::{SqliteStore, members};
use crate::id::{ConversationId, UserId};
use crate::model::{ConversationKind, JoinOrder, Position, Seq};
use crate::store::read_marks::{LookingAt, counted_after, not_examined};
use crate::store::{Activity, ChatListStore, ChatSummary, MEMBERS_SHOWN, StoreError, StoredMessage};

const ACTIVITY: &str = "SELECT c.key, c.id, c.pair IS NOT NULL, (
        SELECT m.position FROM messages m
        WHERE m.place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295 AND NOT EXISTS (
            SELECT 1 FROM messages d INDEXED BY messages_deleted WHERE d.place = m.place AND d.deleted_at IS NOT NULL
        ) ORDER BY m.place DESC LIMIT 1
    ) FROM members JOIN conversations c ON c.key = members.conversation WHERE members.user = ?";

/// The columns of [`rows::CONVERSATION`] come first.
const SUMMARY: &str =
    "SELECT c.key, c.id, c.pair, c.name, c.visibility, c.created_at, c.member_count, members.read_seq, (
        SELECT m.place & 4294967295 FROM messages m
        WHERE m.place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295
        ORDER BY m.place DESC LIMIT 1
    ) FROM conversations c JOIN members ON members.conversation = c.key WHERE c.id = ? AND members.user = ?";

/// Only the place: whether a message is deleted is stored after its body, which may be long.
const LAST: &str = "SELECT m.place FROM messages m WHERE m.place BETWEEN ? AND ? AND NOT EXISTS (
        SELECT 1 FROM messages d INDEXED BY messages_deleted WHERE d.place = m.place AND d.deleted_at IS NOT NULL
    ) ORDER BY m.place DESC LIMIT 1";

/// All of the above, for a test of their query plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [ACTIVITY, SUMMARY, LAST];

#[async_trait]
impl ChatListStore for SqliteStore {
    async fn activity(&self, user: UserId) -> Result<Vec<Activity>, StoreError> {
        self.read_long(move |db| activity(db, user)).await
    }

    async fn summaries(
        &self,
        user: UserId,
        conversations: &[ConversationId],
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let conversations = conversations.to_vec();
        self.read_long(move |db| summaries(db, user, &conversations)).await
    }
}

fn activity(db: &Connection, user: UserId) -> rusqlite::Result<Vec<Activity>> {
    let mut select = db.prepare_cached(ACTIVITY)?;
    let mut rows = select.query([user.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(skip(db, "conversations", row, 0, read_activity(row))?);
    }
    Ok(found)
}

fn read_activity(row: &Row<'_>) -> rusqlite::Result<Activity> {
    let latest: Option<i64> = row.get(3)?;
    Ok(Activity {
        latest: latest.map_or(Position(0), read_position),
        conversation: ConversationId::from_bytes(row.get(1)?),
        is_direct: row.get(2)?,
    })
}

fn summaries(
    db: &Connection,
    user: UserId,
    conversations: &[ConversationId],
) -> rusqlite::Result<Vec<ChatSummary>> {
    let db = &*db.unchecked_transaction()?;
    let mut select = db.prepare_cached(SUMMARY)?;
    let mut counting = Counting::new(db)?;
    let (mut summaries, mut looking_at, mut bytes) = (Vec::new(), LookingAt::new(), 0);
    for id in conversations {
        let found = select.query_row(params![id.as_bytes(), user.as_bytes()], read_begin).optional();
        let Some((key, mut summary)) = sound(db, "conversations", id, found)?.flatten() else { continue };
        summary.first_members = members::after(db, key, JoinOrder(0), MEMBERS_SHOWN)?
            .into_iter()
            .map(|(_, member)| member)
            .collect();
        summary.last = last(db, key, *id)?;
        let (read, end) = (summary.read_seq, summary.last_seq);
        let is_own =
            matches!(summary.kind, ConversationKind::Direct { pair } if pair.other(user) == Some(user));
        if read < end && !is_own {
            summary.unread = match looking_at.may(read, end) {
                true => {
                    counting.unread(user, place(key, counted_after(read, end).0) + 1, place(key, end.0))?
                }
                false => not_examined(read, end),
            };
        }
        bytes += summary.last.as_ref().map_or(0, |last| last.body.bytes.len());
        if bytes > MAX_BYTES_AT_ONCE && !summaries.is_empty() {
            break;
        }
        summaries.push(summary);
    }
    Ok(summaries)
}

/// The key of a conversation, and the part of its summary that its row contains.
fn read_begin(row: &Row<'_>) -> rusqlite::Result<(i64, ChatSummary)> {
    let conversation = rows::read_conversation_row(row)?;
    let member_count: i64 = row.get(6)?;
    let member_count = usize::try_from(member_count)
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(6, Type::Integer, "a count".into()))?;
    let last_seq: Option<u32> = row.get(8)?;
    let summary = ChatSummary {
        conversation: conversation.id,
        kind: conversation.kind,
        member_count,
        first_members: Vec::new(),
        last: None,
        last_seq: Seq(last_seq.unwrap_or_default()),
        read_seq: Seq(row.get(7)?),
        unread: 0,
    };
    Ok((row.get(0)?, summary))
}

/// The last message that is not deleted, unless it is damaged.
fn last(db: &Connection, key: i64, id: ConversationId) -> rusqlite::Result<Option<StoredMessage>> {
    let mut select = db.prepare_cached(LAST)?;
    let ends = [place(key, 0), place(key, u32::MAX)];
    let found: Option<i64> = select.query_row(ends, |row| row.get(0)).optional()?;
    let Some(place) = found else { return Ok(None) };
    let mut select = db.prepare_cached(&format!("SELECT {MESSAGE} FROM messages m WHERE m.place = ?"))?;
    let message = select.query_row([place], |row| read_message(row, id)).optional();
    Ok(sound(db, "messages", &place, message)?.flatten())
}
