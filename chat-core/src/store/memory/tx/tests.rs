//! Every write, watched: that it looks only at what it has named, logs no more than it has said, and has written nothing when it
//! is refused.

mod random;

use std::collections::{BTreeMap, HashSet};

use self::random::Random;
use super::*;
use crate::aspects::edits::Edit;
use crate::codec::{Blob, Encoding};
use crate::id::ReportId;
use crate::model::{ChatSettingsPatch, ProfilePatch, RelationAct, RoomInfo, Visibility};
use crate::reactions::{Emoji, React, Reacting};
use crate::reports::{CloseReport, FileReport, Queue, Report, Reported, ReportedAs, Resolution};
use crate::rooms::{ChangeRoom, RoomAct};
use crate::store::reindexing::Reindex;
use crate::store::tx::Reads;
use crate::store::write::{
    AddMember, Append, CreateRoom, CreateUser, EditRows, MarkRead, NoteDelivered, OpenDirect, RecordLastSeen,
    Relate, RemoveMember, RevokeToken, SetChatSettings, SetDeleted, SetPasswordHash, SetRole, UpdateProfile,
};
use crate::store::{NewRoom, Write, Written};

struct Watched<'a> {
    state: &'a mut State,
    reads: Reads,
    /// Who was found among the first members of a room.
    first: HashSet<UserId>,
    logged: u64,
    has_written: bool,
}

impl Watched<'_> {
    fn writing(&mut self) -> &mut State {
        self.has_written = true;
        self.state
    }

    fn looks_at_end(&self, id: ConversationId) {
        assert!(self.reads.ends.contains(&id) || self.reads.rooms.contains(&id), "end of {id}");
    }

    fn looks_at_room(&self, id: ConversationId) {
        assert!(self.reads.rooms.contains(&id), "room {id}");
    }

    /// One who is named, or was found among the first.
    fn looks_at_member(&self, id: ConversationId, user: UserId) {
        self.looks_at_room(id);
        let is_named = self.reads.members.contains(&(id, user)) || self.first.contains(&user);
        assert!(is_named, "membership of {user} in {id}");
    }

    fn looks_at_blockers(&self, id: ConversationId) {
        let kind = self.state.rooms.get(&id).map(|room| &room.conversation.kind);
        match kind {
            Some(ConversationKind::Direct { pair }) if self.reads.pairs.contains(pair) => {}
            _ => self.looks_at_end(id),
        }
    }

    fn looks_at_user(&self, id: UserId) {
        assert!(self.reads.users.contains(&id), "user {id}");
    }

    fn looks_at_row(&self, table: Table, key: &[u8]) {
        let ranges = &self.reads.ranges;
        let is_in_range = ranges.iter().any(|(of, prefix, _)| *of == table && key.starts_with(prefix));
        let named = (table, key.to_vec());
        let is_ruled = self.reads.ruled_rows.contains(&named) && {
            let rules = (Table::RoomRules, key[..12].to_vec());
            self.reads.rows.contains(&rules) && self.state.rows.contains_key(&rules)
        };
        assert!(is_in_range || is_ruled || self.reads.rows.contains(&named), "a row of {table:?}");
    }

    fn looks_at_mark(&self, id: ConversationId, user: UserId) {
        self.looks_at_end(id);
        assert!(self.reads.read_marks.contains(&(id, user)), "read mark of {user} in {id}");
    }
}

