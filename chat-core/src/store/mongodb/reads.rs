//! All reads outside of transactions. Filters are built from typed values: client input is always a value, never the
//! name of a field or an operator.

use std::collections::{HashMap, HashSet};

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::FindOptions;
use mongodb::{Collection, Database};

use super::collections::{CONVERSATIONS, COUNTERS, LOG, MEMBERS, MESSAGES, REVOKED_TOKENS, USERS};
use super::commit::read_counter;
use super::damage::skip;
use super::documents::{self, Entry, folded, number, object_id};
use super::faults::Fault;
use super::fields::{Reading, as_seq};
use super::transaction::pair_of;
use crate::clock::Timestamp;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, JoinOrder, Member, Pair, PasswordHash, Position, Seq, User, UserKey};
use crate::store::{Change, LoggedChange, StoreError, StoredMessage};

/// A window ends early when its bodies exceed this many bytes.
pub(super) const MAX_BYTES_AT_ONCE: usize = 4 << 20;

/// The most messages that are fetched by id at once, because each may be a file of 10 MB.
pub(super) const MAX_IDS: usize = 50;

pub(super) fn raw(db: &Database, collection: &str) -> Collection<RawDocumentBuf> {
    db.collection(collection)
}

fn bytes(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

/// A limit for MongoDB, where 0 means no limit. So the caller must handle a limit of 0.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The batch size of a query: large, so that few round trips are needed.
pub(super) fn batch_size(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX).min(10_000)
}

pub(super) async fn user(db: &Database, key: &UserKey) -> Result<Option<(User, PasswordHash)>, Fault> {
    let filter = match key {
        UserKey::Id(id) => doc! { "_id": object_id(id.as_bytes()) },
        UserKey::Username(name) => doc! { "username_folded": folded(name) },
        UserKey::Email(email) => doc! { "email_folded": folded(email) },
    };
    let found = raw(db, USERS).find_one(filter).await?;
    Ok(found.map(|doc| documents::read_user(&doc)).transpose()?)
}

pub(super) async fn users(db: &Database, most: usize) -> Result<Vec<User>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let all = raw(db, USERS);
    // The query has no limit, because damaged accounts do not count.
    let mut cursor = all.find(doc! {}).sort(doc! { "place": 1 }).batch_size(batch_size(most)).await?;
    let mut users = Vec::new();
    while users.len() < most && cursor.advance().await? {
        let doc = cursor.current();
        users.extend(skip(db, USERS, doc, documents::read_user(doc))?.map(|(user, _)| user));
    }
    Ok(users)
}

pub(super) async fn revoked_tokens(
    db: &Database,
    now: Timestamp,
) -> Result<Vec<([u8; 32], Timestamp)>, Fault> {
    let mut cursor =
        raw(db, REVOKED_TOKENS).find(doc! { "until_millis": { "$gt": now.as_millis() } }).await?;
    let mut tokens = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        tokens.extend(skip(db, REVOKED_TOKENS, doc, documents::read_revocation(doc))?);
    }
    Ok(tokens)
}

pub(super) async fn direct(db: &Database, pair: Pair) -> Result<Option<Conversation>, Fault> {
    one_conversation(db, doc! { "pair": bytes(&documents::pair_bytes(pair)) }).await
}

pub(super) async fn conversation(db: &Database, id: ConversationId) -> Result<Option<Conversation>, Fault> {
    one_conversation(db, doc! { "_id": object_id(id.as_bytes()) }).await
}

/// Members are read after the conversation, because a conversation that exists already has its members.
async fn one_conversation(db: &Database, filter: Document) -> Result<Option<Conversation>, Fault> {
    let Some(doc) = raw(db, CONVERSATIONS).find_one(filter).await? else { return Ok(None) };
    let mut conversation = documents::read_conversation(&doc)?;
    for (order, member) in members(db, conversation.id, JoinOrder(0), usize::MAX).await? {
        conversation.members.put_at(order, member);
    }
    Ok(Some(conversation))
}

