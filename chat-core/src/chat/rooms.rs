//! Commands about rooms and who is in them.

use std::sync::Arc;

use super::Chat;
use crate::command::{Outcome, Reply};
use crate::error::Error;
use crate::event::{Audience, Delivery, Event};
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, Member, Position, Role, RoomInfo, Visibility};
use crate::policy::{self, Refusal};
use crate::store::{AddMember, NewRoom, RemoveMember, RoomChange, SetRole};

impl Chat {
    pub(super) async fn create_room(
        &self,
        actor: UserId,
        name: &str,
        visibility: Visibility,
        others: Vec<UserId>,
    ) -> Result<Outcome, Error> {
        let name = policy::check_display_name("name", name)?.to_owned();
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
        let event = Event::RoomCreated { room: room.clone(), by: actor };
        Ok(about_room(Some(position), room, event))
    }

    pub(super) async fn add_member(
        &self,
        actor: UserId,
        id: ConversationId,
        user: UserId,
    ) -> Result<Outcome, Error> {
        // Rooms do not vanish, so this need not be asked inside the transaction too.
        self.directory.conversation(id).await?;
        let (at, max_members) = (self.clock.now(), self.limits.room_members);
        let add = AddMember { room: id, by: actor, user, at, max_members };
        let changed = self.store.add_member(add).await?;
        self.changed(id, changed, |room| Event::MemberAdded { room, user })
    }

    pub(super) async fn remove_member(
        &self,
        actor: UserId,
        id: ConversationId,
        user: UserId,
    ) -> Result<Outcome, Error> {
        self.directory.conversation(id).await?;
        let remove = RemoveMember { room: id, by: actor, user, at: self.clock.now() };
        let changed = self.store.remove_member(remove).await?;
        self.changed(id, changed, |room| Event::MemberRemoved { room, user })
    }

    pub(super) async fn set_role(
        &self,
        actor: UserId,
        id: ConversationId,
        user: UserId,
        role: Role,
    ) -> Result<Outcome, Error> {
        self.directory.conversation(id).await?;
        let set = SetRole { room: id, by: actor, user, role, at: self.clock.now() };
        let changed = self.store.set_role(set).await?;
        self.changed(id, changed, |room| Event::RoleChanged { room, user, role })
    }

    /// Forgets what was known of a room, and tells of what was changed in it, and of who is an admin since.
    fn changed(
        &self,
        id: ConversationId,
        changed: Result<RoomChange, Refusal>,
        event: impl FnOnce(Arc<Conversation>) -> Event,
    ) -> Result<Outcome, Error> {
        self.directory.forget_conversation(id);
        let RoomChange { room, position, successor } = changed?;
        let mut outcome = about_room(position, room.clone(), event(room.clone()));
        outcome.deliveries.extend(successor.map(|(position, user)| {
            let event = Event::RoleChanged { room: room.clone(), user, role: Role::Admin };
            room_delivery(position, room, event)
        }));
        Ok(outcome)
    }
}

fn about_room(position: Option<Position>, room: Arc<Conversation>, event: Event) -> Outcome {
    let deliveries = position.map(|position| room_delivery(position, room.clone(), event));
    Outcome { reply: Reply::Conversation(room), deliveries: deliveries.into_iter().collect() }
}

pub(super) fn room_delivery(position: Position, room: Arc<Conversation>, event: Event) -> Delivery {
    let audience = if let Event::MemberRemoved { user, .. } = &event {
        Audience::MembersAnd(room, *user)
    } else {
        Audience::Members(room)
    };
    Delivery { position: Some(position), audience, event }
}
