//! What can change: the only list of the kinds of changes that the log knows.
//!
//! A kind is a line in [`ChangeKind`] (its number and its word in a database), a variant of [`Change`], what it holds
//! ([`Change::fields`] and [`Change::from_fields`]) and what it is about ([`Change::subject`]). Stores keep a change as its
//! kind and its [`Fields`], so a new kind whose data fit into these fields changes no driver. What can change about a message that
//! is there is another list, that of [`aspects`](crate::aspects), of which each has a kind of its own.

use crate::aspects::{Aspect, MessageChange};
use crate::clock::Timestamp;
use crate::id::{ConversationId, LoginSessionId, UserId};
use crate::model::{Relation, Role, RoomAspect, Seq};
use crate::store::StoredMessage;

macro_rules! kinds {
    ($($kind:ident = $code:literal, $name:literal;)*) => {
        /// The kinds of [`Change`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ChangeKind {
            $(#[doc = concat!("[`Change::", stringify!($kind), "`].")] $kind,)*
            /// [`Change::MessageChanged`].
            MessageChanged(Aspect),
        }

        impl ChangeKind {
            /// All of them.
            pub fn all() -> impl Iterator<Item = Self> {
                let of_messages = Aspect::ALL.iter().map(|aspect| Self::MessageChanged(*aspect));
                [$(Self::$kind),*].into_iter().chain(of_messages)
            }

            /// The word that stands for it in a database. Words are never given another meaning.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::MessageChanged(aspect) => aspect.name(),
                }
            }

            /// The number that stands for it in a database. Numbers are never reused.
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$kind => $code,)*
                    Self::MessageChanged(aspect) => aspect.code(),
                }
            }
        }
    };
}

kinds! {
    MessageSent = 1, "message_sent";
    MessageDeleted = 2, "message_deleted";
    MessageRestored = 3, "message_restored";
    RoomCreated = 4, "room_created";
    MemberAdded = 5, "member_added";
    MemberRemoved = 6, "member_removed";
    RoleChanged = 7, "role_changed";
    ProfileUpdated = 8, "profile_updated";
    ReadMarked = 9, "read_marked";
    RoomChanged = 32, "room_changed";
    RelationChanged = 64, "relation_changed";
    ChatSettingsChanged = 65, "chat_settings_changed";
    SessionEnded = 91, "session_ended";
}

impl ChangeKind {
    /// Kinds with this number and greater ones are told to the person of the entry ([`Fields::user`]) and to nobody else. Stores find
    /// them by that, so a new one changes no driver.
    pub const FIRST_PERSONAL: u8 = 64;

    /// Whether only the person of the entry is told of such a change.
    pub fn is_personal(self) -> bool {
        self.code() >= Self::FIRST_PERSONAL
    }

    /// The kind with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::all().find(|kind| kind.code() == code)
    }

    /// The kind with this word, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.name() == name)
    }

    /// Whether a change of this kind is about one message.
    pub fn is_about_message(self) -> bool {
        matches!(
            self,
            Self::MessageSent | Self::MessageDeleted | Self::MessageRestored | Self::MessageChanged(_)
        )
    }
}

