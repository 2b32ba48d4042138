//! The tables, and how older files become newer ones.

use rusqlite::{Connection, params};

use crate::policy::name_key;
use crate::store::{Opened, StoreError};

/// `PRAGMA application_id`: "chat" in ASCII, so that no other program's file is taken for ours.
pub(super) const APPLICATION_ID: i32 = 0x6368_6174;

/// Each step brings a file from the version of its index to the next. Steps are never changed, only added.
const STEPS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7];

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

/// How far each member has read. Whoever was a member before has read everything up to then: nobody shall find their
/// whole history unread. The index holds deleted messages only, so that appending does not touch it; without it their
/// bodies would have to be passed over to see whether they are deleted. The entry of a read mark in the log has the
/// `room`, the `user` and the `place` of the last message that was read.
const V3: &str = "
ALTER TABLE members ADD COLUMN read_seq INTEGER NOT NULL DEFAULT 0;
UPDATE members SET read_seq = coalesce((
    SELECT place & 4294967295 FROM messages
    WHERE place BETWEEN conversation << 32 AND (conversation << 32) + 4294967295
    ORDER BY place DESC LIMIT 1
), 0);
CREATE INDEX messages_deleted ON messages (place, sender, deleted_at) WHERE deleted_at IS NOT NULL;
";

/// The index that searches go by, empty at first: see `search.rs`. Of a term only the rows are kept in it.
const V4: &str = "
ALTER TABLE conversations ADD COLUMN indexed_seq INTEGER NOT NULL DEFAULT 0; -- the last message in the index
CREATE VIRTUAL TABLE message_terms USING fts5 (
    terms, content = '', detail = none, columnsize = 0, tokenize = \"ascii tokenchars '_'\"
);
";

/// What a person is told of the log is found without reading what is for others (`personal.rs`). The sending of messages is
/// not in the index: their conversations have their positions. Where the profile of each person was changed last stands
/// beside it. Deletions get the room they are in, as all other entries that are about one have it.
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

/// What nobody else's name may have in common with somebody's: see [`NewUser::name_key`](crate::model::NewUser). It is
/// given to those who are there by [`give_name_keys`].
const V6: &str = "
ALTER TABLE users ADD COLUMN name_key TEXT;
CREATE UNIQUE INDEX users_by_name_key ON users (name_key) WHERE name_key IS NOT NULL;
";

/// The log's [epoch](crate::epoch): one row.
const V7: &str = "
CREATE TABLE epoch (
    id       INTEGER NOT NULL,
    renewals INTEGER NOT NULL
) STRICT;
INSERT INTO epoch VALUES (random(), 0);
";

/// The version that knows when each change was made.
pub(super) const WITH_TIMES: u32 = 2;

/// The version that has an epoch.
pub(super) const WITH_EPOCH: u32 = 7;

/// The version that knows keys of names.
const WITH_NAME_KEYS: usize = 6;

/// Gives everybody the key of their name. Of those whose names look the same the first gets it, and the others stay as
/// they are, without one.
fn give_name_keys(db: &Connection) -> rusqlite::Result<()> {
    let mut update = db.prepare("UPDATE OR IGNORE users SET name_key = ? WHERE key = ?")?;
    let mut select = db.prepare("SELECT key, coalesce(username, email) FROM users ORDER BY key")?;
    // Read whole: what is being changed must not be walked over meanwhile.
    let handles = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let handles: Vec<(i64, Option<String>)> = handles.collect::<Result<_, _>>()?;
    for (key, handle) in handles {
        if let Some(name_key) = handle.as_deref().and_then(name_key) {
            update.execute(params![name_key, key])?;
        }
    }
    Ok(())
}

/// Whether a file that is only read has the tables of this version.
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

