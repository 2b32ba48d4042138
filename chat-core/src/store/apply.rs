//! What each write does, once for all drivers: the rules about state, decided inside the transaction.
//!
//! A write first looks, then decides, then writes: what is refused has written nothing.

mod delivered;
mod relations;
mod rows;
mod sessions;
mod settings;

use std::sync::Arc;

use self::relations::{note_blockers, relation, relation_key};
pub(crate) use self::settings::{delete_member, settings_key};
use super::keyed::Table;
use super::tx::{Abort, Reads, Tx};
use super::write::{
    AddMember, Append, CreateRoom, CreateUser, Effect, MarkRead, OpenDirect, RecordLastSeen, RemoveMember,
    RevokeToken, RoomChange, SetDeleted, SetPasswordHash, SetRole, UpdateProfile,
};
use super::{Appended, Change, CreatedUser, FINGERPRINT_WINDOW, StoreError, StoredMessage};
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, ConversationKind, Member, Position, Role, Seq, Tombstone};
use crate::policy::{self, Refusal, Standing, Succession};
use crate::rooms::{Rules, name_reads_of_speaker, of_member};

impl Effect for CreateUser {
    fn reads(&self, reads: &mut Reads) {
        let user = &self.0.user;
        reads.users.insert(user.id);
        reads.names.extend([&user.username, &user.email].into_iter().flatten().map(|name| folded(name)));
        reads.name_keys.extend(self.0.name_key.clone());
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<CreatedUser, Abort<T::Error>> {
        let user = &self.0.user;
        if tx.user(user.id)?.is_some() {
            return Ok(CreatedUser::UsernameTaken);
        }
        for (name, taken) in
            [(&user.username, CreatedUser::UsernameTaken), (&user.email, CreatedUser::EmailTaken)]
        {
            if let Some(name) = name
                && tx.is_name_taken(&folded(name))?
            {
                return Ok(taken);
            }
        }
        if let Some(key) = &self.0.name_key
            && tx.is_name_key_taken(key)?
        {
            return Ok(CreatedUser::key_taken(user));
        }
        tx.insert_user(&self.0)?;
        Ok(CreatedUser::Created(user.clone().into()))
    }
}

/// A name or an address in the form in which it is unique.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

impl Effect for UpdateProfile {
    fn reads(&self, reads: &mut Reads) {
        reads.users.insert(self.user);
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Some(mut user) = tx.user(self.user)? else { return Ok(None) };
        let now = Arc::make_mut(&mut user);
        if let Some(full_name) = &self.patch.full_name {
            now.full_name.clone_from(full_name);
        }
        if let Some(picture) = &self.patch.picture {
            now.picture.clone_from(picture);
        }
        now.updated_at = self.at;
        let position = tx.log(self.at, Change::ProfileUpdated { user: self.user })?;
        tx.set_profile(&user, position)?;
        Ok(Some((position, user)))
    }
}

impl Effect for SetPasswordHash {
    fn reads(&self, reads: &mut Reads) {
        reads.users.insert(self.user);
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<bool, Abort<T::Error>> {
        Ok(tx.swap_password_hash(self.user, &self.old, &self.new)?)
    }
}

impl Effect for RecordLastSeen {
    fn reads(&self, reads: &mut Reads) {
        reads.users.insert(self.user);
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<(), Abort<T::Error>> {
        Ok(tx.set_last_seen(self.user, self.at)?)
    }
}

impl Effect for RevokeToken {
    fn reads(&self, _: &mut Reads) {}

