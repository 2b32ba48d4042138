//! The list of all writes: what a store can be asked to change, and what comes of it.
//!
//! Each is one atomic effect. What it does stands once, for all drivers, in `apply`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use super::keyed::{EditRows, EditedRows};
use super::reindexing::Reindex;
use super::tx::{Abort, Reads, Tx};
use super::{Appended, CreatedUser, NewMessage, NewRoom, StoreError, StoredMessage};
use crate::aspects::context::AppendWith;
use crate::aspects::edits::Edit;
use crate::aspects::hiding::Hide;
use crate::aspects::pins::{Pin, PinDone};
use crate::aspects::threads::{DeletedInThread, Follow, SetDeletedInThread};
use crate::clock::Timestamp;
use crate::id::{ConversationId, LoginSessionId, MessageId, UserId};
use crate::model::{
    ChatSettings, ChatSettingsPatch, Conversation, LoginSession, Member, NewUser, Pair, PasswordHash,
    Position, ProfilePatch, Relation, RelationAct, Role, Seq, TokenHash, TokenNonce, User,
};
use crate::policy::Refusal;
use crate::reactions::{React, Reacted};
use crate::reports::{CloseReport, Closed, FileReport, Filed};
use crate::rooms::{ChangeRoom, RoomLog};

/// A store that can be changed.
#[async_trait]
pub trait WriteStore: Send + Sync {
    /// Makes a change and answers what came of it, which is the variant of the same name. When it answers `Ok`, the change is
    /// durable. It is handed over when the future is polled for the first time.
    async fn write(&self, write: Write) -> Result<Written, StoreError>;
}

/// One of the writes, and what comes of it.
pub trait WriteOf: Into<Write> + Send {
    /// What comes of it.
    type Done: Send;

    /// What came of it, taken out of the answer of a store.
    fn done(written: Written) -> Option<Self::Done>;
}

/// What a write does.
pub trait Effect: WriteOf {
    /// Names all that [`Self::apply`] may look at.
    fn reads(&self, reads: &mut Reads);

    /// Most changes that it logs.
    fn most_logged(&self) -> u64;

    /// About how many bytes it writes.
    fn size(&self) -> usize {
        1 << 10
    }

    /// Makes the change.
    ///
    /// # Errors
    /// [`Abort::Refused`] before anything was written; [`Abort::Failed`] when the driver fails.
    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>>;
}

/// Makes one change.
pub(crate) async fn make<S, E>(store: &S, effect: E) -> Result<E::Done, StoreError>
where
    S: WriteStore + ?Sized,
    E: WriteOf,
{
    let done = E::done(store.write(effect.into()).await?);
    done.ok_or_else(|| StoreError::Refused("the driver has answered another write".into()))
}

