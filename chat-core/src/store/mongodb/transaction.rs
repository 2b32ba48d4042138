//! The commands of a transaction: they read the documents that the changes need, and write the results afterwards.
//! There are few round trips, whatever the number of changes: one command per collection.

use std::collections::HashSet;

use mongodb::bson::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc};
use mongodb::{ClientSession, Database};

use super::collections::{CONVERSATIONS, COUNTERS, LOG, MEMBERS, MESSAGES, REVOKED_TOKENS, TERMS, USERS};
use super::damage::skip;
use super::documents::{self, any_of_bytes, any_of_ids, number, object_id};
use super::faults::{DUPLICATE_KEY, Fault, write_error};
use super::fields::Reading;
use super::writing::{Writes, Writing};
use crate::id::{ConversationId, MessageId};
use crate::model::{Pair, Seq};
use crate::store::StoreError;
use crate::store::read_marks::counted_after;
use crate::store::tx::Reads;

/// The maximum number of documents in one reply; more are fetched in further replies.
const BATCH_SIZE: i32 = 10_000;

/// A database as seen inside a transaction of a session.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a Database,
    pub(super) session: &'a mut ClientSession,
}

impl Transaction<'_> {
    /// Runs a command and checks its reply for errors of single statements, which the driver ignores.
    pub(super) async fn command(&mut self, command: RawDocumentBuf) -> Result<RawDocumentBuf, Fault> {
        let reply = self.db.run_raw_command(command).session(&mut *self.session).await?;
        let reply = RawDocumentBuf::try_from(&reply).map_err(mongodb::error::Error::from)?;
        if let Ok(errors) = reply.get_array("writeErrors")
            && let Some(first) = errors.into_iter().next()
        {
            let code = first.ok().and_then(|first| first.as_document()?.get_i32("code").ok());
            return Err(match code {
                Some(DUPLICATE_KEY) => Fault::Duplicate,
                code => Fault::Store(write_error(code.unwrap_or_default())),
            });
        }
        Ok(reply)
    }

    pub(super) async fn find(
        &mut self,
        mut command: RawDocumentBuf,
        mut each: impl FnMut(&RawDocument) -> Result<(), StoreError>,
    ) -> Result<(), Fault> {
        command.append(cstr!("batchSize"), BATCH_SIZE);
        let mut cursor = self.db.run_raw_cursor_command(command).session(&mut *self.session).await?;
        while cursor.advance(self.session).await? {
            each(cursor.current())?;
        }
        Ok(())
    }

    /// Reads everything that the changes need.
    pub(super) async fn load(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        self.load_users(reads, writing).await?;
        self.load_conversations(reads, writing).await?;
        self.load_members(reads, writing).await?;
        self.load_roles(reads, writing).await?;
        self.load_marks(reads, writing).await?;
        self.load_messages(reads, writing).await?;
        self.load_rows(reads, writing).await
    }

    async fn load_users(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        let mut ways = Ways::default();
        if !reads.users.is_empty() {
            ways.add(rawdoc! { "_id": any_of_ids(reads.users.iter().map(|id| id.as_bytes())) });
        }
        if !reads.names.is_empty() {
            ways.add(rawdoc! { "username_folded": any_of_texts(&reads.names) });
            ways.add(rawdoc! { "email_folded": any_of_texts(&reads.names) });
        }
        if !reads.name_keys.is_empty() {
            ways.add(rawdoc! { "name_key": any_of_texts(&reads.name_keys) });
        }
        let Some(filter) = ways.filter() else { return Ok(()) };
        let command = rawdoc! { "find": USERS, "filter": filter };
        self.find(command, |doc| {
            writing.know_user(documents::read_account(doc)?);
            Ok(())
        })
        .await
    }

    async fn load_roles(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        let mut ids = RawArrayBuf::new();
        for (id, user) in reads.roles.iter().filter(|key| !writing.roles.contains_key(key)) {
            ids.push(documents::member_id(*id, *user));
        }
        if ids.is_empty() {
            return Ok(());
        }
        let db = self.db;
        let command = rawdoc! { "find": MEMBERS, "filter": { "_id": { "$in": ids } } };
        self.find(command, |doc| {
            // A member whose document is damaged does not count, the same as for readers.
            if let Some((id, member, _)) = skip(db, MEMBERS, doc, documents::read_member(doc))? {
                writing.roles.insert((id, member.user), member.role);
            }
            Ok(())
        })
        .await
    }

    async fn load_marks(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        if reads.read_marks.is_empty() {
            return Ok(());
        }
        let mut ids = RawArrayBuf::new();
        for (id, user) in &reads.read_marks {
            ids.push(documents::member_id(*id, *user));
        }
        let mut without_mark = Vec::new();
        let command = rawdoc! { "find": MEMBERS, "filter": { "_id": { "$in": ids } } };
        self.find(command, |doc| {
            match documents::read_mark(doc)? {
                (id, user, Some(seq)) => writing.know_mark(id, user, seq),
                (id, user, None) => without_mark.push((id, user)),
            }
            Ok(())
        })
        .await?;
        for (id, user) in without_mark {
            let last = writing.ends.get(&id).copied().unwrap_or_default();
            let filter = documents::read_without_mark(id, last, writing.read_up_to);
            let command = rawdoc! {
                "find": MESSAGES,
                "filter": RawDocumentBuf::try_from(&filter).map_err(mongodb::error::Error::from)?,
                "sort": { "conversation": -1, "seq": -1 },
                "projection": { "seq": 1 },
                "limit": 1,
            };
            let mut seq = counted_after(Seq(0), last);
            self.find(command, |doc| {
                seq = documents::read_seq(doc)?;
                Ok(())
            })
            .await?;
            writing.know_mark(id, user, seq);
        }
        Ok(())
    }

    async fn load_messages(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        let mut ways = Ways::default();
        if !reads.messages.is_empty() {
            ways.add(rawdoc! { "_id": any_of_ids(reads.messages.iter().map(MessageId::as_bytes)) });
        }
        if !reads.sends.is_empty() {
            let keys: Vec<_> =
                reads.sends.iter().map(|(sender, id)| documents::send_key(*sender, id)).collect();
            ways.add(rawdoc! { "send_key": any_of_bytes(keys.iter().map(Vec::as_slice)) });
        }
        if !reads.fingerprints.is_empty() {
            let mut list = RawArrayBuf::new();
            for fingerprint in &reads.fingerprints {
                list.push(documents::fingerprint_number(*fingerprint));
            }
            ways.add(rawdoc! { "fingerprint": { "$in": list } });
        }
        let Some(filter) = ways.filter() else { return Ok(()) };
        let command = rawdoc! { "find": MESSAGES, "filter": filter };
        self.find(command, |doc| {
            writing.know_message(documents::read_message(doc)?);
            Ok(())
        })
        .await
    }

    /// Writes everything that the changes have produced.
    pub(super) async fn store(&mut self, writing: &mut Writing) -> Result<(), Fault> {
        let writes = std::mem::take(&mut writing.writes);
        self.insert(USERS, &writes.users).await?;
        self.insert(CONVERSATIONS, &writes.conversations).await?;
        self.insert(MESSAGES, &writes.messages).await?;
        self.insert(LOG, &writes.log).await?;
        writing.writes = writes;
        self.update(MESSAGES, writing.message_updates()).await?;
        let terms = std::mem::take(&mut writing.writes.terms);
        self.update(TERMS, terms).await?;
        self.store_ends(writing).await?;
        self.store_members(writing).await?;
        self.store_rows(writing).await?;
        let Writes { changed_users, profiles, .. } = &writing.writes;
        let changed_users = changed_users.iter().filter_map(|id| writing.users.get(id));
        let updates = changed_users.map(|user| documents::user_update(user, profiles.get(&user.id).copied()));
        let updates: Vec<_> = updates.chain(writing.password_updates()).collect();
        self.update(USERS, updates).await?;
        let revocations = std::mem::take(&mut writing.writes.revocations);
        self.update(REVOKED_TOKENS, revocations).await
    }

    /// Updates the counter once more.
    pub(super) async fn change_counter(&mut self, update: RawDocumentBuf) -> Result<(), Fault> {
        self.update(COUNTERS, [rawdoc! { "q": { "_id": "log" }, "u": update }]).await
    }

    async fn store_ends(&mut self, writing: &mut Writing) -> Result<(), Fault> {
        let mut updates = Vec::new();
        let conversation = |id: &ConversationId| rawdoc! { "_id": object_id(id.as_bytes()) };
        for id in &writing.writes.latest {
            // After the messages are written, because they can be the latest ones.
            let update = match self.latest(*id).await? {
                Some(latest) => rawdoc! { "$set": { "latest": latest } },
                None => rawdoc! { "$unset": { "latest": "" } },
            };
            updates.push(rawdoc! { "q": conversation(id), "u": update });
        }
        let mut ends = Vec::new();
        for (id, (seq, position)) in &writing.writes.ends {
            let mut set = rawdoc! { "last_seq": i64::from(seq.0) };
            if !writing.writes.latest.contains(id) {
                set.append(cstr!("latest"), number(position.0));
            }
            ends.push(rawdoc! { "q": conversation(id), "u": { "$set": set } });
        }
        updates.extend(ends);
        let blockers = |id: &ConversationId| documents::blockers_update(*id, &writing.blockers[id]);
        updates.extend(writing.writes.blockers.iter().map(blockers));
        self.update(CONVERSATIONS, updates).await
    }

    /// The position of the latest message of a conversation that is not deleted.
    async fn latest(&mut self, id: ConversationId) -> Result<Option<i64>, Fault> {
        let command = rawdoc! {
            "find": MESSAGES,
            "filter": { "conversation": object_id(id.as_bytes()), "deleted_at": { "$exists": false } },
            "sort": { "conversation": -1, "seq": -1 },
            "projection": { "position": 1 },
            "limit": 1,
        };
        let mut latest = None;
        self.find(command, |doc| {
            latest = Some(Reading::new("message", doc).int("position")?);
            Ok(())
        })
        .await?;
        Ok(latest)
    }

    async fn insert(&mut self, collection: &str, documents: &[RawDocumentBuf]) -> Result<(), Fault> {
        if documents.is_empty() {
            return Ok(());
        }
        let mut list = RawArrayBuf::new();
        for document in documents {
            list.push(&**document);
        }
        self.command(rawdoc! { "insert": collection, "documents": list }).await.map(drop)
    }

    /// Runs update statements. Each must find its document or create it.
    pub(super) async fn update(
        &mut self,
        collection: &'static str,
        statements: impl IntoIterator<Item = RawDocumentBuf>,
    ) -> Result<(), Fault> {
        let mut list = RawArrayBuf::new();
        let mut count = 0;
        for statement in statements {
            list.push(statement);
            count += 1;
        }
        if count == 0 {
            return Ok(());
        }
        let reply = self.command(rawdoc! { "update": collection, "updates": list }).await?;
        if Reading::new(collection, &reply).int("n")? != count {
            let id = "that was there a moment ago".into();
            return Err(Fault::Store(StoreError::Corrupt { what: collection, id }));
        }
        Ok(())
    }
}

/// Several conditions, at least one of which must hold.
#[derive(Default)]
pub(super) struct Ways {
    list: Vec<RawDocumentBuf>,
}

impl Ways {
    pub(super) fn add(&mut self, condition: RawDocumentBuf) {
        self.list.push(condition);
    }

    pub(super) fn filter(mut self) -> Option<RawDocumentBuf> {
        if self.list.len() < 2 {
            return self.list.pop();
        }
        let mut list = RawArrayBuf::new();
        for condition in self.list {
            list.push(condition);
        }
        Some(rawdoc! { "$or": list })
    }
}

fn any_of_texts(texts: &HashSet<String>) -> RawDocumentBuf {
    let mut list = RawArrayBuf::new();
    for text in texts {
        list.push(text.as_str());
    }
    rawdoc! { "$in": list }
}

pub(super) fn pair_of(conversation: &crate::model::Conversation) -> Option<Pair> {
    match &conversation.kind {
        crate::model::ConversationKind::Direct { pair } => Some(*pair),
        crate::model::ConversationKind::Room(_) => None,
    }
}
