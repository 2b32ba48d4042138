//! The store traits for accounts, conversations and messages. Each write is one provided method; the module `apply`
//! implements the writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::keyed::Facets;
use super::write::{
    AddMember, Append, CreateRoom, CreateUser, EndSessions, EndedSession, OpenDirect, RecordLastSeen,
    RefreshSession, Refreshed, Relate, Related, RemoveMember, RevokeToken, RoomChange, SetChatSettings,
    SetDeleted, SetPasswordHash, SetRole, StartSession, UpdateProfile, WriteStore, make,
};
use crate::clock::Timestamp;
use crate::codec::Blob;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ChatSettings, ClientId, Conversation, Fingerprint, JoinOrder, Member, NewUser, Pair, PasswordHash,
    Position, ProfilePatch, RoomInfo, Seq, Tombstone, User, UserKey,
};
use crate::policy::Refusal;

/// Accounts and log-in tokens.
///
/// # Guarantees
/// User names and e-mail addresses are unique, compared by [`UserKey::folded`]. They share one namespace: where a
/// client names a person by user name, an account without one is known by its address, so a user name must never equal
/// the address of another account. [`NewUser::name_key`] is unique among the accounts that have one. The store checks
/// all of this and creates the account in one atomic step.
#[async_trait]
pub trait UserStore: WriteStore {
    /// Creates an account, unless its id, name, address or key is taken.
    async fn create_user(&self, new: NewUser) -> Result<CreatedUser, StoreError> {
        make(self, CreateUser(new)).await
    }

    /// Finds an account.
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError>;

    /// Finds an account together with its password hash.
    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError>;

    /// Lists all accounts in the order of their creation, at most `limit`.
    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError>;

    /// Finds accounts by their ids, in no particular order. Unknown ids and damaged accounts are left out.
    async fn users_by_id(&self, ids: &[UserId]) -> Result<Vec<Arc<User>>, StoreError>;

    /// Accounts whose user name in lower case begins with `prefix` and comes after `after`, compared byte by byte, sorted
    /// by that name; at most `limit`. Accounts without a user name are left out. A driver must not scan other accounts.
    async fn users_named(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError>;

    /// Changes a profile and logs [`Change::ProfileUpdated`](super::Change::ProfileUpdated). Returns `None` when the
    /// account does not exist.
    async fn update_profile(
        &self,
        user: UserId,
        patch: ProfilePatch,
        at: Timestamp,
    ) -> Result<Option<(Position, Arc<User>)>, StoreError> {
        make(self, UpdateProfile { user, patch, at }).await
    }

    /// Replaces the password hash `old` with `new` if `old` is still stored. Returns whether it was. Not logged.
    async fn set_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, StoreError> {
        make(self, SetPasswordHash { user, old: old.clone(), new }).await
    }

    /// Records when a person was last connected. Not logged. Unknown ids are ignored.
    async fn record_last_seen(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        make(self, RecordLastSeen { user, at }).await
    }

    /// Changes the relation between two people. Logs [`Change::RelationChanged`](super::Change::RelationChanged) for
    /// the person who makes the change, then for the other one; each only if that person sees a difference. The
    /// relation is stored in [`Table::Relations`](super::Table::Relations). [`policy::relate`](crate::policy::relate)
    /// decides whether the change is allowed, from the relation at the moment of the write.
    async fn relate(&self, relate: Relate) -> Result<Result<Related, Refusal>, StoreError> {
        make(self, relate).await
    }

    /// Starts a login session, which is stored in [`Table::Sessions`](super::Table::Sessions). Ends sessions of the same person that
    /// make room for it ([`MAX_SESSIONS`](crate::policy::MAX_SESSIONS)), as [`Self::end_sessions`] does, and returns them.
    async fn start_session(
        &self,
        start: StartSession,
    ) -> Result<Result<Vec<EndedSession>, Refusal>, StoreError> {
        make(self, start).await
    }

    /// Replaces the present refresh token of a login session with the next one. Of several calls with the same token at once
    /// one replaces it; the others get the same successor. A token that was used before, but for
    /// [`REFRESH_GRACE`](crate::policy::REFRESH_GRACE), ends the session, as [`Self::end_sessions`] does. Refused when the token does
    /// not belong to the session, or the session has ended or expired.
    async fn refresh_session(
        &self,
        refresh: RefreshSession,
    ) -> Result<Result<Refreshed, Refusal>, StoreError> {
        make(self, refresh).await
    }

    /// Ends login sessions of a person, and returns those that have ended. In the same step each of them is
    /// [revoked](crate::id::LoginSessionId::revocation) until its last access token expires, and
    /// [`Change::SessionEnded`](super::Change::SessionEnded) is logged for its owner. One session that does not exist or has expired is
    /// refused.
    async fn end_sessions(&self, end: EndSessions) -> Result<Result<Vec<EndedSession>, Refusal>, StoreError> {
        make(self, end).await
    }

    /// Records that the token with this fingerprint is revoked. The store may drop the record once `until` has passed.
    async fn revoke_token(&self, fingerprint: [u8; 32], until: Timestamp) -> Result<(), StoreError> {
        make(self, RevokeToken { fingerprint, until }).await
    }

    /// The fingerprints of all revoked tokens that would otherwise still be valid after `now`.
    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError>;
}

/// The least name that begins with `prefix` and comes after `after`.
#[cfg(any(feature = "sqlite", feature = "mongodb"))]
pub(super) fn first_name(prefix: &str, after: Option<&str>) -> String {
    // The least text behind another one is that text and a NUL.
    let behind = after.map(|after| format!("{after}\0")).unwrap_or_default();
    behind.max(prefix.to_owned())
}

/// The result of [`UserStore::create_user`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedUser {
    /// The account was created.
    Created(Arc<User>),
    /// Another account has this user name (as its name or its address) or the same key. Also returned for an id that is
    /// taken, which does not happen in practice.
    UsernameTaken,
    /// Another account has this e-mail address (as its address or its name). Also returned when the new account has no
    /// user name and its key is taken.
    EmailTaken,
}

