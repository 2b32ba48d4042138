//! Inspects a whole database without changing it: see [`inspect`](crate::store::inspect).

mod rows;
mod terms;

use std::collections::HashSet;

use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::{Client, Database};

use super::collections::{CONVERSATIONS, LOG, MEMBERS, MESSAGES, REVOKED_TOKENS, USERS};
use super::commit::read_counter;
use super::damage::name;
use super::documents::{self, object_id};
use super::faults::{self, Fault};
use super::fields::{Reading, as_id, as_int, as_moment, as_seq, as_text};
use super::reads::raw;
use super::{connect, transaction};
use crate::store::StoreError;
use crate::store::inspect::{BODY, COUNTER, Inspection, LOG as LOG_REMEDY, RECORD, REFERENCE};

/// The number of documents that are examined together.
const DOCUMENTS: usize = 200;
const BYTES: usize = 8 << 20;

/// Inspects a whole database.
pub struct MongoInspector {
    client: Client,
    db: Database,
}

impl MongoInspector {
    /// Connects without creating or changing anything. Servers may use the database meanwhile. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the URI is invalid, the log-in fails, or the database contains no chat;
    /// [`StoreError::Unavailable`] when it cannot be reached.
    pub async fn open(uri: &str) -> Result<Self, StoreError> {
        let options = connect::client_options(uri).await?;
        let name = options.default_database.clone().unwrap_or_else(|| "chat".into());
        let client = Client::with_options(options).map_err(|error| faults::store_error(&error))?;
        let db = client.database(&name);
        connect::refuse_unfit(&db).await.map_err(Fault::into_store_error)?;
        let names = db.list_collection_names().await.map_err(|error| faults::store_error(&error))?;
        if !names.iter().any(|name| name == USERS) {
            return Err(StoreError::Refused(format!("the database {name} holds nothing of a chat-server")));
        }
        Ok(Self { client, db })
    }

    /// Inspects everything.
    ///
    /// # Errors
    /// When the inspection itself fails; damage that it finds is not an error.
    pub async fn run(&self, inspection: &mut Inspection<'_>) -> Result<(), StoreError> {
        let done = self.go_over(inspection).await.map_err(Fault::into_store_error);
        self.client.clone().shutdown().immediate(true).await;
        done
    }

    async fn go_over(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        // Later commits are ignored where they could look like a gap.
        let counter = read_counter(&self.db).await;
        let ends = counter.ok().and_then(|counter| {
            Some((counter.get_i64("begin").unwrap_or_default(), counter.get_i64("position").ok()?))
        });
        if ends.is_none() {
            let place = self.place("chat_counters");
            inspection.damaged("counter", "log", place, "it is missing, or its position is", COUNTER);
        }
        let ends = ends.unwrap_or((0, i64::MAX));
        self.users(inspection, ends.1).await?;
        self.conversations(inspection).await?;
        self.members(inspection).await?;
        self.messages(inspection).await?;
        self.log(inspection).await?;
        self.positions(inspection, ends).await?;
        self.terms(inspection).await?;
        self.rows(inspection).await?;
        self.revoked_tokens(inspection).await
    }

    fn place(&self, collection: &str) -> String {
        format!("database {}, collection {collection}", self.db.name())
    }

