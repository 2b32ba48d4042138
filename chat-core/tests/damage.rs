//! One damaged record takes nothing else with it: everything is read around it, and an inspection names it.
#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use chat_core::chat::Registration;
use chat_core::codec::HuffmanCodec;
use chat_core::command::{
    Actor, CreateRoom, Destination, ListChatPartners, ListUnread, ListUsers, MarkRead, ReadChanges,
    ReadHistory, SendMessage, UpdateProfile,
};
use chat_core::error::{Error, ErrorKind};
use chat_core::history::Window;
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Content, PasswordHash, Position, ProfilePatch, Seq, UserKey, Visibility};
use chat_core::prelude::{Chat, ReadUpTo, Request, Search};
use chat_core::store::inspect::{Finding, Inspection};
use chat_core::store::sqlite::{SqliteInspector, SqliteOptions};
use chat_core::store::{SqliteStore, Store, StoreError};
use rusqlite::Connection;

const MESSAGES: u32 = 30;

#[derive(Clone, Copy)]
struct World {
    ann: UserId,
    bob: UserId,
    room: ConversationId,
}

fn open(path: &Path) -> Result<Chat, StoreError> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, SqliteOptions::default())?);
    Ok(Chat::new(store))
}

async fn run<R: Request>(chat: &Chat, user: UserId, request: R) -> Result<R::Reply, Error> {
    chat.execute(&Actor { user }, request).await.map(|outcome| outcome.reply)
}

async fn say(chat: &Chat, from: UserId, to: Destination, text: &str) -> Result<(), Error> {
    let send = SendMessage {
        to,
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    run(chat, from, send).await.map(drop)
}

fn with(user: UserId) -> Destination {
    Destination::Person(UserKey::Id(user))
}

/// Ann and Bob in a conversation of their own, and with Cid, who leaves nothing but traces, in a room.
async fn make(path: &Path) -> World {
    let chat = open(path).unwrap();
    let mut people = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let registration = Registration::named(name, PasswordHash::new("x"));
        people.push(chat.register(registration).await.unwrap().user.id);
    }
    let [ann, bob, cid] = people[..] else { unreachable!() };
    for n in 1..=MESSAGES {
        let (from, to) = if n % 2 == 0 { (ann, bob) } else { (bob, ann) };
        say(&chat, from, with(to), &format!("word number {n}")).await.unwrap();
    }
    let create = CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![bob, cid] };
    let room = run(&chat, ann, create).await.unwrap();
    for (from, text) in [(ann, "word one"), (cid, "word two"), (bob, "word three")] {
        say(&chat, from, Destination::Conversation(room.id), text).await.unwrap();
    }
    run(&chat, bob, MarkRead { of: with(ann), up_to: ReadUpTo::Seq(Seq(20)) }).await.unwrap();
    let patch = ProfilePatch { full_name: Some("Anna".into()), picture: None };
    run(&chat, ann, UpdateProfile { patch }).await.unwrap();
    run(&chat, ann, look_for("word")).await.unwrap();
    let world = World { ann, bob, room: room.id };
    chat.store().close().await.unwrap();
    world
}

fn look_for(text: &str) -> Search {
    Search { text: text.into(), limit: 100, ..Search::default() }
}

/// What can be read.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    back: Vec<u32>,
    forth: Vec<u32>,
    numbered: Vec<u32>,
    room: usize,
    users: usize,
    partners: usize,
    found: usize,
    synced: Vec<u64>,
    log: Vec<u64>,
}

async fn history(chat: &Chat, user: UserId, of: &Destination, mut window: Window) -> Result<Vec<u32>, Error> {
    let mut seqs = Vec::new();
    for _ in 0..200 {
        let command = ReadHistory { of: of.clone(), window, include_deleted: false };
        let page = run(chat, user, command).await?;
        let found: Vec<u32> = page.messages.iter().map(|view| view.message.seq.0).collect();
        seqs.extend(&found);
        if !page.has_more {
            seqs.sort_unstable();
            return Ok(seqs);
        }
        window = match window {
            Window::Latest { limit } | Window::Before { limit, .. } => Window::Before {
                seq: Seq(*found.first().expect("a page that is not the last is not empty")),
                limit,
            },
            Window::After { limit, .. } => Window::After {
                seq: Seq(*found.last().expect("a page that is not the last is not empty")),
                limit,
            },
            Window::Page { page, size } => Window::Page { page: page + 1, size },
        };
    }
    panic!("the pages must end")
}

