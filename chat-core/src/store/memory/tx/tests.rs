//! Every write, watched: that it looks only at what it has named, logs no more than it has said, and has written nothing when it
//! is refused.

use std::collections::{BTreeMap, HashSet};

mod about_messages;

use super::*;
use crate::codec::{Blob, Encoding};
use crate::model::{ChatSettingsPatch, ProfilePatch, RelationAct, RoomInfo, Visibility};
use crate::reactions::{Emoji, React, Reacting};
use crate::rooms::{ChangeRoom, RoomAct};
use crate::store::tx::Reads;
use crate::store::write::{
    AddMember, Append, CreateRoom, CreateUser, EditRows, MarkRead, OpenDirect, RecordLastSeen, Relate,
    RemoveMember, RevokeToken, SetChatSettings, SetDeleted, SetPasswordHash, SetRole, UpdateProfile,
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

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    fn id(&mut self, most: u64) -> [u8; 12] {
        [self.below(most) as u8; 12]
    }

    fn user(&mut self) -> UserId {
        UserId::from_bytes(self.id(5))
    }

    fn room(&mut self) -> ConversationId {
        ConversationId::from_bytes(self.id(6))
    }

    fn message(&mut self) -> MessageId {
        MessageId::from_bytes(self.id(200))
    }

    fn role(&mut self) -> Role {
        [Role::Member, Role::Moderator, Role::Admin][self.below(3) as usize]
    }

    fn new_user(&mut self, at: Timestamp) -> NewUser {
        let id = self.user();
        let mut name = || Some(format!("Name-{}", self.below(7)));
        let user = User {
            id,
            username: name(),
            email: name(),
            full_name: String::new(),
            picture: String::new(),
            created_at: at,
            updated_at: at,
            last_seen: None,
        };
        NewUser::new(user, PasswordHash::new("x"))
    }

    fn new_room(&mut self, at: Timestamp) -> NewRoom {
        let by = self.user();
        let visibility = if self.below(2) == 0 { Visibility::Public } else { Visibility::Private };
        let other = self.user();
        let mut members = vec![Member { user: by, role: Role::Admin, joined_at: at }];
        members.extend((other != by).then_some(Member { user: other, role: Role::Member, joined_at: at }));
        NewRoom { id: self.room(), info: RoomInfo::new("room", visibility), members, by, at }
    }

    fn new_message(&mut self, at: Timestamp) -> NewMessage {
        NewMessage {
            id: self.message(),
            conversation: self.room(),
            sender: self.user(),
            body: Blob { encoding: Encoding::Stored, bytes: vec![1] },
            file_name: None,
            image: None,
            client_id: if self.below(2) == 0 { ClientId::new(self.below(20).to_string()) } else { None },
            fingerprint: if self.below(2) == 0 { Some(Fingerprint(self.below(20))) } else { None },
            at,
        }
    }

    /// Sometimes with a key that is none.
    fn edit_rows(&mut self) -> EditRows {
        let table = [Table::Reactions, Table::Pins, Table::Relations][self.below(3) as usize];
        let edits = (0..self.below(4)).map(|_| {
            let len = if table == Table::Reactions { 25 } else { 24 } - usize::from(self.below(20) == 0);
            (vec![self.below(5) as u8; len], if self.below(3) == 0 { None } else { Some(vec![1]) })
        });
        EditRows { table, edits: edits.collect(), then: Some((vec![self.below(5) as u8], 3)) }
    }

    fn write(&mut self, at: Timestamp) -> Write {
        let (room, by, user) = (self.room(), self.user(), self.user());
        let hash = |n: u64| PasswordHash::new(if n == 0 { "x" } else { "y" });
        match self.below(20) {
            0 => CreateUser(self.new_user(at)).into(),
            1 => UpdateProfile { user, patch: ProfilePatch::default(), at }.into(),
            2 => SetPasswordHash { user, old: hash(self.below(2)), new: hash(self.below(2)) }.into(),
            3 => RecordLastSeen { user, at }.into(),
            4 => RevokeToken { fingerprint: [1; 32], until: at }.into(),
            5 => OpenDirect { pair: Pair::new(by, user), id: room, at }.into(),
            6 => CreateRoom(self.new_room(at)).into(),
            7 => AddMember { room, by, user, at, max_members: self.below(5) as usize }.into(),
            8 => SetRole { room, by, user, role: self.role(), at }.into(),
            9 => RemoveMember { room, by, user, at }.into(),
            10 => Append(self.new_message(at)).into(),
            11 => {
                let delete = self.below(2) == 0;
                SetDeleted { message: self.message(), conversation: room, by, delete, at }.into()
            }
            12 => self.edit_rows().into(),
            13 => {
                if self.below(2) == 0 {
                    let act =
                        [RelationAct::Block, RelationAct::Unblock, RelationAct::Ask, RelationAct::Accept];
                    return Relate { by, with: user, act: act[self.below(4) as usize], at }.into();
                }
                let emoji = Emoji::parse(["👍", "🎉"][self.below(2) as usize]).unwrap();
                let reacting = [Reacting::Add, Reacting::Remove, Reacting::Toggle][self.below(3) as usize];
                let message = MessageId::from_bytes(self.id(20));
                React { message, conversation: room, by, emoji, reacting, at }.into()
            }
            14 | 15 => {
                let act = match self.below(6) {
                    0 => RoomAct::Ban(user),
                    1 => RoomAct::LiftBan(user),
                    2 | 3 => RoomAct::Mute(user, at.after(std::time::Duration::from_millis(self.below(500)))),
                    4 => RoomAct::LiftMute(user),
                    _ => RoomAct::Update { slow_mode: Some(self.below(2) as u32) },
                };
                ChangeRoom { room, by, act, at }.into()
            }
            16 => {
                let draft = ["", "x"][self.below(2) as usize].to_owned();
                let patch = ChatSettingsPatch { draft: Some(draft), ..ChatSettingsPatch::default() };
                SetChatSettings { user, conversation: room, patch, at }.into()
            }
            17 | 18 => self.write_about_message((room, by, user), at),
            _ => MarkRead { conversation: room, user, up_to: None, at }.into(),
        }
    }
}

