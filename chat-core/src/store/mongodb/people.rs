//! Accounts by their ids and by their names.

use mongodb::Database;
use mongodb::bson::doc;

use super::collections::USERS;
use super::damage::skip;
use super::documents::{self, object_id};
use super::faults::Fault;
use super::reads::{batch_size, raw};
use crate::id::UserId;
use crate::model::User;
use crate::store::query::first_name;

pub(super) async fn users_by_id(db: &Database, ids: &[UserId]) -> Result<Vec<User>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = ids.iter().map(|id| object_id(id.as_bytes())).collect();
    let mut cursor = raw(db, USERS).find(doc! { "_id": { "$in": ids } }).batch_size(10_000).await?;
    let mut users = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        users.extend(skip(db, USERS, doc, documents::read_user(doc))?.map(|(user, _)| user));
    }
    Ok(users)
}

/// MongoDB compares texts byte by byte where there is no collation.
pub(super) async fn users_named(
    db: &Database,
    prefix: &str,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<User>, Fault> {
    let range = doc! { "username_folded": { "$gte": first_name(prefix, after) } };
    let all = raw(db, USERS);
    // The query has no limit, because damaged accounts do not count.
    let find = all.find(range).sort(doc! { "username_folded": 1 }).batch_size(batch_size(most));
    let mut cursor = find.await?;
    let mut users = Vec::new();
    while users.len() < most && cursor.advance().await? {
        let doc = cursor.current();
        if doc.get_str("username_folded").is_ok_and(|name| !name.starts_with(prefix)) {
            break;
        }
        users.extend(skip(db, USERS, doc, documents::read_user(doc))?.map(|(user, _)| user));
    }
    Ok(users)
}
