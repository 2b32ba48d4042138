//! The search index: the terms of each message, and up to which message each conversation is indexed.
//!
//! Terms are stored in their own transactions, and not by the task that commits all changes, so sending a message
//! does not wait for them. These transactions write no document that a change writes. For this reason the end of a
//! conversation's index is a document of its own and not a field of the conversation.
//!
//! Terms are only compared as values, and prefixes by a range. A client's text is never used as a pattern.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawArrayBuf, doc, rawdoc};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{ClientSession, Database};
use tokio::time::{Instant, timeout_at};

use super::collections::{CONVERSATIONS, INDEXED, MEMBERS, MESSAGES, TERMS};
use super::commit::{commit_transaction, pause};
use super::damage::skip;
use super::documents::{self, number, object_id};
use super::faults::Fault;
use super::fields::Reading;
use super::reads::{MAX_BYTES_AT_ONCE, MAX_IDS, batch_size, raw};
use super::transaction::Transaction;
use super::{MongoStore, OPERATION_TIMEOUT};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Position, Seq};
use crate::search::{ContentKind, Filter, Query, Terms, Wanted};
use crate::store::{CHANGED, Lookup, Match, Matches, SearchIndex, SearchProgress, StoreError, StoredMessage};

#[async_trait]
impl SearchIndex for MongoStore {
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError> {
        self.read(progress(&self.db, conversation)).await
    }

    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError> {
        self.read(progress_of(&self.db, user)).await
    }

    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError> {
        self.read(async {
            let Some(SearchProgress { indexed, .. }) = progress(&self.db, conversation).await? else {
                return Ok(None);
            };
            if indexed != after || terms.is_empty() {
                return Ok(Some(indexed));
            }
            let messages = messages_after(&self.db, conversation, after, terms.len()).await?;
            if messages.len() < terms.len() {
                let refused = StoreError::Refused("there are fewer messages than terms".into());
                return Err(refused.into());
            }
            let batch = Batch { conversation, after, messages, terms: &terms };
            let mut session = self.client.start_session().causal_consistency(false).await?;
            batch.store(&self.db, &mut session).await?;
            // The index ends where this batch or another task's batch has ended it.
            Ok(progress(&self.db, conversation).await?.map(|progress| progress.indexed))
        })
        .await
    }

    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError> {
        self.read(search(&self.db, conversations, lookup, before, limit)).await
    }

    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        self.read(count_terms(&self.db, conversations, terms, at_most)).await
    }
}

/// A search returns the results found so far when this much time is left before the timeout.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The terms of consecutive messages.
struct Batch<'a> {
    conversation: ConversationId,
    after: Seq,
    /// The ids and positions of the messages.
    messages: Vec<(ObjectId, i64)>,
    terms: &'a [Terms],
}

impl Batch<'_> {
    /// Stores the terms, unless another task has stored them already. Retries while another transaction conflicts;
    /// the caller sets the timeout.
    async fn store(&self, db: &Database, session: &mut ClientSession) -> Result<(), Fault> {
        let mut attempt = 0;
        loop {
            let fault = match self.attempt(db, session).await {
                Ok(true) => return Ok(()),
                // The transaction's condition did not hold, or the document to insert already exists: another task
                // was faster.
                Ok(false) | Err(Fault::Duplicate) => {
                    let _ = session.abort_transaction().await;
                    return Ok(());
                }
                Err(fault) => fault,
            };
            let _ = session.abort_transaction().await;
            if !fault.is_transient() {
                return Err(fault);
            }
            // If this attempt was committed after all, the next attempt finds the terms in the index.
            tokio::time::sleep(pause(attempt, &fault)).await;
            attempt += 1;
        }
    }

    /// Returns whether the index ended where these terms begin.
    async fn attempt(&self, db: &Database, session: &mut ClientSession) -> Result<bool, Fault> {
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let begin = session.start_transaction();
        begin.read_concern(ReadConcern::snapshot()).write_concern(durable).await?;
        let mut transaction = Transaction { db, session };
        let end = self.after.0 as usize + self.terms.len();
        let statement = rawdoc! {
            "q": { "_id": object_id(self.conversation.as_bytes()), "seq": i64::from(self.after.0) },
            "u": { "$set": { "seq": number(end as u64) } },
            "upsert": self.after == Seq(0),
        };
        let mut statements = RawArrayBuf::new();
        statements.push(statement);
        let reply = transaction.command(rawdoc! { "update": INDEXED, "updates": statements }).await?;
        if Reading::new(INDEXED, &reply).int("n")? != 1 {
            return Ok(false);
        }
        let mut list = RawArrayBuf::new();
        for ((id, position), terms) in self.messages.iter().zip(self.terms) {
            if terms.is_empty() {
                continue;
            }
            let mut texts = RawArrayBuf::new();
            terms.iter().for_each(|term| texts.push(term));
            list.push(rawdoc! {
                "_id": *id,
                "conversation": object_id(self.conversation.as_bytes()),
                "position": *position,
                "terms": texts,
            });
        }
        if !list.is_empty() {
            transaction.command(rawdoc! { "insert": TERMS, "documents": list }).await?;
        }
        commit_transaction(session).await?;
        Ok(true)
    }
}