pub(super) async fn members(
    db: &Database,
    id: ConversationId,
    after: JoinOrder,
    most: usize,
) -> Result<Vec<(JoinOrder, Member)>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let mut of = doc! { "_id.conversation": object_id(id.as_bytes()) };
    if after.0 > 0 {
        // Places in the database begin at 0.
        of.insert("place", doc! { "$gte": number(after.0) });
    }
    let all = raw(db, MEMBERS);
    // The query has no limit, because damaged members do not count.
    let find = all.find(of).sort(doc! { "_id.conversation": 1, "place": 1 });
    let mut cursor = find.batch_size(batch_size(most)).await?;
    let mut members = Vec::new();
    while members.len() < most && cursor.advance().await? {
        let doc = cursor.current();
        let member = skip(db, MEMBERS, doc, documents::read_member(doc))?;
        members.extend(member.map(|(_, member, place)| (documents::join_order(place), member)));
    }
    Ok(members)
}

pub(super) async fn members_of(
    db: &Database,
    id: ConversationId,
    users: &[UserId],
) -> Result<Vec<(JoinOrder, Member)>, Fault> {
    let key = |user: &UserId| {
        doc! { "conversation": object_id(id.as_bytes()), "user": object_id(user.as_bytes()) }
    };
    let ids: Vec<_> = users.iter().map(key).collect();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id": { "$in": ids } }).await?;
    let mut members = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let member = skip(db, MEMBERS, doc, documents::read_member(doc))?;
        members.extend(member.map(|(_, member, place)| (documents::join_order(place), member)));
    }
    Ok(members)
}

pub(super) async fn chat_partners(db: &Database, user: UserId, most: usize) -> Result<Vec<UserId>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id.user": object_id(user.as_bytes()) }).await?;
    while cursor.advance().await? {
        let doc = cursor.current();
        let member = skip(db, MEMBERS, doc, documents::read_member(doc))?;
        ids.extend(member.map(|(id, ..)| object_id(id.as_bytes())));
    }
    let directs = doc! {
        "_id": { "$in": ids },
        "pair": { "$exists": true },
        "latest": { "$exists": true },
    };
    // At most one of them is the user's conversation with themselves.
    let conversations = raw(db, CONVERSATIONS);
    let find = conversations.find(directs).sort(doc! { "latest": -1 });
    let mut cursor = find.limit(limit(most).saturating_add(1)).await?;
    let mut partners = Vec::new();
    while partners.len() < most && cursor.advance().await? {
        let doc = cursor.current();
        let Some(found) = skip(db, CONVERSATIONS, doc, documents::read_conversation(doc))? else { continue };
        let pair = pair_of(&found);
        partners.extend(pair.and_then(|pair| pair.other(user)).filter(|other| *other != user));
    }
    Ok(partners)
}

pub(super) async fn message(db: &Database, id: MessageId) -> Result<Option<StoredMessage>, Fault> {
    let found = raw(db, MESSAGES).find_one(doc! { "_id": object_id(id.as_bytes()) }).await?;
    Ok(found.map(|doc| documents::read_message(&doc)).transpose()?.map(|found| found.message))
}

pub(super) async fn messages(db: &Database, ids: &[MessageId]) -> Result<Vec<StoredMessage>, Fault> {
    let ids: Vec<_> = ids.iter().map(|id| object_id(id.as_bytes())).collect();
    let mut cursor = raw(db, MESSAGES).find(doc! { "_id": { "$in": ids } }).await?;
    let mut messages = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        let found = skip(db, MESSAGES, doc, documents::read_message(doc))?;
        messages.extend(found.map(|found| found.message));
    }
    Ok(messages)
}