    /// All documents of a collection, in batches.
    async fn parts(
        &self,
        collection: &str,
        (filter, sort): (Document, Document),
        mut look: impl AsyncFnMut(Vec<RawDocumentBuf>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let all = raw(&self.db, collection);
        let mut cursor = all.find(filter).sort(sort).batch_size(DOCUMENTS as u32).await?;
        let (mut part, mut bytes) = (Vec::new(), 0);
        while cursor.advance().await? {
            bytes += cursor.current().as_bytes().len();
            part.push(cursor.current().to_owned());
            if part.len() == DOCUMENTS || bytes >= BYTES {
                look(std::mem::take(&mut part)).await?;
                bytes = 0;
            }
        }
        if part.is_empty() { Ok(()) } else { look(part).await }
    }

    /// The ids that are not in a collection.
    async fn missing(
        &self,
        collection: &str,
        ids: impl IntoIterator<Item = [u8; 12]>,
    ) -> Result<HashSet<[u8; 12]>, Fault> {
        let mut missing: HashSet<[u8; 12]> = ids.into_iter().collect();
        let any: Vec<_> = missing.iter().map(|id| Bson::from(object_id(id))).collect();
        if any.is_empty() {
            return Ok(missing);
        }
        let all = raw(&self.db, collection);
        let mut cursor = all.find(doc! { "_id": { "$in": any } }).projection(doc! { "_id": 1 }).await?;
        while cursor.advance().await? {
            if let Ok(Some(id)) = cursor.current().get("_id")
                && let Some(id) = as_id(id)
            {
                missing.remove(&id);
            }
        }
        Ok(missing)
    }

    async fn users(&self, inspection: &mut Inspection<'_>, last: i64) -> Result<(), Fault> {
        let place = self.place(USERS);
        self.parts(USERS, (doc! {}, doc! { "_id": 1 }), async |part| {
            for doc in &part {
                inspection.counts_mut().users += 1;
                let id = name(doc);
                let read = documents::read_account(doc);
                let Some(account) = good(inspection, "user", &id, &place, read) else { continue };
                let fields = Reading::new("user", doc);
                let folded = |field| fields.field(field, as_text).ok().flatten();
                let fold = |text: &Option<String>| text.as_deref().map(documents::folded);
                let user = &account.user;
                if (folded("username_folded"), folded("email_folded"))
                    != (fold(&user.username), fold(&user.email))
                {
                    inspection.damaged(
                        "user",
                        &id,
                        &place,
                        "the name it is found by is not its name",
                        RECORD,
                    );
                }
                if fields.int("place").is_err() {
                    inspection.damaged(
                        "user",
                        &id,
                        &place,
                        "field place: missing or of another type",
                        RECORD,
                    );
                }
                let profile = fields.field("profile_position", as_int);
                if !profile.is_ok_and(|at| at.is_none_or(|at| at <= last)) {
                    let wrong = "the position of its profile is beyond the log";
                    // A later profile change is also beyond this end of the log.
                    if !self.is_logged_since(doc, last).await? {
                        inspection.damaged("user", &id, &place, wrong, COUNTER);
                    }
                }
                inspection.image(&user.picture, "user", &id, &place);
            }
            Ok(())
        })
        .await
    }

    async fn is_logged_since(&self, user: &RawDocument, last: i64) -> Result<bool, Fault> {
        let at = Reading::new("user", user).int("profile_position").unwrap_or_default();
        let now = read_counter(&self.db).await?.get_i64("position").unwrap_or_default();
        Ok(at > last && at <= now)
    }

    async fn conversations(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(CONVERSATIONS);
        let (messages, conversations) = (raw(&self.db, MESSAGES), raw(&self.db, CONVERSATIONS));
        self.parts(CONVERSATIONS, (doc! {}, doc! { "_id": 1 }), async |part| {
            let mut directs = Vec::new();
            for doc in &part {
                inspection.counts_mut().conversations += 1;
                let id = name(doc);
                let read =
                    documents::read_end(doc).and_then(|end| Ok((documents::read_conversation(doc)?, end.1)));
                let Some((found, last)) = good(inspection, "conversation", &id, &place, read) else {
                    continue;
                };
                if let Some(pair) = transaction::pair_of(&found) {
                    directs.push((id.clone(), pair.both()));
                }
                // Read in this order, the counter is never behind the messages while new ones are being sent.
                let of = doc! { "conversation": object_id(found.id.as_bytes()) };
                let newest = messages.find_one(of).sort(doc! { "conversation": -1, "seq": -1 });
                let newest = newest.projection(doc! { "seq": 1 }).await?;
                let newest = newest.map_or(Some(0), |doc| documents::read_seq(&doc).ok().map(|seq| seq.0));
                if newest.is_some_and(|newest| newest < last.0) {
                    let wrong =
                        format!("its last message is said to be {}, and is {}", last.0, newest.unwrap_or(0));
                    inspection.damaged("conversation", &id, &place, wrong, COUNTER);
                } else if newest.is_some_and(|newest| newest > last.0) {
                    let again = conversations.find_one(doc! { "_id": object_id(found.id.as_bytes()) });
                    let again = again.await?.and_then(|doc| documents::read_end(&doc).ok());
                    if again.is_some_and(|(_, again)| newest.is_some_and(|newest| newest > again.0)) {
                        let wrong = format!(
                            "its last message is said to be {}, and is {}",
                            last.0,
                            newest.unwrap_or(0)
                        );
                        inspection.damaged("conversation", &id, &place, wrong, COUNTER);
                    }
                }
            }
            let people = directs.iter().flat_map(|(_, (low, high))| [*low.as_bytes(), *high.as_bytes()]);
            let missing = self.missing(USERS, people).await?;
            for (id, (low, high)) in &directs {
                for user in [low, high].into_iter().filter(|user| missing.contains(user.as_bytes())) {
                    let wrong = format!("it is with the user {user}, whom there is not");
                    inspection.damaged("conversation", id, &place, wrong, REFERENCE);
                }
            }
            Ok(())
        })
        .await
    }

    async fn members(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(MEMBERS);
        self.parts(MEMBERS, (doc! {}, doc! { "_id": 1 }), async |part| {
            let mut members = Vec::new();
            for doc in &part {
                inspection.counts_mut().members += 1;
                let id = name(doc);
                let read = documents::read_member(doc);
                let Some((conversation, member, _)) = good(inspection, "member", &id, &place, read) else {
                    continue;
                };
                let mark = documents::read_mark(doc);
                let Some((_, _, mark)) = good(inspection, "read mark", &id, &place, mark) else { continue };
                members.push((id, *conversation.as_bytes(), *member.user.as_bytes(), mark));
            }
            let no_user = self.missing(USERS, members.iter().map(|(_, _, user, _)| *user)).await?;
            let ids: HashSet<_> = members.iter().map(|(_, conversation, ..)| *conversation).collect();
            let mut ends = std::collections::HashMap::new();
            let any: Vec<_> = ids.iter().map(|id| Bson::from(object_id(id))).collect();
            let mut cursor = raw(&self.db, CONVERSATIONS).find(doc! { "_id": { "$in": any } }).await?;
            while cursor.advance().await? {
                let fields = Reading::new("conversation", cursor.current());
                if let Ok(id) = fields.id("_id") {
                    ends.insert(id, fields.field("last_seq", as_seq).ok().flatten());
                }
            }
            for (id, conversation, user, mark) in members {
                if no_user.contains(&user) {
                    inspection.damaged("member", &id, &place, "there is no such user", REFERENCE);
                }
                match (ends.get(&conversation), mark) {
                    (None, _) => {
                        inspection.damaged("member", &id, &place, "there is no such conversation", REFERENCE);
                    }
                    (Some(Some(last)), Some(mark)) if mark > *last => {
                        let wrong = format!("it is at message {}, behind the last one", mark.0);
                        inspection.damaged("read mark", &id, &place, wrong, COUNTER);
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn messages(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(MESSAGES);
        let mut before: Option<([u8; 12], u32, u64)> = None;
        self.parts(MESSAGES, (doc! {}, doc! { "conversation": 1, "seq": 1 }), async |part| {
            let mut messages = Vec::new();
            for doc in &part {
                inspection.counts_mut().messages += 1;
                let id = name(doc);
                let read = documents::read_message(doc);
                // The place of a damaged message is not a gap.
                let fields = Reading::new("message", doc);
                let at = fields.id("conversation").ok().zip(fields.field("seq", as_seq).ok().flatten());
                let position = fields.int("position").ok().map(i64::unsigned_abs);
                if let Some((conversation, seq)) = at {
                    let known = before.filter(|(other, ..)| *other == conversation);
                    let previous = known.map_or(0, |(_, seq, _)| seq);
                    if u64::from(seq.0) != u64::from(previous) + 1 {
                        let last = seq.0.saturating_sub(1);
                        let wrong = format!("the messages {} to {last} before it are missing", previous + 1);
                        inspection.damaged("message", &id, &place, wrong, BODY);
                    }
                    let earlier = known.map_or(0, |(_, _, position)| position);
                    if position.is_some_and(|position| position <= earlier) {
                        let wrong = "its position does not fit those around it";
                        inspection.damaged("message", &id, &place, wrong, COUNTER);
                    }
                    before = Some((conversation, seq.0, position.unwrap_or(earlier)));
                }
                let Some(found) = good(inspection, "message", &id, &place, read) else { continue };
                let wrong = ["file_name", "image"].into_iter().find(|field| match doc.get(field) {
                    Ok(None) => false,
                    Ok(Some(value)) => as_text(value).is_none(),
                    Err(_) => true,
                });
                if let Some(field) = wrong {
                    inspection.damaged(
                        "message",
                        &id,
                        &place,
                        format!("field {field}: of another type"),
                        RECORD,
                    );
                }
                let is = |field| matches!(doc.get(field), Ok(Some(value)) if as_moment(value).is_some());
                let by = matches!(doc.get("deleted_by"), Ok(Some(value)) if as_id(value).is_some());
                let any =
                    ["deleted_at", "deleted_by"].iter().any(|field| !matches!(doc.get(field), Ok(None)));
                if any && !(is("deleted_at") && by) {
                    let wrong = "it is not said both when and by whom it was deleted";
                    inspection.damaged("message", &id, &place, wrong, RECORD);
                }
                inspection.content(&found.message, &place);
                messages.push((id, *found.message.conversation.as_bytes(), *found.message.sender.as_bytes()));
            }
            let no_user = self.missing(USERS, messages.iter().map(|(_, _, sender)| *sender)).await?;
            let nowhere = self.missing(CONVERSATIONS, messages.iter().map(|(_, id, _)| *id)).await?;
            for (id, conversation, sender) in messages {
                if no_user.contains(&sender) {
                    let wrong = format!("its sender {} is not there", object_id(&sender));
                    inspection.damaged("message", &id, &place, wrong, REFERENCE);
                }
                if nowhere.contains(&conversation) {
                    inspection.damaged("message", &id, &place, "it is in no conversation", REFERENCE);
                }
            }
            Ok(())
        })
        .await
    }

    async fn log(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(LOG);
        self.parts(LOG, (doc! {}, doc! { "_id": 1 }), async |part| {
            let mut entries = Vec::new();
            for doc in &part {
                inspection.counts_mut().log_entries += 1;
                let id = name(doc);
                let read = documents::read_entry(doc);
                if let Some(entry) = good(inspection, "log entry", &id, &place, read) {
                    entries.push((id, entry));
                }
            }
            let messages =
                entries.iter().filter_map(|(_, entry)| entry.fields.message.map(|id| *id.as_bytes()));
            let no_message = self.missing(MESSAGES, messages).await?;
            let rooms = entries.iter().filter_map(|(_, entry)| entry.fields.room.map(|id| *id.as_bytes()));
            let no_room = self.missing(CONVERSATIONS, rooms).await?;
            let users = entries.iter().filter_map(|(_, entry)| entry.fields.user.map(|id| *id.as_bytes()));
            let no_user = self.missing(USERS, users).await?;
            for (id, entry) in entries {
                if entry.fields.message.is_some_and(|id| no_message.contains(id.as_bytes())) {
                    inspection.damaged("log entry", &id, &place, "there is no such message", LOG_REMEDY);
                }
                if entry.fields.room.is_some_and(|id| no_room.contains(id.as_bytes())) {
                    inspection.damaged("log entry", &id, &place, "there is no such conversation", LOG_REMEDY);
                }
                if entry.fields.user.is_some_and(|id| no_user.contains(id.as_bytes())) {
                    inspection.damaged("log entry", &id, &place, "there is no such user", LOG_REMEDY);
                }
                let wanted = [
                    (entry.kind.is_about_message() && entry.fields.message.is_none(), "message"),
                    (!entry.kind.is_about_message() && entry.fields.user.is_none(), "user"),
                ];
                for (_, field) in wanted.into_iter().filter(|(is_missing, _)| *is_missing) {
                    inspection.damaged(
                        "log entry",
                        &id,
                        &place,
                        format!("field {field}: missing"),
                        LOG_REMEDY,
                    );
                }
            }
            Ok(())
        })
        .await
    }

    /// Checks that the positions, which are in two collections, have no gaps.
    async fn positions(
        &self,
        inspection: &mut Inspection<'_>,
        (begin, last): (i64, i64),
    ) -> Result<(), Fault> {
        if last == i64::MAX {
            return Ok(());
        }
        let range = || doc! { "$gt": begin, "$lte": last };
        let (messages, log) = (raw(&self.db, MESSAGES), raw(&self.db, LOG));
        let sent = messages.find(doc! { "position": range() }).sort(doc! { "position": 1 });
        let mut sent = sent.projection(doc! { "position": 1, "_id": 0 }).await?;
        let others = log.find(doc! { "_id": range() }).sort(doc! { "_id": 1 });
        let mut others = others.projection(doc! { "_id": 1 }).await?;
        let at = |doc: &RawDocument, field| Reading::new("log entry", doc).int(field).unwrap_or_default();
        let mut one = if sent.advance().await? { Some(at(sent.current(), "position")) } else { None };
        let mut other = if others.advance().await? { Some(at(others.current(), "_id")) } else { None };
        let mut before = begin;
        loop {
            let next = match (one, other) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => match one.or(other) {
                    Some(next) => next,
                    None => last + 1,
                },
            };
            if next > before + 1 && self.is_kept(before + 1).await? {
                let wrong = format!("the entries {} to {} are missing", before + 1, next - 1);
                inspection.damaged("log entry", before + 1, self.place(LOG), wrong, COUNTER);
            }
            if one.is_none() && other.is_none() {
                return Ok(());
            }
            before = before.max(next);
            if one == Some(next) {
                one = if sent.advance().await? { Some(at(sent.current(), "position")) } else { None };
            }
            if other == Some(next) {
                other = if others.advance().await? { Some(at(others.current(), "_id")) } else { None };
            }
        }
    }

    /// Whether the log still contains a position. It may have been truncated meanwhile.
    async fn is_kept(&self, position: i64) -> Result<bool, Fault> {
        Ok(read_counter(&self.db).await?.get_i64("begin").unwrap_or_default() < position)
    }

    async fn revoked_tokens(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(REVOKED_TOKENS);
        self.parts(REVOKED_TOKENS, (doc! {}, doc! { "_id": 1 }), async |part| {
            for doc in &part {
                let read = documents::read_revocation(doc);
                good(inspection, "revoked token", &name(doc), &place, read);
            }
            Ok(())
        })
        .await
    }
}

/// The value that was read; `None` when it is damaged, which is reported.
fn good<T>(
    inspection: &mut Inspection<'_>,
    kind: &'static str,
    id: &str,
    place: &str,
    read: Result<T, StoreError>,
) -> Option<T> {
    let reason = |error: StoreError| match &error {
        // The report already names the document.
        StoreError::Corrupt { id, .. } => match id.rsplit_once("(field ") {
            Some((_, field)) => format!("field {}: missing, or of another type", field.trim_end_matches(')')),
            None => error.to_string(),
        },
        _ => error.to_string(),
    };
    read.map_err(|error| inspection.damaged(kind, id, place, reason(error), RECORD)).ok()
}
