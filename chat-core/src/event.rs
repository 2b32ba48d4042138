//! What others are told of a change.

use std::sync::Arc;

use crate::id::{ConversationId, MessageId, UserId};
use crate::invalidation::{Invalidation, MessageHead};
use crate::model::{Conversation, MessageView, Position, Role, RoomAspect, Seq, User};
use crate::reactions::{Emoji, Reaction};

/// An event and who is to be told of it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The change's place in the log; none for what is not logged (typing, a new account).
    pub position: Option<Position>,
    /// Who is told.
    pub audience: Audience,
    /// What was remembered and is out of date by it.
    pub invalidates: Invalidation,
    /// What they are told.
    pub event: Event,
}

/// Who is told of an event.
#[derive(Debug, Clone)]
pub enum Audience {
    /// Every member of a conversation, the one who caused it included.
    Members(Arc<Conversation>),
    /// Every member of a conversation, and one who is no longer in it.
    MembersAnd(Arc<Conversation>, UserId),
    /// Every member of a conversation but one.
    MembersBut(Arc<Conversation>, UserId),
    /// These people.
    Users(Vec<UserId>),
    /// Everybody.
    Everyone,
}

impl Audience {
    /// Whether this person is told.
    pub fn includes(&self, user: UserId) -> bool {
        match self {
            Self::Members(conversation) => conversation.member(user).is_some(),
            Self::MembersAnd(conversation, other) => *other == user || conversation.member(user).is_some(),
            Self::MembersBut(conversation, other) => *other != user && conversation.member(user).is_some(),
            Self::Users(users) => users.contains(&user),
            Self::Everyone => true,
        }
    }
}

/// What an event that is in no log was about: as much as another node needs to tell of it too
/// ([`Chat::ephemeral`](crate::chat::Chat::ephemeral)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ephemeral {
    /// [`Event::TypingChanged`].
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Typing or not.
        typing: bool,
    },
    /// [`Event::UserRegistered`].
    Registered {
        /// Who.
        user: UserId,
    },
}

/// Something happened. Edges match on it without a catch-all arm, so that a new event visits every dialect.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was said.
    MessageSent(MessageView),
    /// A message was deleted; it can be restored.
    MessageDeleted(MessageView),
    /// A deletion was undone.
    MessageRestored(MessageView),
    /// Somebody has reacted to a message, or has taken a reaction back.
    MessageReacted {
        /// To which.
        message: MessageHead,
        /// Where.
        conversation: Arc<Conversation>,
        /// Who.
        user: UserId,
        /// With what.
        emoji: Emoji,
        /// Whether the reaction is there since.
        is_there: bool,
        /// All that stands on the message since; nothing when it is deleted.
        reactions: Vec<Reaction>,
    },
    /// A room was made.
    RoomCreated {
        /// The room.
        room: Arc<Conversation>,
        /// Who made it.
        by: UserId,
    },
    /// Somebody came into a room.
    MemberAdded {
        /// The room as it is now.
        room: Arc<Conversation>,
        /// Who came.
        user: UserId,
    },
    /// Somebody left a room or was taken out.
    MemberRemoved {
        /// The room as it is now.
        room: Arc<Conversation>,
        /// Who went.
        user: UserId,
    },
    /// Somebody's role changed.
    RoleChanged {
        /// The room as it is now.
        room: Arc<Conversation>,
        /// Whose.
        user: UserId,
        /// To what.
        role: Role,
    },
    /// Something else about a room changed.
    RoomChanged {
        /// The room as it is now.
        room: Arc<Conversation>,
        /// Who has changed it.
        by: UserId,
        /// What.
        aspect: RoomAspect,
    },
    /// Somebody has read a conversation up to here. Their other devices are told too.
    MessagesRead {
        /// Where.
        conversation: Arc<Conversation>,
        /// Who.
        user: Arc<User>,
        /// The last message that they have read.
        seq: Seq,
        /// The newest messages of others up to there, the last one first: what they have read now is among them, as far as
        /// it is not more than a page or two.
        messages: Vec<MessageId>,
    },
    /// Somebody changed their profile.
    ProfileUpdated(Arc<User>),
    /// Somebody made an account.
    UserRegistered(Arc<User>),
    /// Somebody types, or has stopped. The typist is not told.
    TypingChanged {
        /// Where.
        conversation: Arc<Conversation>,
        /// Who.
        user: Arc<User>,
        /// Typing or not.
        typing: bool,
    },
}

