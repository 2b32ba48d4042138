//! The collections and their indexes.
//!
//! Their names begin with `chat_`, because the database may well be one that another backend has used: its `users` and
//! `messages` are neither read nor changed.

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::faults::{self, Fault};
use crate::change::ChangeKind;

pub(super) const USERS: &str = "chat_users";
pub(super) const CONVERSATIONS: &str = "chat_conversations";
pub(super) const MEMBERS: &str = "chat_members";
pub(super) const MESSAGES: &str = "chat_messages";
pub(super) const TERMS: &str = "chat_terms";
pub(super) const INDEXED: &str = "chat_indexed";
pub(super) const ROWS: &str = "chat_rows";
pub(super) const LOG: &str = "chat_log";
pub(super) const REVOKED_TOKENS: &str = "chat_revoked_tokens";
pub(super) const COUNTERS: &str = "chat_counters";
pub(super) const NODES: &str = "chat_nodes";

/// Makes what is not there yet; on a database that is complete this changes nothing.
pub(super) async fn make(db: &Database) -> Result<(), Fault> {
    // Older servers make no collections inside transactions, so those without an index are made here too.
    for name in [COUNTERS, INDEXED, ROWS] {
        match db.create_collection(name).await {
            Err(error) if faults::code(&error) == Some(faults::NAMESPACE_EXISTS) => {}
            made => made?,
        }
    }
    let index = |name: &str, key: Document, options: Document| {
        let mut index = doc! { "name": name, "key": key };
        index.extend(options);
        index
    };
    let unique_if_present = || doc! { "unique": true, "sparse": true };
    let indexes = [
        (
            USERS,
            vec![
                index("place", doc! { "place": 1 }, doc! {}),
                index("username_folded", doc! { "username_folded": 1 }, unique_if_present()),
                index("email_folded", doc! { "email_folded": 1 }, unique_if_present()),
                index("profile", doc! { "profile_position": 1 }, doc! { "sparse": true }),
                index("name_key", doc! { "name_key": 1 }, unique_if_present()),
            ],
        ),
        (CONVERSATIONS, vec![index("pair", doc! { "pair": 1 }, unique_if_present())]),
        (
            MEMBERS,
            vec![
                index("by_conversation", doc! { "_id.conversation": 1, "place": 1 }, doc! {}),
                index("by_role", doc! { "_id.conversation": 1, "role": 1, "place": 1 }, doc! {}),
                index("by_user", doc! { "_id.user": 1 }, doc! {}),
            ],
        ),
        (
            MESSAGES,
            vec![
                index("history", doc! { "conversation": 1, "seq": 1 }, doc! { "unique": true }),
                index("position", doc! { "position": 1 }, doc! { "unique": true }),
                index("personal", doc! { "conversation": 1, "position": 1 }, doc! {}),
                index("send_key", doc! { "send_key": 1 }, unique_if_present()),
                index("fingerprint", doc! { "fingerprint": 1 }, doc! { "sparse": true }),
            ],
        ),
        (
            LOG,
            vec![
                index("of_room", doc! { "room": 1, "_id": 1 }, doc! {}),
                index("of_user", doc! { "user": 1, "kind": 1, "_id": 1 }, doc! {}),
            ],
        ),
        (TERMS, vec![index("search", doc! { "conversation": 1, "terms": 1, "position": -1 }, doc! {})]),
        (REVOKED_TOKENS, vec![index("until", doc! { "until": 1 }, doc! { "expireAfterSeconds": 0 })]),
    ];
    for (collection, indexes) in indexes {
        db.run_command(doc! { "createIndexes": collection, "indexes": indexes }).await?;
    }
    Ok(())
}

/// Notes beside each person where the log says that their profile was changed last, as far as it is not noted yet.
pub(super) async fn note_profiles(db: &Database) -> Result<(), Fault> {
    let pipeline = [
        doc! { "$match": { "kind": ChangeKind::ProfileUpdated.name() } },
        doc! { "$group": { "_id": "$user", "position": { "$max": "$_id" } } },
    ];
    let mut last = db.collection::<Document>(LOG).aggregate(pipeline).await?;
    let mut updates = Vec::new();
    loop {
        let has_more = last.advance().await?;
        if has_more {
            let found = Document::try_from(last.current()).map_err(mongodb::error::Error::from)?;
            // Another node may have noted a later one meanwhile.
            let note = doc! { "$max": { "profile_position": found.get("position").cloned() } };
            updates.push(doc! { "q": { "_id": found.get("_id").cloned() }, "u": note });
        }
        if updates.len() == 1_000 || (!has_more && !updates.is_empty()) {
            db.run_command(doc! { "update": USERS, "updates": std::mem::take(&mut updates) }).await?;
        }
        if !has_more {
            return Ok(());
        }
    }
}