pub(super) async fn sent_at(db: &Database, id: MessageId) -> Result<Option<Position>, Fault> {
    let messages = raw(db, MESSAGES);
    let find = messages.find_one(doc! { "_id": object_id(id.as_bytes()) });
    let Some(doc) = find.projection(doc! { "position": 1 }).await? else { return Ok(None) };
    Ok(Some(Position(Reading::new("message", &doc).int("position")?.unsigned_abs())))
}

pub(super) async fn history(
    db: &Database,
    id: ConversationId,
    window: Window,
    include_deleted: bool,
) -> Result<(Vec<StoredMessage>, bool), Fault> {
    let newest_first = !matches!(window, Window::After { .. });
    let (mut messages, mut next) = (Vec::new(), window);
    // Damaged messages do not count towards the limit. Only numbered pages count them.
    let has_more = loop {
        let page = page(db, id, next, include_deleted).await?;
        messages.extend(page.messages);
        let missing = window.limit().saturating_sub(messages.len());
        let Some(end) = page.end.filter(|_| page.has_more && page.has_left_out && missing > 0) else {
            break page.has_more;
        };
        next = match window {
            Window::Latest { .. } | Window::Before { .. } => Window::Before { seq: end, limit: missing },
            Window::After { .. } => Window::After { seq: end, limit: missing },
            Window::Page { .. } => break page.has_more,
        };
    };
    if newest_first {
        messages.reverse();
    }
    Ok((messages, has_more))
}

/// A part of a window, from the end at which the window begins.
struct Page {
    messages: Vec<StoredMessage>,
    /// Whether more messages follow after `end`.
    has_more: bool,
    has_left_out: bool,
    /// The seq of the last message, damaged or not, if it can be read.
    end: Option<Seq>,
}

async fn page(
    db: &Database,
    id: ConversationId,
    window: Window,
    include_deleted: bool,
) -> Result<Page, Fault> {
    let newest_first = !matches!(window, Window::After { .. });
    let mut filter = doc! { "conversation": object_id(id.as_bytes()) };
    match window {
        Window::Latest { .. } | Window::Page { .. } => {}
        Window::Before { seq, .. } => drop(filter.insert("seq", doc! { "$lt": i64::from(seq.0) })),
        Window::After { seq, .. } => drop(filter.insert("seq", doc! { "$gt": i64::from(seq.0) })),
    }
    if !include_deleted {
        filter.insert("deleted_at", doc! { "$exists": false });
    }
    let direction = if newest_first { -1 } else { 1 };
    let most = window.limit();
    let options = FindOptions::builder()
        .sort(doc! { "conversation": direction, "seq": direction })
        .skip(window.skip().min(i64::MAX as usize) as u64)
        .limit(limit(most + 1))
        .batch_size(batch_size(most + 1))
        .build();
    let mut cursor = raw(db, MESSAGES).find(filter).with_options(options).await?;
    let (mut messages, mut end) = (Vec::with_capacity(most.min(64)), None);
    let (mut has_more, mut bytes, mut count) = (false, 0, 0);
    while cursor.advance().await? {
        if count == most || (bytes > MAX_BYTES_AT_ONCE && !messages.is_empty()) {
            has_more = true;
            break;
        }
        count += 1;
        let doc = cursor.current();
        end = Reading::new("message", doc).field("seq", as_seq).ok().flatten();
        if let Some(found) = skip(db, MESSAGES, doc, documents::read_message(doc))? {
            bytes += found.message.body.bytes.len();
            messages.push(found.message);
        }
    }
    let has_left_out = messages.len() < count;
    Ok(Page { messages, has_more, has_left_out, end })
}

pub(super) async fn last_position(db: &Database) -> Result<Position, Fault> {
    counter_field(db, "position").await
}

