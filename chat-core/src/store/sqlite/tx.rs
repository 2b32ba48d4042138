//! The rows, for writes.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::ops::{End, Entry, Writing};
use super::rows;
use super::{fingerprints, keyed, members, search};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, Seq, User, UserKey,
};
use crate::search::Terms;
use crate::store::keyed::{Row, Table};
use crate::store::tx::{Abort, Tx};
use crate::store::{Change, MessageRef, NewMessage, StoredMessage};

impl Writing<'_> {
    /// The key of a conversation that is there.
    fn key_of(&mut self, id: ConversationId) -> rusqlite::Result<i64> {
        self.end_of(id)?.map(|end| end.key).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Where a message lies that is there.
    fn place_of(&mut self, id: ConversationId, seq: Seq) -> rusqlite::Result<i64> {
        Ok(rows::place(self.key_of(id)?, seq.0))
    }

    fn insert_member_row(&self, conversation: i64, member: &Member, read: Seq) -> rusqlite::Result<()> {
        let sql =
            "INSERT INTO members (conversation, user, role, joined_at, read_seq) VALUES (?, ?, ?, ?, ?)";
        let values = params![
            conversation,
            member.user.as_bytes(),
            rows::role_code(member.role),
            member.joined_at.as_millis(),
            read.0
        ];
        self.db.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn know_row(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        if table.is_known_by_heart() {
            self.state.rows.insert((table, key.to_vec()), value.map(<[u8]>::to_vec));
        }
    }

    fn add_to_count(&self, conversation: i64, more: isize) -> rusqlite::Result<()> {
        let sql = "UPDATE conversations SET member_count = member_count + ? WHERE key = ?";
        self.db.prepare_cached(sql)?.execute(params![more, conversation]).map(drop)
    }
}

impl Tx for Writing<'_> {
    type Error = rusqlite::Error;

    fn user(&mut self, id: UserId) -> rusqlite::Result<Option<Arc<User>>> {
        Ok(rows::user(self.db, &UserKey::Id(id))?.map(|(user, _)| user.into()))
    }

    fn is_name_taken(&mut self, folded: &str) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM users WHERE username_folded = ?1 OR email_folded = ?1";
        self.db.prepare_cached(sql)?.exists([folded])
    }

    fn is_name_key_taken(&mut self, key: &str) -> rusqlite::Result<bool> {
        self.db.prepare_cached("SELECT 1 FROM users WHERE name_key = ?")?.exists([key])
    }

    fn insert_user(&mut self, new: &NewUser) -> rusqlite::Result<()> {
        let user = &new.user;
        let (username, email) = rows::folded_names(user);
        let sql = "INSERT INTO users (id, username, username_folded, email, email_folded, full_name, picture,
            password_hash, created_at, updated_at, last_seen, name_key) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
        let values = params![
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
        ];
        self.db.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn set_profile(&mut self, user: &User, position: Position) -> rusqlite::Result<()> {
        let sql =
            "UPDATE users SET full_name = ?, picture = ?, updated_at = ?, profile_position = ? WHERE id = ?";
        let values = params![
            user.full_name,
            user.picture,
            user.updated_at.as_millis(),
            position.0 as i64,
            user.id.as_bytes()
        ];
        self.db.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> rusqlite::Result<()> {
        let mut update = self.db.prepare_cached("UPDATE users SET last_seen = ? WHERE id = ?")?;
        update.execute(params![at.as_millis(), id.as_bytes()]).map(drop)
    }

    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> rusqlite::Result<bool> {
        let sql = "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?";
        let mut update = self.db.prepare_cached(sql)?;
        Ok(update.execute(params![new.expose(), id.as_bytes(), old.expose()])? > 0)
    }

    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> rusqlite::Result<()> {
        let sql = "INSERT INTO revoked_tokens VALUES (?, ?)
            ON CONFLICT DO UPDATE SET until = max(until, excluded.until)";
        self.db.prepare_cached(sql)?.execute(params![fingerprint, until.as_millis()]).map(drop)
    }

    fn end(&mut self, id: ConversationId) -> rusqlite::Result<Option<Seq>> {
        Ok(self.end_of(id)?.map(|end| Seq(end.seq)))
    }

    fn blockers(&mut self, id: ConversationId) -> rusqlite::Result<Vec<UserId>> {
        self.end_of(id)?;
        Ok(self.state.blockers.get(&id).cloned().unwrap_or_default())
    }

    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> rusqlite::Result<()> {
        let key = self.key_of(id)?;
        let bytes = rows::blockers_bytes(blockers);
        let mut update = self.db.prepare_cached("UPDATE conversations SET blockers = ? WHERE key = ?")?;
        update.execute(params![bytes, key])?;
        self.state.know_blockers(id, blockers.to_vec());
        Ok(())
    }

    fn kind(&mut self, id: ConversationId) -> rusqlite::Result<Option<ConversationKind>> {
        rows::kind(self.db, id)
    }

    fn direct(&mut self, pair: Pair) -> rusqlite::Result<Option<Arc<Conversation>>> {
        Ok(rows::direct(self.db, pair)?.map(Arc::new))
    }

    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> rusqlite::Result<()> {
        let (id, at) = (new.id.as_bytes(), new.created_at.as_millis());
        let key = match &new.kind {
            ConversationKind::Direct { pair } => {
                let sql = "INSERT INTO conversations (id, pair, created_at) VALUES (?, ?, ?)";
                self.db.prepare_cached(sql)?.insert(params![id, rows::pair_bytes(*pair), at])?
            }
            ConversationKind::Room(info) => {
                let sql = "INSERT INTO conversations (id, name, visibility, created_at) VALUES (?, ?, ?, ?)";
                let visibility = rows::visibility_code(info.visibility);
                self.db.prepare_cached(sql)?.insert(params![id, info.name, visibility, at])?
            }
        };
        self.add_to_count(key, new.members.len().cast_signed())?;
        for member in new.members.iter() {
            self.insert_member_row(key, member, Seq(0))?;
        }
        self.state.ends.insert(new.id, End { key, seq: 0 });
        Ok(())
    }

    fn member_count(&mut self, id: ConversationId) -> rusqlite::Result<usize> {
        let mut select = self.db.prepare_cached("SELECT member_count FROM conversations WHERE id = ?")?;
        let count: Option<i64> = select.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
    }

    fn member(&mut self, id: ConversationId, user: UserId) -> rusqlite::Result<Option<Member>> {
        let Some(End { key, .. }) = self.end_of(id)? else { return Ok(None) };
        Ok(members::one(self.db, key, user)?.map(|(_, member)| member))
    }

    fn first_two(&mut self, id: ConversationId, role: Role) -> rusqlite::Result<Vec<Member>> {
        let Some(End { key, .. }) = self.end_of(id)? else { return Ok(Vec::new()) };
        members::first_two(self.db, key, role)
    }

    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> rusqlite::Result<()> {
        let key = self.key_of(id)?;
        self.insert_member_row(key, member, read)?;
        self.add_to_count(key, 1)
    }

    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> rusqlite::Result<()> {
        let key = self.key_of(id)?;
        self.state.roles.remove(&(key, user));
        let sql = "UPDATE members SET role = ? WHERE conversation = ? AND user = ?";
        let mut update = self.db.prepare_cached(sql)?;
        update.execute(params![rows::role_code(role), key, user.as_bytes()]).map(drop)
    }

    fn delete_member(&mut self, id: ConversationId, user: UserId) -> rusqlite::Result<()> {
        let key = self.key_of(id)?;
        self.state.roles.remove(&(key, user));
        let sql = "DELETE FROM members WHERE conversation = ? AND user = ?";
        let deleted = self.db.prepare_cached(sql)?.execute(params![key, user.as_bytes()])?;
        self.add_to_count(key, -deleted.cast_signed())
    }

    fn role(&mut self, id: ConversationId, user: UserId) -> rusqlite::Result<Option<Role>> {
        let Some(End { key, .. }) = self.end_of(id)? else { return Ok(None) };
        if let Some(role) = self.state.roles.get(&(key, user)) {
            return Ok(Some(*role));
        }
        let role = members::one(self.db, key, user)?.map(|(_, member)| member.role);
        self.state.roles.extend(role.map(|role| ((key, user), role)));
        Ok(role)
    }

    fn read_mark(&mut self, id: ConversationId, user: UserId) -> rusqlite::Result<Option<Seq>> {
        let Some(End { key, .. }) = self.end_of(id)? else { return Ok(None) };
        let sql = "SELECT read_seq FROM members WHERE conversation = ? AND user = ?";
        let mut select = self.db.prepare_cached(sql)?;
        let mark = select.query_row(params![key, user.as_bytes()], |row| row.get(0)).optional()?;
        Ok(mark.map(Seq))
    }

    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> rusqlite::Result<()> {
        let key = self.key_of(id)?;
        let sql = "UPDATE members SET read_seq = ? WHERE conversation = ? AND user = ?";
        self.db.prepare_cached(sql)?.execute(params![seq.0, key, user.as_bytes()]).map(drop)
    }

    fn message(&mut self, id: MessageId) -> rusqlite::Result<Option<StoredMessage>> {
        Ok(rows::message(self.db, id)?.map(|(_, message)| message))
    }

    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> rusqlite::Result<Option<StoredMessage>> {
        let sql = "SELECT place FROM sends WHERE sender = ? AND client_id = ?";
        let mut select = self.db.prepare_cached(sql)?;
        let place = select.query_row(params![sender.as_bytes(), id.as_str()], |row| row.get(0)).optional()?;
        place.map_or(Ok(None), |place| rows::message_at(self.db, place))
    }

    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> rusqlite::Result<Option<StoredMessage>> {
        let key = self.key_of(conversation)?;
        self.state.fingerprints.find(self.db, (sender, key, fingerprint), since)
    }

    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<rusqlite::Error>> {
        let key = self.key_of(new.conversation)?;
        let place = rows::place(key, seq.0);
        // Its room is not noted: a message is found by its place.
        let kind = Change::MessageSent(()).kind();
        let entry = Entry { kind, place: Some(place), room: None, user: None, role: None, detail: None };
        let position = self.add_entry(new.at, &entry)?;
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
        self.state.ends.insert(new.conversation, End { key, seq: seq.0 });
        Ok(position)
    }

    fn set_deletion(&mut self, message: &StoredMessage) -> rusqlite::Result<()> {
        let place = self.place_of(message.conversation, message.seq)?;
        let sql = "UPDATE messages SET deleted_at = ?, deleted_by = ?, updated_at = ? WHERE place = ?";
        let values = params![
            message.deleted.map(|tombstone| tombstone.at.as_millis()),
            message.deleted.map(|tombstone| *tombstone.by.as_bytes()),
            message.updated_at.as_millis(),
            place
        ];
        self.db.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn set_body(&mut self, message: &StoredMessage) -> rusqlite::Result<()> {
        let place = self.place_of(message.conversation, message.seq)?;
        let sql = "UPDATE messages SET encoding = ?, body = ?, updated_at = ? WHERE place = ?";
        let StoredMessage { body, updated_at, .. } = message;
        let values = params![u8::from(body.encoding), body.bytes, updated_at.as_millis(), place];
        self.db.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> rusqlite::Result<()> {
        let key = self.key_of(message.conversation)?;
        search::add_terms(self.db, (key, message.seq), terms)
    }

    fn set_facets(&mut self, message: &StoredMessage) -> rusqlite::Result<()> {
        let place = self.place_of(message.conversation, message.seq)?;
        let mut update = self.db.prepare_cached("UPDATE messages SET facets = ? WHERE place = ?")?;
        update.execute(params![message.facets.bits(), place]).map(drop)
    }

    fn row(&mut self, table: Table, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        if !table.is_known_by_heart() {
            return keyed::value(self.db, table, key);
        }
        let key = (table, key.to_vec());
        if let Some(value) = self.state.rows.get(&key) {
            return Ok(value.clone());
        }
        let value = keyed::value(self.db, table, &key.1)?;
        self.state.rows.insert(key, value.clone());
        Ok(value)
    }

    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
        self.know_row(table, key, Some(value));
        keyed::put(self.db, table, key, value)
    }

    fn delete_row(&mut self, table: Table, key: &[u8]) -> rusqlite::Result<()> {
        self.know_row(table, key, None);
        keyed::delete(self.db, table, key)
    }

    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> rusqlite::Result<Vec<Row>> {
        keyed::rows(self.db, table, prefix, None, limit)
    }

    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> rusqlite::Result<Position> {
        let fields = change.fields();
        let (message, room) = (fields.message, fields.room);
        let room = room.or(message.map(|message| message.conversation));
        let seq = fields.seq.or(message.map(|message| message.seq));
        let place = match room.zip(seq) {
            Some((room, seq)) => Some(self.place_of(room, seq)?),
            None => None,
        };
        let (kind, detail) = (change.kind(), fields.detail);
        let entry = Entry { kind, place, room, user: fields.user, role: fields.role, detail };
        self.add_entry(at, &entry)
    }
}
