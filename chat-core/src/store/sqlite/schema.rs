//! The tables, and how older files become newer ones.

use rusqlite::Connection;

use crate::store::StoreError;

/// `PRAGMA application_id`: "chat" in ASCII, so that no other program's file is taken for ours.
const APPLICATION_ID: i32 = 0x6368_6174;

/// Each step brings a file from the version of its index to the next. Steps are never changed, only added.
const STEPS: &[&str] = &[V1, V2, V3];

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

/// What a repeated packet is known by, and when each change was made, so that the log can be kept for a time.
const V2: &str = "
ALTER TABLE messages ADD COLUMN fingerprint INTEGER;
ALTER TABLE log ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE log SET at = coalesce((SELECT updated_at FROM messages WHERE messages.place = log.place), unixepoch() * 1000);
";

/// The index that searches go by, empty at first: see `search.rs`. Of a term only the rows are kept in it.
const V3: &str = "
ALTER TABLE conversations ADD COLUMN indexed_seq INTEGER NOT NULL DEFAULT 0; -- the last message in the index
CREATE VIRTUAL TABLE message_terms USING fts5 (
    terms, content = '', detail = none, columnsize = 0, tokenize = \"ascii tokenchars '_'\"
);
";

/// Makes the tables, or brings those of an older version up to date.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let fault = |error: rusqlite::Error| super::fault(&error);
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(StoreError::Refused("the file is a SQLite database of another program".into()));
    }
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
    tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
    tx.pragma_update(None, "user_version", STEPS.len() as u32).map_err(fault)?;
    tx.commit().map_err(fault)
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::codec::Encoding;
    use crate::id::ConversationId;
    use crate::model::Seq;
    use crate::search::{Query, Terms};
    use crate::store::SearchIndex;
    use crate::store::sqlite::{SqliteOptions, SqliteStore};

    #[tokio::test]
    async fn messages_that_are_older_than_the_index_can_be_searched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let db = Connection::open(&path).unwrap();
        for step in &STEPS[..2] {
            db.execute_batch(step).unwrap();
        }
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", 2).unwrap();
        let (room, ann) = ([7; 12], [1; 12]);
        let sql =
            "INSERT INTO conversations (key, id, name, visibility, created_at) VALUES (5, ?, 'Room', 1, 0)";
        db.execute(sql, [room]).unwrap();
        db.execute("INSERT INTO members (conversation, user, role, joined_at) VALUES (5, ?, 2, 0)", [ann])
            .unwrap();
        for seq in 1..=3_i64 {
            let sql =
                "INSERT INTO messages (place, id, position, sender, encoding, body, created_at, updated_at)
                VALUES (5 << 32 | ?, ?, ?, ?, ?, ?, 0, 0)";
            let id = [seq as u8; 12];
            db.execute(sql, params![seq, id, seq + 1, ann, u8::from(Encoding::Stored), b"hello"]).unwrap();
        }
        drop(db);

        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let room = ConversationId::from_bytes(room);
        let progress = store.search_progress(room).await.unwrap().unwrap();
        assert_eq!((progress.indexed, progress.last), (Seq(0), Seq(3)));
        let terms = vec![Terms::of("hello", None); 3];
        assert_eq!(store.index(room, Seq(0), terms).await.unwrap(), Some(Seq(3)));
        let found = store.search(&[room], &Query::parse("hell").unwrap(), None, 9).await.unwrap();
        assert_eq!(found.0.iter().map(|found| found.position.0).collect::<Vec<_>>(), [4, 3, 2]);
    }
}