impl Tx for Watched<'_> {
    type Error = StoreError;

    fn user(&mut self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.looks_at_user(id);
        self.state.user(id)
    }

    fn is_name_taken(&mut self, folded: &str) -> Result<bool, StoreError> {
        assert!(self.reads.names.contains(folded), "name {folded}");
        self.state.is_name_taken(folded)
    }

    fn is_name_key_taken(&mut self, key: &str) -> Result<bool, StoreError> {
        assert!(self.reads.name_keys.contains(key), "key {key}");
        self.state.is_name_key_taken(key)
    }

    fn insert_user(&mut self, new: &NewUser) -> Result<(), StoreError> {
        self.writing().insert_user(new)
    }

    fn set_profile(&mut self, user: &User, position: Position) -> Result<(), StoreError> {
        self.looks_at_user(user.id);
        self.writing().set_profile(user, position)
    }

    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.looks_at_user(id);
        self.writing().set_last_seen(id, at)
    }

    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.looks_at_user(id);
        self.writing().swap_password_hash(id, old, new)
    }

    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> Result<(), StoreError> {
        self.writing().extend_revocation(fingerprint, until)
    }

    fn end(&mut self, id: ConversationId) -> Result<Option<Seq>, StoreError> {
        self.looks_at_end(id);
        self.state.end(id)
    }

    fn blockers(&mut self, id: ConversationId) -> Result<Vec<UserId>, StoreError> {
        self.looks_at_blockers(id);
        self.state.blockers(id)
    }

    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> Result<(), StoreError> {
        self.looks_at_blockers(id);
        self.writing().set_blockers(id, blockers)
    }

    fn kind(&mut self, id: ConversationId) -> Result<Option<ConversationKind>, StoreError> {
        self.looks_at_room(id);
        self.state.kind(id)
    }

    fn member_count(&mut self, id: ConversationId) -> Result<usize, StoreError> {
        self.looks_at_room(id);
        self.state.member_count(id)
    }

    fn member(&mut self, id: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.looks_at_member(id, user);
        self.state.member(id, user)
    }

    fn first_two(&mut self, id: ConversationId, role: Role) -> Result<Vec<Member>, StoreError> {
        self.looks_at_room(id);
        assert!(self.reads.first_members.contains(&id), "first members of {id}");
        let found = self.state.first_two(id, role)?;
        self.first.extend(found.iter().map(|member| member.user));
        Ok(found)
    }

    fn direct(&mut self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        assert!(self.reads.pairs.contains(&pair), "{pair:?}");
        self.state.direct(pair)
    }

    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> Result<(), StoreError> {
        self.looks_at_end(new.id);
        self.writing().insert_conversation(new)
    }

    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> Result<(), StoreError> {
        self.looks_at_member(id, member.user);
        self.writing().insert_member(id, member, read)
    }

    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> Result<(), StoreError> {
        self.looks_at_member(id, user);
        self.writing().set_role(id, user, role)
    }

    fn delete_member(&mut self, id: ConversationId, user: UserId) -> Result<(), StoreError> {
        self.looks_at_member(id, user);
        self.writing().delete_member(id, user)
    }

    fn role(&mut self, id: ConversationId, user: UserId) -> Result<Option<Role>, StoreError> {
        self.looks_at_end(id);
        assert!(self.reads.roles.contains(&(id, user)), "role of {user} in {id}");
        self.state.role(id, user)
    }

    fn read_mark(&mut self, id: ConversationId, user: UserId) -> Result<Option<Seq>, StoreError> {
        self.looks_at_mark(id, user);
        self.state.read_mark(id, user)
    }

    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> Result<(), StoreError> {
        self.looks_at_mark(id, user);
        self.writing().set_read_mark(id, user, seq)
    }

    fn message(&mut self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.messages.contains(&id), "message {id}");
        Tx::message(self.state, id)
    }

    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.sends.contains(&(sender, id.clone())), "client id {id:?}");
        self.state.sent_as(sender, id)
    }

    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.fingerprints.contains(&fingerprint), "{fingerprint:?}");
        self.state.sent_with(sender, conversation, fingerprint, since)
    }

    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<StoreError>> {
        self.looks_at_end(new.conversation);
        let position = self.state.insert_message(new, seq)?;
        (self.has_written, self.logged) = (true, self.logged + 1);
        Ok(position)
    }

    fn set_deletion(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_deletion(message)
    }

    fn set_body(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_body(message)
    }

    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().add_terms(message, terms)
    }

    fn set_facets(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_facets(message)
    }

    fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.looks_at_row(table, key);
        self.state.row(table, key)
    }

    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.looks_at_row(table, key);
        self.writing().put_row(table, key, value)
    }

    fn delete_row(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.looks_at_row(table, key);
        self.writing().delete_row(table, key)
    }

    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let ranges = &self.reads.ranges;
        let is_named = ranges.iter().any(|(of, begin, most)| {
            *of == table && prefix.starts_with(begin) && (begin == prefix || limit <= *most)
        });
        assert!(is_named, "{limit} rows of {table:?}");
        self.state.rows(table, prefix, limit)
    }

    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> Result<Position, StoreError> {
        self.logged += 1;
        self.writing().log(at, change)
    }
}

