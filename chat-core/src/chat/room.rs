//! Commands about rooms and who is in them.

use std::collections::HashSet;
use std::sync::Arc;

use super::Chat;
use crate::change::Change;
use crate::command::{
    AddMember, CreateRoom, MAX_MEMBERS_AT_ONCE, MemberPage, Outcome, ReadMembers, RemoveMember, SetRole,
};
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, Member, MessageView, Role, RoomInfo};
use crate::policy::{self, Refusal};
use crate::store::{self, NewRoom, RoomChange};

impl Chat {
    pub(crate) async fn create_room(
        &self,
        actor: UserId,
        command: CreateRoom,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let CreateRoom { name, visibility, members: others } = command;
        let name = policy::check_display_name("name", &name)?.to_owned();
        if others.len() >= self.limits.room_members {
            let limit = self.limits.room_members;
            return Err(Error::TooLarge { field: "members", limit, unit: "members" });
        }
        let at = self.clock.now();
        let mut members = vec![Member { user: actor, role: Role::Admin, joined_at: at }];
        let mut known = HashSet::from([actor]);
        for user in others {
            self.directory.user(user).await?;
            if known.insert(user) {
                members.push(Member { user, role: Role::Member, joined_at: at });
            }
        }
        let id = ConversationId::from_bytes(self.ids.next(at));
        let info = RoomInfo::new(name, visibility);
        let made = self.store.create_room(NewRoom { id, info, members, by: actor, at }).await?;
        let (position, room) = made?;
        let at_hand = AtHand { conversation: Some(room.clone()), ..AtHand::default() };
        let created = Change::RoomCreated { room: id, by: actor };
        let deliveries = self.committed(Some(position), created, at_hand).await?;
        Ok(Outcome { reply: room, deliveries })
    }

    pub(crate) async fn add_member(
        &self,
        actor: UserId,
        command: AddMember,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let AddMember { room: id, user } = command;
        // Rooms do not vanish, so this need not be asked inside the transaction too.
        self.directory.conversation(id).await?;
        let (at, max_members) = (self.clock.now(), self.limits.room_members);
        let add = store::AddMember { room: id, by: actor, user, at, max_members };
        let changed = self.store.add_member(add).await?;
        self.changed((id, actor, user), Change::MemberAdded { room: id, user }, changed).await
    }

    pub(crate) async fn remove_member(
        &self,
        actor: UserId,
        command: RemoveMember,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let RemoveMember { room: id, user } = command;
        self.directory.conversation(id).await?;
        let remove = store::RemoveMember { room: id, by: actor, user, at: self.clock.now() };
        let changed = self.store.remove_member(remove).await?;
        self.changed((id, actor, user), Change::MemberRemoved { room: id, user }, changed).await
    }

    pub(crate) async fn set_role(
        &self,
        actor: UserId,
        command: SetRole,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let SetRole { room: id, user, role } = command;
        self.directory.conversation(id).await?;
        let set = store::SetRole { room: id, by: actor, user, role, at: self.clock.now() };
        let changed = self.store.set_role(set).await?;
        self.changed((id, actor, user), Change::RoleChanged { room: id, user, role }, changed).await
    }

    /// A conversation for somebody who is in it.
    ///
    /// # Errors
    /// [`Error::ConversationNotFound`] for everybody else; when the store fails.
    pub async fn conversation(&self, member: UserId, id: ConversationId) -> Result<Arc<Conversation>, Error> {
        let conversation = self.directory.conversation(id).await?;
        policy::must_be_member(member, &conversation)?;
        Ok(conversation)
    }

    /// Some of the members of a conversation.
    pub(crate) async fn read_members(
        &self,
        actor: UserId,
        command: ReadMembers,
    ) -> Result<Outcome<MemberPage>, Error> {
        let ReadMembers { of, after, limit } = command;
        self.conversation(actor, of).await?;
        let limit = limit.min(MAX_MEMBERS_AT_ONCE);
        let mut members = self.store.members(of, after, limit + 1).await?;
        let has_more = members.len() > limit;
        members.truncate(limit);
        Ok(Outcome::reply_only(MemberPage { members, has_more }))
    }

    /// Answers with the room as it is after a change, and tells of it, and of who is an admin since.
    async fn changed(
        &self,
        (id, by, user): (ConversationId, UserId, UserId),
        change: Change<MessageView>,
        changed: Result<RoomChange, Refusal>,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let RoomChange { member, position, successor } = match changed {
            Ok(changed) => changed,
            Err(refusal) => {
                // It may have been refused for what they have become since the room was looked up.
                self.directory.refresh_members(id, &[by, user]).await;
                return Err(refusal.into());
            }
        };
        let users = [Some(user), successor.map(|(_, heir)| heir)];
        let users: Vec<_> = users.into_iter().flatten().collect();
        self.directory.refresh_members(id, &users).await;
        let mut room = self.directory.conversation(id).await?;
        if room.member(user) != member.as_ref() {
            // Somebody has changed it again already, of which is told behind this.
            let members = &mut Arc::make_mut(&mut room).members;
            match member {
                Some(member) => members.put(member),
                None => members.remove(user),
            }
        }
        let at_hand = || AtHand { conversation: Some(room.clone()), ..AtHand::default() };
        let mut deliveries = self.committed(position, change, at_hand()).await?;
        if let Some((position, user)) = successor {
            let change = Change::RoleChanged { room: id, user, role: Role::Admin };
            deliveries.extend(self.committed(Some(position), change, at_hand()).await?);
        }
        Ok(Outcome { reply: room, deliveries })
    }
}
