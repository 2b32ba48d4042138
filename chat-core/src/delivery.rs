//! What is told of a change: one place for the moment in which it is committed, and for every later reading of the log. So
//! what somebody is told when they come back is what they would have been told then. Only the state differs that is shown:
//! the log shows messages, rooms and people as they are when it is read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::aspects::Annexes;
use crate::chat::hidden::may_be_hidden;
use crate::chat::{Budget, Chat};
use crate::error::Error;
use crate::event::{Audience, Delivery, Event, MessageChanged};
use crate::id::{ConversationId, MessageId, UserId};
use crate::invalidation::{Invalidation, MessageHead};
use crate::model::{Conversation, MessageView, Position, User};
use crate::store::{Change, LoggedChange, StoredMessage};

/// What a command has at hand of what it has changed, so that it is not looked up again.
#[derive(Default)]
pub(crate) struct AtHand {
    /// The conversation that was changed, or in which something was.
    pub(crate) conversation: Option<Arc<Conversation>>,
    /// The person who was changed.
    pub(crate) user: Option<Arc<User>>,
}

/// The message of a change: stored, or as a command has it at hand.
pub(crate) trait ToView: Send {
    /// As its readers get it; none when the budget has no room for it.
    fn to_view(
        self,
        chat: &Chat,
        budget: &mut Budget,
    ) -> impl Future<Output = Result<Option<MessageView>, Error>> + Send;

    /// What is shown of it beside its content.
    fn annexes(self, chat: &Chat) -> impl Future<Output = Result<Annexes, Error>> + Send;

    /// Its id, if some person has hidden it for themselves.
    fn if_hidden(&self) -> Option<MessageId>;
}

impl ToView for StoredMessage {
    async fn to_view(self, chat: &Chat, budget: &mut Budget) -> Result<Option<MessageView>, Error> {
        let conversation = chat.directory.conversation(self.conversation).await?;
        chat.view_within(self, &conversation, budget).await
    }

    async fn annexes(self, chat: &Chat) -> Result<Annexes, Error> {
        chat.annexes_of(&self).await
    }

    fn if_hidden(&self) -> Option<MessageId> {
        may_be_hidden(self).then_some(self.id)
    }
}

impl ToView for MessageView {
    async fn to_view(self, _: &Chat, _: &mut Budget) -> Result<Option<MessageView>, Error> {
        Ok(Some(self))
    }

    async fn annexes(self, _: &Chat) -> Result<Annexes, Error> {
        Ok(self.message.annexes)
    }

    fn if_hidden(&self) -> Option<MessageId> {
        self.message.is_hidden.then_some(self.message.id)
    }
}

impl Delivery {
    /// What is told of an event that is in no log.
    pub(crate) fn ephemeral(event: Event) -> Self {
        Self { position: None, audience: event.audience(), invalidates: Invalidation::default(), event }
    }
}

impl Chat {
    /// What is told of a change that a command has made; nothing when there was nothing to change, and so no position.
    /// What was remembered is out of date either way: who asked for a change that had been made had not heard of it. Memberships
    /// were looked up before ([`refresh_members`](crate::directory::Directory::refresh_members)).
    pub(crate) async fn committed(
        &self,
        position: Option<Position>,
        change: Change<MessageView>,
        at_hand: AtHand,
    ) -> Result<Vec<Delivery>, Error> {
        self.invalidate(change.invalidates());
        let Some(position) = position else { return Ok(Vec::new()) };
        // Nothing is decoded, so there is nothing to be bounded.
        let delivery = self.delivery(position, change, at_hand, &mut Budget::new(0)).await?;
        Ok(delivery.into_iter().collect())
    }

    /// Forgets or looks up what changes that were read from the log have made out of date. Before any of them is told of, so
    /// that what is looked up for one need not be looked up again for the next.
    pub(crate) async fn heard_of(&self, changes: &[LoggedChange]) {
        let mut members = HashMap::<_, Vec<UserId>>::new();
        for LoggedChange { change, .. } in changes {
            let invalidation = change.invalidates();
            self.invalidate(invalidation);
            if let Some(message) = invalidation.newest {
                self.directory.forget_if_seen_since(message.sender, message.created_at);
            }
            if let Some((conversation, user)) = invalidation.member {
                members.entry(conversation).or_default().push(user);
            }
        }
        for (conversation, users) in members {
            self.directory.refresh_members(conversation, &users).await;
        }
    }

    /// Forgets what is out of date.
    pub(crate) fn invalidate(&self, invalidation: Invalidation) {
        self.directory.invalidate(invalidation);
        self.newest.invalidate(invalidation);
    }