macro_rules! writes {
    ($($(#[$doc:meta])* $write:ident -> $done:ty;)*) => {
        /// A change that a store is asked to make. It can be tried again: nothing of it is kept when its transaction fails.
        pub enum Write {
            $($(#[$doc])* $write($write),)*
        }

        /// What came of a [`Write`].
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Written {
            $($(#[$doc])* $write($done),)*
        }

        // What is written has no place in a log.
        impl fmt::Debug for Write {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Write {
            /// Its name, for a trace.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$write(_) => stringify!($write),)*
                }
            }

            /// See [`Effect::reads`].
            pub fn reads(&self, reads: &mut Reads) {
                match self {
                    $(Self::$write(write) => write.reads(reads),)*
                }
            }

            /// See [`Effect::most_logged`].
            pub fn most_logged(&self) -> u64 {
                match self {
                    $(Self::$write(write) => write.most_logged(),)*
                }
            }

            /// See [`Effect::size`].
            pub fn size(&self) -> usize {
                match self {
                    $(Self::$write(write) => write.size(),)*
                }
            }

            /// See [`Effect::apply`].
            ///
            /// # Errors
            /// As there.
            pub fn apply<T: Tx>(&self, tx: &mut T) -> Result<Written, Abort<T::Error>> {
                match self {
                    $(Self::$write(write) => write.apply(tx).map(Written::$write),)*
                }
            }
        }

        $(
            impl From<$write> for Write {
                fn from(write: $write) -> Self {
                    Self::$write(write)
                }
            }

            impl WriteOf for $write {
                type Done = $done;

                fn done(written: Written) -> Option<$done> {
                    if let Written::$write(done) = written { Some(done) } else { None }
                }
            }
        )*
    };
}

writes! {
    /// Makes an account.
    CreateUser -> CreatedUser;
    /// Changes a profile. None when there is no such person.
    UpdateProfile -> Option<(Position, Arc<User>)>;
    /// Puts another hash in the place of one; whether it was there.
    SetPasswordHash -> bool;
    /// Notes when a person was last connected.
    RecordLastSeen -> ();
    /// Notes that a token is revoked.
    RevokeToken -> ();
    /// Opens the direct conversation of a pair, if there is none.
    OpenDirect -> Arc<Conversation>;
    /// Makes a room.
    CreateRoom -> Result<(Position, Arc<Conversation>), Refusal>;
    /// Brings somebody into a room.
    AddMember -> Result<RoomChange, Refusal>;
    /// Gives a member another role.
    SetRole -> Result<RoomChange, Refusal>;
    /// Takes somebody out of a room.
    RemoveMember -> Result<RoomChange, Refusal>;
    /// Does something else in a room.
    ChangeRoom -> Result<RoomLog, Refusal>;
    /// Appends a message.
    Append -> Appended;
    /// Appends a message together with rows of keyed tables.
    AppendWith -> Appended;
    /// Deletes or restores a message.
    SetDeleted -> Result<(Option<Position>, StoredMessage), Refusal>;
    /// Gives a message another text.
    Edit -> Result<(Option<Position>, StoredMessage), Refusal>;
    /// Hides a message from a person, or shows it again.
    Hide -> Result<(Option<Position>, StoredMessage), Refusal>;
    /// Pins a message, or unpins it.
    Pin -> Result<PinDone, Refusal>;
    /// Deletes or restores a message in a thread.
    SetDeletedInThread -> Result<DeletedInThread, Refusal>;
    /// Has a person follow a thread or stop.
    Follow -> Result<(Option<Position>, StoredMessage), Refusal>;
    /// Adds a reaction or takes it away.
    React -> Result<Reacted, Refusal>;
    /// Has a message whose text has changed found by its terms; whether it was done.
    Reindex -> bool;
    /// Moves a read mark. None when there is no such member.
    MarkRead -> Option<(Option<Position>, Seq)>;
    /// Files a report.
    FileReport -> Result<Filed, Refusal>;
    /// Resolves a report.
    CloseReport -> Result<Closed, Refusal>;
    /// Moves delivered positions.
    NoteDelivered -> ();
    /// Changes what two people have with each other.
    Relate -> Result<Related, Refusal>;
    /// Changes the settings of a member for a conversation. Without a position when nothing changes.
    SetChatSettings -> Result<(Option<Position>, ChatSettings), Refusal>;
    /// Starts a login session; the sessions that it has ended.
    StartSession -> Result<Vec<EndedSession>, Refusal>;
    /// Replaces the refresh token of a login session.
    RefreshSession -> Result<Refreshed, Refusal>;
    /// Ends login sessions of a person.
    EndSessions -> Result<Vec<EndedSession>, Refusal>;
    /// Puts and deletes rows of a keyed table.
    EditRows -> EditedRows;
}

/// See [`UserStore::create_user`](super::UserStore::create_user).
pub struct CreateUser(pub NewUser);

/// See [`UserStore::update_profile`](super::UserStore::update_profile).
#[derive(Debug)]
pub struct UpdateProfile {
    /// Whose.
    pub user: UserId,
    /// What changes.
    pub patch: ProfilePatch,
    /// When.
    pub at: Timestamp,
}

/// See [`UserStore::set_password_hash`](super::UserStore::set_password_hash).
pub struct SetPasswordHash {
    /// Whose.
    pub user: UserId,
    /// The one that must be there.
    pub old: PasswordHash,
    /// The one that takes its place.
    pub new: PasswordHash,
}

/// See [`UserStore::record_last_seen`](super::UserStore::record_last_seen).
#[derive(Debug)]
pub struct RecordLastSeen {
    /// Who.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
}

/// See [`UserStore::revoke_token`](super::UserStore::revoke_token).
#[derive(Debug)]
pub struct RevokeToken {
    /// Of the token.
    pub fingerprint: [u8; 32],
    /// The note may be dropped after this.
    pub until: Timestamp,
}

/// See [`RoomStore::open_direct`](super::RoomStore::open_direct).
#[derive(Debug)]
pub struct OpenDirect {
    /// Whose.
    pub pair: Pair,
    /// The id that it gets if it is made.
    pub id: ConversationId,
    /// When.
    pub at: Timestamp,
}

/// See [`RoomStore::create_room`](super::RoomStore::create_room).
#[derive(Debug)]
pub struct CreateRoom(pub NewRoom);

/// See [`RoomStore::add_member`](super::RoomStore::add_member).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddMember {
    /// The room.
    pub room: ConversationId,
    /// Who asks for it.
    pub by: UserId,
    /// Who comes in.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
    /// Most members that the room may have.
    pub max_members: usize,
}

/// See [`RoomStore::set_role`](super::RoomStore::set_role).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetRole {
    /// The room.
    pub room: ConversationId,
    /// Who asks for it.
    pub by: UserId,
    /// Whose role.
    pub user: UserId,
    /// The new one.
    pub role: Role,
    /// When.
    pub at: Timestamp,
}

/// See [`RoomStore::remove_member`](super::RoomStore::remove_member).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveMember {
    /// The room.
    pub room: ConversationId,
    /// Who asks for it.
    pub by: UserId,
    /// Who goes.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
}

/// What came of a change of who is in a room and what they may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomChange {
    /// The membership after it of whom it was about; none when they are out. Nobody else's has changed, but for that of the
    /// successor.
    pub member: Option<Member>,
    /// Where the log says so; none when it was so before.
    pub position: Option<Position>,
    /// The member who has become an admin because the last one has gone or is none any more, and where the log says so.
    pub successor: Option<(Position, UserId)>,
}

/// See [`MessageStore::append`](super::MessageStore::append).
pub struct Append(pub NewMessage);

/// See [`MessageStore::set_deleted`](super::MessageStore::set_deleted). For a message in a thread it is a part of
/// [`SetDeletedInThread`]; alone it would leave the number of replies as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetDeleted {
    /// Which message.
    pub message: MessageId,
    /// Its conversation. Messages never move, so whoever has looked the message up knows it.
    pub conversation: ConversationId,
    /// Who asks for it.
    pub by: UserId,
    /// Whether it is deleted or restored.
    pub delete: bool,
    /// When.
    pub at: Timestamp,
}

