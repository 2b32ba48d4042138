//! Rows to records and back, and every read.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::damage::{is_of_row, skip, sound};
use super::{fault, members};
use crate::change::{ChangeKind, Detail, Fields};
use crate::clock::Timestamp;
use crate::codec::{Blob, Encoding};
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, ConversationKind, JoinOrder, Members, Pair, PasswordHash, Position, Role, RoomInfo, Seq,
    Tombstone, User, UserKey, Visibility,
};
use crate::store::query::first_name;
use crate::store::{Change, Facets, LoggedChange, StoreError, StoredMessage};

/// A window, or a part of the log, that holds more bytes of bodies than this ends early.
pub(super) const MAX_BYTES_AT_ONCE: usize = 4 << 20;

/// Where message `seq` of a conversation lies in the table.
pub(super) fn place(conversation: i64, seq: u32) -> i64 {
    conversation << 32 | i64::from(seq)
}

pub(super) fn seq_of(place: i64) -> u32 {
    (place & 0xffff_ffff) as u32
}

pub(super) fn pair_bytes(pair: Pair) -> [u8; 24] {
    let (low, high) = pair.both();
    let mut bytes = [0; 24];
    bytes[..12].copy_from_slice(low.as_bytes());
    bytes[12..].copy_from_slice(high.as_bytes());
    bytes
}

pub(super) fn role_code(role: Role) -> u8 {
    match role {
        Role::Member => 0,
        Role::Moderator => 1,
        Role::Admin => 2,
    }
}

pub(super) fn visibility_code(visibility: Visibility) -> u8 {
    match visibility {
        Visibility::Public => 0,
        Visibility::Private => 1,
    }
}

pub(super) fn folded_names(user: &User) -> (Option<String>, Option<String>) {
    let fold = |text: &String| text.to_lowercase();
    (user.username.as_ref().map(fold), user.email.as_ref().map(fold))
}

pub(super) const USER: &str =
    "id, username, email, full_name, picture, created_at, updated_at, last_seen, password_hash";

pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<(User, PasswordHash)> {
    let user = User {
        id: UserId::from_bytes(row.get(0)?),
        username: row.get(1)?,
        email: row.get(2)?,
        full_name: row.get(3)?,
        picture: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        updated_at: Timestamp::from_millis(row.get(6)?),
        last_seen: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
    };
    Ok((user, PasswordHash::new(row.get::<_, String>(8)?)))
}

pub(super) fn user(db: &Connection, key: &UserKey) -> rusqlite::Result<Option<(User, PasswordHash)>> {
    let by = |column: &str, value: &dyn rusqlite::ToSql| {
        let mut select = db.prepare_cached(&format!("SELECT {USER} FROM users WHERE {column} = ?"))?;
        select.query_row([value], read_user).optional()
    };
    match key.folded() {
        UserKey::Id(id) => by("id", id.as_bytes()),
        UserKey::Username(name) => by("username_folded", &name),
        UserKey::Email(email) => by("email_folded", &email),
    }
}

pub(super) fn users(db: &Connection, limit: usize) -> rusqlite::Result<Vec<User>> {
    // Without a limit in SQL: damaged ones do not count. It is walked over in the order of the table itself.
    let mut select = db.prepare_cached(&format!("SELECT {USER}, key FROM users ORDER BY key"))?;
    let mut rows = select.query([])?;
    let mut users = Vec::new();
    while users.len() < limit
        && let Some(row) = rows.next()?
    {
        users.extend(skip(db, "users", row, 9, read_user(row))?.map(|(user, _)| user));
    }
    Ok(users)
}

/// The accounts with these ids, without damaged ones.
pub(super) fn users_by_id(db: &Connection, ids: &[UserId]) -> rusqlite::Result<Vec<User>> {
    let mut select = db.prepare_cached(&format!("SELECT {USER} FROM users WHERE id = ?"))?;
    let mut users = Vec::with_capacity(ids.len());
    for id in ids {
        let found =
            sound(db, "users", id, select.query_row([id.as_bytes()], read_user).optional())?.flatten();
        users.extend(found.map(|(user, _)| user));
    }
    Ok(users)
}

