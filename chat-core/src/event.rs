//! What others are told of a change.

use std::collections::HashSet;
use std::sync::Arc;

use crate::aspects::{Annexes, MessageChange};
use crate::clock::Timestamp;
use crate::id::{ConversationId, LoginSessionId, MessageId, UserId};
use crate::invalidation::{Invalidation, MessageHead};
use crate::model::{
    ChatSettings, Conversation, MessageView, Position, Relation, Role, RoomAspect, Seq, User,
};

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
    /// Every member of a conversation but these few people.
    MembersBut(Arc<Conversation>, Vec<UserId>),
    /// These people.
    Users(Vec<UserId>),
    /// Everybody.
    Everyone,
}

impl Audience {
    /// The same without these people.
    pub(crate) fn without(self, people: &HashSet<UserId>) -> Self {
        let is_left = |user: &UserId| !people.contains(user);
        let members = |conversation: &Conversation| {
            people.iter().filter(|user| conversation.member(**user).is_some()).copied().collect::<Vec<_>>()
        };
        match self {
            everyone if people.is_empty() => everyone,
            Self::Members(conversation) => match members(&conversation) {
                nobody if nobody.is_empty() => Self::Members(conversation),
                others => Self::MembersBut(conversation, others),
            },
            Self::MembersBut(conversation, mut others) => {
                others.extend(members(&conversation));
                Self::MembersBut(conversation, others)
            }
            Self::Users(mut users) => {
                users.retain(is_left);
                Self::Users(users)
            }
            // They are told what concerns all members, or everybody, and not what one person does.
            same @ (Self::MembersAnd(..) | Self::Everyone) => same,
        }
    }

    /// Whether this person is told.
    pub fn includes(&self, user: UserId) -> bool {
        match self {
            Self::Members(conversation) => conversation.member(user).is_some(),
            Self::MembersAnd(conversation, other) => *other == user || conversation.member(user).is_some(),
            Self::MembersBut(conversation, others) => {
                !others.contains(&user) && conversation.member(user).is_some()
            }
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
    /// One aspect of a message has changed.
    MessageChanged(MessageChanged),
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
    /// What somebody has with another person is not what it was. Only they are told, on all their devices.
    RelationChanged {
        /// Who is told.
        user: UserId,
        /// The other one.
        with: Arc<User>,
        /// What they have since, as `user` may see it.
        relation: Relation,
    },
    /// The settings of a user for a conversation changed. Only the user's devices receive the event.
    ChatSettingsChanged {
        /// The user.
        user: UserId,
        /// The conversation.
        conversation: ConversationId,
        /// The settings now.
        settings: ChatSettings,
    },
    /// A login session of somebody has ended. Only they are told, on all their devices.
    SessionEnded {
        /// Whose.
        user: UserId,
        /// Which.
        session: LoginSessionId,
        /// Until when access tokens of it would otherwise be valid. They are invalid now.
        until: Timestamp,
    },
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

/// That one aspect of a message has changed.
#[derive(Debug, Clone)]
pub struct MessageChanged {
    /// Which message.
    pub message: MessageHead,
    /// Where.
    pub conversation: Arc<Conversation>,
    /// Who has changed it.
    pub by: UserId,
    /// How.
    pub what: MessageChange,
    /// What is shown of it beside its content since; nothing when it is deleted.
    pub annexes: Annexes,
    /// The message as it is since, where its content has changed.
    pub view: Option<Box<MessageView>>,
}

/// The one list of events that show a message, for an event that is read and for one that is changed.
macro_rules! message_of {
    ($event:expr, $inside:ident) => {
        match $event {
            Self::MessageSent(view) | Self::MessageDeleted(view) | Self::MessageRestored(view) => Some(view),
            Self::MessageChanged(changed) => changed.view.$inside(),
            Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. }
            | Self::MessagesRead { .. }
            | Self::ProfileUpdated(_)
            | Self::RelationChanged { .. }
            | Self::ChatSettingsChanged { .. }
            | Self::SessionEnded { .. }
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
            | Self::RelationChanged { with: user, .. }
            | Self::TypingChanged { user, .. } => Some(user),
            Self::MessageSent(_)
            | Self::MessageDeleted(_)
            | Self::MessageRestored(_)
            | Self::MessageChanged(_)
            | Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. }
            | Self::ChatSettingsChanged { .. }
            | Self::SessionEnded { .. } => None,
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
            Self::MessageChanged(changed) if changed.what.is_personal() => Audience::Users(vec![changed.by]),
            Self::MessageChanged(MessageChanged { conversation, .. })
            | Self::MessagesRead { conversation, .. } => Audience::Members(conversation.clone()),
            Self::ProfileUpdated(_) | Self::UserRegistered(_) => Audience::Everyone,
            Self::RelationChanged { user, .. }
            | Self::ChatSettingsChanged { user, .. }
            | Self::SessionEnded { user, .. } => Audience::Users(vec![*user]),
            Self::TypingChanged { conversation, user, .. } => {
                Audience::MembersBut(conversation.clone(), vec![user.id])
            }
        }
    }

    /// The message that it shows, if it shows one.
    pub fn message(&self) -> Option<&MessageView> {
        message_of!(self, as_deref)
    }

    /// The same, to be changed.
    pub fn message_mut(&mut self) -> Option<&mut MessageView> {
        message_of!(self, as_deref_mut)
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
            | Self::MessageChanged(_)
            | Self::RoomCreated { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::RoleChanged { .. }
            | Self::RoomChanged { .. }
            | Self::MessagesRead { .. }
            | Self::ProfileUpdated(_)
            | Self::RelationChanged { .. }
            | Self::ChatSettingsChanged { .. }
            | Self::SessionEnded { .. } => None,
        }
    }
}
