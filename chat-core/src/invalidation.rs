//! What a change makes out of date.
//!
//! Everything that remembers people, conversations or messages goes by this and not by kinds of changes: the look-ups of
//! [`Chat`](crate::chat::Chat), and what a server keeps of the log for those who come back. So a new kind of change (an edit, a
//! new name of a room) says in one place what may not be shown from memory any more. Each cache takes an [`Invalidation`]
//! apart without `..`, so that a new field visits all of them.
//!
//! The index for searches is no cache but a part of the store: a write that changes the words of a message has to change the
//! index in its own transaction.

use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{MessageView, RoomAspect, Seq};
use crate::store::{Change, StoredMessage};

/// What a change makes out of date, wherever it is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Invalidation {
    /// What is known of this person.
    pub user: Option<UserId>,
    /// What is known of this conversation, other than who is in it.
    pub conversation: Option<ConversationId>,
    /// Whether this person is a member of this conversation, and their role there.
    pub member: Option<(ConversationId, UserId)>,
    /// Who may be told what happened in this conversation before: somebody is no longer a member, or sees other messages of it.
    pub audience: Option<ConversationId>,
    /// What is shown of this message: its content, and whether it is deleted.
    pub message: Option<MessageId>,
    /// What these two have with each other.
    pub relation: Option<(UserId, UserId)>,
    /// Which messages of its conversation are the newest, and when its sender was last seen: this message is new.
    pub newest: Option<MessageHead>,
}

/// A message without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHead {
    /// Its id.
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// When it was committed.
    pub created_at: Timestamp,
}

impl From<&StoredMessage> for MessageHead {
    fn from(message: &StoredMessage) -> Self {
        Self {
            id: message.id,
            conversation: message.conversation,
            seq: message.seq,
            sender: message.sender,
            created_at: message.created_at,
        }
    }
}

impl From<&MessageView> for MessageHead {
    fn from(view: &MessageView) -> Self {
        let message = &view.message;
        Self {
            id: message.id,
            conversation: message.conversation,
            seq: message.seq,
            sender: message.sender,
            created_at: message.created_at,
        }
    }
}

impl<M> Change<M>
where
    for<'a> MessageHead: From<&'a M>,
{
    /// What it makes out of date.
    pub fn invalidates(&self) -> Invalidation {
        let nothing = Invalidation::default();
        match self {
            Self::MessageSent(message) => Invalidation { newest: Some(message.into()), ..nothing },
            Self::MessageDeleted(message) | Self::MessageRestored(message) => {
                Invalidation { message: Some(MessageHead::from(message).id), ..nothing }
            }
            Self::RoomCreated { room, .. } => Invalidation { conversation: Some(*room), ..nothing },
            Self::MemberAdded { room, user } | Self::RoleChanged { room, user, .. } => {
                Invalidation { member: Some((*room, *user)), ..nothing }
            }
            Self::MemberRemoved { room, user } => {
                Invalidation { member: Some((*room, *user)), audience: Some(*room), ..nothing }
            }
            Self::RoomChanged { room, aspect: RoomAspect::Updated, .. } => {
                Invalidation { conversation: Some(*room), ..nothing }
            }
            Self::ProfileUpdated { user } => Invalidation { user: Some(*user), ..nothing },
            Self::RelationChanged { user, with, .. } => {
                Invalidation { relation: Some((*user, *with)), ..nothing }
            }
            Self::MessageChanged { message, what, .. } if what.is_of_content() => {
                Invalidation { message: Some(MessageHead::from(message).id), ..nothing }
            }
            // Somebody has hidden it, or sees it again.
            Self::MessageChanged { message, what, .. } if what.is_personal() => {
                Invalidation { audience: Some(MessageHead::from(message).conversation), ..nothing }
            }
            // What was remembered of a message may show something else beside its content. Those who are told of it are told of this
            // change, too, which comes later and says all that is shown there.
            Self::MessageChanged { .. } | Self::ReadMarked { .. } | Self::RoomChanged { .. } => nothing,
            // No cache holds it.
            Self::ChatSettingsChanged { .. } | Self::SessionEnded { .. } => nothing,
        }
    }
}