/// Whether something was to be changed and was not.
fn is_refusal(written: &Written) -> bool {
    match written {
        Written::CreateUser(created) => !matches!(created, crate::store::CreatedUser::Created(_)),
        Written::AddMember(change) | Written::SetRole(change) | Written::RemoveMember(change) => {
            change.as_ref().map_or(true, |change| change.position.is_none())
        }
        Written::Append(appended) => !matches!(appended, crate::store::Appended::New { .. }),
        Written::FileReport(filed) => filed.map_or(true, |filed| !filed.is_new),
        Written::CloseReport(closed) => closed.as_ref().map_or(true, |closed| !closed.is_new),
        Written::ChangeRoom(log) => log.as_ref().map_or(true, Vec::is_empty),
        Written::SetDeleted(changed) | Written::Edit(changed) => {
            changed.as_ref().map_or(true, |(position, _)| position.is_none())
        }
        Written::Reindex(is_done) => !is_done,
        Written::React(reacted) => reacted.as_ref().map_or(true, |reacted| reacted.position.is_none()),
        Written::MarkRead(moved) => moved.as_ref().is_none_or(|(position, _)| position.is_none()),
        Written::UpdateProfile(updated) => updated.is_none(),
        Written::Relate(related) => related.map_or(true, |related| related.position.is_none()),
        Written::SetChatSettings(set) => set.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::CreateRoom(made) => made.is_err(),
        Written::SetPasswordHash(_)
        | Written::RecordLastSeen(())
        | Written::NoteDelivered(())
        | Written::RevokeToken(())
        | Written::OpenDirect(_)
        | Written::EditRows(_) => false,
    }
}

#[test]
fn a_write_looks_only_at_what_it_names_and_is_refused_before_it_writes() {
    let mut random = Random(7);
    let mut state = State::default();
    // How often each was made, and how often it was refused.
    let mut seen: BTreeMap<&'static str, (u32, u32)> = BTreeMap::new();
    let mut successions = 0;
    for millis in 0..80_000 {
        let write = random.write(Timestamp::from_millis(millis));
        let mut reads = Reads::default();
        write.reads(&mut reads);
        let mut watched =
            Watched { state: &mut state, first: HashSet::new(), reads, logged: 0, has_written: false };
        let written = write.apply(&mut watched);
        let Watched { logged, has_written, .. } = watched;
        assert!(logged <= write.most_logged(), "{write:?} has logged {logged}");
        let refused = match &written {
            Ok(written) => is_refusal(written),
            Err(Abort::Refused(_)) => true,
            Err(Abort::Failed(error)) => panic!("{write:?} failed: {error}"),
        };
        assert!(!(refused && has_written), "{write:?} was refused half-way: {written:?}");
        let (made, not_made) = seen.entry(write.name()).or_default();
        *if refused { not_made } else { made } += 1;
        if let Ok(Written::SetRole(Ok(change)) | Written::RemoveMember(Ok(change))) = written {
            successions += u32::from(change.successor.is_some());
        }
    }
    assert_eq!(seen.len(), 23, "all writes were tried: {seen:?}");
    assert!(seen.values().all(|(made, _)| *made > 0), "each was made: {seen:?}");
    let refusable = [
        "CreateUser",
        "AddMember",
        "SetRole",
        "RemoveMember",
        "Append",
        "SetDeleted",
        "React",
        "Edit",
        "Reindex",
        "MarkRead",
        "ChangeRoom",
        "EditRows",
        "CreateRoom",
        "Relate",
        "SetChatSettings",
        "FileReport",
        "CloseReport",
    ];
    for name in refusable {
        assert!(seen[name].1 > 0, "{name} was refused: {seen:?}");
    }
    assert!(successions > 0, "somebody has followed a last admin");
}