pub(super) async fn counter_field(db: &Database, field: &'static str) -> Result<Position, Fault> {
    let counters = raw(db, COUNTERS);
    let found = counters.find_one(doc! { "_id": "log" }).projection(doc! { field: 1 }).await?;
    let doc = found.ok_or_else(|| StoreError::Corrupt { what: "counter", id: "log".into() })?;
    let fields = Reading::new("counter", &doc);
    let value = u64::try_from(fields.int(field)?).map_err(|_| fields.corrupt(field))?;
    Ok(Position(value))
}

/// A log entry: either a message, which is its own entry, or an entry of another kind.
pub(super) enum Logged {
    Sent(StoredMessage),
    Other(Entry),
}

pub(super) async fn log_begin(db: &Database) -> Result<Position, Fault> {
    counter_field(db, "begin").await
}

/// The number of positions that one step of forgetting covers.
const FORGET_STEP: u64 = 10_000;

/// One step of forgetting the changes before the first one at `at` or later. Returns the new beginning of the log, or
/// `None` when the log already begins there.
pub(super) async fn next_log_begin(db: &Database, at: Timestamp) -> Result<Option<Position>, Fault> {
    let (begin, last) = (log_begin(db).await?, last_position(db).await?);
    let most = last.0.saturating_sub(1).min(begin.0 + FORGET_STEP);
    if begin.0 >= most {
        return Ok(None);
    }
    let range = || doc! { "$gt": number(begin.0), "$lte": number(most) };
    let mut kept = most + 1;
    for (collection, position, moment) in [(MESSAGES, "position", "created_at"), (LOG, "_id", "at")] {
        let mut filter = doc! { position: range() };
        filter.extend(documents::at_or_after(moment, at));
        let collection = raw(db, collection);
        let find = collection.find_one(filter).sort(doc! { position: 1 });
        if let Some(doc) = find.projection(doc! { position: 1 }).await? {
            let first = Reading::new("log entry", &doc).int(position)?;
            kept = kept.min(first.unsigned_abs());
        }
    }
    let next = Position(kept - 1);
    Ok((next > begin).then_some(next))
}

/// Deletes the log entries up to a position. Messages stay.
pub(super) async fn delete_log(db: &Database, up_to: Position) -> Result<(), Fault> {
    raw(db, LOG).delete_many(doc! { "_id": { "$lte": number(up_to.0) } }).await?;
    Ok(())
}

pub(super) async fn changes_after(
    db: &Database,
    position: Position,
    most: usize,
) -> Result<Option<Vec<LoggedChange>>, Fault> {
    let logged = if most == 0 { Ok(Vec::new()) } else { logged_after(db, position, most).await };
    // Checked last, because entries that were forgotten during the read are missing from it.
    if position < log_begin(db).await? {
        return Ok(None);
    }
    with_messages(db, logged?).await.map(Some)
}

/// The log after a position, without gaps, up to the first unreadable entry. That entry is an error only if nothing
/// comes before it. So a caller that asks for one entry at a time finds the unreadable one and loses no other.
async fn logged_after(
    db: &Database,
    position: Position,
    most: usize,
) -> Result<Vec<(Position, Logged)>, Fault> {
    let after = doc! { "$gt": number(position.0) };
    let size = batch_size(most);
    let (messages, log) = (raw(db, MESSAGES), raw(db, LOG));
    let first = Position(position.0.saturating_add(1));
    let (mut logged, mut bytes, mut unreadable) = (Vec::new(), 0, None);

    let sent = messages.find(doc! { "position": after.clone() }).sort(doc! { "position": 1 });
    let mut sent = sent.limit(limit(most)).batch_size(size).await?;
    let mut last = position;
    // If this ends early, there is a gap.
    while bytes <= MAX_BYTES_AT_ONCE && sent.advance().await? {
        match documents::read_message(sent.current()) {
            Ok(found) => {
                last = found.position;
                bytes += found.message.body.bytes.len();
                logged.push((found.position, Logged::Sent(found.message)));
            }
            Err(error) => {
                let at = position_of(sent.current(), "position", last);
                unreadable = (at == first).then_some(error);
                break;
            }
        }
    }

    let others = log.find(doc! { "_id": after }).sort(doc! { "_id": 1 });
    let mut others = others.limit(limit(most)).batch_size(size).await?;
    let mut last = position;
    while others.advance().await? {
        match documents::read_entry(others.current()) {
            Ok(entry) => {
                last = entry.position;
                logged.push((entry.position, Logged::Other(entry)));
            }
            Err(error) => {
                let at = position_of(others.current(), "_id", last);
                unreadable = unreadable.or((at == first).then_some(error));
                break;
            }
        }
    }

    logged.sort_unstable_by_key(|(position, _)| *position);
    // A commit between the two reads may be visible only in the second one. Positions have no gaps, so the reader must
    // stop at the first gap.
    let next = (first.0..).map(Position);
    let whole = logged.iter().zip(next).take(most).take_while(|((found, _), next)| found == next).count();
    logged.truncate(whole);
    match unreadable {
        Some(error) if logged.is_empty() => Err(error.into()),
        _ => Ok(logged),
    }
}

