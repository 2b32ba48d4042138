//! What the nodes tell each other of themselves, so that those that do not fit together find out.
//!
//! Each has a document of its own, which it renews. All times are the server's, so that no two clocks are compared.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::collections::NODES;
use super::faults::Fault;
use crate::store::{NODE_LEASE, NodeNote, StoreError};

/// Notes of nodes that were silent for so many milliseconds are cleared away.
const FORGET_AFTER: i64 = 60 * 60 * 1000;

/// Renews a node's note and answers those of the others.
pub(super) async fn meet(db: &Database, note: &NodeNote) -> Result<Vec<NodeNote>, Fault> {
    let nodes = db.collection::<Document>(NODES);
    let facts: Document =
        note.facts.iter().map(|(name, fact)| (name.clone(), Bson::from(fact.as_str()))).collect();
    let renewed =
        doc! { "$set": { "settled": note.is_settled, "facts": facts }, "$currentDate": { "at": true } };
    nodes.update_one(doc! { "_id": &note.id }, renewed).upsert(true).await?;
    let mut found = nodes.find(doc! {}).await?;
    let mut notes = Vec::new();
    while found.advance().await? {
        notes.push(read(&found.deserialize_current()?)?);
    }
    let now = notes.iter().find(|other| other.id == note.id).map_or(0, |mine| mine.noted);
    if notes.iter().any(|other| other.noted < now - FORGET_AFTER) {
        let old = DateTime::from_millis(now - FORGET_AFTER);
        nodes.delete_many(doc! { "at": { "$lt": old } }).await?;
    }
    let lease = i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX);
    notes.retain(|other| other.id != note.id && other.noted >= now - lease);
    Ok(notes)
}

/// Takes a note away.
pub(super) async fn leave(db: &Database, id: &str) -> Result<(), Fault> {
    db.collection::<Document>(NODES).delete_one(doc! { "_id": id }).await?;
    Ok(())
}

fn read(doc: &Document) -> Result<NodeNote, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "note of a node", id: format!("{:?}", doc.get("_id")) };
    let facts = doc.get_document("facts").map_err(|_| corrupt())?;
    let facts: BTreeMap<_, _> =
        facts.iter().filter_map(|(name, fact)| Some((name.clone(), fact.as_str()?.to_owned()))).collect();
    Ok(NodeNote {
        id: doc.get_str("_id").map_err(|_| corrupt())?.to_owned(),
        is_settled: doc.get_bool("settled").unwrap_or_default(),
        facts,
        noted: doc.get_datetime("at").map_err(|_| corrupt())?.timestamp_millis(),
    })
}
