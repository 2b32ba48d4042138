//! Counts unread messages.
//!
//! No index contains the sender of a message or whether it is deleted, so counting reads whole messages, with their
//! bodies. An index with the sender would be one more index over all messages: every send would pay for it, even if
//! no client ever asks for unread messages. A shorter index, over deleted messages only, does not help without the
//! sender. Therefore the amount that is read is limited: the messages of each conversation, those of all
//! conversations together ([`UNREAD_LOOKED_AT_IN_ALL`](crate::store::UNREAD_LOOKED_AT_IN_ALL)), and the time on the
//! server.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use mongodb::Database;
use mongodb::bson::{RawDocumentBuf, doc};

use super::OPERATION_TIMEOUT;
use super::collections::{CONVERSATIONS, MEMBERS, MESSAGES};
use super::damage::skip;
use super::documents::{self, number, object_id};
use super::faults::Fault;
use super::fields::Reading;
use super::reads::{batch_size, counter_field, raw};
use super::transaction::pair_of;
use crate::id::{ConversationId, UserId};
use crate::model::{JoinOrder, Member, Position, Seq};
use crate::store::read_marks::{LookingAt, counted_after};
use crate::store::{UNREAD_MOST, UnreadCount};

/// The number of conversations whose unread messages are counted in one query.
const COUNTED_AT_ONCE: usize = 20;

/// A conversation that may have unread messages.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: ConversationId,
    pub(super) mark: Mark,
    pub(super) last: Seq,
}

/// How far a user has read.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    At(Seq),
    /// The user has no mark yet: all messages up to this log position count as read.
    UpTo(Position),
}

/// The messages of a conversation to count.
pub(super) struct Looked {
    pub(super) id: ConversationId,
    pub(super) read: Seq,
    pub(super) last: Seq,
}

pub(super) async fn unread(db: &Database, user: UserId, most: usize) -> Result<Vec<UnreadCount>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let candidates = candidates(db, user).await?;
    let (mut found, mut looking_at) = (Vec::new(), LookingAt::new());
    for some in candidates.chunks(COUNTED_AT_ONCE.min(most)) {
        let mut looked = try_join_all(some.iter().map(|candidate| look_at(db, *candidate))).await?;
        looked.retain(|Looked { read, last, .. }| read < last);
        let may = looked.iter().take_while(|Looked { read, last, .. }| looking_at.may(*read, *last)).count();
        let is_end = may < looked.len();
        looked.truncate(may);
        if !looked.is_empty() {
            let counts = count(db, user, &looked).await?;
            for Looked { id, read, last } in looked {
                let Some(unread) = counts.get(&id) else { continue };
                let unread = u32::try_from(*unread).unwrap_or(UNREAD_MOST).min(UNREAD_MOST);
                found.push(UnreadCount { conversation: id, last_seq: last, read_seq: read, unread });
                if found.len() == most {
                    return Ok(found);
                }
            }
        }
        if is_end {
            break;
        }
    }
    Ok(found)
}

/// The candidates, sorted by their latest messages. The marks are read first, so that no mark is beyond the last
/// message.
async fn candidates(db: &Database, user: UserId) -> Result<Vec<Candidate>, Fault> {
    let mut marks = HashMap::new();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id.user": object_id(user.as_bytes()) }).await?;
    while cursor.advance().await? {
        let doc = cursor.current();
        marks.extend(skip(db, MEMBERS, doc, documents::read_mark(doc))?.map(|(id, _, mark)| (id, mark)));
    }
    let read_up_to = match marks.values().any(Option::is_none) {
        true => counter_field(db, "read_up_to").await?,
        false => Position(0),
    };
    let ids: Vec<_> = marks.keys().map(|id| object_id(id.as_bytes())).collect();
    let filter = doc! { "_id": { "$in": ids }, "latest": { "$exists": true } };
    let conversations = raw(db, CONVERSATIONS);
    let mut cursor = conversations.find(filter).sort(doc! { "latest": -1 }).batch_size(10_000).await?;
    let mut candidates = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let read = || {
            let pair = pair_of(&documents::read_conversation(doc)?);
            Ok((documents::read_end(doc)?, Reading::new("conversation", doc).int("latest")?, pair))
        };
        let Some(((id, last), latest, pair)) = skip(db, CONVERSATIONS, doc, read())? else { continue };
        let mark = match marks.get(&id).copied().flatten() {
            Some(mark) => Mark::At(mark),
            None => Mark::UpTo(read_up_to),
        };
        let is_read = match mark {
            Mark::At(mark) => mark >= last,
            // All messages after `latest` are deleted.
            Mark::UpTo(position) => latest.unsigned_abs() <= position.0,
        };
        if is_read {
            continue;
        }
        // Notes to oneself always count as read.
        if pair.is_none_or(|pair| pair.other(user) != Some(user)) {
            candidates.push(Candidate { id, mark, last });
        }
    }
    Ok(candidates)
}

