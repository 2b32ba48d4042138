//! Checks a whole file, read-only: see [`inspect`](crate::store::inspect).
//!
//! Each part is read in its own transaction. So related rows are read from the same snapshot, and a server that uses
//! the file can still checkpoint its write-ahead log.

mod keyed;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::damage::{is_of_row, name, reason};
use super::rows::{self, seq_of};
use super::{BUSY_TIMEOUT, fault, schema};
use crate::change::ChangeKind;
use crate::id::ConversationId;
use crate::model::{ConversationKind, UserKey};
use crate::store::StoreError;
use crate::store::inspect::{BODY, COUNTER, INDEX, Inspection, LOG, RECORD, REFERENCE};

/// The maximum number of rows in one part; long rows make a part shorter.
const ROWS: usize = 500;
const BYTES: usize = 8 << 20;
/// The maximum number of SQLite's own messages that are reported.
const MAX_COMPLAINTS: usize = 100;

const FILE: &str = "restore the file from a backup, or have `sqlite3 chat.db .recover` write what can be read into a new one";

/// Checks a whole file.
pub struct SqliteInspector {
    db: Connection,
    path: PathBuf,
}

/// A part of a table that was checked.
struct Part {
    /// The key after which the next part begins.
    last: i64,
    is_end: bool,
}