async fn read(chat: &Chat, World { ann, bob, room }: World) -> Result<Read, Error> {
    let of = with(bob);
    let back = history(chat, ann, &of, Window::Latest { limit: 3 }).await?;
    let forth = history(chat, ann, &of, Window::After { seq: Seq(0), limit: 3 }).await?;
    let numbered = history(chat, ann, &of, Window::Page { page: 1, size: 1 }).await?;
    let in_room = history(chat, ann, &Destination::Conversation(room), Window::Latest { limit: 9 }).await;
    let users = run(chat, ann, ListUsers { limit: 9 }).await?;
    let partners = run(chat, ann, ListChatPartners { limit: 9 }).await?;
    run(chat, bob, ListUnread { limit: 9 }).await?;
    let found = run(chat, ann, look_for("word")).await?;
    assert!(found.complete, "nothing is in the way of the index");
    let (mut synced, mut since) = (Vec::new(), Position(0));
    loop {
        let sync = ReadChanges { since: Some(since.into()), limit: 7 };
        let changes = run(chat, ann, sync).await?;
        synced.extend(changes.deliveries.iter().filter_map(|delivery| delivery.position).map(|at| at.0));
        if !changes.more {
            break;
        }
        assert!(changes.next > since, "every answer leads on");
        since = changes.next;
    }
    // As what is live is read: one at a time where something is in the way.
    let (mut log, mut at) = (Vec::new(), 0);
    let last = chat.store().last_position().await?.0;
    while at < last {
        match chat.changes_after(Position(at), 5).await {
            Ok(changes) => {
                let changes = changes.expect("nothing was forgotten");
                log.extend(changes.iter().filter_map(|delivery| delivery.position).map(|at| at.0));
                at = log.last().copied().unwrap_or(at + 1).max(at + u64::from(changes.is_empty()));
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(_) => at += 1,
        }
    }
    Ok(Read {
        back,
        forth,
        numbered,
        room: in_room.map_or(0, |messages| messages.len()),
        users: users.len(),
        partners: partners.len(),
        found: found.messages.len(),
        synced,
        log,
    })
}

/// How many messages are unread to Ann in the conversation, and in the room. She has read nothing.
async fn unread(chat: &Chat, World { ann, room, .. }: World) -> (u32, u32) {
    let counts = run(chat, ann, ListUnread { limit: 9 }).await.unwrap();
    let sum = |in_room: bool| {
        let counts = counts.iter().filter(|count| (count.conversation.id == room) == in_room);
        counts.map(|count| count.unread).sum()
    };
    (sum(false), sum(true))
}

fn inspect(path: &Path) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    let mut inspection =
        Inspection::new(Arc::new(HuffmanCodec::new()), |finding: &Finding| found.push(finding.clone()));
    SqliteInspector::open(path)?.run(&mut inspection)?;
    drop(inspection);
    Ok(found)
}

/// Without the types that the tables insist on, as if bytes had changed.
fn without_types(table: &str, sql: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = '{table}';
         PRAGMA writable_schema = RESET; {sql}"
    )
}

fn with_types(table: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = rtrim(sql) || ' STRICT' WHERE name = '{table}' AND sql NOT LIKE '%STRICT';
         PRAGMA writable_schema = RESET;"
    )
}

/// What one damage leads to.
struct Case {
    sql: &'static str,
    /// The table whose types are in the way.
    retyped: Option<&'static str>,
    kinds: &'static [&'static str],
    /// Messages of the conversation that are left out.
    left_out: &'static [u32],
    /// How many messages of the room are there, users in the list, positions of the log.
    room: usize,
    users: usize,
    lost_positions: &'static [u64],
    /// It counts as unread until somebody reads there: the body, or who has sent it, has to be looked at.
    counts_until_met: bool,
    /// Her own mark is damaged, which means that nothing is unread.
    is_of_mark: bool,
}

const UNHARMED: Case = Case {
    sql: "",
    retyped: None,
    kinds: &[],
    left_out: &[],
    room: 3,
    users: 2,
    lost_positions: &[],
    counts_until_met: false,
    is_of_mark: false,
};
const SEVENTH: Case = Case { kinds: &["message"], left_out: &[7], lost_positions: &[7], ..UNHARMED };