/// Makes the tables, if that is allowed, or brings those of an older version up to date.
pub(super) fn migrate(db: &mut Connection, may_make_new: bool) -> Result<Opened, StoreError> {
    let fault = |error: rusqlite::Error| super::fault(&error);
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(StoreError::Refused("the file is a SQLite database of another program".into()));
    }
    // As a file is that was copied without its log.
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
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{ConversationId, MessageId, UserId};
    use crate::model::{NewUser, PasswordHash, Position, Seq, User, UserKey};
    use crate::search::{Query, Terms};
    use crate::store::sqlite::SqliteOptions;
    use crate::store::{
        Change, ChangeLog, CreatedUser, Lookup, MessageStore, ReadMarkStore, SearchIndex, SqliteStore,
        UnreadCount, UserStore,
    };

    const ROOM: ConversationId = ConversationId::from_bytes([1; 12]);
    const EMPTY: ConversationId = ConversationId::from_bytes([2; 12]);
    const ANN: UserId = UserId::from_bytes([7; 12]);
    const BOB: UserId = UserId::from_bytes([8; 12]);

    /// A file as the version with so many steps made it: five messages in one room, none in another.
    fn file_of_version(path: &Path, version: usize) {
        let db = Connection::open(path).unwrap();
        for step in &STEPS[..version] {
            db.execute_batch(step).unwrap();
        }
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", version as u32).unwrap();
        for (key, room) in [(1, ROOM), (2, EMPTY)] {
            let sql =
                "INSERT INTO conversations (key, id, name, visibility, created_at) VALUES (?, ?, 'r', 0, 1)";
            db.execute(sql, params![key, room.as_bytes()]).unwrap();
            for user in [ANN, BOB] {
                let sql = "INSERT INTO members (conversation, user, role, joined_at) VALUES (?, ?, 0, 1)";
                db.execute(sql, params![key, user.as_bytes()]).unwrap();
            }
        }
        for seq in 1..=5_i64 {
            let sql = "INSERT INTO messages (place, id, position, sender, encoding, body, created_at, updated_at, deleted_at, deleted_by)
                VALUES (?1, ?2, ?3, ?4, 0, x'', 1, 1, iif(?3 = 2, 1, NULL), iif(?3 = 2, ?4, NULL))";
            let id = [seq as u8; 12];
            db.execute(sql, params![1 << 32 | seq, id, seq, ANN.as_bytes()]).unwrap();
            let sql = "INSERT INTO log (position, kind, place) VALUES (?, 1, ?)";
            db.execute(sql, params![seq, 1 << 32 | seq]).unwrap();
        }
    }

    #[tokio::test]
    async fn a_new_file_is_made_only_where_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let open = |may_make_new| {
            let store = SqliteStore::open(&path, SqliteOptions { may_make_new, ..SqliteOptions::default() });
            store.map(|store| store.opened())
        };
        assert!(matches!(open(false), Err(StoreError::Missing(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(open(false), Err(StoreError::Missing(_))));
        // What `cp` gives of a database whose changes are all in its log.
        Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > 0);
        assert!(matches!(open(false), Err(StoreError::Missing(_))));
        let now = STEPS.len() as u32;
        assert_eq!(open(true).unwrap(), Opened { made_new: true, layout_before: 0, layout: now });
        assert_eq!(open(false).unwrap(), Opened { made_new: false, layout_before: now, layout: now });
    }

    #[tokio::test]
    async fn a_file_of_every_layout_so_far_is_opened_with_what_is_in_it() {
        for version in 1..=STEPS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chat.db");
            file_of_version(&path, version);
            let options = SqliteOptions { may_make_new: false, ..SqliteOptions::default() };
            let store = SqliteStore::open(&path, options).unwrap();
            let (layout_before, layout) = (version as u32, STEPS.len() as u32);
            assert_eq!(store.opened(), Opened { made_new: false, layout_before, layout });
            let log = store.changes_after(Position(0), 9).await.unwrap().unwrap();
            assert_eq!(log.len(), 5, "layout {version}");
            assert_eq!(store.epoch().await.unwrap().renewals, 0);
        }
    }

    #[tokio::test]
    async fn an_older_file_is_brought_up_to_date_and_nothing_in_it_becomes_unread() {
        // Those before there were marks.
        for version in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chat.db");
            file_of_version(&path, version);
            let at = Timestamp::from_millis(2);
            for opened in 1..=2 {
                let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
                for user in [ANN, BOB] {
                    assert_eq!(
                        store.unread(user, 9).await.unwrap(),
                        [],
                        "version {version}, opened {opened}"
                    );
                }
                let mark = store.mark_read(ROOM, BOB, Some(Seq(0)), at).await.unwrap();
                assert_eq!(mark, Some((None, Seq(5))), "version {version}, opened {opened}");
                assert_eq!(store.mark_read(EMPTY, BOB, None, at).await.unwrap(), Some((None, Seq(0))));
                assert_eq!(store.last_position().await.unwrap(), Position(5));
            }
            let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
            // One that was deleted before the upgrade is in the new index too.
            store.set_deleted(MessageId::from_bytes([2; 12]), None, at).await.unwrap().unwrap();
            let new = crate::store::NewMessage {
                id: MessageId::from_bytes([9; 12]),
                conversation: ROOM,
                sender: ANN,
                body: crate::codec::Blob { encoding: crate::codec::Encoding::Stored, bytes: vec![] },
                file_name: None,
                image: None,
                client_id: None,
                fingerprint: None,
                at,
            };
            store.append(new).await.unwrap();
            let count = UnreadCount { conversation: ROOM, last_seq: Seq(6), read_seq: Seq(5), unread: 1 };
            assert_eq!(store.unread(BOB, 9).await.unwrap(), [count], "version {version}");
            let marked = store.mark_read(ROOM, BOB, None, at).await.unwrap();
            assert_eq!(marked, Some((Some(Position(8)), Seq(6))));
            let log = store.changes_after(Position(7), 9).await.unwrap().unwrap();
            assert_eq!(log[0].change, Change::ReadMarked { conversation: ROOM, user: BOB, seq: Seq(6) });
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        file_of_version(&path, STEPS.len());
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", STEPS.len() as u32 + 1).unwrap();
        let refused = SqliteStore::open(&path, SqliteOptions::default()).err();
        assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    }

    /// Whether a message is unread or may be found is seen without its body, and without looking at what was read.
    #[test]
    fn counting_and_searching_read_no_bodies_and_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        file_of_version(&path, STEPS.len());
        let db = Connection::open(&path).unwrap();
        let plan = |sql: &str| -> Vec<String> {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let unbound: Vec<_> = (0..explain.parameter_count()).map(|_| None::<i64>).collect();
            let rows = explain.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let (counting, searching) =
            (crate::store::sqlite::unread::STATEMENTS, crate::store::sqlite::search::STATEMENTS);
        let personal = crate::store::sqlite::personal::STATEMENTS;
        for sql in counting.into_iter().chain(searching).chain(personal) {
            // It stands behind the body.
            assert_eq!(
                sql.matches("deleted_at").count(),
                sql.matches("INDEXED BY messages_deleted").count(),
                "{sql}"
            );
            let plan = plan(sql);
            let scans = plan.iter().filter(|step| step.starts_with("SCAN") && *step != "SCAN CONSTANT ROW");
            assert_eq!(scans.collect::<Vec<_>>(), Vec::<&String>::new(), "{sql}: {plan:#?}");
            let deleted = sql.matches("INDEXED BY messages_deleted").count();
            let covering = "COVERING INDEX messages_deleted";
            assert_eq!(
                plan.iter().filter(|step| step.contains(covering)).count(),
                deleted,
                "{sql}: {plan:#?}"
            );
        }
    }

    #[tokio::test]
    async fn names_that_are_older_than_their_keys_stay_and_are_taken() {
        for version in 1..WITH_NAME_KEYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chat.db");
            file_of_version(&path, version);
            let db = Connection::open(&path).unwrap();
            // The second looks like the first, and the last has no user name.
            let old = [(1, Some("coco"), None), (2, Some("сосо"), None), (3, None, Some("zoe@example.org"))];
            for (n, name, email) in old {
                let sql = "INSERT INTO users (id, username, username_folded, email, email_folded, full_name, picture,
                    password_hash, created_at, updated_at) VALUES (?1, ?2, ?2, ?3, ?3, '', '', 'hash', 1, 1)";
                db.execute(sql, params![[n as u8; 12], name, email]).unwrap();
            }
            drop(db);
            for opened in 1..=2 {
                let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
                for (n, name, email) in old {
                    let key = name.map(|name| UserKey::Username(name.into()));
                    let key = key.or(email.map(|email| UserKey::Email(email.into()))).unwrap();
                    let found = store.credentials(&key).await.unwrap().map(|(user, _)| user.id);
                    assert_eq!(
                        found,
                        Some(UserId::from_bytes([n as u8; 12])),
                        "version {version}, opened {opened}"
                    );
                }
                let new = |name: &str| {
                    let at = Timestamp::from_millis(2);
                    let user = User {
                        id: UserId::from_bytes([9; 12]),
                        username: Some(name.into()),
                        email: None,
                        full_name: name.into(),
                        picture: String::new(),
                        created_at: at,
                        updated_at: at,
                        last_seen: None,
                    };
                    NewUser::new(user, PasswordHash::new("x"))
                };
                for name in ["ｃｏｃｏ", "сосо", "СОСО", "zоe@example.org"] {
                    let refused = store.create_user(new(name)).await.unwrap();
                    assert_eq!(
                        refused,
                        CreatedUser::UsernameTaken,
                        "{name}, version {version}, opened {opened}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn messages_that_are_older_than_the_index_can_be_searched() {
        for version in 1..STEPS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("chat.db");
            file_of_version(&path, version);
            let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
            let progress = store.search_progress(ROOM).await.unwrap().unwrap();
            assert_eq!((progress.indexed, progress.last), (Seq(0), Seq(5)), "version {version}");
            let terms = vec![Terms::of("hello", None); 5];
            assert_eq!(store.index(ROOM, Seq(0), terms).await.unwrap(), Some(Seq(5)));
            let found =
                store.search(&[ROOM], &Lookup::new(Query::parse("hell").unwrap()), None, 9).await.unwrap();
            // One of them is deleted.
            let positions: Vec<_> = found.found.iter().map(|found| found.position.0).collect();
            assert_eq!(positions, [5, 4, 3, 1], "version {version}");
        }
    }
}