    fn most_logged(&self) -> u64 {
        0
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<(), Abort<T::Error>> {
        Ok(tx.extend_revocation(&self.fingerprint, self.until)?)
    }
}

impl Effect for OpenDirect {
    fn reads(&self, reads: &mut Reads) {
        reads.pairs.insert(self.pair);
        reads.ends.insert(self.id);
        let (low, high) = self.pair.both();
        reads.rows.insert(relation_key(low, high));
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Arc<Conversation>, Abort<T::Error>> {
        let Self { pair, id, at } = *self;
        if let Some(found) = tx.direct(pair)? {
            return Ok(found);
        }
        refuse_taken(tx, id)?;
        let (low, high) = pair.both();
        let mut people = vec![low, high];
        people.dedup();
        let member = |user| Member { user, role: Role::Member, joined_at: at };
        let opened = Arc::new(Conversation {
            id,
            kind: ConversationKind::Direct { pair },
            members: people.into_iter().map(member).collect(),
            created_at: at,
        });
        tx.insert_conversation(&opened)?;
        let relation = relation(tx, low, high)?;
        note_blockers(tx, id, low, relation, high)?;
        Ok(opened)
    }
}

impl Effect for CreateRoom {
    fn reads(&self, reads: &mut Reads) {
        reads.ends.insert(self.0.id);
        reads.rows.extend(self.others().map(|user| relation_key(self.0.by, user)));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn size(&self) -> usize {
        (1 << 10) + 200 * self.0.members.len()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let new = &self.0;
        refuse_taken(tx, new.id)?;
        for user in self.others() {
            if let Err(refusal) = policy::may_reach(relation(tx, new.by, user)?) {
                return Ok(Err(refusal));
            }
        }
        let room = Arc::new(Conversation {
            id: new.id,
            kind: ConversationKind::Room(new.info.clone()),
            members: new.members.iter().copied().collect(),
            created_at: new.at,
        });
        tx.insert_conversation(&room)?;
        let position = tx.log(new.at, Change::RoomCreated { room: new.id, by: new.by })?;
        Ok(Ok((position, room)))
    }
}

impl CreateRoom {
    /// Those whom its maker brings in.
    fn others(&self) -> impl Iterator<Item = UserId> {
        let members = self.0.members.iter().map(|member| member.user);
        members.filter(|user| *user != self.0.by)
    }
}

fn refuse_taken<T: Tx>(tx: &mut T, id: ConversationId) -> Result<(), Abort<T::Error>> {
    match tx.end(id)? {
        Some(_) => Err(Abort::Refused(StoreError::Refused(format!("the id of conversation {id} is taken")))),
        None => Ok(()),
    }
}

impl Effect for AddMember {
    fn reads(&self, reads: &mut Reads) {
        let Self { room, by, user, .. } = *self;
        reads.rooms.insert(room);
        reads.members.extend([(room, by), (room, user)]);
        reads.users.insert(user);
        reads.rows.extend([relation_key(by, user), (Table::Bans, of_member(room, user))]);
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { room: id, by, user, at, max_members } = *self;
        let Some(asked) = asked(tx, id, by, user)? else { return Ok(Err(Refusal::ConversationNotFound)) };
        let members = tx.member_count(id)?;
        if let Err(refusal) = policy::may_add_member(&asked.standing(by, user), members, max_members) {
            return Ok(Err(refusal));
        }
        if asked.target.is_some() {
            return Ok(Ok(RoomChange { member: asked.target, position: None, successor: None }));
        }
        if tx.user(user)?.is_none() {
            return Ok(Err(Refusal::UserNotFound));
        }
        if tx.row(Table::Bans, &of_member(id, user))?.is_some() {
            return Ok(Err(policy::room::banned(by == user)));
        }
        if let Err(refusal) = policy::may_reach(relation(tx, by, user)?) {
            return Ok(Err(refusal));
        }
        let member = Member { user, role: Role::Member, joined_at: at };
        let read = tx.end(id)?.unwrap_or_default();
        tx.insert_member(id, &member, read)?;
        let position = tx.log(at, Change::MemberAdded { room: id, user })?;
        Ok(Ok(RoomChange { member: Some(member), position: Some(position), successor: None }))
    }
}

impl Effect for SetRole {
    fn reads(&self, reads: &mut Reads) {
        reads_of_succession(reads, self.room, self.by, self.user);
    }

