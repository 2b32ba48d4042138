//! Copies everything from another store into an empty database, for
//! [`copy_to_mongodb`](crate::store::copy_to_mongodb).
//!
//! The import does not use the writer: positions and places are given, and no other process writes. During the import
//! the counter has the field `importing`, and no store opens the database.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use tokio::time::timeout;

use super::MongoStore;
use super::collections::{
    self, CONVERSATIONS, COUNTERS, INDEXED, LOG, MEMBERS, MESSAGES, REVOKED_TOKENS, ROWS, TERMS, USERS,
};
use super::documents::{self, number};
use super::faults::Fault;
use crate::epoch::Epoch;
use crate::store::copy::{CopiedConversation, LogEnds, Record};
use crate::store::{NewMessage, StoreError};

/// The timeout of one batch.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(120);

/// A database during an import.
pub(in crate::store) struct MongoImport<'a> {
    db: &'a Database,
}

/// The documents of one batch, by collection.
#[derive(Default)]
struct Batch {
    users: Vec<RawDocumentBuf>,
    revoked_tokens: Vec<RawDocumentBuf>,
    conversations: Vec<RawDocumentBuf>,
    members: Vec<RawDocumentBuf>,
    messages: Vec<RawDocumentBuf>,
    rows: Vec<RawDocumentBuf>,
    log: Vec<RawDocumentBuf>,
}

impl<'a> MongoImport<'a> {
    /// Marks the database as being imported, unless it already has data.
    pub(in crate::store) async fn begin(store: &'a MongoStore) -> Result<Self, StoreError> {
        let import = Self { db: &store.db };
        import.patiently(import.mark()).await?;
        Ok(import)
    }

    pub(in crate::store) async fn insert(&self, records: &[Record]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        records.iter().for_each(|record| batch.add(record));
        self.patiently(async {
            let collections = [
                (USERS, batch.users),
                (REVOKED_TOKENS, batch.revoked_tokens),
                (CONVERSATIONS, batch.conversations),
                (MEMBERS, batch.members),
                (MESSAGES, batch.messages),
                (ROWS, batch.rows),
                (LOG, batch.log),
            ];
            for (collection, documents) in collections {
                if !documents.is_empty() {
                    self.db.collection::<RawDocumentBuf>(collection).insert_many(documents).await?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes the mark, so that stores can open the database.
    pub(in crate::store) async fn finish(self, log: LogEnds, epoch: Epoch) -> Result<(), StoreError> {
        self.patiently(async {
            let users = self.db.collection::<Document>(USERS);
            let last = users.find_one(doc! {}).sort(doc! { "place": -1 }).await?;
            let place = last.and_then(|user| user.get_i64("place").ok()).unwrap_or_default();
            // The places of later accounts are derived from the number of the batch.
            let set = doc! {
                "position": number(log.last.0),
                "begin": number(log.begin.0),
                "batches": (place >> documents::PLACE_BITS) + 1,
            };
            collections::note_profiles(self.db).await?;
            super::epoch::set(self.db, epoch).await?;
            let counters = self.db.collection::<Document>(COUNTERS);
            let update = doc! { "$set": set, "$unset": { "importing": "" } };
            counters.update_one(doc! { "_id": "log" }, update).await?;
            Ok(())
        })
        .await
    }

    async fn mark(&self) -> Result<(), Fault> {
        for collection in [USERS, CONVERSATIONS, MEMBERS, MESSAGES, TERMS, INDEXED, ROWS, LOG, REVOKED_TOKENS]
        {
            if self.db.collection::<Document>(collection).find_one(doc! {}).await?.is_some() {
                let problem =
                    format!("MongoDB: the database is not empty: there is something in {collection}");
                return Err(StoreError::Refused(problem).into());
            }
        }
        let mark = doc! { "$set": { "importing": true } };
        let counters = self.db.collection::<Document>(COUNTERS);
        let marked = counters.update_one(doc! { "_id": "log", "position": 0 }, mark).await?;
        if marked.matched_count == 0 {
            let problem = "MongoDB: the database is not empty: its log has begun, or a server is using it";
            return Err(StoreError::Refused(problem.into()).into());
        }
        Ok(())
    }

    async fn patiently<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, StoreError> {
        timeout(OPERATION_TIMEOUT, work)
            .await
            .unwrap_or(Err(Fault::TimedOut))
            .map_err(Fault::into_store_error)
    }
}

impl Batch {
    fn add(&mut self, record: &Record) {
        match record {
            Record::User { account, place } => self.users.push(documents::user_document(account, *place)),
            Record::RevokedToken { fingerprint, until } => {
                self.revoked_tokens.push(documents::revocation_document(fingerprint, *until));
            }
            Record::Conversation(copied) => self.add_conversation(copied),
            Record::Message(copied) => {
                let message = &copied.message;
                let new = NewMessage {
                    id: message.id,
                    conversation: message.conversation,
                    sender: message.sender,
                    body: message.body.clone(),
                    file_name: message.file_name.clone(),
                    image: message.image.clone(),
                    client_id: copied.client_id.clone(),
                    fingerprint: copied.fingerprint,
                    at: message.created_at,
                };
                let mut document = documents::message_document(&new, message.seq, copied.position);
                documents::append_changes(&mut document, message);
                self.messages.push(document);
            }
            Record::Row { table, row } => self.rows.push(super::keyed::document(*table, row)),
            Record::LogEntry { position, at, change } => {
                self.log.push(documents::entry_document(*position, *at, change));
            }
        }
    }

    fn add_conversation(&mut self, copied: &CopiedConversation) {
        let CopiedConversation { conversation, read, blockers, last_seq, latest } = copied;
        let id = conversation.id;
        let mut document = documents::conversation_document(conversation, *last_seq);
        documents::append_latest(&mut document, *latest);
        documents::append_blockers(&mut document, blockers);
        self.conversations.push(document);
        for ((member, read), place) in conversation.members.iter().zip(read).zip(0..) {
            self.members.push(documents::member_document(id, member, place, *read));
        }
    }
}
