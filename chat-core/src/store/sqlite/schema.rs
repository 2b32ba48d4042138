//! The tables, and the migration of older files.

use rusqlite::{Connection, params};

use crate::policy::name_key;
use crate::store::{Opened, StoreError};

/// `PRAGMA application_id`: "chat" in ASCII, so that the store does not open another program's file.
pub(super) const APPLICATION_ID: i32 = 0x6368_6174;

/// Each step migrates a file from the version of its index to the next. Existing steps are never changed, only new
/// ones are added.
const STEPS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11];

const V1: &str = "
CREATE TABLE users (
    key             INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    username        TEXT,
    username_folded TEXT UNIQUE,
    email           TEXT,
    email_folded    TEXT UNIQUE,
    full_name       TEXT NOT NULL,
    picture         TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    last_seen       INTEGER
) STRICT;

CREATE TABLE conversations (
    key        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    pair       BLOB UNIQUE,        -- direct conversations: both user ids, the lower one first
    name       TEXT,               -- rooms
    visibility INTEGER,            -- rooms: 0 public, 1 private
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    key          INTEGER PRIMARY KEY, -- the order of joining
    conversation INTEGER NOT NULL,
    user         BLOB NOT NULL,
    role         INTEGER NOT NULL,    -- 0 member, 1 moderator, 2 admin
    joined_at    INTEGER NOT NULL,
    UNIQUE (conversation, user)
) STRICT;
CREATE INDEX members_by_user ON members (user, conversation);

-- `place` is conversation << 32 | seq: the messages of a conversation lie side by side in the table itself, so
-- a page of history is one range of one B-tree, and appending needs no second index.
CREATE TABLE messages (
    place      INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    position   INTEGER NOT NULL,
    sender     BLOB NOT NULL,
    encoding   INTEGER NOT NULL,
    body       BLOB NOT NULL,
    file_name  TEXT,
    image      TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    deleted_by BLOB
) STRICT;
CREATE UNIQUE INDEX messages_by_id ON messages (id);