impl CreatedUser {
    /// The result when another account has the same name key.
    pub(super) fn key_taken(user: &User) -> Self {
        if user.username.is_some() { Self::UsernameTaken } else { Self::EmailTaken }
    }
}

/// Conversations and their members.
#[async_trait]
pub trait RoomStore: WriteStore {
    /// Returns the direct conversation of a pair. Creates it with `id` if there is none. The creation is not logged,
    /// because clients learn of the conversation with its first message. Both people are members with the role
    /// [`Role::Member`](crate::model::Role::Member).
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

    /// Changes the settings of a member for a conversation, and logs
    /// [`Change::ChatSettingsChanged`](super::Change::ChatSettingsChanged) for this member alone. The position is `None`
    /// when nothing changes. [`Table::ChatSettings`](super::Table::ChatSettings) holds the settings until the member
    /// leaves. The store refuses people who are not members.
    async fn set_chat_settings(
        &self,
        set: SetChatSettings,
    ) -> Result<Result<(Option<Position>, ChatSettings), Refusal>, StoreError> {
        make(self, set).await
    }

    /// Creates a room with these members and logs [`Change::RoomCreated`](super::Change::RoomCreated).
    /// [`policy::may_reach`](crate::policy::may_reach) decides whether the creator may add each of the others.
    async fn create_room(
        &self,
        room: NewRoom,
    ) -> Result<Result<(Position, Arc<Conversation>), Refusal>, StoreError> {
        make(self, CreateRoom(room)).await
    }

    /// Finds a conversation, with all its members.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError>;

    /// Adds a member with the role [`Role::Member`](crate::model::Role::Member) in the last place, and logs
    /// [`Change::MemberAdded`](super::Change::MemberAdded). A person who is already a member keeps place and role, and
    /// nothing is logged. [`policy::may_add_member`](crate::policy::may_add_member) decides whether it is allowed, from
    /// the members at the moment of the write.
    async fn add_member(&self, add: AddMember) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, add).await
    }

    /// Gives a member another role and logs [`Change::RoleChanged`](super::Change::RoleChanged). Does nothing when the
    /// member already has that role. Never adds a member. [`policy::may_set_roles`](crate::policy::may_set_roles)
    /// decides whether it is allowed, from the roles at the moment of the write. When the last admin gives up the role,
    /// another member becomes admin ([`policy::succession`](crate::policy::succession)); that change is logged directly
    /// after it.
    async fn set_role(&self, set: SetRole) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, set).await
    }

    /// Removes a member and logs [`Change::MemberRemoved`](super::Change::MemberRemoved).
    /// [`policy::may_remove_member`](crate::policy::may_remove_member) decides whether it is allowed, from the roles at
    /// the moment of the write. When the last admin is removed, another member becomes admin
    /// ([`policy::succession`](crate::policy::succession)); that change is logged directly after it. A room without
    /// members has no admin.
    async fn remove_member(&self, remove: RemoveMember) -> Result<Result<RoomChange, Refusal>, StoreError> {
        make(self, remove).await
    }

    /// A page of a conversation's members in the order of joining, each with its place: the members after the place
    /// `after`, at most `limit`. Empty when the conversation does not exist. A member who leaves and comes back gets a
    /// new place. A driver must not scan the other members.
    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError>;

    /// Those of `users` who are members of a conversation, each with its place in the order of joining. The result has
    /// no particular order. A driver must not scan the other members.
    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError>;

    /// The people with whom `user` has a direct conversation that contains at least one message that is not deleted.
    /// The person with the latest such message comes first; at most `limit`. The conversation of a person with
    /// themselves is left out.
    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError>;
}

