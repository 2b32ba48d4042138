//! What is told of a change.

use std::sync::Arc;

use crate::chat::{Budget, Chat};
use crate::error::Error;
use crate::event::{Audience, Delivery, Event};
use crate::model::{Conversation, MessageView, Position, User};
use crate::store::{Change, StoredMessage};

impl Chat {
    /// What is told of a change; none when the budget has no room for its message.
    pub(crate) async fn delivery(
        &self,
        position: Position,
        change: Change,
        budget: &mut Budget,
    ) -> Result<Option<Delivery>, Error> {
        Ok(Some(match change {
            Change::MessageSent(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageSent).await;
            }
            Change::MessageDeleted(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageDeleted).await;
            }
            Change::MessageRestored(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageRestored).await;
            }
            Change::RoomCreated { room, by } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::RoomCreated { room, by })
            }
            Change::MemberAdded { room, user } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::MemberAdded { room, user })
            }
            Change::MemberRemoved { room, user } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::MemberRemoved { room, user })
            }
            Change::RoleChanged { room, user, role } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::RoleChanged { room, user, role })
            }
            Change::ReadMarked { conversation, user, seq } => {
                self.logged_read(position, (conversation, user, seq)).await?
            }
            Change::ProfileUpdated { user } => Delivery {
                position: Some(position),
                audience: Audience::Everyone,
                event: Event::ProfileUpdated(self.shown(self.directory.user(user).await?)),
            },
        }))
    }

    async fn message_delivery(
        &self,
        position: Position,
        stored: StoredMessage,
        budget: &mut Budget,
        event: impl FnOnce(MessageView) -> Event,
    ) -> Result<Option<Delivery>, Error> {
        let conversation = self.directory.conversation(stored.conversation).await?;
        let view = self.view_within(stored, &conversation, budget).await?;
        Ok(view.map(|view| to_members(position, &conversation, event(view))))
    }
}

pub(crate) fn to_members(position: Position, conversation: &Arc<Conversation>, event: Event) -> Delivery {
    Delivery { position: Some(position), audience: Audience::Members(conversation.clone()), event }
}

pub(crate) fn typing_changed(conversation: Arc<Conversation>, user: Arc<User>, typing: bool) -> Delivery {
    let others = conversation.members.iter().map(|member| member.user).filter(|member| *member != user.id);
    let audience = Audience::Users(others.collect());
    Delivery { position: None, audience, event: Event::TypingChanged { conversation, user, typing } }
}

pub(crate) fn registered(user: Arc<User>) -> Delivery {
    Delivery { position: None, audience: Audience::Everyone, event: Event::UserRegistered(user) }
}

pub(crate) fn room_delivery(position: Position, room: Arc<Conversation>, event: Event) -> Delivery {
    let audience = if let Event::MemberRemoved { user, .. } = &event {
        Audience::MembersAnd(room, *user)
    } else {
        Audience::Members(room)
    };
    Delivery { position: Some(position), audience, event }
}
