//! Changes, as they are made inside a transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::fingerprints::{self, Fingerprints};
use super::rows::{self, Kind};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Seq, Tombstone, User, UserKey,
};
use crate::store::{Appended, CreatedUser, NewMessage, NewRoom, StoredMessage};

/// How many conversations' ends the writer remembers.
const REMEMBERED: usize = 100_000;

/// What the writer knows by heart. True as long as it is the only writer and no transaction has failed.
#[derive(Default)]
pub(super) struct State {
    position: Option<i64>,
    ends: HashMap<ConversationId, End>,
    pub(super) fingerprints: Fingerprints,
}

impl State {
    /// A transaction has failed: what it had counted is not true.
    pub(super) fn rolled_back(&mut self) {
        self.position = None;
        self.ends.clear();
        self.fingerprints.rolled_back();
    }
}

/// Where a conversation ends.
#[derive(Clone, Copy)]
struct End {
    key: i64,
    seq: u32,
}

/// An open transaction.
pub(super) struct Writing<'a> {
    db: &'a Connection,
    state: &'a mut State,
}

impl<'a> Writing<'a> {
    pub(super) fn new(db: &'a Connection, state: &'a mut State) -> rusqlite::Result<Self> {
        if state.position.is_none() {
            let last = db.query_row("SELECT coalesce(max(position), 0) FROM log", [], |row| row.get(0))?;
            state.position = Some(last);
        }
        if state.ends.len() > REMEMBERED {
            state.ends.clear();
        }
        Ok(Self { db, state })
    }