async fn progress(db: &Database, id: ConversationId) -> Result<Option<SearchProgress>, Fault> {
    let this = || doc! { "_id": object_id(id.as_bytes()) };
    // Read before the conversation, so that the index never appears to end after the last message.
    let indexed = raw(db, INDEXED).find_one(this()).await?;
    let indexed = indexed.map(|doc| read_indexed(&doc)).transpose()?.map_or(Seq(0), |(_, seq)| seq);
    let Some(doc) = raw(db, CONVERSATIONS).find_one(this()).await? else { return Ok(None) };
    let (conversation, last) = documents::read_end(&doc)?;
    Ok(Some(SearchProgress { conversation, indexed, last }))
}

fn read_indexed(doc: &mongodb::bson::RawDocument) -> Result<(ConversationId, Seq), StoreError> {
    let fields = Reading::new("end of an index", doc);
    let seq = u32::try_from(fields.int("seq")?).map_err(|_| fields.corrupt("seq"))?;
    Ok((ConversationId::from_bytes(fields.id("_id")?), Seq(seq)))
}

async fn progress_of(db: &Database, user: UserId) -> Result<Vec<SearchProgress>, Fault> {
    let mut ids: Vec<Bson> = Vec::new();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id.user": object_id(user.as_bytes()) }).await?;
    while cursor.advance().await? {
        let doc = cursor.current();
        let member = skip(db, MEMBERS, doc, documents::read_member(doc))?;
        ids.extend(member.map(|(id, ..)| Bson::from(object_id(id.as_bytes()))));
    }
    let mut indexed = HashMap::new();
    let mut cursor = raw(db, INDEXED).find(doc! { "_id": { "$in": ids.clone() } }).await?;
    while cursor.advance().await? {
        indexed.extend(skip(db, INDEXED, cursor.current(), read_indexed(cursor.current()))?);
    }
    let spoken_in = doc! { "_id": { "$in": ids }, "last_seq": { "$gt": 0_i64 } };
    let mut cursor = raw(db, CONVERSATIONS).find(spoken_in).sort(doc! { "latest": -1 }).await?;
    let mut progress = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let Some((conversation, last)) = skip(db, CONVERSATIONS, doc, documents::read_end(doc))? else {
            continue;
        };
        let indexed = indexed.get(&conversation).copied().unwrap_or_default();
        progress.push(SearchProgress { conversation, indexed, last });
    }
    Ok(progress)
}

/// The ids and positions of the next `count` messages after a place.
async fn messages_after(
    db: &Database,
    conversation: ConversationId,
    after: Seq,
    count: usize,
) -> Result<Vec<(ObjectId, i64)>, Fault> {
    let last = i64::from(after.0).saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
    let filter = doc! {
        "conversation": object_id(conversation.as_bytes()),
        "seq": { "$gt": i64::from(after.0), "$lte": last },
    };
    let messages = raw(db, MESSAGES);
    let find = messages.find(filter).sort(doc! { "conversation": 1, "seq": 1 });
    let mut cursor = find.projection(doc! { "position": 1 }).batch_size(batch_size(count)).await?;
    let mut found = Vec::with_capacity(count);
    while cursor.advance().await? {
        let fields = Reading::new("message", cursor.current());
        found.push((ObjectId::from_bytes(fields.id("_id")?), fields.int("position")?));
    }
    Ok(found)
}

/// The maximum number of messages that one round reads before it checks which of them are deleted.
const STEP: usize = 1_000;

/// The size of the next round, after a round in which too many messages were deleted. Every round sorts all matches
/// again, so there must be few rounds.
fn step_after(step: usize) -> usize {
    step.saturating_mul(8).min(STEP)
}