/// The log position of an unreadable document. If even the position is unreadable, it is taken to be the one after
/// `last`.
fn position_of(doc: &RawDocument, field: &'static str, last: Position) -> Position {
    let position = Reading::new("log entry", doc).int(field);
    position.map_or(Position(last.0.saturating_add(1)), |position| Position(position.unsigned_abs()))
}

/// Adds the messages that log entries are about. Ends early when they are too large, and before an unreadable entry
/// unless it is the first one.
pub(super) async fn with_messages(
    db: &Database,
    mut logged: Vec<(Position, Logged)>,
) -> Result<Vec<LoggedChange>, Fault> {
    let about = |logged: &Logged| match logged {
        Logged::Other(entry) => entry.fields.message,
        Logged::Sent(_) => None,
    };
    let mut ids = Vec::new();
    let mut seen = HashSet::new();
    for (index, (_, logged)) in logged.iter().enumerate() {
        ids.extend(about(logged).filter(|id| seen.insert(*id)).map(|id| (index, id)));
    }
    let (mut messages, mut bytes) = (HashMap::new(), 0);
    for some in ids.chunks(MAX_IDS) {
        if bytes > MAX_BYTES_AT_ONCE {
            logged.truncate(some[0].0);
            break;
        }
        let some: Vec<_> = some.iter().map(|(_, id)| object_id(id.as_bytes())).collect();
        let mut cursor = raw(db, MESSAGES).find(doc! { "_id": { "$in": some } }).await?;
        while cursor.advance().await? {
            // An unreadable message makes its log entry unreadable below.
            let Ok(found) = documents::read_message(cursor.current()) else { continue };
            bytes += found.message.body.bytes.len();
            messages.insert(found.message.id, found.message);
        }
    }
    let mut changes = Vec::with_capacity(logged.len());
    for (position, logged) in logged {
        let change = match logged {
            // All entries of one list show a message in the same state: the latest one read.
            Logged::Sent(message) => {
                Change::MessageSent(messages.get(&message.id).cloned().unwrap_or(message))
            }
            Logged::Other(entry) => match read_change(entry, &messages) {
                Ok(change) => change,
                Err(error) if changes.is_empty() => return Err(error.into()),
                Err(_) => break,
            },
        };
        changes.push(LoggedChange { position, change });
    }
    Ok(changes)
}

fn read_change(entry: Entry, messages: &HashMap<MessageId, StoredMessage>) -> Result<Change, StoreError> {
    let missing =
        || StoreError::Corrupt { what: "log entry", id: format!("{} (field message)", entry.position.0) };
    entry.change()?.map(|id| messages.get(&id).cloned().ok_or_else(missing))
}

/// Checks whether the database answers.
pub(super) async fn check(db: &Database) -> Result<(), Fault> {
    read_counter(db).await.map(drop)
}