CREATE TABLE sends (
    sender    BLOB NOT NULL,
    client_id TEXT NOT NULL,
    place     INTEGER NOT NULL,
    PRIMARY KEY (sender, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    kind     INTEGER NOT NULL,
    place    INTEGER, -- of the message
    room     BLOB,
    user     BLOB,
    role     INTEGER
) STRICT;

CREATE TABLE revoked_tokens (
    fingerprint BLOB PRIMARY KEY,
    until       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Adds the fingerprint, by which a repeated packet is recognised, and the time of each change, by which old log
/// entries are removed.
const V2: &str = "
ALTER TABLE messages ADD COLUMN fingerprint INTEGER;
ALTER TABLE log ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE log SET at = coalesce((SELECT updated_at FROM messages WHERE messages.place = log.place), unixepoch() * 1000);
";

/// Adds the read mark of each member. For existing members, all messages so far count as read: otherwise they would
/// find their whole history unread. The index contains only deleted messages, so appending a message does not touch
/// it. Without the index, a query would have to read the bodies to see whether messages are deleted. The log entry of
/// a read mark has the `room`, the `user` and the `place` of the last message that was read.
const V3: &str = "
ALTER TABLE members ADD COLUMN read_seq INTEGER NOT NULL DEFAULT 0;
UPDATE members SET read_seq = coalesce((
    SELECT place & 4294967295 FROM messages
    WHERE place BETWEEN conversation << 32 AND (conversation << 32) + 4294967295
    ORDER BY place DESC LIMIT 1
), 0);
CREATE INDEX messages_deleted ON messages (place, sender, deleted_at) WHERE deleted_at IS NOT NULL;
";

/// Adds the search index, empty at first: see `search.rs`. For each term it stores only the row ids.
const V4: &str = "
ALTER TABLE conversations ADD COLUMN indexed_seq INTEGER NOT NULL DEFAULT 0; -- the last message in the index
CREATE VIRTUAL TABLE message_terms USING fts5 (
    terms, content = '', detail = none, columnsize = 0, tokenize = \"ascii tokenchars '_'\"
);
";

/// Adds indexes that find a user's part of the log without reading entries for other users (`personal.rs`). The index
/// does not contain sent messages: their conversations have their positions. Each user gets the position of the
/// user's last profile change. Entries of deletions get their room, as all other entries about a room have it.
const V5: &str = "
ALTER TABLE users ADD COLUMN profile_position INTEGER;
UPDATE users SET profile_position = changed.position
    FROM (SELECT user, max(position) AS position FROM log WHERE kind = 8 GROUP BY user) AS changed
    WHERE changed.user = users.id;
CREATE INDEX users_by_profile ON users (profile_position) WHERE profile_position IS NOT NULL;
UPDATE log SET room = (SELECT id FROM conversations WHERE key = log.place >> 32) WHERE kind IN (2, 3);
CREATE INDEX log_by_room ON log (room, position) WHERE room IS NOT NULL;
CREATE INDEX log_removals ON log (user, position) WHERE kind = 6;
";

/// Adds the key that makes similar names collide: see [`NewUser::name_key`](crate::model::NewUser).
/// [`give_name_keys`] fills it in for existing accounts.
const V6: &str = "
ALTER TABLE users ADD COLUMN name_key TEXT;
CREATE UNIQUE INDEX users_by_name_key ON users (name_key) WHERE name_key IS NOT NULL;
";

/// Adds the [epoch](crate::epoch) of the log: one row.
const V7: &str = "
CREATE TABLE epoch (
    id       INTEGER NOT NULL,
    renewals INTEGER NOT NULL
) STRICT;
INSERT INTO epoch VALUES (random(), 0);
";

/// Adds the keyed tables ([`Table`](crate::store::keyed::Table)), all in one.
const V8: &str = "
CREATE TABLE keyed (
    tbl   INTEGER NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;
";

/// Adds the bits that say which keyed tables have rows for a message ([`Facets`](crate::store::Facets)), and the
/// details of a log entry.
const V9: &str = "
ALTER TABLE messages ADD COLUMN facets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN detail BLOB;
";

/// Adds the number of members of each conversation, and the order of joining in each. So joining, leaving and reading
/// a page of members touch only a few rows, however many members there are. The second index contains only members
/// with a role above plain member.
const V10: &str = "
ALTER TABLE conversations ADD COLUMN member_count INTEGER NOT NULL DEFAULT 0;
CREATE INDEX members_by_place ON members (conversation); -- and the key, which is the order of joining
CREATE INDEX members_leading ON members (conversation, role) WHERE role <> 0;
UPDATE conversations SET member_count = (SELECT count(*) FROM members WHERE conversation = conversations.key);
";

/// Adds the ids of the users who block the other one in a direct conversation, one after the other. Adds an index
/// that finds the log entries for only one user
/// ([`ChangeKind::FIRST_PERSONAL`](crate::change::ChangeKind::FIRST_PERSONAL)) without reading entries for other
/// users.
const V11: &str = "
ALTER TABLE conversations ADD COLUMN blockers BLOB;
CREATE INDEX log_of_one ON log (user, position) WHERE kind >= 64;
";

/// The version that added the time of each change.
pub(super) const WITH_TIMES: u32 = 2;

/// The version that added the epoch.
pub(super) const WITH_EPOCH: u32 = 7;

/// The version that added the keys of names.
const WITH_NAME_KEYS: usize = 6;

/// The version that added the number of members of a conversation.
#[cfg(test)]
const WITH_MEMBER_COUNTS: usize = 10;

/// Sets the name key of all accounts. If several names have the same key, the first account gets it, and the others
/// stay without a key.
fn give_name_keys(db: &Connection) -> rusqlite::Result<()> {
    let mut update = db.prepare("UPDATE OR IGNORE users SET name_key = ? WHERE key = ?")?;
    let mut select = db.prepare("SELECT key, coalesce(username, email) FROM users ORDER BY key")?;
    // Reads all rows first: the table must not change while a query iterates over it.
    let handles = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let handles: Vec<(i64, Option<String>)> = handles.collect::<Result<_, _>>()?;
    for (key, handle) in handles {
        if let Some(name_key) = handle.as_deref().and_then(name_key) {
            update.execute(params![name_key, key])?;
        }
    }
    Ok(())
}

/// Checks that a file opened read-only has the tables of this version.
pub(super) fn must_be_current(db: &Connection) -> Result<(), StoreError> {
    let fault = |error: rusqlite::Error| super::fault(&error);
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    if application != APPLICATION_ID {
        return Err(StoreError::Refused("the file is no database of a chat-server".into()));
    }
    if version as usize != STEPS.len() {
        return Err(StoreError::Refused(format!(
            "the database has version {version}, this program looks at version {}; a server that is started on an older one \
             brings it up to date",
            STEPS.len()
        )));
    }
    Ok(())
}

/// Creates the tables if `may_make_new` allows it, or migrates those of an older version.
pub(super) fn migrate(db: &mut Connection, may_make_new: bool) -> Result<Opened, StoreError> {
    let fault = |error: rusqlite::Error| super::fault(&error);
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(StoreError::Refused("the file is a SQLite database of another program".into()));
    }
    // A file that was copied without its write-ahead log has no tables.
    if tables == 0 && !may_make_new {
        return Err(StoreError::Missing("the file has no tables".into()));
    }
    let opened = Opened {
        made_new: tables == 0,
        layout_before: version,
        layout: u32::try_from(STEPS.len()).unwrap_or(u32::MAX),
    };
    let version = version as usize;
    if version > STEPS.len() {
        return Err(StoreError::Refused(format!(
            "the database has version {version}, this program knows versions up to {}",
            STEPS.len()
        )));
    }
    let tx = db.transaction().map_err(fault)?;
    for step in &STEPS[version..] {
        tx.execute_batch(step).map_err(fault)?;
    }
    if version < WITH_NAME_KEYS {
        give_name_keys(&tx).map_err(fault)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
    tx.pragma_update(None, "user_version", STEPS.len() as u32).map_err(fault)?;
    tx.commit().map_err(fault)?;
    Ok(opened)
}

#[cfg(test)]
mod tests;
