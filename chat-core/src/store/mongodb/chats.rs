//! The chat list. The number of queries does not depend on the number of conversations, but for the last messages and
//! the unread messages, which are read for up to [`MAX_IDS`] and [`COUNTED_AT_ONCE`] conversations in one query.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use mongodb::Database;
use mongodb::bson::{Bson, RawDocument, RawDocumentBuf, doc};

use super::OPERATION_TIMEOUT;
use super::collections::{CONVERSATIONS, MEMBERS, MESSAGES};
use super::damage::skip;
use super::documents::{self, number, object_id};
use super::faults::Fault;
use super::fields::{Reading, as_int};
use super::reads::{MAX_BYTES_AT_ONCE, MAX_IDS, counter_field, raw};
use super::unread::{self, Candidate, Looked, Mark};
use crate::id::{ConversationId, UserId};
use crate::model::{ConversationKind, Member, Position, Seq};
use crate::store::read_marks::{LookingAt, not_examined};
use crate::store::{Activity, ChatSummary, MEMBERS_SHOWN, StoreError, StoredMessage, UNREAD_MOST};

/// The number of conversations whose unread messages are counted in one query.
const COUNTED_AT_ONCE: usize = 100;

pub(super) async fn activity(db: &Database, user: UserId) -> Result<Vec<Activity>, Fault> {
    let mut ids = Vec::new();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id.user": object_id(user.as_bytes()) }).await?;
    while cursor.advance().await? {
        let doc = cursor.current();
        let member = skip(db, MEMBERS, doc, documents::read_mark(doc))?;
        ids.extend(member.map(|(id, ..)| object_id(id.as_bytes())));
    }
    let conversations = raw(db, CONVERSATIONS);
    let find = conversations.find(doc! { "_id": { "$in": ids } });
    let mut cursor = find.projection(doc! { "pair": 1, "latest": 1 }).batch_size(10_000).await?;
    let mut found = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        found.extend(skip(db, CONVERSATIONS, doc, read_activity(doc))?);
    }
    Ok(found)
}

fn read_activity(doc: &RawDocument) -> Result<Activity, StoreError> {
    let fields = Reading::new("conversation", doc);
    let pair = fields.field("pair", Some)?;
    Ok(Activity {
        latest: latest(doc)?,
        conversation: ConversationId::from_bytes(fields.id("_id")?),
        is_direct: pair.is_some(),
    })
}

fn latest(doc: &RawDocument) -> Result<Position, StoreError> {
    let latest = Reading::new("conversation", doc).field("latest", as_int)?;
    Ok(Position(latest.map_or(0, i64::unsigned_abs)))
}

/// A summary, and what is needed to complete it.
struct Begun {
    summary: ChatSummary,
    latest: Position,
    mark: Mark,
    /// Whether the member count is stored.
    is_counted: bool,
}

pub(super) async fn summaries(
    db: &Database,
    user: UserId,
    conversations: &[ConversationId],
) -> Result<Vec<ChatSummary>, Fault> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = begun(db, user, conversations).await?;
    let mut begun: Vec<_> = conversations.iter().filter_map(|id| known.remove(id)).collect();
    add_last_messages(db, &mut begun).await?;
    add_member_counts(db, &mut begun).await?;
    add_unread(db, user, &mut begun).await?;
    Ok(begun.into_iter().map(|begun| begun.summary).collect())
}

/// Reads the marks, the conversations and their first members. The marks are read first, so that no mark is beyond the
/// last message.
async fn begun(
    db: &Database,
    user: UserId,
    conversations: &[ConversationId],
) -> Result<HashMap<ConversationId, Begun>, Fault> {
    let key = |id: &ConversationId| {
        doc! { "conversation": object_id(id.as_bytes()), "user": object_id(user.as_bytes()) }
    };
    let keys: Vec<_> = conversations.iter().map(key).collect();
    let mut marks = HashMap::new();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id": { "$in": keys } }).batch_size(10_000).await?;
    while cursor.advance().await? {
        let doc = cursor.current();
        marks.extend(skip(db, MEMBERS, doc, documents::read_mark(doc))?.map(|(id, _, mark)| (id, mark)));
    }
    let read_up_to = match marks.values().any(Option::is_none) {
        true => counter_field(db, "read_up_to").await?,
        false => Position(0),
    };
    let ids: Vec<_> = marks.keys().map(|id| object_id(id.as_bytes())).collect();
    let pipeline = [
        doc! { "$match": { "_id": { "$in": ids } } },
        doc! { "$lookup": {
            "from": MEMBERS,
            "localField": "_id",
            "foreignField": "_id.conversation",
            "pipeline": [{ "$sort": { "place": 1 } }, { "$limit": number(MEMBERS_SHOWN as u64) }],
            "as": "first_members",
        } },
    ];
    let conversations = raw(db, CONVERSATIONS);
    let found = conversations.aggregate(pipeline).max_time(OPERATION_TIMEOUT);
    let mut cursor = found.with_type::<RawDocumentBuf>().await?;
    let mut begun = HashMap::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let Some((mut one, latest, count)) = skip(db, CONVERSATIONS, doc, read_begin(doc))? else { continue };
        one.first_members = first_members(db, doc)?;
        one.member_count = count.unwrap_or(one.first_members.len());
        // A conversation with fewer members needs no count.
        let is_counted = count.is_some() || one.member_count < MEMBERS_SHOWN;
        let mark = match marks.get(&one.conversation).copied().flatten() {
            Some(mark) => Mark::At(mark),
            None => Mark::UpTo(read_up_to),
        };
        begun.insert(one.conversation, Begun { summary: one, latest, mark, is_counted });
    }
    Ok(begun)
}

