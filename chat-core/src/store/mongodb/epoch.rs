//! The epoch of the log. It is a document beside the counter, so that it adds no contention on the counter.

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::collections::COUNTERS;
use super::faults::Fault;
use crate::epoch::Epoch;
use crate::store::StoreError;

const ID: &str = "epoch";

/// Stores an epoch unless there is one.
pub(super) async fn begin(db: &Database, first: Epoch) -> Result<(), Fault> {
    let counters = db.collection::<Document>(COUNTERS);
    counters.update_one(doc! { "_id": ID }, doc! { "$setOnInsert": document(first) }).upsert(true).await?;
    Ok(())
}

/// Replaces the epoch: a database that is copied from a file gets the epoch of the file.
#[cfg(feature = "sqlite")]
pub(super) async fn set(db: &Database, epoch: Epoch) -> Result<(), Fault> {
    let counters = db.collection::<Document>(COUNTERS);
    counters.update_one(doc! { "_id": ID }, doc! { "$set": document(epoch) }).upsert(true).await?;
    Ok(())
}

pub(super) async fn read(db: &Database) -> Result<Epoch, Fault> {
    let found = db.collection::<Document>(COUNTERS).find_one(doc! { "_id": ID }).await?;
    let corrupt = || StoreError::Corrupt { what: "counter", id: ID.into() };
    let found = found.ok_or_else(corrupt)?;
    let (id, renewals) = (found.get_i64("id"), found.get_i64("renewals"));
    let (Ok(id), Ok(renewals)) = (id, renewals) else { return Err(corrupt().into()) };
    Ok(Epoch { id: id.cast_unsigned(), renewals: u32::try_from(renewals).map_err(|_| corrupt())? })
}

pub(super) async fn renew(db: &Database) -> Result<Epoch, Fault> {
    let before = read(db).await?;
    let renewed = before.renewed();
    let counters = db.collection::<Document>(COUNTERS);
    let unless_renewed = doc! { "_id": ID, "id": before.id.cast_signed() };
    let set = counters.update_one(unless_renewed, doc! { "$set": document(renewed) }).await?;
    // Several nodes may renew the epoch for the same reason at the same time. One renewal is enough for all of them.
    if set.matched_count == 0 { read(db).await } else { Ok(renewed) }
}

fn document(epoch: Epoch) -> Document {
    doc! { "id": epoch.id.cast_signed(), "renewals": i64::from(epoch.renewals) }
}