const CASES: &[Case] = &[
    UNHARMED,
    Case {
        sql: "UPDATE messages SET encoding = 1, body = x'' WHERE position = 7",
        counts_until_met: true,
        ..SEVENTH
    },
    Case {
        sql: "UPDATE messages SET encoding = 1, body = x'0b' WHERE position = 7",
        counts_until_met: true,
        ..SEVENTH
    },
    Case { sql: "UPDATE messages SET encoding = 99 WHERE position = 7", ..SEVENTH },
    Case { sql: "UPDATE messages SET encoding = 999 WHERE position = 7", ..SEVENTH },
    Case {
        sql: "UPDATE messages SET encoding = 0, body = x'ff' WHERE position = 7",
        counts_until_met: true,
        ..SEVENTH
    },
    Case { sql: "UPDATE messages SET sender = x'0102' WHERE position = 7", ..SEVENTH },
    Case {
        sql: "UPDATE messages SET sender = x'090909090909090909090909' WHERE position = 7",
        counts_until_met: true,
        ..SEVENTH
    },
    Case { sql: "UPDATE messages SET id = x'07' WHERE position = 7", ..SEVENTH },
    Case { sql: "UPDATE messages SET file_name = CAST(x'ff' AS TEXT) WHERE position = 7", ..SEVENTH },
    Case { sql: "UPDATE messages SET image = CAST(x'ff' AS TEXT) WHERE position = 7", ..SEVENTH },
    Case { sql: "UPDATE messages SET deleted_at = 1, deleted_by = x'07' WHERE position = 7", ..SEVENTH },
    Case {
        sql: "UPDATE messages SET sender = 'somebody' WHERE position = 7",
        retyped: Some("messages"),
        ..SEVENTH
    },
    Case {
        sql: "UPDATE messages SET created_at = 'then' WHERE position = 7",
        retyped: Some("messages"),
        ..SEVENTH
    },
    // All of a page and more.
    Case {
        sql: "UPDATE messages SET encoding = 99 WHERE position BETWEEN 4 AND 12",
        left_out: &[4, 5, 6, 7, 8, 9, 10, 11, 12],
        lost_positions: &[4, 5, 6, 7, 8, 9, 10, 11, 12],
        ..SEVENTH
    },
    // The oldest and the newest.
    Case {
        sql: "UPDATE messages SET encoding = 99 WHERE position IN (1, 30)",
        left_out: &[1, 30],
        lost_positions: &[1, 30],
        ..SEVENTH
    },
    Case {
        sql: "DELETE FROM messages WHERE position = 7",
        kinds: &["conversation", "log entry", "search index entry"],
        ..SEVENTH
    },
    Case {
        sql: "DELETE FROM users WHERE username = 'cid'",
        counts_until_met: true,
        kinds: &["member", "message"],
        room: 2,
        users: 1,
        lost_positions: &[33],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE users SET full_name = CAST(x'ff' AS TEXT) WHERE username = 'cid'",
        counts_until_met: true,
        kinds: &["user"],
        room: 2,
        users: 1,
        lost_positions: &[33],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE users SET created_at = 'then' WHERE username = 'cid'",
        counts_until_met: true,
        retyped: Some("users"),
        kinds: &["user"],
        room: 2,
        users: 1,
        lost_positions: &[33],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE members SET role = 9 WHERE user = (SELECT id FROM users WHERE username = 'cid')",
        kinds: &["member"],
        ..UNHARMED
    },
    Case {
        sql: "INSERT INTO members (conversation, user, role, joined_at) VALUES (2, x'09', 0, 1)",
        // The number of members that the room knows is that without it.
        kinds: &["conversation", "member"],
        ..UNHARMED
    },
    Case {
        sql: "INSERT INTO members (conversation, user, role, joined_at)
            SELECT 77, id, 0, 1 FROM users WHERE username = 'ann'",
        kinds: &["member"],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE members SET read_seq = 4294967299 WHERE conversation = 1",
        is_of_mark: true,
        kinds: &["read mark"],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE members SET read_seq = 99 WHERE key = 1",
        kinds: &["read mark"],
        is_of_mark: true,
        ..UNHARMED
    },
    Case {
        sql: "UPDATE conversations SET visibility = 7 WHERE name IS NOT NULL",
        kinds: &["conversation"],
        room: 0,
        lost_positions: &[31, 32, 33, 34],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE log SET kind = 99 WHERE position = 35",
        kinds: &["log entry"],
        lost_positions: &[35],
        ..UNHARMED
    },
    Case {
        sql: "UPDATE log SET user = NULL WHERE position = 35",
        kinds: &["log entry"],
        lost_positions: &[35],
        ..UNHARMED
    },
    Case {
        sql: "DELETE FROM log WHERE position = 35",
        kinds: &["log entry"],
        lost_positions: &[35],
        ..UNHARMED
    },
    Case { sql: "INSERT INTO revoked_tokens VALUES (x'01', 9e18)", kinds: &["revoked token"], ..UNHARMED },
    Case { sql: "INSERT INTO sends VALUES (x'01', 'mine', 77)", kinds: &["client id"], ..UNHARMED },
    Case {
        sql: "UPDATE conversations SET indexed_seq = 99 WHERE key = 2",
        kinds: &["conversation"],
        ..UNHARMED
    },
];