    fn most_logged(&self) -> u64 {
        2
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { room: id, by, user, role, at } = *self;
        let Some(asked) = asked(tx, id, by, user)? else { return Ok(Err(Refusal::ConversationNotFound)) };
        let target = match policy::may_set_roles(&asked.standing(by, user)).map(|()| asked.target) {
            Ok(Some(target)) => target,
            Ok(None) => return Ok(Err(Refusal::UserNotFound)),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if target.role == role {
            return Ok(Ok(RoomChange { member: Some(target), position: None, successor: None }));
        }
        let succession = policy::succession(user, |role| tx.first_two(id, role))?;
        if let Err(refusal) = policy::may_give_up(succession) {
            return Ok(Err(refusal));
        }
        tx.set_role(id, user, role)?;
        let position = tx.log(at, Change::RoleChanged { room: id, user, role })?;
        let successor = promote(tx, id, succession, at)?;
        let member = Some(Member { role, ..target });
        Ok(Ok(RoomChange { member, position: Some(position), successor }))
    }
}

impl Effect for RemoveMember {
    fn reads(&self, reads: &mut Reads) {
        reads_of_succession(reads, self.room, self.by, self.user);
        reads.rows.insert(settings_key(self.user, self.room));
    }

    fn most_logged(&self) -> u64 {
        2
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { room: id, by, user, at } = *self;
        let Some(asked) = asked(tx, id, by, user)? else { return Ok(Err(Refusal::ConversationNotFound)) };
        if let Err(refusal) = policy::may_remove_member(&asked.standing(by, user)) {
            return Ok(Err(refusal));
        }
        let succession = policy::succession(user, |role| tx.first_two(id, role))?;
        delete_member(tx, id, user)?;
        let position = tx.log(at, Change::MemberRemoved { room: id, user })?;
        let successor = promote(tx, id, succession, at)?;
        Ok(Ok(RoomChange { member: None, position: Some(position), successor }))
    }
}

/// A room, and those whom a change of its members is about.
struct Asked {
    kind: ConversationKind,
    actor: Option<Member>,
    target: Option<Member>,
}

impl Asked {
    fn standing(&self, by: UserId, user: UserId) -> Standing<'_> {
        let role = |member: Option<Member>| member.map(|member| member.role);
        Standing {
            kind: &self.kind,
            actor: role(self.actor),
            target: role(self.target),
            is_oneself: by == user,
        }
    }
}

fn asked<T: Tx>(tx: &mut T, id: ConversationId, by: UserId, user: UserId) -> Result<Option<Asked>, T::Error> {
    let Some(kind) = tx.kind(id)? else { return Ok(None) };
    Ok(Some(Asked { kind, actor: tx.member(id, by)?, target: tx.member(id, user)? }))
}

fn reads_of_succession(reads: &mut Reads, room: ConversationId, by: UserId, user: UserId) {
    reads.rooms.insert(room);
    reads.members.extend([(room, by), (room, user)]);
    reads.first_members.push(room);
}

/// Makes the heir an admin, if there is one, and logs it.
fn promote<T: Tx>(
    tx: &mut T,
    room: ConversationId,
    succession: Succession,
    at: Timestamp,
) -> Result<Option<(Position, UserId)>, T::Error> {
    let Succession::Heir(user) = succession else { return Ok(None) };
    let role = Role::Admin;
    tx.set_role(room, user, role)?;
    let position = tx.log(at, Change::RoleChanged { room, user, role })?;
    Ok(Some((position, user)))
}

impl Effect for Append {
    fn reads(&self, reads: &mut Reads) {
        let new = &self.0;
        reads.ends.insert(new.conversation);
        reads.roles.insert((new.conversation, new.sender));
        name_reads_of_speaker(reads, new.conversation, new.sender);
        reads.sends.extend(new.client_id.clone().map(|id| (new.sender, id)));
        reads.fingerprints.extend(new.fingerprint);
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn size(&self) -> usize {
        (1 << 10) + self.0.body.bytes.len()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Appended, Abort<T::Error>> {
        let new = &self.0;
        let refused = |why: String| Abort::Refused(StoreError::Refused(why));
        let Some(Seq(end)) = tx.end(new.conversation)? else {
            return Err(refused(format!("there is no conversation {}", new.conversation)));
        };
        let role = tx.role(new.conversation, new.sender)?;
        if let Err(refusal) = policy::may_speak(role) {
            return Ok(Appended::Refused(refusal));
        }
        let rules = Rules::of(tx, new.conversation)?;
        if let Some(rules) = rules
            && let Err(refusal) = rules.may_speak(tx, (new.conversation, new.sender), new.at)?
        {
            return Ok(Appended::Refused(refusal));
        }
        if let Err(refusal) = policy::may_be_heard(new.sender, &tx.blockers(new.conversation)?) {
            return Ok(Appended::Refused(refusal));
        }
        if let Some(client_id) = &new.client_id
            && let Some(first) = tx.sent_as(new.sender, client_id)?
        {
            return Ok(Appended::Repeated(Box::new(first)));
        }
        if let Some(fingerprint) = new.fingerprint {
            let window = i64::try_from(FINGERPRINT_WINDOW.as_millis()).unwrap_or(i64::MAX);
            let since = Timestamp::from_millis(new.at.as_millis().saturating_sub(window));
            if let Some(first) = tx.sent_with(new.sender, new.conversation, fingerprint, since)? {
                return Ok(Appended::Repeated(Box::new(first)));
            }
        }
        let seq = end.checked_add(1).map(Seq);
        let seq = seq.ok_or_else(|| refused(format!("conversation {} is full", new.conversation)))?;
        if let Some(rules) = rules
            && let Err(refusal) = rules.may_speak_again(tx, new, role)?
        {
            return Ok(Appended::Refused(refusal));
        }
        // The message comes first, because a store refuses one whose id is taken.
        let position = tx.insert_message(new, seq)?;
        if let Some(rules) = rules {
            rules.note_spoken(tx, new, role)?;
        }
        Ok(Appended::New { position, seq })
    }
}

impl Effect for SetDeleted {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { message, conversation, by, delete, at } = *self;
        let before = tx.message(message)?.filter(|message| message.conversation == conversation);
        let Some(before) = before else { return Ok(Err(Refusal::MessageNotFound)) };
        let role = tx.role(conversation, by)?;
        let may = match delete {
            true => policy::may_delete(by, role, before.sender),
            false => policy::may_restore(by, role, before.sender, before.deleted),
        };
        if let Err(refusal) = may {
            return Ok(Err(refusal));
        }
        if before.deleted.is_some() == delete {
            return Ok(Ok((None, before)));
        }
        let deleted = delete.then_some(Tombstone { at, by });
        let now = StoredMessage { deleted, updated_at: at, ..before };
        tx.set_deletion(&now)?;
        let change = if delete { Change::MessageDeleted } else { Change::MessageRestored };
        let position = tx.log(at, change(now.reference()))?;
        Ok(Ok((Some(position), now)))
    }
}

impl Effect for MarkRead {
    fn reads(&self, reads: &mut Reads) {
        reads.ends.insert(self.conversation);
        reads.read_marks.insert((self.conversation, self.user));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { conversation, user, up_to, at } = *self;
        let Some(end) = tx.end(conversation)? else { return Ok(None) };
        let Some(mark) = tx.read_mark(conversation, user)? else { return Ok(None) };
        let seq = up_to.unwrap_or(end).min(end);
        if seq <= mark {
            return Ok(Some((None, mark)));
        }
        tx.set_read_mark(conversation, user, seq)?;
        let position = tx.log(at, Change::ReadMarked { conversation, user, seq })?;
        Ok(Some((Some(position), seq)))
    }
}
