//! The changes, one type each: what it looks at, and what it does.

use std::sync::Arc;

use super::documents::{self, Entry, Kind};
use super::writing::{Needs, Writing};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, ConversationKind, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Role, Seq,
    Tombstone, User,
};
use crate::store::{
    Appended, CreatedUser, FINGERPRINT_WINDOW, NewMessage, NewRoom, StoreError, StoredMessage,
};

/// A change that can be tried again: nothing of it is kept when its transaction fails.
pub(super) trait Change: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;

    /// Asks for all that [`Self::run`] looks at.
    fn needs(&self, needs: &mut Needs);

    /// Whether it may take a position. None takes more than one.
    fn may_be_logged(&self) -> bool {
        true
    }

    /// About how many bytes it writes.
    fn size(&self) -> usize {
        1 << 10
    }

    /// Makes the change. When it fails it has changed nothing.
    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError>;
}

/// Changes nothing; shows that a transaction can be committed.
pub(super) struct Nothing;

impl Change for Nothing {
    type Done = ();

    fn needs(&self, _: &mut Needs) {}

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, _: &mut Writing) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Has the log begin after this position.
pub(super) struct ForgetLog(pub(super) Position);

impl Change for ForgetLog {
    type Done = ();

    fn needs(&self, _: &mut Needs) {}

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<(), StoreError> {
        writing.forget_log(self.0);
        Ok(())
    }
}

pub(super) struct CreateUser(pub(super) NewUser);

impl Change for CreateUser {
    type Done = CreatedUser;

    fn needs(&self, needs: &mut Needs) {
        let user = &self.0.user;
        needs.users.insert(user.id);
        for text in [&user.username, &user.email].into_iter().flatten() {
            needs.usernames.insert(documents::folded(text));
            needs.emails.insert(documents::folded(text));
        }
        needs.name_keys.extend(self.0.name_key.clone());
    }

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<CreatedUser, StoreError> {
        let user = &self.0.user;
        let is_anybodys = |text: &String| {
            let text = documents::folded(text);
            writing.usernames.contains_key(&text) || writing.emails.contains_key(&text)
        };
        if writing.users.contains_key(&user.id) || user.username.as_ref().is_some_and(is_anybodys) {
            return Ok(CreatedUser::UsernameTaken);
        }
        if user.email.as_ref().is_some_and(is_anybodys) {
            return Ok(CreatedUser::EmailTaken);
        }
        if self.0.name_key.as_ref().is_some_and(|key| writing.name_keys.contains(key)) {
            return Ok(CreatedUser::key_taken(user));
        }
        writing.add_user(&self.0);
        Ok(CreatedUser::Created(Arc::new(user.clone())))
    }
}

pub(super) struct UpdateProfile {
    pub(super) user: UserId,
    pub(super) patch: ProfilePatch,
    pub(super) at: Timestamp,
}

impl Change for UpdateProfile {
    type Done = Option<(Position, Arc<User>)>;

    fn needs(&self, needs: &mut Needs) {
        needs.users.insert(self.user);
    }

    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError> {
        let Some(user) = writing.change_user(self.user) else { return Ok(None) };
        if let Some(full_name) = &self.patch.full_name {
            user.full_name.clone_from(full_name);
        }
        if let Some(picture) = &self.patch.picture {
            user.picture.clone_from(picture);
        }
        user.updated_at = self.at;
        let now = Arc::new(user.clone());
        let position = writing.log(|position| Entry {
            position,
            at: self.at,
            kind: Kind::ProfileUpdated,
            message: None,
            room: None,
            user: Some(self.user),
            role: None,
            seq: None,
        });
        writing.writes.profiles.insert(self.user, position);
        Ok(Some((position, now)))
    }
}

pub(super) struct SetPasswordHash {
    pub(super) user: UserId,
    pub(super) old: PasswordHash,
    pub(super) new: PasswordHash,
}

impl Change for SetPasswordHash {
    type Done = bool;

    fn needs(&self, needs: &mut Needs) {
        needs.users.insert(self.user);
    }

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<bool, StoreError> {
        Ok(writing.change_password(self.user, &self.old, &self.new))
    }
}

pub(super) struct RecordLastSeen {
    pub(super) user: UserId,
    pub(super) at: Timestamp,
}

impl Change for RecordLastSeen {
    type Done = ();

    fn needs(&self, needs: &mut Needs) {
        needs.users.insert(self.user);
    }

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<(), StoreError> {
        if let Some(user) = writing.change_user(self.user) {
            user.last_seen = Some(self.at);
        }
        Ok(())
    }
}