/// See [`ReadMarkStore::mark_read`](super::ReadMarkStore::mark_read).
#[derive(Debug)]
pub struct MarkRead {
    /// Where.
    pub conversation: ConversationId,
    /// Whose mark.
    pub user: UserId,
    /// To where; none for the last message.
    pub up_to: Option<Seq>,
    /// When.
    pub at: Timestamp,
}

/// See [`ReadMarkStore::note_delivered`](super::ReadMarkStore::note_delivered). Each user is listed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteDelivered(pub Vec<(UserId, Position)>);

/// See [`UserStore::relate`](super::UserStore::relate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relate {
    /// Who does it.
    pub by: UserId,
    /// With whom; another person.
    pub with: UserId,
    /// What.
    pub act: RelationAct,
    /// When.
    pub at: Timestamp,
}

/// What came of [`Relate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Related {
    /// What the one who did it has with the other one now, as they may see it.
    pub relation: Relation,
    /// Where the log tells them; none when it was so before.
    pub position: Option<Position>,
    /// Where the log tells the other one of it, and what they have now, as they may see it; none when they see no difference.
    pub theirs: Option<(Position, Relation)>,
}

/// See [`RoomStore::set_chat_settings`](super::RoomStore::set_chat_settings).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChatSettings {
    /// Who.
    pub user: UserId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// What changes.
    pub patch: ChatSettingsPatch,
    /// When.
    pub at: Timestamp,
}

/// See [`UserStore::start_session`](super::UserStore::start_session).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartSession {
    /// Whose.
    pub user: UserId,
    /// The session as it is shown.
    pub session: LoginSession,
    /// The hash of the secret that all its refresh tokens share.
    pub family: TokenHash,
    /// The hash of the secret of the first one.
    pub token: TokenHash,
    /// When the first access token expires.
    pub access_until: Timestamp,
}

/// See [`UserStore::refresh_session`](super::UserStore::refresh_session).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshSession {
    /// Whose, as the token says.
    pub user: UserId,
    /// The session that the token names.
    pub session: LoginSessionId,
    /// The hash of the secret that all refresh tokens of the session share.
    pub family: TokenHash,
    /// The hash of the secret of the token that is used.
    pub token: TokenHash,
    /// The hash of the secret of the token that is to replace it.
    pub next: TokenHash,
    /// From which the holder of the used token computes the next one.
    pub nonce: TokenNonce,
    /// When the next refresh token expires.
    pub expires_at: Timestamp,
    /// When the access token that is issued with it expires.
    pub access_until: Timestamp,
    /// When.
    pub at: Timestamp,
}

/// What came of [`RefreshSession`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The next token has replaced the used one.
    Replaced,
    /// The token had been used a moment ago, and its successor is unused: it is the one that this nonce gives, and `next` is
    /// not stored.
    Repeated(TokenNonce),
    /// The token had been used before. Its session has ended.
    Reused(EndedSession),
}

/// See [`UserStore::end_sessions`](super::UserStore::end_sessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndSessions {
    /// Whose.
    pub user: UserId,
    /// Which of them.
    pub which: WhichSessions,
    /// When.
    pub at: Timestamp,
}

/// Which login sessions of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichSessions {
    /// This one.
    One(LoginSessionId),
    /// All but this one, or all.
    AllBut(Option<LoginSessionId>),
}

/// A login session that has ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    /// Which.
    pub id: LoginSessionId,
    /// Until when access tokens of it would otherwise be valid.
    pub until: Timestamp,
    /// Where the log says so.
    pub position: Position,
}