/// What changed. `M` is the message that it is about: the message as it is now where the log is read, or only where it is
/// found where the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<M = StoredMessage> {
    /// A message was appended.
    MessageSent(M),
    /// A message was deleted.
    MessageDeleted(M),
    /// A message was restored.
    MessageRestored(M),
    /// One aspect of a message has changed.
    MessageChanged {
        /// Which message.
        message: M,
        /// Who has changed it.
        by: UserId,
        /// How.
        what: MessageChange,
    },
    /// A room was made.
    RoomCreated {
        /// The room.
        room: ConversationId,
        /// Who made it.
        by: UserId,
    },
    /// Somebody became a member.
    MemberAdded {
        /// Where.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody is no member any more.
    MemberRemoved {
        /// Where.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody's role changed.
    RoleChanged {
        /// Where.
        room: ConversationId,
        /// Whose.
        user: UserId,
        /// To what.
        role: Role,
    },
    /// Something else about a room changed.
    RoomChanged {
        /// Where.
        room: ConversationId,
        /// Who has changed it.
        by: UserId,
        /// What.
        aspect: RoomAspect,
    },
    /// Somebody's read mark moved forward.
    ReadMarked {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// To where it moved then; it may be farther by now.
        seq: Seq,
    },
    /// A profile changed.
    ProfileUpdated {
        /// Whose.
        user: UserId,
    },
    /// What somebody has with another person changed.
    RelationChanged {
        /// Who is told of it.
        user: UserId,
        /// The other one.
        with: UserId,
        /// What it was changed to, without what `user` may not know.
        relation: Relation,
    },
    /// The settings of a user for a conversation changed.
    ChatSettingsChanged {
        /// The user, who alone receives the event.
        user: UserId,
        /// The conversation.
        conversation: ConversationId,
    },
    /// A login session has ended before its time.
    SessionEnded {
        /// Whose.
        user: UserId,
        /// Which.
        session: LoginSessionId,
        /// Until when access tokens of it would otherwise be valid.
        until: Timestamp,
    },
}

/// What an entry of the log holds besides its position, its moment and its kind; which of it, depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<M> {
    /// The message that it is about.
    pub message: Option<M>,
    /// The conversation, unless the message says it.
    pub room: Option<ConversationId>,
    /// The person.
    pub user: Option<UserId>,
    /// The role that they have since.
    pub role: Option<Role>,
    /// The place of a message in the conversation.
    pub seq: Option<Seq>,
    /// What else the kind has to say.
    pub detail: Option<Detail>,
}

impl<M> Default for Fields<M> {
    fn default() -> Self {
        Self { message: None, room: None, user: None, role: None, seq: None, detail: None }
    }
}

/// What an entry of the log says that no other field can hold, such as an emoji: a few bytes, opaque to stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    len: u8,
    bytes: [u8; Self::MAX_BYTES],
}

impl Detail {
    /// Most bytes of a detail.
    pub const MAX_BYTES: usize = 64;

    /// Takes over these bytes; none when there are more than [`Self::MAX_BYTES`].
    pub fn new(detail: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes.get_mut(..detail.len())?.copy_from_slice(detail);
        Some(Self { len: u8::try_from(detail.len()).ok()?, bytes })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

// It may be something that somebody has said.
impl std::fmt::Debug for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Detail({} bytes)", self.len)
    }
}

/// What a change is about, and so who is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<M> {
    /// A message. The members of its conversation are told.
    Message(M),
    /// A conversation: that there is one, who is in it. Its members are told, and whoever has just been taken out.
    Conversation {
        /// Which.
        id: ConversationId,
        /// Who is no member any more.
        removed: Option<UserId>,
    },
    /// How far somebody has read. The members of the conversation are told.
    ReadMark {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
    },
    /// A person. Everybody is told, of the last such change.
    Profile(UserId),
    /// Something that is only this person's. Nobody else is told.
    Own(UserId),
}