/// The one list of events that are about a message, for an event that is read and for one that is changed.
macro_rules! message_of {
    ($event:expr) => {
        match $event {
            Self::MessageSent(view) | Self::MessageDeleted(view) | Self::MessageRestored(view) => Some(view),
            Self::MessageReacted { .. }
            | Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. }
            | Self::MessagesRead { .. }
            | Self::ProfileUpdated(_)
            | Self::UserRegistered(_)
            | Self::TypingChanged { .. } => None,
        }
    };
}

/// The same for events that are about a person and show them, and no message.
macro_rules! user_of {
    ($event:expr) => {
        match $event {
            Self::ProfileUpdated(user)
            | Self::UserRegistered(user)
            | Self::MessagesRead { user, .. }
            | Self::TypingChanged { user, .. } => Some(user),
            Self::MessageSent(_)
            | Self::MessageDeleted(_)
            | Self::MessageRestored(_)
            | Self::MessageReacted { .. }
            | Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. } => None,
        }
    };
}

impl Event {
    /// Who is told of it.
    pub fn audience(&self) -> Audience {
        match self {
            Self::MessageSent(view) | Self::MessageDeleted(view) | Self::MessageRestored(view) => {
                Audience::Members(view.conversation.clone())
            }
            Self::RoomCreated { room, .. }
            | Self::MemberAdded { room, .. }
            | Self::RoleChanged { room, .. }
            | Self::RoomChanged { room, .. } => Audience::Members(room.clone()),
            Self::MemberRemoved { room, user } => Audience::MembersAnd(room.clone(), *user),
            Self::MessageReacted { conversation, .. } | Self::MessagesRead { conversation, .. } => {
                Audience::Members(conversation.clone())
            }
            Self::ProfileUpdated(_) | Self::UserRegistered(_) => Audience::Everyone,
            Self::TypingChanged { conversation, user, .. } => {
                Audience::MembersBut(conversation.clone(), user.id)
            }
        }
    }

    /// The message that it is about, if it is about one.
    pub fn message(&self) -> Option<&MessageView> {
        message_of!(self)
    }

    /// The same, to be changed.
    pub fn message_mut(&mut self) -> Option<&mut MessageView> {
        message_of!(self)
    }

    /// The person whom it shows, if it is about one and about no message.
    pub fn user(&self) -> Option<&Arc<User>> {
        user_of!(self)
    }

    /// The same, to be changed.
    pub fn user_mut(&mut self) -> Option<&mut Arc<User>> {
        user_of!(self)
    }

    /// Whether it shows the content of the message that it is about: not where all that it says is that the message is deleted.
    pub fn shows_message(&self) -> bool {
        self.message().is_some() && !matches!(self, Self::MessageDeleted(_))
    }

    /// What it was about, if it is in no log. Other nodes learn of everything else from the log.
    pub fn ephemeral(&self) -> Option<Ephemeral> {
        match self {
            Self::UserRegistered(user) => Some(Ephemeral::Registered { user: user.id }),
            Self::TypingChanged { conversation, user, typing } => {
                Some(Ephemeral::Typing { conversation: conversation.id, user: user.id, typing: *typing })
            }
            Self::MessageSent(_)
            | Self::MessageDeleted(_)
            | Self::MessageRestored(_)
            | Self::MessageReacted { .. }
            | Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. }
            | Self::MessagesRead { .. }
            | Self::ProfileUpdated(_) => None,
        }
    }
}