/// The accounts whose names begin with `prefix` and come after `after`. SQLite compares texts byte by byte.
pub(super) fn users_named(
    db: &Connection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<User>> {
    let sql = format!(
        "SELECT {USER}, username_folded FROM users WHERE username_folded >= ?
         ORDER BY username_folded"
    );
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query([first_name(prefix, after)])?;
    let mut users = Vec::new();
    while users.len() < limit
        && let Some(row) = rows.next()?
    {
        if row.get_ref(9)?.as_str().is_ok_and(|name| !name.starts_with(prefix)) {
            break;
        }
        users.extend(skip(db, "users", row, 0, read_user(row))?.map(|(user, _)| user));
    }
    Ok(users)
}

pub(super) fn revoked_tokens(
    db: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Vec<([u8; 32], Timestamp)>> {
    let mut select = db.prepare_cached("SELECT fingerprint, until FROM revoked_tokens WHERE until > ?")?;
    let mut rows = select.query([now.as_millis()])?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        let read = |row: &Row<'_>| Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?)));
        tokens.extend(skip(db, "revoked_tokens", row, 0, read(row))?);
    }
    Ok(tokens)
}

pub(super) fn direct(db: &Connection, pair: Pair) -> rusqlite::Result<Option<Conversation>> {
    read_conversation(db, "pair", &pair_bytes(pair))
}

pub(super) fn conversation(db: &Connection, id: ConversationId) -> rusqlite::Result<Option<Conversation>> {
    read_conversation(db, "id", id.as_bytes())
}

fn read_conversation(db: &Connection, column: &str, value: &[u8]) -> rusqlite::Result<Option<Conversation>> {
    let sql = format!("SELECT {CONVERSATION} FROM conversations WHERE {column} = ?");
    let mut select = db.prepare_cached(&sql)?;
    let found = select.query_row([value], |row| Ok((row.get(0)?, read_conversation_row(row)?))).optional()?;
    let Some((key, mut conversation)): Option<(i64, Conversation)> = found else { return Ok(None) };
    for (order, member) in members::after(db, key, JoinOrder(0), usize::MAX)? {
        conversation.members.put_at(order, member);
    }
    Ok(Some(conversation))
}

/// The key of a conversation, if it is there.
pub(super) fn conversation_key(db: &Connection, id: ConversationId) -> rusqlite::Result<Option<i64>> {
    let mut select = db.prepare_cached("SELECT key FROM conversations WHERE id = ?")?;
    select.query_row([id.as_bytes()], |row| row.get(0)).optional()
}

/// What kind of conversation it is.
pub(super) fn kind(db: &Connection, id: ConversationId) -> rusqlite::Result<Option<ConversationKind>> {
    let mut select = db.prepare_cached(&format!("SELECT {CONVERSATION} FROM conversations WHERE id = ?"))?;
    let found = select.query_row([id.as_bytes()], read_conversation_row).optional()?;
    Ok(found.map(|conversation| conversation.kind))
}

pub(super) const CONVERSATION: &str = "key, id, pair, name, visibility, created_at";

/// A conversation without its members.
pub(super) fn read_conversation_row(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let kind = match row.get::<_, Option<[u8; 24]>>(2)? {
        Some(pair) => ConversationKind::Direct { pair: read_pair(&pair) },
        None => {
            let visibility = match row.get::<_, u8>(4)? {
                0 => Visibility::Public,
                1 => Visibility::Private,
                _ => return Err(unreadable(4, "visibility")),
            };
            ConversationKind::Room(RoomInfo::new(row.get::<_, String>(3)?, visibility))
        }
    };
    Ok(Conversation {
        id: ConversationId::from_bytes(row.get(1)?),
        kind,
        members: Members::default(),
        created_at: Timestamp::from_millis(row.get(5)?),
    })
}

/// Who blocks the other one in a direct conversation, as the file holds it; nothing where nobody does.
pub(super) fn blockers_bytes(blockers: &[UserId]) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = blockers.iter().flat_map(UserId::as_bytes).copied().collect();
    (!bytes.is_empty()).then_some(bytes)
}

