//! Fills in the name keys of accounts from before there were such keys.
//!
//! Nodes of an older version may still create accounts beside a newer one. So a store that is opened checks all
//! accounts that were created since a store was last opened. Only the opening of the store waits for that.

use mongodb::Database;
use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};

use super::collections::{COUNTERS, USERS};
use super::documents;
use super::faults::{DUPLICATE_KEY, Fault};
use super::fields::Reading;
use super::reads::raw;
use crate::model::NewUser;
use crate::store::StoreError;

/// The number of accounts in one batch.
const BATCH: i64 = 1_000;

/// Sets the name key of each account, if no other account has the same key; otherwise the account stays without one.
pub(super) async fn give(db: &Database) -> Result<(), Fault> {
    let counters = db.collection::<Document>(COUNTERS);
    let names = || doc! { "_id": "names" };
    let done = counters.find_one(names()).await?;
    let mut place = done.and_then(|done| done.get_i64("place").ok()).unwrap_or(-1);
    loop {
        let users = raw(db, USERS);
        let find = users.find(doc! { "place": { "$gt": place } }).sort(doc! { "place": 1 }).limit(BATCH);
        let mut cursor = find.await?;
        let (mut updates, mut seen) = (RawArrayBuf::new(), 0);
        while cursor.advance().await? {
            let doc = cursor.current();
            place = Reading::new("user", doc).int("place")?;
            seen += 1;
            let account = documents::read_account(doc)?;
            let NewUser { user, password_hash, name_key: None } = account else { continue };
            if let Some(name_key) = &NewUser::new(user.clone(), password_hash).name_key {
                updates.push(documents::name_key_update(user.id, name_key));
            }
        }
        update(db, updates).await?;
        if seen > 0 {
            counters.update_one(names(), doc! { "$max": { "place": place } }).upsert(true).await?;
        }
        if seen < BATCH {
            return Ok(());
        }
    }
}

/// Runs update statements. An update whose key is taken changes nothing.
async fn update(db: &Database, updates: RawArrayBuf) -> Result<(), Fault> {
    if updates.is_empty() {
        return Ok(());
    }
    let command = rawdoc! {
        "update": USERS,
        "updates": updates,
        "ordered": false,
        "writeConcern": { "w": "majority" },
    };
    let reply = db.run_raw_command(command).await?;
    let reply = RawDocumentBuf::try_from(&reply).map_err(mongodb::error::Error::from)?;
    let Ok(errors) = reply.get_array("writeErrors") else { return Ok(()) };
    for error in errors {
        let code = error.ok().and_then(|error| error.as_document()?.get_i32("code").ok());
        if code != Some(DUPLICATE_KEY) {
            let problem = format!("MongoDB: write error {}", code.unwrap_or_default());
            return Err(StoreError::Unavailable(problem).into());
        }
    }
    Ok(())
}