#[tokio::test]
async fn one_damaged_record_takes_nothing_else_with_it() {
    for case in CASES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let world = make(&path).await;
        {
            let db = Connection::open(&path).unwrap();
            match case.retyped {
                Some(table) => {
                    db.execute_batch(&without_types(table, case.sql)).unwrap();
                    drop(db);
                    Connection::open(&path).unwrap().execute_batch(&with_types(table)).unwrap();
                }
                None => db.execute_batch(case.sql).unwrap(),
            }
        }
        let sql = case.sql;
        let findings = inspect(&path).unwrap();
        let mut kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
        kinds.dedup();
        // SQLite itself complains of types, and of a row that is not in an index.
        let rest: Vec<_> = kinds.iter().filter(|kind| **kind != "database file").collect();
        for kind in case.kinds {
            assert!(kinds.contains(kind), "{sql}: {findings:#?}");
        }
        assert!(rest.iter().all(|kind| case.kinds.contains(kind)), "{sql}: {findings:#?}");
        assert!(findings.iter().all(|finding| !finding.to_string().contains("word")), "{findings:#?}");

        let chat = open(&path).unwrap();
        let at_first = unread(&chat, world).await;
        let found = read(&chat, world).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let there: Vec<u32> = (1..=MESSAGES).filter(|seq| !case.left_out.contains(seq)).collect();
        for seqs in [&found.back, &found.forth, &found.numbered] {
            assert_eq!(*seqs, there, "{sql}");
        }
        assert_eq!((found.room, found.users, found.partners), (case.room, case.users, 1), "{sql}");
        assert_eq!(found.found, there.len() + case.room, "{sql}");
        let positions: Vec<u64> = (1..=36).filter(|at| !case.lost_positions.contains(at)).collect();
        assert_eq!(found.synced, positions, "{sql}: what is synced");
        assert_eq!(found.log, positions, "{sql}: what is read of the log");
        // Bob has said every other one; what is left out is not unread.
        let from_bob = there.iter().filter(|seq| *seq % 2 == 1).count() as u32;
        let counted = (if case.is_of_mark { 0 } else { from_bob }, (case.room as u32).saturating_sub(1));
        assert_eq!(unread(&chat, world).await, counted, "{sql}: what is unread");
        if case.counts_until_met {
            assert!(at_first > counted, "{sql}: {at_first:?}, counted by the store alone");
        } else {
            assert_eq!(at_first, counted, "{sql}: what is unread, before anything was read");
        }
        // It goes on.
        say(&chat, world.ann, with(world.bob), "word and on").await.unwrap();
        let on = history(&chat, world.bob, &with(world.ann), Window::Latest { limit: 1 }).await.unwrap();
        assert_eq!(on.last(), Some(&(MESSAGES + 1)), "{sql}");
    }
}

/// Whatever the file holds: nothing panics, and what cannot be read any more is found.
#[tokio::test]
async fn flipped_bytes_are_found_and_nothing_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let world = make(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let whole_read = read(&open(&path).unwrap(), world).await.unwrap();
    let (mut state, mut harmed) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..100 {
        let path = folder.path().join(format!("{round}.db"));
        let mut bytes = whole.clone();
        let (at, count) = (random(bytes.len()), 1 + random(64));
        let end = (at + count).min(bytes.len());
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 + random(255) as u8);
        std::fs::write(&path, &bytes).unwrap();
        let findings = inspect(&path);
        let is_same = match open(&path) {
            Ok(chat) => matches!(read(&chat, world).await, Ok(found) if found == whole_read),
            Err(_) => false,
        };
        if !is_same {
            harmed += 1;
            assert!(
                findings.as_ref().map_or(true, |findings| !findings.is_empty()),
                "{count} bytes at {at}: nothing was found"
            );
        }
        std::fs::remove_file(&path).unwrap();
    }
    assert!(harmed > 2, "{harmed} of 100 were harmed");
}