impl<M> Change<M> {
    /// Of what kind it is.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Self::MessageSent(_) => ChangeKind::MessageSent,
            Self::MessageDeleted(_) => ChangeKind::MessageDeleted,
            Self::MessageRestored(_) => ChangeKind::MessageRestored,
            Self::MessageChanged { what, .. } => ChangeKind::MessageChanged(what.aspect()),
            Self::RoomCreated { .. } => ChangeKind::RoomCreated,
            Self::MemberAdded { .. } => ChangeKind::MemberAdded,
            Self::MemberRemoved { .. } => ChangeKind::MemberRemoved,
            Self::RoleChanged { .. } => ChangeKind::RoleChanged,
            Self::RoomChanged { .. } => ChangeKind::RoomChanged,
            Self::ReadMarked { .. } => ChangeKind::ReadMarked,
            Self::ProfileUpdated { .. } => ChangeKind::ProfileUpdated,
            Self::RelationChanged { .. } => ChangeKind::RelationChanged,
            Self::ChatSettingsChanged { .. } => ChangeKind::ChatSettingsChanged,
            Self::SessionEnded { .. } => ChangeKind::SessionEnded,
        }
    }

    /// What it holds.
    pub fn fields(&self) -> Fields<&M> {
        let none = Fields::default();
        let of_member = |room: &ConversationId, user: &UserId| Fields {
            room: Some(*room),
            user: Some(*user),
            ..Fields::default()
        };
        match self {
            Self::MessageSent(message) | Self::MessageDeleted(message) | Self::MessageRestored(message) => {
                Fields { message: Some(message), ..none }
            }
            Self::MessageChanged { message, by, what } => {
                Fields { message: Some(message), user: Some(*by), detail: what.detail(), ..none }
            }
            Self::RoomCreated { room, by: user }
            | Self::MemberAdded { room, user }
            | Self::MemberRemoved { room, user } => of_member(room, user),
            Self::RoleChanged { room, user, role } => Fields { role: Some(*role), ..of_member(room, user) },
            Self::RoomChanged { room, by, aspect } => {
                Fields { detail: aspect.to_detail(), ..of_member(room, by) }
            }
            Self::ReadMarked { conversation, user, seq } => {
                Fields { seq: Some(*seq), ..of_member(conversation, user) }
            }
            Self::ProfileUpdated { user } => Fields { user: Some(*user), ..none },
            Self::RelationChanged { user, with, relation } => {
                let mut detail = with.as_bytes().to_vec();
                detail.push(relation.code());
                Fields { user: Some(*user), detail: Detail::new(&detail), ..none }
            }
            // Not in the field `room`: then the other members would receive the event.
            Self::ChatSettingsChanged { user, conversation } => {
                Fields { user: Some(*user), detail: Detail::new(conversation.as_bytes()), ..none }
            }
            Self::SessionEnded { user, session, until } => {
                let mut detail = session.as_bytes().to_vec();
                detail.extend(until.as_millis().to_be_bytes());
                Fields { user: Some(*user), detail: Detail::new(&detail), ..none }
            }
        }
    }

    /// The change of a kind that holds this.
    ///
    /// # Errors
    /// The name of the field that is missing.
    pub fn from_fields(kind: ChangeKind, fields: Fields<M>) -> Result<Self, &'static str> {
        let Fields { message, room, user, role, seq, detail } = fields;
        let message = message.ok_or("message");
        let (room, user) = (room.ok_or("room"), user.ok_or("user"));
        Ok(match kind {
            ChangeKind::MessageSent => Self::MessageSent(message?),
            ChangeKind::MessageDeleted => Self::MessageDeleted(message?),
            ChangeKind::MessageRestored => Self::MessageRestored(message?),
            ChangeKind::MessageChanged(aspect) => {
                let detail = detail.as_ref().map_or(&[][..], Detail::as_bytes);
                let what = MessageChange::from_detail(aspect, detail).ok_or("detail")?;
                Self::MessageChanged { message: message?, by: user?, what }
            }
            ChangeKind::RoomCreated => Self::RoomCreated { room: room?, by: user? },
            ChangeKind::MemberAdded => Self::MemberAdded { room: room?, user: user? },
            ChangeKind::MemberRemoved => Self::MemberRemoved { room: room?, user: user? },
            ChangeKind::RoleChanged => {
                Self::RoleChanged { room: room?, user: user?, role: role.ok_or("role")? }
            }
            ChangeKind::RoomChanged => {
                let aspect = detail.as_ref().and_then(RoomAspect::from_detail).ok_or("detail")?;
                Self::RoomChanged { room: room?, by: user?, aspect }
            }
            ChangeKind::ReadMarked => {
                Self::ReadMarked { conversation: room?, user: user?, seq: seq.ok_or("seq")? }
            }
            ChangeKind::ProfileUpdated => Self::ProfileUpdated { user: user? },
            ChangeKind::RelationChanged => {
                let (with, relation) = detail.as_ref().and_then(relation_in).ok_or("detail")?;
                Self::RelationChanged { user: user?, with, relation }
            }
            ChangeKind::ChatSettingsChanged => {
                let id = detail.as_ref().and_then(|detail| detail.as_bytes().try_into().ok());
                let conversation = ConversationId::from_bytes(id.ok_or("detail")?);
                Self::ChatSettingsChanged { user: user?, conversation }
            }
            ChangeKind::SessionEnded => {
                let (session, until) = detail.as_ref().and_then(session_in).ok_or("detail")?;
                Self::SessionEnded { user: user?, session, until }
            }
        })
    }

    /// The message that it is about.
    pub fn message(&self) -> Option<&M> {
        self.fields().message
    }

    /// What it is about.
    pub fn subject(&self) -> Subject<&M> {
        let conversation = |id: &ConversationId| Subject::Conversation { id: *id, removed: None };
        match self {
            Self::MessageSent(message) | Self::MessageDeleted(message) | Self::MessageRestored(message) => {
                Subject::Message(message)
            }
            Self::MessageChanged { message, .. } => Subject::Message(message),
            Self::RoomCreated { room, .. }
            | Self::MemberAdded { room, .. }
            | Self::RoleChanged { room, .. }
            | Self::RoomChanged { room, .. } => conversation(room),
            Self::MemberRemoved { room, user } => Subject::Conversation { id: *room, removed: Some(*user) },
            Self::ReadMarked { conversation, user, .. } => {
                Subject::ReadMark { conversation: *conversation, user: *user }
            }
            Self::ProfileUpdated { user } => Subject::Profile(*user),
            Self::RelationChanged { user, .. }
            | Self::ChatSettingsChanged { user, .. }
            | Self::SessionEnded { user, .. } => Subject::Own(*user),
        }
    }

    /// The same change of another form of its message.
    ///
    /// # Errors
    /// Those of `message`.
    pub fn map<N, E>(self, message: impl FnOnce(M) -> Result<N, E>) -> Result<Change<N>, E> {
        Ok(match self {
            Self::MessageSent(one) => Change::MessageSent(message(one)?),
            Self::MessageDeleted(one) => Change::MessageDeleted(message(one)?),
            Self::MessageRestored(one) => Change::MessageRestored(message(one)?),
            Self::MessageChanged { message: one, by, what } => {
                Change::MessageChanged { message: message(one)?, by, what }
            }
            Self::RoomCreated { room, by } => Change::RoomCreated { room, by },
            Self::MemberAdded { room, user } => Change::MemberAdded { room, user },
            Self::MemberRemoved { room, user } => Change::MemberRemoved { room, user },
            Self::RoleChanged { room, user, role } => Change::RoleChanged { room, user, role },
            Self::RoomChanged { room, by, aspect } => Change::RoomChanged { room, by, aspect },
            Self::ReadMarked { conversation, user, seq } => Change::ReadMarked { conversation, user, seq },
            Self::ProfileUpdated { user } => Change::ProfileUpdated { user },
            Self::RelationChanged { user, with, relation } => {
                Change::RelationChanged { user, with, relation }
            }
            Self::ChatSettingsChanged { user, conversation } => {
                Change::ChatSettingsChanged { user, conversation }
            }
            Self::SessionEnded { user, session, until } => Change::SessionEnded { user, session, until },
        })
    }
}

/// The person and the relation that a detail names.
fn relation_in(detail: &Detail) -> Option<(UserId, Relation)> {
    let (with, code) = detail.as_bytes().split_first_chunk::<12>()?;
    let [code] = code else { return None };
    Some((UserId::from_bytes(*with), Relation::from_code(*code)?))
}

/// The session that a detail names, and the moment.
fn session_in(detail: &Detail) -> Option<(LoginSessionId, Timestamp)> {
    let (session, until) = detail.as_bytes().split_first_chunk::<12>()?;
    let until = i64::from_be_bytes(until.try_into().ok()?);
    Some((LoginSessionId::from_bytes(*session), Timestamp::from_millis(until)))
}

#[cfg(test)]
mod tests;