    pub(super) fn db(&self) -> &'a Connection {
        self.db
    }

    /// The key of a conversation and its last seq.
    pub(super) fn end_of(&mut self, id: ConversationId) -> rusqlite::Result<Option<(i64, u32)>> {
        Ok(self.end(id)?.map(|end| (end.key, end.seq)))
    }

    pub(super) fn create_user(&mut self, new: &NewUser) -> rusqlite::Result<CreatedUser> {
        let user = &new.user;
        let (username, email) = rows::folded_names(user);
        let taken = |sql: &str, value: &dyn rusqlite::ToSql| self.db.prepare_cached(sql)?.exists([value]);
        let is_anybodys = "SELECT 1 FROM users WHERE username_folded = ?1 OR email_folded = ?1";
        if taken("SELECT 1 FROM users WHERE id = ?", user.id.as_bytes())? || taken(is_anybodys, &username)? {
            return Ok(CreatedUser::UsernameTaken);
        }
        if taken(is_anybodys, &email)? {
            return Ok(CreatedUser::EmailTaken);
        }
        if taken("SELECT 1 FROM users WHERE name_key = ?", &new.name_key)? {
            return Ok(CreatedUser::key_taken(user));
        }
        let sql = "INSERT INTO users (id, username, username_folded, email, email_folded, full_name, picture,
            password_hash, created_at, updated_at, last_seen, name_key) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
        self.db.prepare_cached(sql)?.execute(params![
            user.id.as_bytes(),
            user.username,
            username,
            user.email,
            email,
            user.full_name,
            user.picture,
            new.password_hash.expose(),
            user.created_at.as_millis(),
            user.updated_at.as_millis(),
            user.last_seen.map(Timestamp::as_millis),
            new.name_key,
        ])?;
        Ok(CreatedUser::Created(user.clone().into()))
    }

    pub(super) fn set_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> rusqlite::Result<bool> {
        let sql = "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?";
        let changed =
            self.db.prepare_cached(sql)?.execute(params![new.expose(), id.as_bytes(), old.expose()])?;
        Ok(changed > 0)
    }

    pub(super) fn update_profile(
        &mut self,
        id: UserId,
        patch: &ProfilePatch,
        at: Timestamp,
    ) -> rusqlite::Result<Option<(Position, User)>> {
        let sql = "UPDATE users SET full_name = coalesce(?, full_name), picture = coalesce(?, picture),
            updated_at = ? WHERE id = ?";
        let changed = self.db.prepare_cached(sql)?.execute(params![
            patch.full_name,
            patch.picture,
            at.as_millis(),
            id.as_bytes()
        ])?;
        if changed == 0 {
            return Ok(None);
        }
        let position = self.log(at, Kind::ProfileUpdated, None, None, Some(id), None)?;
        let mut note = self.db.prepare_cached("UPDATE users SET profile_position = ? WHERE id = ?")?;
        note.execute(params![position.0 as i64, id.as_bytes()])?;
        let user = rows::user(self.db, &UserKey::Id(id))?;
        Ok(user.map(|(user, _)| (position, user)))
    }

    pub(super) fn record_last_seen(&mut self, id: UserId, at: Timestamp) -> rusqlite::Result<()> {
        let mut update = self.db.prepare_cached("UPDATE users SET last_seen = ? WHERE id = ?")?;
        update.execute(params![at.as_millis(), id.as_bytes()]).map(drop)
    }

    /// Writes something and leaves everything as it is.
    pub(super) fn renew_epoch(&mut self) -> rusqlite::Result<Epoch> {
        super::epoch::renew(self.db)
    }

    pub(super) fn touch(&mut self) -> rusqlite::Result<()> {
        let nobodys = [0; 32];
        self.revoke_token(&nobodys, Timestamp::from_millis(0))?;
        self.db
            .prepare_cached("DELETE FROM revoked_tokens WHERE fingerprint = ?")?
            .execute([nobodys])
            .map(drop)
    }

    pub(super) fn revoke_token(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> rusqlite::Result<()> {
        let sql = "INSERT INTO revoked_tokens VALUES (?, ?)
            ON CONFLICT DO UPDATE SET until = max(until, excluded.until)";
        self.db.prepare_cached(sql)?.execute(params![fingerprint, until.as_millis()]).map(drop)
    }

    pub(super) fn open_direct(
        &mut self,
        pair: Pair,
        id: ConversationId,
        at: Timestamp,
    ) -> rusqlite::Result<Conversation> {
        if let Some(found) = rows::direct(self.db, pair)? {
            return Ok(found);
        }
        let sql = "INSERT INTO conversations (id, pair, created_at) VALUES (?, ?, ?)";
        let mut insert = self.db.prepare_cached(sql)?;
        let key = insert.insert(params![id.as_bytes(), rows::pair_bytes(pair), at.as_millis()])?;
        let (low, high) = pair.both();
        let mut members = vec![low];
        if high != low {
            members.push(high);
        }
        for user in members {
            let member = Member { user, role: crate::model::Role::Member, joined_at: at };
            self.insert_member(key, &member, 0)?;
        }
        rows::conversation(self.db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    pub(super) fn create_room(&mut self, room: &NewRoom) -> rusqlite::Result<(Position, Conversation)> {
        let sql = "INSERT INTO conversations (id, name, visibility, created_at) VALUES (?, ?, ?, ?)";
        let key = self.db.prepare_cached(sql)?.insert(params![
            room.id.as_bytes(),
            room.info.name,
            rows::visibility_code(room.info.visibility),
            room.at.as_millis()
        ])?;
        for member in &room.members {
            self.insert_member(key, member, 0)?;
        }
        let position = self.log(room.at, Kind::RoomCreated, None, Some(room.id), Some(room.by), None)?;
        let conversation = rows::conversation(self.db, room.id)?;
        Ok((position, conversation.ok_or(rusqlite::Error::QueryReturnedNoRows)?))
    }

    pub(super) fn set_member(
        &mut self,
        id: ConversationId,
        member: &Member,
    ) -> rusqlite::Result<Option<(Option<Position>, Conversation)>> {
        let Some(end) = self.end(id)? else { return Ok(None) };
        let Some(before) = rows::conversation(self.db, id)? else { return Ok(None) };
        let role = rows::role_code(member.role);
        let position = match before.member(member.user) {
            Some(known) if known.role == member.role => return Ok(Some((None, before))),
            Some(_) => {
                let sql = "UPDATE members SET role = ? WHERE conversation = ? AND user = ?";
                let mut update = self.db.prepare_cached(sql)?;
                update.execute(params![role, end.key, member.user.as_bytes()])?;
                self.log(member.joined_at, Kind::RoleChanged, None, Some(id), Some(member.user), Some(role))?
            }
            None => {
                self.insert_member(end.key, member, end.seq)?;
                self.log(member.joined_at, Kind::MemberAdded, None, Some(id), Some(member.user), None)?
            }
        };
        Ok(rows::conversation(self.db, id)?.map(|after| (Some(position), after)))
    }

    pub(super) fn remove_member(
        &mut self,
        id: ConversationId,
        user: UserId,
        at: Timestamp,
    ) -> rusqlite::Result<Option<(Option<Position>, Conversation)>> {
        let Some(end) = self.end(id)? else { return Ok(None) };
        let sql = "DELETE FROM members WHERE conversation = ? AND user = ?";
        let removed = self.db.prepare_cached(sql)?.execute(params![end.key, user.as_bytes()])?;
        let position = match removed {
            0 => None,
            _ => Some(self.log(at, Kind::MemberRemoved, None, Some(id), Some(user), None)?),
        };
        Ok(rows::conversation(self.db, id)?.map(|after| (position, after)))
    }

    pub(super) fn append(&mut self, new: &NewMessage) -> rusqlite::Result<Appended> {
        if let Some(client_id) = &new.client_id {
            let sql = "SELECT place FROM sends WHERE sender = ? AND client_id = ?";
            let mut select = self.db.prepare_cached(sql)?;
            let known = select
                .query_row(params![new.sender.as_bytes(), client_id.as_str()], |row| row.get::<_, i64>(0))
                .optional()?;
            if let Some(place) = known
                && let Some(first) = rows::message_at(self.db, place)?
            {
                return Ok(Appended::Repeated(Box::new(first)));
            }
        }
        let end = self.end(new.conversation)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        if let Some(fingerprint) = new.fingerprint
            && let Some(first) = self.state.fingerprints.find(self.db, new, end.key, fingerprint)?
        {
            return Ok(Appended::Repeated(Box::new(first)));
        }
        let seq = end.seq.checked_add(1).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX))?;
        let place = rows::place(end.key, seq);
        let position = self.log(new.at, Kind::MessageSent, Some(place), None, None, None)?;
        let sql = "INSERT INTO messages (place, id, position, sender, encoding, body, file_name, image,
            created_at, updated_at, fingerprint) VALUES (?,?,?,?,?,?,?,?,?,?,?)";
        self.db.prepare_cached(sql)?.execute(params![
            place,
            new.id.as_bytes(),
            position.0 as i64,
            new.sender.as_bytes(),
            u8::from(new.body.encoding),
            new.body.bytes,
            new.file_name,
            new.image,
            new.at.as_millis(),
            new.at.as_millis(),
            new.fingerprint.map(fingerprints::stored),
        ])?;
        if let Some(fingerprint) = new.fingerprint {
            self.state.fingerprints.insert(new.sender, place, fingerprint);
        }
        if let Some(client_id) = &new.client_id {
            let mut insert = self.db.prepare_cached("INSERT INTO sends VALUES (?, ?, ?)")?;
            insert.execute(params![new.sender.as_bytes(), client_id.as_str(), place])?;
        }
        self.state.ends.insert(new.conversation, End { seq, ..end });
        Ok(Appended::New { position, seq: Seq(seq) })
    }

    pub(super) fn set_deleted(
        &mut self,
        id: MessageId,
        deleted: Option<Tombstone>,
        at: Timestamp,
    ) -> rusqlite::Result<Option<(Option<Position>, StoredMessage)>> {
        let Some((place, before)) = rows::message(self.db, id)? else { return Ok(None) };
        if before.deleted.is_some() == deleted.is_some() {
            return Ok(Some((None, before)));
        }
        let sql = "UPDATE messages SET deleted_at = ?, deleted_by = ?, updated_at = ? WHERE place = ?";
        self.db.prepare_cached(sql)?.execute(params![
            deleted.map(|tombstone| tombstone.at.as_millis()),
            deleted.map(|tombstone| *tombstone.by.as_bytes()),
            at.as_millis(),
            place
        ])?;
        let kind = if deleted.is_some() { Kind::MessageDeleted } else { Kind::MessageRestored };
        let position = self.log(at, kind, Some(place), Some(before.conversation), None, None)?;
        Ok(Some((Some(position), StoredMessage { deleted, updated_at: at, ..before })))
    }

    pub(super) fn mark_read(
        &mut self,
        id: ConversationId,
        user: UserId,
        up_to: Option<Seq>,
        at: Timestamp,
    ) -> rusqlite::Result<Option<(Option<Position>, Seq)>> {
        let Some(end) = self.end(id)? else { return Ok(None) };
        let sql = "SELECT read_seq FROM members WHERE conversation = ? AND user = ?";
        let mut select = self.db.prepare_cached(sql)?;
        let mark = select.query_row(params![end.key, user.as_bytes()], |row| row.get(0)).optional()?;
        let Some(mark) = mark.map(Seq) else { return Ok(None) };
        let seq = up_to.unwrap_or(Seq(end.seq)).min(Seq(end.seq));
        if seq <= mark {
            return Ok(Some((None, mark)));
        }
        let sql = "UPDATE members SET read_seq = ? WHERE conversation = ? AND user = ?";
        self.db.prepare_cached(sql)?.execute(params![seq.0, end.key, user.as_bytes()])?;
        let place = rows::place(end.key, seq.0);
        let position = self.log(at, Kind::ReadMarked, Some(place), Some(id), Some(user), None)?;
        Ok(Some((Some(position), seq)))
    }

    fn insert_member(&self, conversation: i64, member: &Member, read_seq: u32) -> rusqlite::Result<()> {
        let sql =
            "INSERT INTO members (conversation, user, role, joined_at, read_seq) VALUES (?, ?, ?, ?, ?)";
        let mut insert = self.db.prepare_cached(sql)?;
        insert
            .execute(params![
                conversation,
                member.user.as_bytes(),
                rows::role_code(member.role),
                member.joined_at.as_millis(),
                read_seq
            ])
            .map(drop)
    }

    fn end(&mut self, id: ConversationId) -> rusqlite::Result<Option<End>> {
        if let Some(end) = self.state.ends.get(&id) {
            return Ok(Some(*end));
        }
        let mut select = self.db.prepare_cached("SELECT key FROM conversations WHERE id = ?")?;
        let key = select.query_row([id.as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
        let Some(key) = key else { return Ok(None) };
        let mut last =
            self.db.prepare_cached("SELECT max(place) FROM messages WHERE place BETWEEN ? AND ?")?;
        let last: Option<i64> =
            last.query_row([rows::place(key, 0), rows::place(key, u32::MAX)], |row| row.get(0))?;
        let end = End { key, seq: last.map_or(0, rows::seq_of) };
        self.state.ends.insert(id, end);
        Ok(Some(end))
    }

    /// Forgets some changes at the beginning of the log that were made before `at`; answers whether there may be more.
    pub(super) fn forget_before(&mut self, at: Timestamp) -> rusqlite::Result<bool> {
        const STEP: i64 = 1_000;
        let first: Option<i64> =
            self.db.prepare_cached("SELECT min(position) FROM log")?.query_row([], |row| row.get(0))?;
        let last = self.state.position.unwrap_or_default();
        let Some(first) = first else { return Ok(false) };
        let step_end = (first + STEP).min(last);
        let sql = "SELECT min(position) FROM log WHERE position >= ? AND position < ? AND at >= ?";
        let kept: Option<i64> = self
            .db
            .prepare_cached(sql)?
            .query_row(params![first, step_end, at.as_millis()], |row| row.get(0))?;
        let mut delete = self.db.prepare_cached("DELETE FROM log WHERE position < ?")?;
        delete.execute([kept.unwrap_or(step_end)])?;
        Ok(kept.is_none() && step_end < last)
    }

    fn log(
        &mut self,
        at: Timestamp,
        kind: Kind,
        place: Option<i64>,
        room: Option<ConversationId>,
        user: Option<UserId>,
        role: Option<u8>,
    ) -> rusqlite::Result<Position> {
        let position = self.state.position.unwrap_or_default() + 1;
        let mut insert = self.db.prepare_cached("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        insert.execute(params![
            position,
            kind as u8,
            place,
            room.map(|id| *id.as_bytes()),
            user.map(|id| *id.as_bytes()),
            role,
            at.as_millis()
        ])?;
        self.state.position = Some(position);
        Ok(Position(position.unsigned_abs()))
    }
}
