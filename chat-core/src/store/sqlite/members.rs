//! Lookups of members: one member, a page in the order of joining, or the first ones with a role. Each uses an index,
//! so its cost does not depend on the number of members; see `V10` in `schema.rs`.

use rusqlite::{Connection, Row, params};

use super::damage::skip;
use super::rows::{conversation_key, read_role, role_code, unreadable};
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{JoinOrder, Member, Role, Seq};

/// A member with the place in the order of joining.
type Placed = (JoinOrder, Member);

const ONE: &str = "SELECT user, role, joined_at, key FROM members WHERE conversation = ? AND user = ?";

const AFTER: &str =
    "SELECT user, role, joined_at, key FROM members WHERE conversation = ? AND key > ? ORDER BY key";

const MARKS: &str = "SELECT user, role, joined_at, key, read_seq FROM members WHERE conversation = ? AND key > ? ORDER BY key";

/// SQLite uses the partial index only if the query repeats its condition, and searches it by role only if that
/// condition is not a range.
const FIRST_LEADING: &str = "SELECT user, role, joined_at, key FROM members
    WHERE conversation = ? AND role = ? AND role <> 0 ORDER BY key";

/// No index has plain members by role. Nearly all members are plain ones, so the scan finds two of them soon.
const FIRST_PLAIN: &str =
    "SELECT user, role, joined_at, key FROM members WHERE conversation = ? AND role = ? ORDER BY key";

/// All of the above, for a test of their query plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [ONE, AFTER, FIRST_LEADING, FIRST_PLAIN, MARKS];

/// Reads user, role and the time of joining.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        user: UserId::from_bytes(row.get(0)?),
        role: read_role(row.get(1)?).ok_or_else(|| unreadable(1, "role"))?,
        joined_at: Timestamp::from_millis(row.get(2)?),
    })
}

/// None if the row is damaged: a damaged member does not count.
fn placed(db: &Connection, row: &Row<'_>) -> rusqlite::Result<Option<Placed>> {
    let Some(member) = skip(db, "members", row, 3, read(row))? else { return Ok(None) };
    Ok(Some((JoinOrder(row.get::<_, i64>(3)?.unsigned_abs()), member)))
}

/// The membership of a user, if the user is a member.
pub(super) fn one(db: &Connection, conversation: i64, user: UserId) -> rusqlite::Result<Option<Placed>> {
    let mut select = db.prepare_cached(ONE)?;
    let mut rows = select.query(params![conversation, user.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    placed(db, row)
}

/// The members after a place, at most `limit`.
pub(super) fn after(
    db: &Connection,
    conversation: i64,
    after: JoinOrder,
    limit: usize,
) -> rusqlite::Result<Vec<Placed>> {
    let mut select = db.prepare_cached(AFTER)?;
    // Without a limit in SQL, because damaged rows do not count.
    let mut rows = select.query(params![conversation, i64::try_from(after.0).unwrap_or(i64::MAX)])?;
    let mut members = Vec::new();
    while members.len() < limit
        && let Some(row) = rows.next()?
    {
        members.extend(placed(db, row)?);
    }
    Ok(members)
}

/// The members after a place with their read marks, at most `limit`.
pub(super) fn marks(
    db: &Connection,
    id: ConversationId,
    after: JoinOrder,
    limit: usize,
) -> rusqlite::Result<Vec<(JoinOrder, Member, Seq)>> {
    let Some(key) = conversation_key(db, id)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(MARKS)?;
    let mut rows = select.query(params![key, i64::try_from(after.0).unwrap_or(i64::MAX)])?;
    let mut marks = Vec::new();
    while marks.len() < limit
        && let Some(row) = rows.next()?
    {
        let Some((order, member)) = placed(db, row)? else { continue };
        let read = skip(db, "members", row, 3, row.get(4))?;
        marks.extend(read.map(|read| (order, member, Seq(read))));
    }
    Ok(marks)
}

/// The first two members with a role.
pub(super) fn first_two(db: &Connection, conversation: i64, role: Role) -> rusqlite::Result<Vec<Member>> {
    let sql = if role > Role::Member { FIRST_LEADING } else { FIRST_PLAIN };
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![conversation, role_code(role)])?;
    let mut members = Vec::new();
    while members.len() < 2
        && let Some(row) = rows.next()?
    {
        members.extend(placed(db, row)?.map(|(_, member)| member));
    }
    Ok(members)
}