pub(super) fn read_blockers(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<UserId>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    let bytes = bytes.unwrap_or_default();
    let (ids, []) = bytes.as_chunks() else { return Err(unreadable(column, "blockers")) };
    Ok(ids.iter().copied().map(UserId::from_bytes).collect())
}

pub(super) fn read_pair(bytes: &[u8; 24]) -> Pair {
    let half = |at: usize| {
        let mut id = [0; 12];
        id.copy_from_slice(&bytes[at..at + 12]);
        UserId::from_bytes(id)
    };
    Pair::new(half(0), half(12))
}

pub(super) fn read_role(code: u8) -> Option<Role> {
    [Role::Member, Role::Moderator, Role::Admin].into_iter().find(|role| role_code(*role) == code)
}

pub(super) fn chat_partners(db: &Connection, user: UserId, limit: usize) -> rusqlite::Result<Vec<UserId>> {
    let sql = "SELECT pair, key FROM (
            SELECT c.pair AS pair, c.key AS key, (
                SELECT m.position FROM messages m
                WHERE m.place BETWEEN c.key << 32 AND (c.key << 32) + 4294967295 AND m.deleted_at IS NULL
                ORDER BY m.place DESC LIMIT 1
            ) AS last
            FROM members JOIN conversations c ON c.key = members.conversation
            WHERE members.user = ? AND c.pair IS NOT NULL
        ) WHERE last IS NOT NULL ORDER BY last DESC";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([user.as_bytes()])?;
    let mut partners = Vec::new();
    while let Some(row) = rows.next()? {
        if partners.len() == limit {
            break;
        }
        let Some(pair) = skip(db, "conversations", row, 1, row.get(0))? else { continue };
        let other = read_pair(&pair).other(user);
        partners.extend(other.filter(|other| *other != user));
    }
    Ok(partners)
}

pub(super) const MESSAGE: &str =
    "m.place, m.id, m.sender, m.encoding, m.body, m.file_name, m.image, m.created_at,
    m.updated_at, m.deleted_at, m.deleted_by, m.facets";

pub(super) fn read_message(row: &Row<'_>, conversation: ConversationId) -> rusqlite::Result<StoredMessage> {
    let encoding: u8 = row.get(3)?;
    let deleted = match (row.get::<_, Option<i64>>(9)?, row.get::<_, Option<[u8; 12]>>(10)?) {
        (Some(at), Some(by)) => {
            Some(Tombstone { at: Timestamp::from_millis(at), by: UserId::from_bytes(by) })
        }
        _ => None,
    };
    Ok(StoredMessage {
        id: MessageId::from_bytes(row.get(1)?),
        conversation,
        seq: Seq(seq_of(row.get(0)?)),
        sender: UserId::from_bytes(row.get(2)?),
        body: Blob {
            encoding: Encoding::try_from(encoding).map_err(|_| unreadable(3, "encoding"))?,
            bytes: row.get(4)?,
        },
        file_name: row.get(5)?,
        image: row.get(6)?,
        created_at: Timestamp::from_millis(row.get(7)?),
        updated_at: Timestamp::from_millis(row.get(8)?),
        deleted,
        facets: Facets::from_bits(row.get(11)?),
    })
}

pub(super) fn message_at(db: &Connection, place: i64) -> rusqlite::Result<Option<StoredMessage>> {
    let sql = format!(
        "SELECT {MESSAGE}, c.id FROM messages m JOIN conversations c ON c.key = m.place >> 32 WHERE m.place = ?"
    );
    let mut select = db.prepare_cached(&sql)?;
    select.query_row([place], |row| read_message(row, ConversationId::from_bytes(row.get(12)?))).optional()
}

/// The message that lies at a place of this conversation.
pub(super) fn message_of(
    db: &Connection,
    place: i64,
    conversation: ConversationId,
) -> rusqlite::Result<StoredMessage> {
    let mut select = db.prepare_cached(&format!("SELECT {MESSAGE} FROM messages m WHERE m.place = ?"))?;
    select.query_row([place], |row| read_message(row, conversation))
}