/// The members after a place with their read marks, at most `most`.
pub(super) async fn marks(
    db: &Database,
    id: ConversationId,
    after: JoinOrder,
    most: usize,
) -> Result<Vec<(JoinOrder, Member, Seq)>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let mut of = doc! { "_id.conversation": object_id(id.as_bytes()) };
    if after.0 > 0 {
        // Places in the database begin at 0.
        of.insert("place", doc! { "$gte": number(after.0) });
    }
    // The query has no limit, because damaged members do not count.
    let members = raw(db, MEMBERS);
    let find = members.find(of).sort(doc! { "_id.conversation": 1, "place": 1 });
    let mut cursor = find.batch_size(batch_size(most)).await?;
    let mut found = Vec::new();
    while found.len() < most && cursor.advance().await? {
        let doc = cursor.current();
        let read = || Ok((documents::read_member(doc)?, documents::read_mark(doc)?));
        let Some(((_, member, place), (.., mark))) = skip(db, MEMBERS, doc, read())? else { continue };
        found.push((documents::join_order(place), member, mark));
    }
    // Members without a mark of their own have all read the same messages.
    let mut read_before = Seq(0);
    if found.iter().any(|(.., mark)| mark.is_none()) {
        let filter = doc! { "_id": object_id(id.as_bytes()) };
        let conversation = raw(db, CONVERSATIONS).find_one(filter).await?;
        if let Some(doc) = conversation {
            let (_, last) = documents::read_end(&doc)?;
            let mark = Mark::UpTo(counter_field(db, "read_up_to").await?);
            read_before = look_at(db, Candidate { id, mark, last }).await?.read;
        }
    }
    let read = |mark: Option<Seq>| mark.unwrap_or(read_before);
    Ok(found.into_iter().map(|(order, member, mark)| (order, member, read(mark))).collect())
}

/// How far a conversation is read; asks the database only where the user has no mark yet.
pub(super) async fn look_at(db: &Database, Candidate { id, mark, last }: Candidate) -> Result<Looked, Fault> {
    let read = match mark {
        Mark::At(read) => read,
        Mark::UpTo(position) => {
            let found = raw(db, MESSAGES)
                .find_one(documents::read_without_mark(id, last, position))
                .sort(doc! { "conversation": -1, "seq": -1 })
                .projection(doc! { "seq": 1 })
                .max_time(OPERATION_TIMEOUT)
                .await?;
            found.map_or(Ok(counted_after(Seq(0), last)), |doc| documents::read_seq(&doc))?
        }
    };
    Ok(Looked { id, read, last })
}

/// The number of unread messages in each of these conversations; conversations without any are left out.
pub(super) async fn count(
    db: &Database,
    user: UserId,
    looked: &[Looked],
) -> Result<HashMap<ConversationId, i64>, Fault> {
    let unread = |Looked { id, read, last }: &Looked| {
        doc! {
            "conversation": object_id(id.as_bytes()),
            "seq": { "$gt": i64::from(counted_after(*read, *last).0), "$lte": i64::from(last.0) },
            "sender": { "$ne": object_id(user.as_bytes()), "$type": "objectId" },
            "deleted_at": { "$exists": false },
            // Damaged records are never shown, so they do not count.
            "_id": { "$type": "objectId" },
            "position": { "$type": ["long", "int"] },
            "encoding": { "$in": documents::encodings() },
            "body": { "$type": "binData" },
            "created_at": { "$type": ["date", "long", "int"] },
        }
    };
    let any: Vec<_> = looked.iter().map(unread).collect();
    let count = [
        doc! { "$match": { "$or": any } },
        doc! { "$group": { "_id": "$conversation", "unread": { "$sum": 1 } } },
    ];
    let messages = raw(db, MESSAGES);
    // After this time no caller waits for the result, so the server should stop as well.
    let counting = messages.aggregate(count).max_time(OPERATION_TIMEOUT);
    let mut cursor = counting.with_type::<RawDocumentBuf>().await?;
    let mut counts = HashMap::new();
    while cursor.advance().await? {
        let fields = Reading::new("count", cursor.current());
        counts.insert(ConversationId::from_bytes(fields.id("_id")?), fields.int("unread")?);
    }
    Ok(counts)
}