/// A room to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its id.
    pub id: ConversationId,
    /// Name and visibility.
    pub info: RoomInfo,
    /// Its members, each listed once.
    pub members: Vec<Member>,
    /// The creator.
    pub by: UserId,
    /// The time of creation.
    pub at: Timestamp,
}

/// For this long a fingerprint identifies a repeated send.
pub const FINGERPRINT_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The store remembers the fingerprints of at least this many of the newest changes.
pub const FINGERPRINTS_KEPT: usize = 1 << 18;

/// Messages.
#[async_trait]
pub trait MessageStore: WriteStore {
    /// Appends a message to its conversation, which must exist, and logs
    /// [`Change::MessageSent`](super::Change::MessageSent).
    ///
    /// When the sender has already used the client id, the store changes nothing and returns the first message. The
    /// same holds for a fingerprint that the sender has used in this conversation less than [`FINGERPRINT_WINDOW`]
    /// before, measured by the times of the messages. A driver may forget a fingerprint after [`FINGERPRINTS_KEPT`]
    /// further changes, or when the log is truncated ([`ChangeLog::forget_before`](super::ChangeLog::forget_before)).
    ///
    /// [`policy::may_speak`](crate::policy::may_speak) decides whether the sender may write; in a direct conversation
    /// [`policy::may_reach`](crate::policy::may_reach) decides too. Both use the members and blocks at the moment of
    /// the write, and both apply to repeated sends as well.
    async fn append(&self, new: NewMessage) -> Result<Appended, StoreError> {
        make(self, Append(new)).await
    }

    /// Finds a message, whether it is deleted or not.
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError>;

    /// Those of these messages that exist, in no particular order. Damaged ones are left out. Each id must be given once: some
    /// stores return a message for each time, others return it once.
    async fn messages(&self, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            match self.message(*id).await {
                Ok(message) => found.extend(message),
                Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Soft-deletes or restores a message and logs [`Change::MessageDeleted`](super::Change::MessageDeleted) or
    /// [`Change::MessageRestored`](super::Change::MessageRestored). The position is `None` when the message already is
    /// in the wanted state. The time of the change becomes `updated_at`.
    /// [`policy::may_delete`](crate::policy::may_delete) and [`policy::may_restore`](crate::policy::may_restore) decide
    /// whether it is allowed, from the message and the role at the moment of the write.
    async fn set_deleted(
        &self,
        set: SetDeleted,
    ) -> Result<Result<(Option<Position>, StoredMessage), Refusal>, StoreError> {
        make(self, set).await
    }

    /// A window of a conversation's messages, oldest first, and whether more messages follow at its open end (older
    /// ones; newer ones for [`Window::After`]). Deleted messages do not count when they are excluded. A driver may
    /// return fewer messages, and report that more follow, when their bodies exceed 4 MiB.
    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError>;
}

/// A message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is the content of a file.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// The id that the client gave to this send.
    pub client_id: Option<ClientId>,
    /// Identifies a repeated send that has no client id; see [`MessageStore::append`].
    pub fingerprint: Option<Fingerprint>,
    /// The time of sending.
    pub at: Timestamp,
}

/// The result of [`MessageStore::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The message was stored.
    New {
        /// Its position in the log.
        position: Position,
        /// Its place in the conversation.
        seq: Seq,
    },
    /// The sender had already sent it; this is the first message.
    Repeated(Box<StoredMessage>),
    /// The sender may not write in this conversation, or no longer may.
    Refused(Refusal),
}

/// A message as it is stored, with the text encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place in the conversation.
    pub seq: Seq,
    /// The sender.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is the content of a file.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while the message is deleted.
    pub deleted: Option<Tombstone>,
    /// The keyed tables that hold data about this message.
    pub facets: Facets,
}

impl StoredMessage {
    /// The message's id and place.
    pub fn reference(&self) -> MessageRef {
        MessageRef { id: self.id, conversation: self.conversation, seq: self.seq }
    }
}

/// The id of a message and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its place in the conversation.
    pub seq: Seq,
}