/// The part of a summary that the document of a conversation contains, the position of the last message that is not
/// deleted, and the number of members if it is stored.
fn read_begin(doc: &RawDocument) -> Result<(ChatSummary, Position, Option<usize>), StoreError> {
    let conversation = documents::read_conversation(doc)?;
    let (_, last_seq) = documents::read_end(doc)?;
    let summary = ChatSummary {
        conversation: conversation.id,
        kind: conversation.kind,
        member_count: 0,
        first_members: Vec::new(),
        last: None,
        last_seq,
        read_seq: Seq(0),
        unread: 0,
    };
    Ok((summary, latest(doc)?, documents::read_member_count(doc)?))
}

fn first_members(db: &Database, doc: &RawDocument) -> Result<Vec<Member>, StoreError> {
    let fields = Reading::new("conversation", doc);
    let found = fields.required("first_members", |value| value.as_array())?;
    let mut members = Vec::new();
    for member in found {
        let Some(doc) = member.ok().and_then(|member| member.as_document()) else { continue };
        members.extend(skip(db, MEMBERS, doc, documents::read_member(doc))?.map(|(_, member, _)| member));
    }
    Ok(members)
}

/// Reads the last messages. Ends the list early when they are too large.
async fn add_last_messages(db: &Database, begun: &mut Vec<Begun>) -> Result<(), Fault> {
    let mut bytes = 0;
    let mut complete = 0;
    for some in begun.chunks_mut(MAX_IDS) {
        let mut found = last_messages(db, some).await?;
        for Begun { summary, .. } in some {
            summary.last = found.remove(&summary.conversation);
            bytes += summary.last.as_ref().map_or(0, |last| last.body.bytes.len());
            if bytes > MAX_BYTES_AT_ONCE && complete > 0 {
                begun.truncate(complete);
                return Ok(());
            }
            complete += 1;
        }
    }
    Ok(())
}

async fn last_messages(db: &Database, of: &[Begun]) -> Result<HashMap<ConversationId, StoredMessage>, Fault> {
    let positions = of.iter().map(|begun| begun.latest).filter(|latest| latest.0 > 0);
    let positions: Vec<_> = positions.map(|latest| Bson::Int64(number(latest.0))).collect();
    if positions.is_empty() {
        return Ok(HashMap::new());
    }
    let mut cursor = raw(db, MESSAGES).find(doc! { "position": { "$in": positions } }).await?;
    let mut found = HashMap::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let message = skip(db, MESSAGES, doc, documents::read_message(doc))?.map(|found| found.message);
        // It may have been deleted since.
        let message = message.filter(|message| message.deleted.is_none());
        found.extend(message.map(|message| (message.conversation, message)));
    }
    Ok(found)
}

/// Counts the members of conversations from before their number was stored.
async fn add_member_counts(db: &Database, begun: &mut [Begun]) -> Result<(), Fault> {
    let missing = begun.iter().filter(|begun| !begun.is_counted);
    let ids: Vec<_> = missing.map(|begun| object_id(begun.summary.conversation.as_bytes())).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let count = [
        doc! { "$match": { "_id.conversation": { "$in": ids } } },
        doc! { "$group": { "_id": "$_id.conversation", "count": { "$sum": 1 } } },
    ];
    let members = raw(db, MEMBERS);
    let counting = members.aggregate(count).max_time(OPERATION_TIMEOUT);
    let mut cursor = counting.with_type::<RawDocumentBuf>().await?;
    let mut counts = HashMap::new();
    while cursor.advance().await? {
        let fields = Reading::new("count", cursor.current());
        counts.insert(ConversationId::from_bytes(fields.id("_id")?), fields.int("count")?);
    }
    for Begun { summary, .. } in begun.iter_mut().filter(|begun| !begun.is_counted) {
        let count = counts.get(&summary.conversation).and_then(|count| usize::try_from(*count).ok());
        summary.member_count = count.unwrap_or(summary.member_count);
    }
    Ok(())
}

async fn add_unread(db: &Database, user: UserId, begun: &mut [Begun]) -> Result<(), Fault> {
    let looked = try_join_all(begun.iter().map(|Begun { summary, mark, .. }| {
        unread::look_at(db, Candidate { id: summary.conversation, mark: *mark, last: summary.last_seq })
    }));
    let looked = looked.await?;
    let mut looking_at = LookingAt::new();
    let mut counted = Vec::new();
    for (Begun { summary, .. }, Looked { id, read, last }) in begun.iter_mut().zip(looked) {
        summary.read_seq = read;
        let is_own =
            matches!(summary.kind, ConversationKind::Direct { pair } if pair.other(user) == Some(user));
        if is_own || read >= last {
            continue;
        }
        match looking_at.may(read, last) {
            true => counted.push(Looked { id, read, last }),
            false => summary.unread = not_examined(read, last),
        }
    }
    let mut counts = HashMap::new();
    for some in counted.chunks(COUNTED_AT_ONCE) {
        counts.extend(unread::count(db, user, some).await?);
    }
    for Begun { summary, .. } in begun {
        if let Some(unread) = counts.get(&summary.conversation) {
            summary.unread = u32::try_from(*unread).unwrap_or(UNREAD_MOST).min(UNREAD_MOST);
        }
    }
    Ok(())
}