pub(super) fn message(db: &Connection, id: MessageId) -> rusqlite::Result<Option<(i64, StoredMessage)>> {
    let mut select = db.prepare_cached("SELECT place FROM messages WHERE id = ?")?;
    let place = select.query_row([id.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    let Some(place) = place else { return Ok(None) };
    Ok(message_at(db, place)?.map(|message| (place, message)))
}

/// Those of these messages that exist. Damaged ones are left out.
pub(super) fn messages(db: &Connection, ids: &[MessageId]) -> rusqlite::Result<Vec<StoredMessage>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let read = sound(db, "messages", id, message(db, *id))?;
        found.extend(read.flatten().map(|(_, message)| message));
    }
    Ok(found)
}

/// The position of the change that appended a message.
pub(super) fn sent_at(db: &Connection, id: MessageId) -> rusqlite::Result<Option<Position>> {
    let mut select = db.prepare_cached("SELECT position FROM messages WHERE id = ?")?;
    select.query_row([id.as_bytes()], |row| row.get(0).map(read_position)).optional()
}

pub(super) fn history(
    db: &Connection,
    id: ConversationId,
    window: Window,
    include_deleted: bool,
) -> rusqlite::Result<(Vec<StoredMessage>, bool)> {
    let mut select = db.prepare_cached("SELECT key FROM conversations WHERE id = ?")?;
    let key = select.query_row([id.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
    let Some(key) = key else { return Ok((Vec::new(), false)) };
    let newest_first = !matches!(window, Window::After { .. });
    // Both ends of the range are included.
    let (from, to) = match window {
        Window::Latest { .. } | Window::Page { .. } => (0, i64::from(u32::MAX)),
        Window::Before { seq, .. } => (0, i64::from(seq.0) - 1),
        Window::After { seq, .. } => (i64::from(seq.0) + 1, i64::from(u32::MAX)),
    };
    if from > to {
        return Ok((Vec::new(), false));
    }
    let order = if newest_first { "DESC" } else { "ASC" };
    let alive = if include_deleted { "" } else { "AND m.deleted_at IS NULL" };
    let sql = format!(
        "SELECT {MESSAGE} FROM messages m WHERE m.place BETWEEN ? AND ? {alive} ORDER BY m.place {order}
         LIMIT ? OFFSET ?"
    );
    let limit = window.limit();
    // Damaged messages have no room on a page, but those of pages by number do: otherwise the next one would begin
    // elsewhere.
    let (most_rows, most_messages) = match window {
        Window::Page { .. } => (limit as i64 + 1, limit),
        Window::Latest { .. } | Window::Before { .. } | Window::After { .. } => (-1, limit),
    };
    let mut select = db.prepare_cached(&sql)?;
    let base = key << 32;
    let to_skip = i64::try_from(window.skip()).unwrap_or(i64::MAX);
    let mut rows = select.query(params![base | from, base | to, most_rows, to_skip])?;
    let mut messages = Vec::with_capacity(limit.min(64));
    let (mut has_more, mut bytes, mut left_out) = (false, 0, 0);
    while let Some(row) = rows.next()? {
        let counted = if most_rows < 0 { messages.len() } else { messages.len() + left_out };
        if counted == most_messages || (bytes > MAX_BYTES_AT_ONCE && !messages.is_empty()) {
            has_more = true;
            break;
        }
        let Some(message) = skip(db, "messages", row, 0, read_message(row, id))? else {
            left_out += 1;
            continue;
        };
        bytes += message.body.bytes.len();
        messages.push(message);
    }
    if newest_first {
        messages.reverse();
    }
    Ok((messages, has_more))
}

pub(super) fn last_position(db: &Connection) -> rusqlite::Result<Position> {
    let mut select = db.prepare_cached("SELECT coalesce(max(position), 0) FROM log")?;
    select.query_row([], |row| row.get(0).map(read_position))
}

pub(super) fn log_begin(db: &Connection) -> rusqlite::Result<Position> {
    let mut select = db.prepare_cached("SELECT coalesce(min(position), 1) - 1 FROM log")?;
    select.query_row([], |row| row.get(0).map(read_position))
}

pub(super) fn changes_after(
    db: &Connection,
    position: Position,
    limit: usize,
) -> rusqlite::Result<Option<Vec<LoggedChange>>> {
    // Both in one view: the log may be shortened at any time.
    let reading = db.unchecked_transaction()?;
    if position < log_begin(&reading)? {
        return Ok(None);
    }
    let sql = "SELECT position, kind, place, room, user, role, detail FROM log WHERE position > ? ORDER BY position LIMIT ?";
    let mut select = db.prepare_cached(sql)?;
    let after = i64::try_from(position.0).unwrap_or(i64::MAX);
    let mut rows = select.query(params![after, limit as i64])?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    while bytes <= MAX_BYTES_AT_ONCE {
        let next = rows.next().and_then(|row| row.map(|row| read_change(db, row)).transpose());
        match next {
            Ok(Some(change)) => {
                bytes += body_bytes(&change.change);
                changes.push(change);
            }
            Ok(None) => break,
            // It is an error when somebody asks for it first; what comes before it is not lost with it.
            Err(error) if !changes.is_empty() && matches!(fault(&error), StoreError::Corrupt { .. }) => break,
            Err(error) if is_of_row(&error) => {
                super::damage::report(db, "log", &(position.0 + 1), &error);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(changes))
}

pub(super) fn read_change(db: &Connection, row: &Row<'_>) -> rusqlite::Result<LoggedChange> {
    let read = || {
        let change = read_entry(row, row.get(2)?)?;
        change.map(|place| message_at(db, place)?.ok_or_else(|| unreadable(2, "message")))
    };
    let change = read().map_err(|error| match error {
        // In what is read, unlike in what is written, this is nobody's request.
        rusqlite::Error::IntegralValueOutOfRange(column, _) => unreadable(column, "number"),
        error => error,
    })?;
    Ok(LoggedChange { position: read_position(row.get(0)?), change })
}

/// What an entry says, from the columns of [`read_fields`]. The message is given.
pub(super) fn read_entry<M>(row: &Row<'_>, message: Option<M>) -> rusqlite::Result<Change<M>> {
    let (kind, fields) = read_fields(row, message)?;
    let missing = |field: &str| {
        rusqlite::Error::FromSqlConversionFailure(1, Type::Integer, format!("{field} is missing").into())
    };
    Change::from_fields(kind, fields).map_err(missing)
}

/// The kind of an entry and what it holds, from the columns kind, place, room, user, role and detail behind the first.
pub(super) fn read_fields<M>(row: &Row<'_>, message: Option<M>) -> rusqlite::Result<(ChangeKind, Fields<M>)> {
    let kind = ChangeKind::from_code(row.get(1)?).ok_or_else(|| unreadable(1, "kind"))?;
    let role = row.get::<_, Option<u8>>(5)?;
    let detail = row.get::<_, Option<Vec<u8>>>(6)?;
    let fields = Fields {
        message,
        room: row.get::<_, Option<_>>(3)?.map(ConversationId::from_bytes),
        user: row.get::<_, Option<_>>(4)?.map(UserId::from_bytes),
        role: role.map(|code| read_role(code).ok_or_else(|| unreadable(5, "role"))).transpose()?,
        seq: row.get::<_, Option<i64>>(2)?.map(|place| Seq(seq_of(place))),
        detail: detail.map(|bytes| Detail::new(&bytes).ok_or_else(|| unreadable(6, "detail"))).transpose()?,
    };
    Ok((kind, fields))
}

pub(super) fn body_bytes(change: &Change) -> usize {
    change.message().map_or(0, |message| message.body.bytes.len())
}

pub(super) fn read_position(position: i64) -> Position {
    Position(position.unsigned_abs())
}

pub(super) fn unreadable(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, format!("unknown {what}").into())
}

#[cfg(test)]
mod tests;
