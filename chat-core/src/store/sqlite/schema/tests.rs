//! Database files of every layout so far.

use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{NewUser, PasswordHash, Position, Seq, User, UserKey};
use crate::search::{Query, Terms};
use crate::store::sqlite::SqliteOptions;
use crate::store::{
    Change, ChangeLog, CreatedUser, EditRows, Facets, KeyedStore, Lookup, MessageStore, ReadMarkStore, Row,
    SearchIndex, SetDeleted, SqliteStore, Table, UnreadCount, UserStore,
};

const ROOM: ConversationId = ConversationId::from_bytes([1; 12]);
const EMPTY: ConversationId = ConversationId::from_bytes([2; 12]);
const ANN: UserId = UserId::from_bytes([7; 12]);
const BOB: UserId = UserId::from_bytes([8; 12]);

/// A file as the version with this many steps created it: five messages in one room, none in another.
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

/// The query plan of a statement.
fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let unbound: Vec<_> = (0..explain.parameter_count()).map(|_| None::<i64>).collect();
    let rows = explain.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
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
    // The result of `cp` on a database whose changes are all still in its log.
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
        if version < WITH_MEMBER_COUNTS {
            let counts = "SELECT count(*) FROM conversations WHERE member_count = 2";
            let db = Connection::open(&path).unwrap();
            let counted: i64 = db.query_row(counts, [], |row| row.get(0)).unwrap();
            assert_eq!(counted, 2, "layout {version}");
        }
        // Features that are newer than the file work on its data.
        let message = MessageId::from_bytes([3; 12]);
        assert_eq!(store.message(message).await.unwrap().unwrap().facets, Facets::default());
        let key = [&[3; 12][..], BOB.as_bytes(), b"x"].concat();
        let edits = vec![(key.clone(), Some(vec![]))];
        store.edit_rows(EditRows { table: Table::Reactions, edits, then: None }).await.unwrap();
        drop(store);
        let options = SqliteOptions { may_make_new: false, ..SqliteOptions::default() };
        let store = SqliteStore::open(&path, options).unwrap();
        let rows = store.rows(Table::Reactions, message.as_bytes(), None, 9).await.unwrap();
        assert_eq!(rows, [Row { key, value: vec![] }], "layout {version}");
        assert!(store.message(message).await.unwrap().unwrap().facets.contains(Table::Reactions));
    }
}

#[tokio::test]
async fn an_older_file_is_brought_up_to_date_and_nothing_in_it_becomes_unread() {
    // The layouts from before there were read marks.
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        file_of_version(&path, version);
        let at = Timestamp::from_millis(2);
        for opened in 1..=2 {
            let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
            for user in [ANN, BOB] {
                assert_eq!(store.unread(user, 9).await.unwrap(), [], "version {version}, opened {opened}");
            }
            let mark = store.mark_read(ROOM, BOB, Some(Seq(0)), at).await.unwrap();
            assert_eq!(mark, Some((None, Seq(5))), "version {version}, opened {opened}");
            assert_eq!(store.mark_read(EMPTY, BOB, None, at).await.unwrap(), Some((None, Seq(0))));
            assert_eq!(store.last_position().await.unwrap(), Position(5));
        }
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        // A message that was deleted before the upgrade is in the new index too.
        let message = MessageId::from_bytes([2; 12]);
        let restored = SetDeleted { message, conversation: ROOM, by: ANN, delete: false, at };
        store.set_deleted(restored).await.unwrap().unwrap();
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

/// An index finds members in the wanted order, so a reader that stops early has not scanned other members.
#[test]
fn members_are_found_without_looking_at_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    file_of_version(&path, STEPS.len());
    let db = Connection::open(&path).unwrap();
    let indexes = [
        "(conversation=? AND user=?)",
        "members_by_place (conversation=? AND rowid>?)",
        "members_leading (conversation=? AND role=?)",
        "members_by_place (conversation=?)",
        "members_by_place (conversation=? AND rowid>?)",
    ];
    for (sql, index) in crate::store::sqlite::members::STATEMENTS.into_iter().zip(indexes) {
        let plan = plan(&db, sql);
        assert!(matches!(&plan[..], [step] if step.contains(index)), "{sql}: {plan:#?}");
    }
}

/// Unread counts and searches read neither bodies nor messages that are already read.
#[test]
fn counting_and_searching_read_no_bodies_and_no_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    file_of_version(&path, STEPS.len());
    let db = Connection::open(&path).unwrap();
    let (counting, searching) =
        (crate::store::sqlite::unread::STATEMENTS, crate::store::sqlite::search::STATEMENTS);
    let personal = crate::store::sqlite::personal::STATEMENTS;
    let keyed = crate::store::sqlite::keyed::STATEMENTS;
    let chats = crate::store::sqlite::chats::STATEMENTS;
    for sql in counting.into_iter().chain(searching).chain(personal).chain(keyed).chain(chats) {
        // The column is stored after the body.
        assert_eq!(
            sql.matches("deleted_at").count(),
            sql.matches("INDEXED BY messages_deleted").count(),
            "{sql}"
        );
        let plan = plan(&db, sql);
        let scans = plan.iter().filter(|step| step.starts_with("SCAN") && *step != "SCAN CONSTANT ROW");
        assert_eq!(scans.collect::<Vec<_>>(), Vec::<&String>::new(), "{sql}: {plan:#?}");
        let deleted = sql.matches("INDEXED BY messages_deleted").count();
        let covering = "COVERING INDEX messages_deleted";
        assert_eq!(plan.iter().filter(|step| step.contains(covering)).count(), deleted, "{sql}: {plan:#?}");
    }
}

#[tokio::test]
async fn names_that_are_older_than_their_keys_stay_and_are_taken() {
    for version in 1..WITH_NAME_KEYS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        file_of_version(&path, version);
        let db = Connection::open(&path).unwrap();
        // The second name looks like the first, and the last account has no user name.
        let old = [(1, Some("coco"), None), (2, Some("сосо"), None), (3, None, Some("zoe@example.org"))];
        for (n, name, email) in old {
            let sql =
                "INSERT INTO users (id, username, username_folded, email, email_folded, full_name, picture,
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
                assert_eq!(refused, CreatedUser::UsernameTaken, "{name}, version {version}, opened {opened}");
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
        // One of the messages is deleted.
        let positions: Vec<_> = found.found.iter().map(|found| found.position.0).collect();
        assert_eq!(positions, [5, 4, 3, 1], "version {version}");
    }
}