async fn search(
    db: &Database,
    conversations: &[ConversationId],
    lookup: &Lookup,
    mut before: Option<Position>,
    limit: usize,
) -> Result<Matches, Fault> {
    let ids = conversations.iter().map(|id| object_id(id.as_bytes())).collect::<Vec<_>>();
    let Lookup { query, filter, max_looked_at } = lookup;
    // The search returns what it has found before the caller's timeout.
    let deadline = Instant::now() + OPERATION_TIMEOUT - LAST_MOMENT;
    // One more than `limit` shows whether there are more.
    let mut step = limit.saturating_add(1).min(STEP);
    let mut left = (*max_looked_at).max(1);
    let (mut matches, mut bytes) = (Vec::new(), 0);
    let ended_early = |found, looked_at_from| Ok(Matches { found, has_more: true, looked_at_from });
    loop {
        step = step.min(left);
        let looking = look_behind(db, &ids, query, before, step);
        let Some(found) = while_something_is_missing(deadline, !matches.is_empty(), looking).await? else {
            return ended_early(matches, None);
        };
        let missing = (limit - matches.len()).saturating_add(1);
        let looking = candidates(db, &found, filter, missing);
        let Some(candidates) = while_something_is_missing(deadline, !matches.is_empty(), looking).await?
        else {
            return ended_early(matches, None);
        };
        for some in candidates.chunks(missing.min(MAX_IDS)) {
            let looking = undeleted(db, some, filter);
            let Some(mut messages) =
                while_something_is_missing(deadline, !matches.is_empty(), looking).await?
            else {
                return ended_early(matches, None);
            };
            for (id, position) in some {
                let Some(message) = messages.remove(id) else { continue };
                if matches.len() == limit || (bytes > MAX_BYTES_AT_ONCE && !matches.is_empty()) {
                    return ended_early(matches, None);
                }
                bytes += message.body.bytes.len();
                matches.push(Match { position: *position, message });
            }
        }
        if found.len() < step {
            return Ok(Matches { found: matches, has_more: false, looked_at_from: None });
        }
        before = found.last().map(|(_, position)| *position);
        left -= found.len();
        if left == 0 {
            return ended_early(matches, before);
        }
        step = step_after(step);
    }
}

async fn count_terms(
    db: &Database,
    conversations: &[ConversationId],
    terms: &[Wanted],
    at_most: u64,
) -> Result<Vec<u64>, Fault> {
    // In MongoDB a limit of 0 means no limit.
    if at_most == 0 {
        return Ok(vec![0; terms.len()]);
    }
    let ids = conversations.iter().map(|id| object_id(id.as_bytes())).collect::<Vec<_>>();
    let mut counts = Vec::with_capacity(terms.len());
    for term in terms {
        let filter = doc! { "conversation": { "$in": ids.clone() }, "$and": [condition(term)] };
        counts.push(raw(db, TERMS).count_documents(filter).limit(number(at_most).unsigned_abs()).await?);
    }
    Ok(counts)
}

/// Waits for a part of an answer. Returns none when the deadline has passed and the answer already has results.
/// Without results there is no deadline here; the caller's timeout applies.
async fn while_something_is_missing<T>(
    deadline: Instant,
    has_something: bool,
    part: impl Future<Output = Result<T, Fault>>,
) -> Result<Option<T>, Fault> {
    if !has_something {
        return part.await.map(Some);
    }
    timeout_at(deadline, part).await.map_or(Ok(None), |part| part.map(Some))
}

/// The last messages before a position that match the query, deleted or not.
async fn look_behind(
    db: &Database,
    conversations: &[ObjectId],
    query: &Query,
    before: Option<Position>,
    count: usize,
) -> Result<Vec<(MessageId, Position)>, Fault> {
    let mut filter = match conversations {
        [id] => doc! { "conversation": *id },
        ids => doc! { "conversation": { "$in": ids } },
    };
    if let Some(before) = before {
        filter.insert("position", doc! { "$lt": number(before.0) });
    }
    let collection = match query.is_everything() {
        true => MESSAGES,
        false => {
            filter.insert("$and", conditions(query));
            TERMS
        }
    };
    let collection = raw(db, collection);
    let find = collection.find(filter).sort(doc! { "position": -1 }).limit(count as i64);
    let mut cursor = find.projection(doc! { "position": 1 }).batch_size(batch_size(count)).await?;
    let mut found = Vec::with_capacity(count);
    while cursor.advance().await? {
        let fields = Reading::new("terms", cursor.current());
        let position = Position(fields.int("position")?.unsigned_abs());
        found.push((MessageId::from_bytes(fields.id("_id")?), position));
    }
    Ok(found)
}

