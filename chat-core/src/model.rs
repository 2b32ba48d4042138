//! The nouns of the domain. They know neither JSON nor tables.

mod conversation;
mod message;
mod relation;
mod room;
mod session;
mod settings;
mod user;

pub use crate::members::{JoinOrder, Members};

pub use self::conversation::{Conversation, ConversationKind, Member, Pair, Role, RoomInfo, Visibility};
pub use self::message::{ClientId, Content, Fingerprint, Message, MessageView, Tombstone};
pub use self::relation::{Friendship, Relation, RelationAct};
pub use self::room::{RoomAspect, RoomDetails};
pub use self::session::{LoginSession, TokenHash, TokenNonce};
pub(crate) use self::session::{Replaced, SessionRecord};
pub use self::settings::{ChatSettings, ChatSettingsPatch};
pub use self::user::{NewUser, PasswordHash, ProfilePatch, User, UserKey};

/// Where a change stands in the one log of all changes: strictly increasing in the order of commit, starting
/// at 1. A position is what a client resumes from; 0 means "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Where a message stands in its conversation: 1, 2, 3, … without gaps, in the order of commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u32);
