//! Commands about rooms and who is in them.

use std::sync::Arc;

use super::Chat;
use crate::command::{AddMember, CreateRoom, Outcome, RemoveMember, SetRole};
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, Member, MessageView, Position, Role, RoomInfo};
use crate::policy;
use crate::store::{Change, NewRoom};

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
        for user in others {
            self.directory.user(user).await?;
            if members.iter().all(|member| member.user != user) {
                members.push(Member { user, role: Role::Member, joined_at: at });
            }
        }
        let id = ConversationId::from_bytes(self.ids.next(at));
        let info = RoomInfo { name, visibility };
        let (position, room) = self.store.create_room(NewRoom { id, info, members, by: actor, at }).await?;
        self.changed(Change::RoomCreated { room: id, by: actor }, Some((Some(position), room))).await
    }

    pub(crate) async fn add_member(
        &self,
        actor: UserId,
        command: AddMember,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let AddMember { room: id, user } = command;
        let room = self.directory.conversation(id).await?;
        policy::may_add_member(actor, user, &room, &self.limits)?;
        self.directory.user(user).await?;
        if room.member(user).is_some() {
            return Ok(Outcome::reply_only(room));
        }
        let member = Member { user, role: Role::Member, joined_at: self.clock.now() };
        let changed = self.store.set_member(id, member).await?;
        self.changed(Change::MemberAdded { room: id, user }, changed).await
    }

    pub(crate) async fn remove_member(
        &self,
        actor: UserId,
        command: RemoveMember,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let RemoveMember { room: id, user } = command;
        let room = self.directory.conversation(id).await?;
        policy::may_remove_member(actor, user, &room)?;
        let changed = self.store.remove_member(id, user, self.clock.now()).await?;
        self.changed(Change::MemberRemoved { room: id, user }, changed).await
    }

    pub(crate) async fn set_role(
        &self,
        actor: UserId,
        command: SetRole,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let SetRole { room: id, user, role } = command;
        let room = self.directory.conversation(id).await?;
        policy::may_set_role(actor, user, &room)?;
        let member = *room.member(user).ok_or(Error::UserNotFound)?;
        let changed = self.store.set_member(id, Member { role, ..member }).await?;
        self.changed(Change::RoleChanged { room: id, user, role }, changed).await
    }

    /// Answers with the room as it is after a change, and tells of it.
    async fn changed(
        &self,
        change: Change<MessageView>,
        changed: Option<(Option<Position>, Arc<Conversation>)>,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let Some((position, room)) = changed else {
            self.invalidate(change.invalidates());
            return Err(Error::ConversationNotFound);
        };
        let at_hand = AtHand { conversation: Some(room.clone()), ..AtHand::default() };
        let deliveries = self.committed(position, change, at_hand).await?;
        Ok(Outcome { reply: room, deliveries })
    }
}