/// One condition for each term. The database uses the index for one of them, and the longest term is most likely the
/// rarest. Excluded terms come last, because no index helps with them.
fn conditions(query: &Query) -> Vec<Document> {
    let mut wanted: Vec<&Wanted> = query.wanted().iter().collect();
    wanted.sort_by_key(|wanted| (wanted.is_prefix, std::cmp::Reverse(wanted.term.len())));
    let unwanted = query.unwanted().iter().map(|unwanted| {
        doc! { "$or": [{ "$nor": [condition(unwanted)] }, { "terms": CHANGED }] }
    });
    wanted.into_iter().map(condition).chain(unwanted).collect()
}

fn condition(wanted: &Wanted) -> Document {
    let term = wanted.term.as_str();
    if !wanted.is_prefix {
        return doc! { "terms": { "$eq": term } };
    }
    let mut range = doc! { "$gte": term };
    if let Some(end) = after_all_that_begin_with(term) {
        range.insert("$lt", end);
    }
    // `$elemMatch`: a single term must meet both ends of the range.
    doc! { "terms": { "$elemMatch": range } }
}

/// The smallest text, in the order of bytes, that is greater than all texts with this prefix; none if there is none.
fn after_all_that_begin_with(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    while let Some(last) = text.pop() {
        // The surrogates between these two are not characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// The matches whose messages should be read. If there are many more matches than missing results, this first asks
/// the database which of them are deleted, so that not all bodies are read.
async fn candidates(
    db: &Database,
    found: &[(MessageId, Position)],
    filter: &Filter,
    missing: usize,
) -> Result<Vec<(MessageId, Position)>, Fault> {
    if found.len() <= missing {
        return Ok(found.to_vec());
    }
    let mut there = HashSet::new();
    let messages = raw(db, MESSAGES);
    let find = messages.find(not_deleted(found, filter)).projection(doc! { "_id": 1 });
    let mut cursor = find.batch_size(batch_size(found.len())).await?;
    while cursor.advance().await? {
        there.insert(MessageId::from_bytes(Reading::new("message", cursor.current()).id("_id")?));
    }
    Ok(found.iter().filter(|(id, _)| there.contains(id)).copied().collect())
}

/// The condition that a message is one of these, is not deleted, and passes the filter.
fn not_deleted(found: &[(MessageId, Position)], filter: &Filter) -> Document {
    let ids: Vec<_> = found.iter().map(|(id, _)| object_id(id.as_bytes())).collect();
    let mut condition = doc! { "_id": { "$in": ids }, "deleted_at": { "$exists": false } };
    if let Some(author) = filter.author {
        condition.insert("sender", object_id(author.as_bytes()));
    }
    let mut more = Vec::new();
    if !filter.kinds.is_empty() {
        more.push(doc! { "$or": filter.kinds.iter().map(|kind| of_kind(*kind)).collect::<Vec<_>>() });
    }
    more.extend(filter.from.map(|from| documents::at_or_after("created_at", from)));
    // `$nor`, because every moment that is not at or after `until` is before it, in all stored forms of a moment.
    more.extend(filter.until.map(|until| doc! { "$nor": [documents::at_or_after("created_at", until)] }));
    if !more.is_empty() {
        condition.insert("$and", more);
    }
    condition
}

/// The condition for messages of a kind; see [`ContentKind::new`].
fn of_kind(kind: ContentKind) -> Document {
    let has = |field: &str, has: bool| doc! { field: { "$exists": has } };
    match kind {
        ContentKind::File => has("file_name", true),
        ContentKind::Image => doc! { "$and": [has("file_name", false), has("image", true)] },
        ContentKind::Text => doc! { "$and": [has("file_name", false), has("image", false)] },
    }
}

async fn undeleted(
    db: &Database,
    found: &[(MessageId, Position)],
    filter: &Filter,
) -> Result<HashMap<MessageId, StoredMessage>, Fault> {
    let mut cursor = raw(db, MESSAGES).find(not_deleted(found, filter)).await?;
    let mut messages = HashMap::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let found = skip(db, MESSAGES, doc, documents::read_message(doc))?;
        messages.extend(found.map(|found| (found.message.id, found.message)));
    }
    Ok(messages)
}

#[cfg(test)]
mod tests;