pub(super) struct RevokeToken {
    pub(super) fingerprint: [u8; 32],
    pub(super) until: Timestamp,
}

impl Change for RevokeToken {
    type Done = ();

    fn needs(&self, _: &mut Needs) {}

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<(), StoreError> {
        writing.revoke(&self.fingerprint, self.until);
        Ok(())
    }
}

pub(super) struct OpenDirect {
    pub(super) pair: Pair,
    pub(super) id: ConversationId,
    pub(super) at: Timestamp,
}

impl Change for OpenDirect {
    type Done = Arc<Conversation>;

    fn needs(&self, needs: &mut Needs) {
        needs.pairs.insert(self.pair);
        needs.ends.insert(self.id);
    }

    fn may_be_logged(&self) -> bool {
        false
    }

    fn run(&self, writing: &mut Writing) -> Result<Arc<Conversation>, StoreError> {
        let Self { pair, id, at } = *self;
        if let Some(room) = writing.pairs.get(&pair).and_then(|id| writing.rooms.get(id)) {
            return Ok(Arc::new(room.conversation.clone()));
        }
        refuse_taken(writing, id)?;
        let (low, high) = pair.both();
        let mut people = vec![low, high];
        people.dedup();
        let member = |user| Member { user, role: Role::Member, joined_at: at };
        let conversation = Conversation {
            id,
            kind: ConversationKind::Direct { pair },
            members: people.into_iter().map(member).collect(),
            created_at: at,
        };
        writing.pairs.insert(pair, id);
        writing.add_conversation(documents::direct_document(id, pair, at, Seq(0)), conversation.clone());
        Ok(Arc::new(conversation))
    }
}

pub(super) struct CreateRoom(pub(super) NewRoom);

impl Change for CreateRoom {
    type Done = (Position, Arc<Conversation>);

    fn needs(&self, needs: &mut Needs) {
        needs.ends.insert(self.0.id);
    }

    fn size(&self) -> usize {
        (1 << 10) + 200 * self.0.members.len()
    }

    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError> {
        let room = &self.0;
        refuse_taken(writing, room.id)?;
        let conversation = Conversation {
            id: room.id,
            kind: ConversationKind::Room(room.info.clone()),
            members: room.members.clone(),
            created_at: room.at,
        };
        writing.add_conversation(documents::room_document(room, Seq(0)), conversation.clone());
        let position = writing.log_of_room(room.at, Kind::RoomCreated, room.id, room.by, None);
        Ok((position, Arc::new(conversation)))
    }
}

fn refuse_taken(writing: &Writing, id: ConversationId) -> Result<(), StoreError> {
    if writing.ends.contains_key(&id) {
        return Err(StoreError::Refused(format!("the id of conversation {id} is taken")));
    }
    Ok(())
}

/// A change of the members, and the conversation afterwards.
type MembersChanged = Option<(Option<Position>, Arc<Conversation>)>;

pub(super) struct SetMember {
    pub(super) conversation: ConversationId,
    pub(super) member: Member,
}

impl Change for SetMember {
    type Done = MembersChanged;

    fn needs(&self, needs: &mut Needs) {
        needs.conversations.insert(self.conversation);
    }

    fn run(&self, writing: &mut Writing) -> Result<MembersChanged, StoreError> {
        let Self { conversation: id, member } = *self;
        let at = member.joined_at;
        let Some(room) = writing.rooms.get(&id) else { return Ok(None) };
        let position = match room.conversation.member(member.user) {
            Some(known) if known.role == member.role => None,
            Some(_) => {
                writing.set_role(id, member.user, member.role);
                Some(writing.log_of_room(at, Kind::RoleChanged, id, member.user, Some(member.role)))
            }
            None => {
                writing.add_member(id, member);
                Some(writing.log_of_room(at, Kind::MemberAdded, id, member.user, None))
            }
        };
        Ok(as_it_is_now(writing, id, position))
    }
}

pub(super) struct RemoveMember {
    pub(super) conversation: ConversationId,
    pub(super) user: UserId,
    pub(super) at: Timestamp,
}

impl Change for RemoveMember {
    type Done = MembersChanged;

    fn needs(&self, needs: &mut Needs) {
        needs.conversations.insert(self.conversation);
    }

