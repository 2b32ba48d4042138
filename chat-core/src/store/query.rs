//! People, conversations and messages: what is asked of a store. Its writes are here by name; what they do stands in `apply`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::keyed::Facets;
use super::write::{
    AddMember, Append, CreateRoom, CreateUser, OpenDirect, RecordLastSeen, Relate, Related, RemoveMember,
    RevokeToken, RoomChange, SetDeleted, SetPasswordHash, SetRole, UpdateProfile, WriteStore, make,
};
use crate::clock::Timestamp;
use crate::codec::Blob;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, Fingerprint, JoinOrder, Member, NewUser, Pair, PasswordHash, Position,
    ProfilePatch, RoomInfo, Seq, Tombstone, User, UserKey,
};
use crate::policy::Refusal;

/// Accounts and log-in tokens.
///
/// # Guarantees
/// User names and e-mail addresses are unique as [`UserKey::folded`] compares them, and together: where people are named
/// by name, an account without one is known by its address, so nobody's user name is another's address. A
/// [`NewUser::name_key`] is unique among those who have one. All of it is decided in one step with making the account.
#[async_trait]
pub trait UserStore: WriteStore {
    /// Makes an account, unless its id, name, address or key is taken.
    async fn create_user(&self, new: NewUser) -> Result<CreatedUser, StoreError> {
        make(self, CreateUser(new)).await
    }

    /// Looks a person up.
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError>;

    /// Looks a person up together with the hash of their password.
    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError>;

    /// Everybody, in the order of accounts made, at most `limit`.
    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError>;

    /// Changes a profile and logs [`Change::ProfileUpdated`](super::Change::ProfileUpdated); none when there is no such person.
    async fn update_profile(
        &self,
        user: UserId,
        patch: ProfilePatch,
        at: Timestamp,
    ) -> Result<Option<(Position, Arc<User>)>, StoreError> {
        make(self, UpdateProfile { user, patch, at }).await
    }

    /// Puts another hash in the place of this one, if it is still there; answers whether it was. Not logged.
    async fn set_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, StoreError> {
        make(self, SetPasswordHash { user, old: old.clone(), new }).await
    }

    /// Notes when a person was last connected. Not logged; unknown people are passed over.
    async fn record_last_seen(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        make(self, RecordLastSeen { user, at }).await
    }

    /// Changes what two people have with each other and logs [`Change::RelationChanged`](super::Change::RelationChanged) for the one
    /// who does it and behind it for the other one, each only if they see a difference. It is kept in
    /// [`Table::Relations`](super::Table::Relations). [`policy::relate`](crate::policy::relate) decides whether it may be done, by what
    /// they have at that moment.
    async fn relate(&self, relate: Relate) -> Result<Result<Related, Refusal>, StoreError> {
        make(self, relate).await
    }

    /// Notes that the token with this fingerprint is revoked; the note may be dropped once `until` has passed.
    async fn revoke_token(&self, fingerprint: [u8; 32], until: Timestamp) -> Result<(), StoreError> {
        make(self, RevokeToken { fingerprint, until }).await
    }

    /// The fingerprints of all tokens that are revoked and would otherwise be valid after `now`.
    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError>;
}

/// What came of [`UserStore::create_user`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedUser {
    /// The account exists now.
    Created(Arc<User>),
    /// Somebody has this user name, for a name or an address, or one with the same key (or, never in practice, this id).
    UsernameTaken,
    /// Somebody has this e-mail address, for an address or a name, or, without a user name, one with the same key.
    EmailTaken,
}

impl CreatedUser {
    /// What is answered when somebody has the key of a person's name.
    pub(super) fn key_taken(user: &User) -> Self {
        if user.username.is_some() { Self::UsernameTaken } else { Self::EmailTaken }
    }
}

/// Conversations and who is in them.
#[async_trait]
pub trait RoomStore: WriteStore {
    /// The direct conversation of a pair; made, with `id`, if there is none. Not logged: it is no news until
    /// somebody speaks in it. Both are members with the role [`Role::Member`](crate::model::Role::Member).
    async fn open_direct(
        &self,
        pair: Pair,
        id: ConversationId,
        at: Timestamp,
    ) -> Result<Arc<Conversation>, StoreError> {
        make(self, OpenDirect { pair, id, at }).await
    }

    /// The direct conversation of a pair, if there is one.
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError>;

    /// Makes a room with these members and logs [`Change::RoomCreated`](super::Change::RoomCreated).
    /// [`policy::may_reach`](crate::policy::may_reach) decides whether its maker may bring each of the others in.
    async fn create_room(
        &self,
        room: NewRoom,
    ) -> Result<Result<(Position, Arc<Conversation>), Refusal>, StoreError> {
        make(self, CreateRoom(room)).await
    }

    /// Looks a conversation up, with all its members.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError>;

