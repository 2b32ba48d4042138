//! The nouns of the domain. They know neither JSON nor tables.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
pub use crate::members::{JoinOrder, Members};

/// Where a change stands in the one log of all changes: strictly increasing in the order of commit, starting
/// at 1. A position is what a client resumes from; 0 means "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Where a message stands in its conversation: 1, 2, 3, … without gaps, in the order of commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u32);

/// A person, as everybody may see them. The password's hash is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes.
    pub id: UserId,
    /// The unique name (without regard to case), for families of frontends that name people so.
    pub username: Option<String>,
    /// The unique e-mail address in lower case, for families that log in with one.
    pub email: Option<String>,
    /// The name to show; not unique.
    pub full_name: String,
    /// URL of the picture, empty when there is none.
    pub picture: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the profile last changed.
    pub updated_at: Timestamp,
    /// When the last connection ended; none if there never was one.
    pub last_seen: Option<Timestamp>,
}

impl User {
    /// The name that tells this person from all others: the user name, or else the address, or else the id.
    pub fn handle(&self) -> String {
        self.username.clone().or_else(|| self.email.clone()).unwrap_or_else(|| self.id.to_string())
    }
}

/// One of the ways to name a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By user name, without regard to case.
    Username(String),
    /// By e-mail address, without regard to case.
    Email(String),
}

impl UserKey {
    /// The key as [`policy`](crate::policy) has names and addresses kept (composed, domains in letters), folded; none
    /// when that is no other one. What was kept before there were such forms is found by [`Self::folded`] alone, so that
    /// is asked for first.
    pub fn canonical(&self) -> Option<Self> {
        let canonical = match self {
            Self::Id(_) => return None,
            Self::Username(name) => Self::Username(name.nfc().collect()).folded(),
            Self::Email(email) => Self::Email(crate::email::canonical(email)?),
        };
        (canonical != self.folded()).then_some(canonical)
    }

    /// The key in the form in which stores compare it: names and addresses in lower case.
    pub fn folded(&self) -> Self {
        match self {
            Self::Id(id) => Self::Id(*id),
            Self::Username(name) => Self::Username(name.to_lowercase()),
            Self::Email(email) => Self::Email(email.to_lowercase()),
        }
    }
}

/// An account to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The person; `last_seen` is none.
    pub user: User,
    /// What the password was hashed to. Opaque here.
    pub password_hash: PasswordHash,
    /// What others must not have in common with them: see [`policy::name_key`](crate::policy::name_key). Opaque to
    /// stores.
    pub name_key: Option<String>,
}

impl NewUser {
    /// An account with the key of the name that tells it from all others.
    pub fn new(user: User, password_hash: PasswordHash) -> Self {
        let handle = user.username.as_deref().or(user.email.as_deref());
        Self { name_key: handle.and_then(crate::policy::name_key), user, password_hash }
    }
}

/// A hashed password. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes over a hash made elsewhere.
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The hash, for the one who verifies passwords and for stores.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// What changes in a profile; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePatch {
    /// The new name to show.
    pub full_name: Option<String>,
    /// The new picture's URL; empty removes it.
    pub picture: Option<String>,
}

/// People who talk: two of them (a direct conversation), or a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Never changes.
    pub id: ConversationId,
    /// Direct or room.
    pub kind: ConversationKind,
    /// Everybody in it, in the order of joining.
    pub members: Members,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl Conversation {
    /// The membership of a person, if they are in.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(user)
    }

    /// In a direct conversation, the person `user` talks with (themselves, in notes to oneself).
    pub fn peer_of(&self, user: UserId) -> Option<UserId> {
        match &self.kind {
            ConversationKind::Direct { pair } => pair.other(user),
            ConversationKind::Room(_) => None,
        }
    }
}

/// What kind of conversation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversationKind {
    /// Exactly these two; there is never a second direct conversation of the same pair.
    Direct {
        /// The canonical identity.
        pair: Pair,
    },
    /// Any number of members with roles.
    Room(RoomInfo),
}

/// What is said of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// The name to show; not unique.
    pub name: String,
    /// Who may join by themselves.
    pub visibility: Visibility,
}

/// Who may join a room without being added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Nobody: an admin or moderator adds people.
    Private,
}

/// Two people without an order; both may be the same one. The identity of a direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

impl Pair {
    /// The pair of these two.
    pub fn new(a: UserId, b: UserId) -> Self {
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Both, the lower id first.
    pub fn both(self) -> (UserId, UserId) {
        (self.low, self.high)
    }

    /// The other one of the two, or none when `user` is not one of them.
    pub fn other(self, user: UserId) -> Option<UserId> {
        match user {
            user if user == self.low => Some(self.high),
            user if user == self.high => Some(self.low),
            _ => None,
        }
    }
}

/// Somebody's place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
}

/// What a member may do. Greater roles may do all that lesser ones may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read, write, delete what they wrote.
    Member,
    /// Also delete what others wrote, and add and remove members.
    Moderator,
    /// Also change roles and the room itself.
    Admin,
}

/// A message as its readers get it: the text decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Never changes.
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// What was said.
    pub content: Content,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while it is deleted.
    pub deleted: Option<Tombstone>,
}

/// What a message consists of.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The text, or the whole text of a file. May be empty when there is an image.
    pub text: Arc<str>,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
}

impl Content {
    /// A plain text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), file_name: None, image: None }
    }
}

// Message texts never reach a log, so a message that is logged by mistake shows only its size.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("text_bytes", &self.text.len())
            .field("is_file", &self.file_name.is_some())
            .field("has_image", &self.image.is_some())
            .finish()
    }
}

/// What is left of a deleted message while it can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// When it was deleted.
    pub at: Timestamp,
    /// By whom.
    pub by: UserId,
}

/// A message together with what an edge needs to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message: Message,
    /// Where it was said.
    pub conversation: Arc<Conversation>,
    /// Who sent it.
    pub sender: Arc<User>,
    /// In a direct conversation whom it was sent to (the sender, in notes to oneself); none in rooms.
    pub recipient: Option<Arc<User>>,
}

/// A client's own name for a send, unique per user: the same one twice is the same message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Most bytes of a client id.
    pub const MAX_BYTES: usize = 128;

    /// Takes a client's id; none when it is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        (!id.is_empty() && id.len() <= Self::MAX_BYTES).then_some(Self(id))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a packet that was sent again from a new one, where clients give their sends no name: a hash of all that a
/// client wrote into it, the time on its own clock included. Compared only among messages of one sender in one
/// conversation, and only for a while; see [`NewMessage::fingerprint`](crate::store::NewMessage::fingerprint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);