impl SqliteInspector {
    /// Opens an existing file, read-only. A server may be using it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is no such file, or it belongs to another program or version;
    /// [`StoreError::Corrupt`] if it is not a database any more; [`StoreError::Unavailable`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Refused(format!("there is no file {}", path.display())));
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(BUSY_TIMEOUT)?;
            db.set_prepared_statement_cache_capacity(64);
            Ok(db)
        };
        let db = open().map_err(|error: rusqlite::Error| fault(&error))?;
        schema::must_be_current(&db)?;
        Ok(Self { db, path: path.to_owned() })
    }

    /// Checks everything.
    ///
    /// # Errors
    /// When the check itself fails. Damage is reported and is not an error.
    pub fn run(&self, inspection: &mut Inspection<'_>) -> Result<(), StoreError> {
        self.integrity(inspection)?;
        self.table(inspection, "users", Self::users)?;
        self.table(inspection, "conversations", Self::conversations)?;
        self.table(inspection, "members", Self::members)?;
        self.table(inspection, "messages", Self::messages)?;
        self.table(inspection, "log", Self::log)?;
        for (table, check) in [
            ("sends", Self::sends as fn(&Self, &mut Inspection<'_>) -> rusqlite::Result<()>),
            ("revoked_tokens", Self::revoked_tokens),
            ("keyed", Self::keyed),
            ("message_terms", Self::terms),
        ] {
            match check(self, inspection) {
                Err(error) if is_of_file(&error) => self.unreadable(inspection, table, "some rows", &error),
                checked => checked.map_err(|error| fault(&error))?,
            }
        }
        Ok(())
    }

    fn place(&self, table: &str, key: impl std::fmt::Display) -> String {
        format!("{}, table {table}, row {key}", self.path.display())
    }

    fn unreadable(&self, inspection: &mut Inspection<'_>, table: &str, id: &str, error: &rusqlite::Error) {
        inspection.damaged("database file", id, self.place(table, id), error, FILE);
    }

    /// Checks a table part by part, and skips pages that cannot be read.
    fn table(
        &self,
        inspection: &mut Inspection<'_>,
        table: &str,
        part: fn(&Self, &mut Inspection<'_>, i64) -> rusqlite::Result<Part>,
    ) -> Result<(), StoreError> {
        let (mut key, mut jump) = (i64::MIN, 1_i64);
        loop {
            let read = self.db.unchecked_transaction().and_then(|_view| part(self, inspection, key));
            match read {
                Ok(Part { is_end: true, .. }) => return Ok(()),
                Ok(Part { last, .. }) => (key, jump) = (last, 1),
                Err(error) if is_of_file(&error) => {
                    if jump == 1 {
                        let after = if key == i64::MIN { "the first".into() } else { format!("after {key}") };
                        self.unreadable(inspection, table, &after, &error);
                    }
                    // There may be readable rows after the damaged page.
                    let Some(next) = key.max(0).checked_add(jump).filter(|_| jump < i64::MAX / 2) else {
                        return Ok(());
                    };
                    (key, jump) = (next, jump * 2);
                }
                Err(error) => return Err(fault(&error)),
            }
        }
    }

    /// Reads rows after a key, which is their first column.
    fn rows(
        &self,
        sql: &str,
        after: i64,
        mut look: impl FnMut(&Row<'_>, i64) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<Part> {
        let mut select = self.db.prepare_cached(sql)?;
        let mut rows = select.query([after])?;
        let (mut last, mut count, mut bytes) = (after, 0, 0);
        while count < ROWS && bytes < BYTES {
            let Some(row) = rows.next()? else { return Ok(Part { last, is_end: true }) };
            last = row.get(0)?;
            bytes += look(row, last)?;
            count += 1;
        }
        Ok(Part { last, is_end: false })
    }

    fn exists(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.db.prepare_cached(sql)?.exists(values)
    }

    fn is_user(&self, id: &[u8; 12]) -> rusqlite::Result<bool> {
        self.exists("SELECT 1 FROM users WHERE id = ?", [id])
    }

    fn is_conversation(&self, id: &[u8; 12]) -> rusqlite::Result<bool> {
        self.exists("SELECT 1 FROM conversations WHERE id = ?", [id])
    }

    /// The seq of the last message of a conversation.
    fn last_seq(&self, key: i64) -> rusqlite::Result<u32> {
        let sql = "SELECT max(place) FROM messages WHERE place BETWEEN ? AND ?";
        let ends = params![rows::place(key, 0), rows::place(key, u32::MAX)];
        let last: Option<i64> = self.db.prepare_cached(sql)?.query_row(ends, |row| row.get(0))?;
        Ok(last.map_or(0, seq_of))
    }

    fn integrity(&self, inspection: &mut Inspection<'_>) -> Result<(), StoreError> {
        let check = |inspection: &mut Inspection<'_>| -> rusqlite::Result<()> {
            let mut check = self.db.prepare(&format!("PRAGMA integrity_check({MAX_COMPLAINTS})"))?;
            let mut rows = check.query([])?;
            while let Some(row) = rows.next()? {
                // SQLite's message names trees, pages, tables and rows. It quotes no content.
                let said: String = row.get(0)?;
                if said != "ok" {
                    let place = self.path.display();
                    inspection.damaged("database file", "integrity_check", place, said.trim(), FILE);
                }
            }
            Ok(())
        };
        match check(inspection) {
            Err(error) if is_of_file(&error) => {
                self.unreadable(inspection, "sqlite_schema", "integrity_check", &error);
                Ok(())
            }
            checked => checked.map_err(|error| fault(&error)),
        }
    }

    fn users(&self, inspection: &mut Inspection<'_>, after: i64) -> rusqlite::Result<Part> {
        let last = rows::last_position(&self.db)?.0;
        let sql = format!(
            "SELECT key, {}, profile_position, username_folded, email_folded FROM users WHERE key > ? ORDER BY key",
            rows::USER
        );
        // This statement selects the key first; the statement that reads accounts selects it last.
        let read = format!("SELECT {} FROM users WHERE key = ?", rows::USER);
        self.rows(&sql, after, |row, key| {
            inspection.counts_mut().users += 1;
            let place = self.place("users", key);
            let id = name(row, 1);
            let user = self.db.prepare_cached(&read)?.query_row([key], rows::read_user);
            let Some((user, _)) = good(inspection, "user", &id, &place, user)? else { return Ok(0) };
            let known = rows::user(&self.db, &UserKey::Id(user.id));
            if !matches!(known, Ok(Some(_))) {
                inspection.damaged("user", &id, &place, "it is not found by its id", FILE);
            }
            let folded = row.get(11).and_then(|name: Option<String>| Ok((name, row.get(12)?)));
            if folded.ok() != Some(rows::folded_names(&user)) {
                inspection.damaged("user", &id, &place, "the name it is found by is not its name", RECORD);
            }
            let profile: Option<i64> = row.get(10)?;
            if profile.is_some_and(|position| position < 0 || position.unsigned_abs() > last) {
                let wrong = "the position of its profile is beyond the log";
                inspection.damaged("user", &id, &place, wrong, COUNTER);
            }
            inspection.image(&user.picture, "user", &id, place);
            Ok(0)
        })
    }

    fn conversations(&self, inspection: &mut Inspection<'_>, after: i64) -> rusqlite::Result<Part> {
        let sql = format!(
            "SELECT {}, indexed_seq FROM conversations WHERE key > ? ORDER BY key",
            rows::CONVERSATION
        );
        self.rows(&sql, after, |row, key| {
            inspection.counts_mut().conversations += 1;
            let (id, place) = (name(row, 1), self.place("conversations", key));
            let read = rows::read_conversation_row(row);
            let Some(found) = good(inspection, "conversation", &id, &place, read)? else { return Ok(0) };
            if let ConversationKind::Direct { pair } = found.kind {
                let (low, high) = pair.both();
                let both = if low == high { vec![low] } else { vec![low, high] };
                for user in both {
                    let member = "SELECT 1 FROM members WHERE conversation = ? AND user = ?";
                    if !self.is_user(user.as_bytes())? {
                        let wrong = format!("it is with the user {user}, whom there is not");
                        inspection.damaged("conversation", &id, &place, wrong, REFERENCE);
                    } else if !self.exists(member, params![key, user.as_bytes()])? {
                        let wrong = format!("the user {user} is no member of it");
                        inspection.damaged("conversation", &id, &place, wrong, REFERENCE);
                    }
                }
            }
            let members = "SELECT 1 FROM conversations WHERE key = ?1
                AND member_count = (SELECT count(*) FROM members WHERE conversation = ?1)";
            if !self.exists(members, [key])? {
                let wrong = "the number of its members is not that of those who are in";
                inspection.damaged("conversation", &id, &place, wrong, COUNTER);
            }
            let indexed = row.get::<_, u32>(6);
            let Some(indexed) = good(inspection, "conversation", &id, &place, indexed)? else { return Ok(0) };
            if indexed > self.last_seq(key)? {
                let wrong = "the index that searches go by ends behind its last message";
                inspection.damaged("conversation", &id, &place, wrong, COUNTER);
            }
            Ok(0)
        })
    }

    fn members(&self, inspection: &mut Inspection<'_>, after: i64) -> rusqlite::Result<Part> {
        let sql = "SELECT key, conversation, user, role, joined_at, read_seq FROM members WHERE key > ? ORDER BY key";
        self.rows(sql, after, |row, key| {
            inspection.counts_mut().members += 1;
            let place = self.place("members", key);
            let id = format!("{} of conversation {}", name(row, 2), name(row, 1));
            let mut one =
                self.db.prepare_cached("SELECT user, role, joined_at FROM members WHERE key = ?")?;
            let member = one.query_row([key], super::members::read);
            let Some(member) = good(inspection, "member", &id, &place, member)? else { return Ok(0) };
            if !self.is_user(member.user.as_bytes())? {
                inspection.damaged("member", &id, &place, "there is no such user", REFERENCE);
            }
            let conversation: i64 = row.get(1)?;
            if !self.exists("SELECT 1 FROM conversations WHERE key = ?", [conversation])? {
                inspection.damaged("member", &id, &place, "there is no such conversation", REFERENCE);
                return Ok(0);
            }
            let Some(read) = good(inspection, "read mark", &id, &place, row.get::<_, u32>(5))? else {
                return Ok(0);
            };
            if read > self.last_seq(conversation)? {
                let wrong = format!("it is at message {read}, behind the last one");
                inspection.damaged("read mark", &id, &place, wrong, COUNTER);
            }
            Ok(0)
        })
    }

    fn messages(&self, inspection: &mut Inspection<'_>, after: i64) -> rusqlite::Result<Part> {
        let (begin, end) = (rows::log_begin(&self.db)?.0, rows::last_position(&self.db)?.0);
        let sql = format!(
            "SELECT {}, m.position, m.fingerprint, (m.deleted_at IS NULL) <> (m.deleted_by IS NULL)
             FROM messages m WHERE m.place > ? ORDER BY m.place",
            rows::MESSAGE
        );
        let mut before = after;
        let mut before_position = match after {
            i64::MIN => None,
            after => self.position(after)?,
        };
        self.rows(&sql, after, |row, key| {
            inspection.counts_mut().messages += 1;
            let (id, place) = (name(row, 1), self.place("messages", key));
            let (conversation, seq) = (key >> 32, seq_of(key));
            let previous =
                if before >> 32 == conversation && before != i64::MIN { seq_of(before) } else { 0 };
            if before >> 32 != conversation {
                before_position = None;
            }
            before = key;
            if i64::from(seq) != i64::from(previous) + 1 {
                let wrong =
                    format!("the messages {} to {} before it are missing", previous + 1, i64::from(seq) - 1);
                inspection.damaged("conversation", conversation, &place, wrong, BODY);
            }
            let position: i64 = row.get(12)?;
            let in_order = before_position.is_none_or(|before: i64| before < position);
            before_position = Some(position);
            let found = {
                let mut select = self.db.prepare_cached("SELECT id FROM conversations WHERE key = ?")?;
                select.query_row([conversation], |row| row.get::<_, [u8; 12]>(0)).optional()
            };
            let known = match found {
                Ok(Some(known)) => known,
                Ok(None) => {
                    inspection.damaged("message", &id, &place, "it is in no conversation", REFERENCE);
                    [0; 12]
                }
                // The check of conversations has reported this one already.
                Err(error) if is_of_row(&error) => [0; 12],
                Err(error) => return Err(error),
            };
            let message = rows::read_message(row, ConversationId::from_bytes(known));
            let Some(message) = good(inspection, "message", &id, &place, message)? else { return Ok(0) };
            if !in_order || position < 1 || position.unsigned_abs() > end {
                let wrong = format!("its position {position} does not fit those around it");
                inspection.damaged("message", &id, &place, wrong, COUNTER);
            } else if position.unsigned_abs() > begin
                && !self.exists("SELECT 1 FROM log WHERE position = ? AND place = ?", [position, key])?
            {
                let wrong = format!("the log does not name it at {position}");
                inspection.damaged("message", &id, &place, wrong, LOG);
            }
            if !self.is_user(message.sender.as_bytes())? {
                let wrong = format!("its sender {} is not there", message.sender);
                inspection.damaged("message", &id, &place, wrong, REFERENCE);
            }
            if row.get::<_, bool>(14)? {
                let wrong = "it is not said both when and by whom it was deleted";
                inspection.damaged("message", &id, &place, wrong, RECORD);
            }
            inspection.content(&message, place);
            Ok(message.body.bytes.len())
        })
    }

    fn position(&self, place: i64) -> rusqlite::Result<Option<i64>> {
        let mut select = self.db.prepare_cached("SELECT position FROM messages WHERE place = ?")?;
        select.query_row([place], |row| row.get(0)).optional()
    }

    fn log(&self, inspection: &mut Inspection<'_>, after: i64) -> rusqlite::Result<Part> {
        let begin = i64::try_from(rows::log_begin(&self.db)?.0).unwrap_or(i64::MAX);
        let sql = "SELECT position, kind, place, room, user, role, detail FROM log WHERE position > ? ORDER BY position";
        // Entries that a server removes meanwhile are not a gap.
        let mut before = after.max(begin);
        self.rows(sql, after, |row, position| {
            inspection.counts_mut().log_entries += 1;
            let place = self.place("log", position);
            if position != before + 1 {
                let wrong = format!("the entries {} to {} before it are missing", before + 1, position - 1);
                inspection.damaged("log entry", position, &place, wrong, COUNTER);
            }
            before = position;
            let kind = row.get::<_, u8>(1).ok().and_then(ChangeKind::from_code);
            let told = row.get::<_, Option<i64>>(2);
            let is_message = kind.is_some_and(ChangeKind::is_about_message);
            // Damage of the message itself is reported with the message.
            if is_message
                && let Ok(Some(at)) = told
                && self.exists("SELECT 1 FROM messages WHERE place = ?", [at])?
            {
                if kind == Some(ChangeKind::MessageSent) && self.position(at)? != Some(position) {
                    let wrong = "the message that it names is another one's";
                    inspection.damaged("log entry", position, &place, wrong, LOG);
                }
                return Ok(0);
            }
            if is_message && matches!(told, Ok(Some(_))) {
                let wrong = "there is no such message";
                inspection.damaged("log entry", position, &place, wrong, LOG);
                return Ok(0);
            }
            let read = rows::read_change(&self.db, row);
            if good(inspection, "log entry", &position.to_string(), &place, read)?.is_none() {
                return Ok(0);
            }
            if let Some(room) = row.get::<_, Option<[u8; 12]>>(3)?
                && !self.is_conversation(&room)?
            {
                inspection.damaged("log entry", position, &place, "there is no such conversation", LOG);
            }
            if let Some(user) = row.get::<_, Option<[u8; 12]>>(4)?
                && !self.is_user(&user)?
            {
                inspection.damaged("log entry", position, &place, "there is no such user", LOG);
            }
            Ok(0)
        })
    }

    fn sends(&self, inspection: &mut Inspection<'_>) -> rusqlite::Result<()> {
        let sql = "SELECT s.sender, s.place FROM sends s LEFT JOIN messages m ON m.place = s.place
            WHERE m.place IS NULL OR m.sender IS NOT s.sender";
        let mut select = self.db.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (sender, at) = (name(row, 0), name(row, 1));
            let wrong = "there is no such message of this sender";
            inspection.damaged("client id", format!("of {sender}"), self.place("sends", at), wrong, RECORD);
        }
        Ok(())
    }

    fn revoked_tokens(&self, inspection: &mut Inspection<'_>) -> rusqlite::Result<()> {
        let mut select = self.db.prepare("SELECT fingerprint, until FROM revoked_tokens")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id = name(row, 0);
            let place = self.place("revoked_tokens", &id);
            let read = row.get::<_, [u8; 32]>(0).and_then(|_| row.get::<_, i64>(1));
            good(inspection, "revoked token", &id, &place, read)?;
        }
        Ok(())
    }

    /// Checks the search index for entries of messages that do not exist.
    fn terms(&self, inspection: &mut Inspection<'_>) -> rusqlite::Result<()> {
        let make = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.indexed_terms USING fts5vocab(main, message_terms, instance)";
        self.db.execute_batch(make)?;
        let sql = "SELECT DISTINCT doc FROM temp.indexed_terms
            WHERE NOT EXISTS (SELECT 1 FROM messages WHERE place = doc)";
        let mut select = self.db.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            let wrong = "there is no such message";
            inspection.leftover("search index entry", at, self.place("message_terms", at), wrong, INDEX);
        }
        Ok(())
    }
}

/// Returns the value that was read; none if it is damaged, which is reported.
fn good<T>(
    inspection: &mut Inspection<'_>,
    kind: &'static str,
    id: &str,
    place: &str,
    read: rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match read {
        Err(error) if is_of_row(&error) => {
            inspection.damaged(kind, id, place, reason(&error), RECORD);
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Whether the file itself is damaged: SQLite found damage, or a column that the check depends on is not as it was
/// written.
fn is_of_file(error: &rusqlite::Error) -> bool {
    matches!(fault(error), StoreError::Corrupt { .. })
}
