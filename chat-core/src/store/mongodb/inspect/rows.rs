//! Rows of keyed tables: whether they can be read, and whether what they belong to is there.

use mongodb::bson::doc;

use super::{MongoInspector, good};
use crate::store::inspect::{Inspection, RECORD, REFERENCE};
use crate::store::keyed::Named;
use crate::store::mongodb::collections::{CONVERSATIONS, MESSAGES, ROWS, USERS};
use crate::store::mongodb::faults::Fault;
use crate::store::mongodb::keyed;

impl MongoInspector {
    pub(super) async fn rows(&self, inspection: &mut Inspection<'_>) -> Result<(), Fault> {
        let place = self.place(ROWS);
        self.parts(ROWS, (doc! {}, doc! { "_id": 1 }), async |part| {
            let mut named = Vec::new();
            for doc in &part {
                inspection.counts_mut().rows += 1;
                let id = keyed::name_of(doc);
                let read = keyed::read_row(doc);
                let Some((table, row)) = good(inspection, "row", &id, &place, read) else { continue };
                match table.parts(&row.key) {
                    Some(parts) => named.extend(parts.into_iter().map(|part| (id.clone(), part))),
                    None => inspection.damaged("row", &id, &place, "its key is none of its table", RECORD),
                }
            }
            let messages = named.iter().filter_map(|(_, part)| match part {
                Named::Message(id) => Some(*id.as_bytes()),
                Named::Conversation(_) | Named::User(_) => None,
            });
            let no_message = self.missing(MESSAGES, messages).await?;
            let conversations = named.iter().filter_map(|(_, part)| match part {
                Named::Conversation(id) => Some(*id.as_bytes()),
                Named::Message(_) | Named::User(_) => None,
            });
            let no_conversation = self.missing(CONVERSATIONS, conversations).await?;
            let users = named.iter().filter_map(|(_, part)| match part {
                Named::User(id) => Some(*id.as_bytes()),
                Named::Message(_) | Named::Conversation(_) => None,
            });
            let no_user = self.missing(USERS, users).await?;
            for (id, part) in &named {
                let (what, is_missing) = match part {
                    Named::Message(id) => ("message", no_message.contains(id.as_bytes())),
                    Named::Conversation(id) => ("conversation", no_conversation.contains(id.as_bytes())),
                    Named::User(id) => ("user", no_user.contains(id.as_bytes())),
                };
                if is_missing {
                    inspection.damaged("row", id, &place, format!("there is no such {what}"), REFERENCE);
                }
            }
            Ok(())
        })
        .await
    }
}