    /// Makes somebody a member with the role [`Role::Member`](crate::model::Role::Member), in the last place, and logs
    /// [`Change::MemberAdded`](super::Change::MemberAdded). Whoever is in already stays as they are, with their role, and
    /// nothing is logged. [`policy::may_add_member`](crate::policy::may_add_member) decides whether it may be done, by who is
    /// in the room at that moment.
    async fn add_member(&self, add: AddMember) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, add).await
    }

    /// Gives a member another role and logs [`Change::RoleChanged`](super::Change::RoleChanged); nothing when they have it
    /// already. Nobody becomes a member by this. [`policy::may_set_roles`](crate::policy::may_set_roles) decides whether it may
    /// be done, by the roles at that moment. When the last admin gives up the role, another member becomes one
    /// ([`policy::succession`](crate::policy::succession)), which is logged behind it.
    async fn set_role(&self, set: SetRole) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, set).await
    }

    /// Takes a member out and logs [`Change::MemberRemoved`](super::Change::MemberRemoved).
    /// [`policy::may_remove_member`](crate::policy::may_remove_member) decides whether it may be done, by the roles at that
    /// moment. When the last admin goes, another member becomes one
    /// ([`policy::succession`](crate::policy::succession)), which is logged behind it; a room without members has none.
    async fn remove_member(&self, remove: RemoveMember) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, remove).await
    }

    /// The members of a conversation in the order of joining, each with their place in it: those after a place, at most
    /// `limit`. Nobody where there is no such conversation. Somebody who comes back after they were out has another place. A
    /// driver must not pass over the other members.
    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError>;

    /// Those of these people who are members of a conversation, each with their place in the order of joining, in any order. A
    /// driver must not pass over the other members.
    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError>;

    /// The people with whom somebody has a direct conversation with at least one message that is not deleted,
    /// the latest such message first, at most `limit`. Notes to oneself are left out.
    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError>;
}

/// A room to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its id.
    pub id: ConversationId,
    /// Name and visibility.
    pub info: RoomInfo,
    /// Its members, each once.
    pub members: Vec<Member>,
    /// Who makes it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// How long a fingerprint tells a repeated send from a new one.
pub const FINGERPRINT_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The fingerprints of so many of the newest changes are remembered at least.
pub const FINGERPRINTS_KEPT: usize = 1 << 18;

/// What was said.
#[async_trait]
pub trait MessageStore: WriteStore {
    /// Appends a message to its conversation and logs [`Change::MessageSent`](super::Change::MessageSent). When the sender has used the
    /// client id before, nothing changes and the first message is returned. The same goes for a fingerprint that the
    /// sender has used in this conversation less than [`FINGERPRINT_WINDOW`] before, by the times of the messages; a
    /// driver may forget it when there were [`FINGERPRINTS_KEPT`] changes since, or when the log was forgotten
    /// ([`ChangeLog::forget_before`](super::ChangeLog::forget_before)). The conversation exists.
    /// [`policy::may_speak`](crate::policy::may_speak) and, where it is for one person, [`policy::may_reach`](crate::policy::may_reach)
    /// decide whether it may be said at all, by who is in the conversation and who blocks whom at that moment, also for what
    /// was sent before.
    async fn append(&self, new: NewMessage) -> Result<Appended, StoreError> {
        make(self, Append(new)).await
    }

    /// Looks a message up, deleted or not.
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError>;

    /// Deletes a message softly, or restores it, and logs [`Change::MessageDeleted`](super::Change::MessageDeleted) or
    /// [`Change::MessageRestored`](super::Change::MessageRestored); without a position when it is as wanted already. The moment
    /// becomes `updated_at`. [`policy::may_delete`](crate::policy::may_delete) and
    /// [`policy::may_restore`](crate::policy::may_restore) decide whether it may be done, by what the message is and by the role at
    /// that moment.
    async fn set_deleted(
        &self,
        set: SetDeleted,
    ) -> Result<Result<(Option<Position>, StoredMessage), Refusal>, StoreError> {
        make(self, set).await
    }

    /// A window on a conversation's messages, the oldest first, and whether there are more beyond its open end
    /// (older ones; newer ones for [`Window::After`]). Deleted messages do not count when they are left out. A driver may
    /// end a window early, with more to come, when its bodies take more than 4 MiB.
    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError>;
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// The client's own name for this send.
    pub client_id: Option<ClientId>,
    /// What a repeated send is known by when it has no name: see [`MessageStore::append`].
    pub fingerprint: Option<Fingerprint>,
    /// When.
    pub at: Timestamp,
}

/// What came of [`MessageStore::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It was stored at this place.
    New {
        /// In the log.
        position: Position,
        /// In the conversation.
        seq: Seq,
    },
    /// The sender had sent it before; this is the first one.
    Repeated(Box<StoredMessage>),
    /// The sender may not say anything there, or not any more.
    Refused(Refusal),
}

/// A message as stores keep it: the text encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while it is deleted.
    pub deleted: Option<Tombstone>,
    /// Which keyed tables hold something of it.
    pub facets: Facets,
}

impl StoredMessage {
    /// Which one it is, and where.
    pub fn reference(&self) -> MessageRef {
        MessageRef { id: self.id, conversation: self.conversation, seq: self.seq }
    }
}

/// Which message, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
}