    fn run(&self, writing: &mut Writing) -> Result<MembersChanged, StoreError> {
        let Self { conversation: id, user, at } = *self;
        let Some(room) = writing.rooms.get(&id) else { return Ok(None) };
        let position = room.conversation.member(user).is_some().then(|| {
            writing.remove_member(id, user);
            writing.log_of_room(at, Kind::MemberRemoved, id, user, None)
        });
        Ok(as_it_is_now(writing, id, position))
    }
}

fn as_it_is_now(writing: &Writing, id: ConversationId, position: Option<Position>) -> MembersChanged {
    writing.rooms.get(&id).map(|room| (position, Arc::new(room.conversation.clone())))
}

pub(super) struct Append(pub(super) NewMessage);

impl Append {
    fn send_key(&self) -> Option<Vec<u8>> {
        self.0.client_id.as_ref().map(|client_id| documents::send_key(self.0.sender, client_id))
    }
}

impl Change for Append {
    type Done = Appended;

    fn needs(&self, needs: &mut Needs) {
        needs.ends.insert(self.0.conversation);
        needs.send_keys.extend(self.send_key());
        needs.fingerprints.extend(self.0.fingerprint);
    }

    fn size(&self) -> usize {
        (1 << 10) + self.0.body.bytes.len()
    }

    fn run(&self, writing: &mut Writing) -> Result<Appended, StoreError> {
        let new = &self.0;
        let send_key = self.send_key();
        if let Some(first) = send_key.as_deref().map_or(Ok(None), |key| writing.sent_as(key))? {
            return Ok(Appended::Repeated(Box::new(first)));
        }
        let window = i64::try_from(FINGERPRINT_WINDOW.as_millis()).unwrap_or(i64::MAX);
        if let Some(first) = writing.sent_with(new)?
            && first.created_at.as_millis() > new.at.as_millis().saturating_sub(window)
        {
            return Ok(Appended::Repeated(Box::new(first)));
        }
        if writing.is_known_message(new.id) {
            return Err(StoreError::Refused(format!("the id of message {} is taken", new.id)));
        }
        let Some(end) = writing.ends.get(&new.conversation) else {
            return Err(StoreError::Refused(format!("there is no conversation {}", new.conversation)));
        };
        let seq = end.0.checked_add(1).map(Seq);
        let seq =
            seq.ok_or_else(|| StoreError::Refused(format!("conversation {} is full", new.conversation)))?;
        let position = writing.append(new, send_key, seq);
        Ok(Appended::New { position, seq })
    }
}

pub(super) struct SetDeleted {
    pub(super) id: MessageId,
    pub(super) deleted: Option<Tombstone>,
    pub(super) at: Timestamp,
}

impl Change for SetDeleted {
    type Done = Option<(Option<Position>, StoredMessage)>;

    fn needs(&self, needs: &mut Needs) {
        needs.messages.insert(self.id);
    }

    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError> {
        let Self { id, deleted, at } = *self;
        let Some(before) = writing.message(id)? else { return Ok(None) };
        if before.deleted.is_some() == deleted.is_some() {
            return Ok(Some((None, before)));
        }
        let now = StoredMessage { deleted, updated_at: at, ..before };
        let room = Some(now.conversation);
        writing.change_message(now.clone());
        let kind = if deleted.is_some() { Kind::MessageDeleted } else { Kind::MessageRestored };
        let position = writing.log(|position| Entry {
            position,
            at,
            kind,
            message: Some(id),
            room,
            user: None,
            role: None,
            seq: None,
        });
        Ok(Some((Some(position), now)))
    }
}

pub(super) struct MarkRead {
    pub(super) conversation: ConversationId,
    pub(super) user: UserId,
    pub(super) up_to: Option<Seq>,
    pub(super) at: Timestamp,
}

impl Change for MarkRead {
    type Done = Option<(Option<Position>, Seq)>;

    fn needs(&self, needs: &mut Needs) {
        needs.ends.insert(self.conversation);
        needs.marks.insert((self.conversation, self.user));
    }

    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError> {
        let Self { conversation, user, up_to, at } = *self;
        let Some(mark) = writing.mark(conversation, user) else { return Ok(None) };
        let Some(end) = writing.ends.get(&conversation).copied() else { return Ok(None) };
        let seq = up_to.unwrap_or(end).min(end);
        if seq <= mark {
            return Ok(Some((None, mark)));
        }
        writing.move_mark(conversation, user, seq);
        let position = writing.log(|position| Entry {
            position,
            at,
            kind: Kind::ReadMarked,
            message: None,
            room: Some(conversation),
            user: Some(user),
            role: None,
            seq: Some(seq),
        });
        Ok(Some((Some(position), seq)))
    }
}