/// Whether something was to be changed and was not.
fn is_refusal(written: &Written) -> bool {
    match written {
        Written::CreateUser(created) => !matches!(created, crate::store::CreatedUser::Created(_)),
        Written::AddMember(change) | Written::SetRole(change) | Written::RemoveMember(change) => {
            change.as_ref().map_or(true, |change| change.position.is_none())
        }
        Written::Append(appended) | Written::AppendWith(appended) => {
            !matches!(appended, crate::store::Appended::New { .. })
        }
        Written::ChangeRoom(log) => log.as_ref().map_or(true, Vec::is_empty),
        Written::SetDeleted(changed) | Written::Edit(changed) | Written::Hide(changed) => {
            changed.as_ref().map_or(true, |(position, _)| position.is_none())
        }
        Written::Pin(pinned) => pinned.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::Reindex(is_done) => !is_done,
        Written::React(reacted) => reacted.as_ref().map_or(true, |reacted| reacted.position.is_none()),
        Written::MarkRead(moved) => moved.as_ref().is_none_or(|(position, _)| position.is_none()),
        Written::UpdateProfile(updated) => updated.is_none(),
        Written::Relate(related) => related.map_or(true, |related| related.position.is_none()),
        Written::SetChatSettings(set) => set.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::CreateRoom(made) => made.is_err(),
        Written::SetPasswordHash(_)
        | Written::RecordLastSeen(())
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
    for millis in 0..20_000 {
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
        "AppendWith",
        "SetDeleted",
        "React",
        "Edit",
        "Hide",
        "Pin",
        "Reindex",
        "MarkRead",
        "ChangeRoom",
        "EditRows",
        "CreateRoom",
        "Relate",
        "SetChatSettings",
    ];
    for name in refusable {
        assert!(seen[name].1 > 0, "{name} was refused: {seen:?}");
    }
    assert!(successions > 0, "somebody has followed a last admin");
}