    /// What is told of a change at this position; none when the budget has no room for its message.
    ///
    /// # Errors
    /// When something that it is about cannot be looked up.
    pub(crate) async fn delivery<M: ToView>(
        &self,
        position: Position,
        change: Change<M>,
        at_hand: AtHand,
        budget: &mut Budget,
    ) -> Result<Option<Delivery>, Error>
    where
        for<'a> MessageHead: From<&'a M>,
    {
        let invalidates = change.invalidates();
        let hidden = change.message().and_then(M::if_hidden);
        let event = match change {
            Change::MessageSent(message) => message.to_view(self, budget).await?.map(Event::MessageSent),
            Change::MessageDeleted(message) => {
                message.to_view(self, budget).await?.map(Event::MessageDeleted)
            }
            Change::MessageRestored(message) => {
                message.to_view(self, budget).await?.map(Event::MessageRestored)
            }
            Change::MessageChanged { message: changed, by, what } => {
                let message = MessageHead::from(&changed);
                let conversation = self.or_conversation(at_hand.conversation, message.conversation).await?;
                let told = |annexes, view| {
                    Event::MessageChanged(MessageChanged { message, conversation, by, what, annexes, view })
                };
                match what.is_of_content() {
                    true => changed
                        .to_view(self, budget)
                        .await?
                        .map(|view| told(view.message.annexes.clone(), Some(Box::new(view)))),
                    // Nothing of the text is shown, which is not decoded for it.
                    false => Some(told(changed.annexes(self).await?, None)),
                }
            }
            Change::RoomCreated { room, by } => {
                Some(Event::RoomCreated { room: self.or_conversation(at_hand.conversation, room).await?, by })
            }
            Change::MemberAdded { room, user } => Some(Event::MemberAdded {
                room: self.or_conversation(at_hand.conversation, room).await?,
                user,
            }),
            Change::MemberRemoved { room, user } => Some(Event::MemberRemoved {
                room: self.or_conversation(at_hand.conversation, room).await?,
                user,
            }),
            Change::RoleChanged { room, user, role } => Some(Event::RoleChanged {
                room: self.or_conversation(at_hand.conversation, room).await?,
                user,
                role,
            }),
            Change::RoomChanged { room, by, aspect } => Some(Event::RoomChanged {
                room: self.or_conversation(at_hand.conversation, room).await?,
                by,
                aspect,
            }),
            Change::ReadMarked { conversation: id, user, seq } => {
                let conversation = self.or_conversation(at_hand.conversation, id).await?;
                let messages = self.newest.up_to(&self.store, id, user, seq).await?;
                let user = self.or_user(at_hand.user, user).await?;
                Some(Event::MessagesRead { conversation, user, seq, messages })
            }
            Change::RelationChanged { user, with, relation } => {
                let with = self.or_user(at_hand.user, with).await?;
                Some(Event::RelationChanged { user, with: self.shown(with), relation })
            }
            Change::ChatSettingsChanged { user, conversation } => {
                let settings = self.chat_settings(user, conversation).await?;
                Some(Event::ChatSettingsChanged { user, conversation, settings })
            }
            Change::SessionEnded { user, session, until } => {
                Some(Event::SessionEnded { user, session, until })
            }
            Change::ProfileUpdated { user } => {
                let user = self.or_user(at_hand.user, user).await?;
                Some(Event::ProfileUpdated(self.shown(user)))
            }
        };
        let Some(event) = event else { return Ok(None) };
        let mut audience = event.audience();
        if let Event::MessagesRead { user, .. } = &event {
            audience = audience.without(&*self.cut_off(user.id).await?);
        }
        // A change that only one person is told of is that person's own.
        if let Some(message) = hidden
            && !matches!(audience, Audience::Users(_))
        {
            audience = audience.without(&self.hiders(message).await?);
        }
        Ok(Some(Delivery { position: Some(position), audience, invalidates, event }))
    }

    async fn or_conversation(
        &self,
        at_hand: Option<Arc<Conversation>>,
        id: ConversationId,
    ) -> Result<Arc<Conversation>, Error> {
        match at_hand.filter(|conversation| conversation.id == id) {
            Some(conversation) => Ok(conversation),
            None => self.directory.conversation(id).await,
        }
    }

    async fn or_user(&self, at_hand: Option<Arc<User>>, id: UserId) -> Result<Arc<User>, Error> {
        match at_hand.filter(|user| user.id == id) {
            Some(user) => Ok(user),
            None => self.directory.user(id).await,
        }
    }
}

#[cfg(test)]
mod tests;
