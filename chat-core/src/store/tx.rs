//! What a driver gives to the writes: rows, one at a time, inside one transaction.
//!
//! A [`Tx`] has no rule of its own. What it reads is what the transaction has made of it so far. It is synchronous: SQLite runs
//! writes on its writing thread, the store in memory holds a lock, and MongoDB has loaded what [`Reads`] names and tells the
//! database of all rows at once when every write of the transaction was run.

use std::collections::HashSet;
use std::sync::Arc;

use super::keyed::{Row, Table};
use super::{Change, MessageRef, NewMessage, StoreError, StoredMessage};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, Seq, User,
};
use crate::search::Terms;

/// Why a write was not made.
#[derive(Debug)]
pub enum Abort<E> {
    /// The write itself cannot be made. Nothing of it has reached the transaction, which can go on without it.
    Refused(StoreError),
    /// The driver has failed, and with it the transaction.
    Failed(E),
}

impl<E> From<E> for Abort<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// The rows of a store inside a transaction. Whatever a write asks for must be named in its
/// [`Effect::reads`](super::write::Effect::reads).
pub trait Tx {
    /// How the driver fails.
    type Error;

    // ---- People ----

    /// A person.
    fn user(&mut self, id: UserId) -> Result<Option<Arc<User>>, Self::Error>;
    /// Whether a name in lower case is somebody's, as a user name or as an address.
    fn is_name_taken(&mut self, folded: &str) -> Result<bool, Self::Error>;
    /// Whether somebody has this [`NewUser::name_key`].
    fn is_name_key_taken(&mut self, key: &str) -> Result<bool, Self::Error>;
    /// Makes an account, the last in the order of accounts.
    fn insert_user(&mut self, new: &NewUser) -> Result<(), Self::Error>;
    /// Takes over the profile of a person who is there, and where the log says that it has changed.
    fn set_profile(&mut self, user: &User, position: Position) -> Result<(), Self::Error>;
    /// Notes when a person who is there was last connected.
    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> Result<(), Self::Error>;
    /// Puts another hash in the place of this one, if it is that of the person; answers whether it was.
    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, Self::Error>;
    /// Notes that a token is revoked until then, or for longer if that was noted before.
    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> Result<(), Self::Error>;

    // ---- Conversations ----

    /// The place of the last message of a conversation, 0 when there is none; none without such a conversation.
    fn end(&mut self, id: ConversationId) -> Result<Option<Seq>, Self::Error>;
    /// Who of the two in a direct conversation blocks the other one, as [`Self::set_blockers`] has noted it. It is known wherever the
    /// end is known, so asking costs nothing.
    fn blockers(&mut self, id: ConversationId) -> Result<Vec<UserId>, Self::Error>;
    /// Notes with a direct conversation that is there who of the two blocks the other one.
    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> Result<(), Self::Error>;
    /// What kind of conversation it is; none without such a conversation.
    fn kind(&mut self, id: ConversationId) -> Result<Option<ConversationKind>, Self::Error>;
    /// The direct conversation of a pair.
    fn direct(&mut self, pair: Pair) -> Result<Option<Arc<Conversation>>, Self::Error>;
    /// Makes a conversation whose id is free, with its members, who have read nothing.
    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> Result<(), Self::Error>;
    /// How many members a conversation has.
    fn member_count(&mut self, id: ConversationId) -> Result<usize, Self::Error>;
    /// The membership of a person, if they are in.
    fn member(&mut self, id: ConversationId, user: UserId) -> Result<Option<Member>, Self::Error>;
    /// The first two members with a role in the order of joining.
    fn first_two(&mut self, id: ConversationId, role: Role) -> Result<Vec<Member>, Self::Error>;
    /// Adds a member, in the last place, who has read as far as this.
    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> Result<(), Self::Error>;
    /// Gives a member another role.
    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> Result<(), Self::Error>;
    /// What a member may do; none when they are no member.
    fn role(&mut self, id: ConversationId, user: UserId) -> Result<Option<Role>, Self::Error>;
    /// Takes a member out, and their read mark with them.
    fn delete_member(&mut self, id: ConversationId, user: UserId) -> Result<(), Self::Error>;
    /// How far a member has read; none when they are no member.
    fn read_mark(&mut self, id: ConversationId, user: UserId) -> Result<Option<Seq>, Self::Error>;
    /// Moves the mark of a member.
    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> Result<(), Self::Error>;

    // ---- Messages ----

    /// A message.
    fn message(&mut self, id: MessageId) -> Result<Option<StoredMessage>, Self::Error>;
    /// The message that was sent under a client id.
    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> Result<Option<StoredMessage>, Self::Error>;
    /// The last message that somebody has sent to a conversation with a fingerprint, if that was later than `since`.
    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> Result<Option<StoredMessage>, Self::Error>;
    /// Appends a message at its place, the next of its conversation, and logs it. One step, because this is what is done most
    /// and a driver may keep the message as its own entry in the log.
    ///
    /// # Errors
    /// [`Abort::Refused`], or the failure of the transaction, when its id is taken.
    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<Self::Error>>;
    /// Takes over from a message that is there when it last changed and whether it is deleted.
    fn set_deletion(&mut self, message: &StoredMessage) -> Result<(), Self::Error>;

    /// Takes over from a message that is there its body and when it last changed.
    fn set_body(&mut self, message: &StoredMessage) -> Result<(), Self::Error>;
    /// Has a message that is in the index found by these terms, too.
    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> Result<(), Self::Error>;

    /// Takes over from a message that is there which keyed tables hold something of it.
    fn set_facets(&mut self, message: &StoredMessage) -> Result<(), Self::Error>;

    // ---- Keyed tables ----

    /// The value of a row, if there is one.
    fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;
    /// Makes a row, or gives the one that is there another value.
    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Self::Error>;
    /// Deletes a row, if there is one.
    fn delete_row(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error>;
    /// The first rows whose keys begin with `prefix`, at most `limit`.
    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;

    // ---- The log ----

    /// Logs a change that is not the sending of a message.
    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> Result<Position, Self::Error>;
}

/// What a write looks at. A driver that cannot look while a transaction runs loads all of it before; what is not found then
/// is known not to be there.
#[derive(Debug, Default)]
pub struct Reads {
    /// People.
    pub users: HashSet<UserId>,
    /// User names or addresses, in lower case.
    pub names: HashSet<String>,
    /// See [`NewUser::name_key`].
    pub name_keys: HashSet<String>,
    /// Conversations of which only the end is asked for, or who blocks whom.
    pub ends: HashSet<ConversationId>,
    /// Conversations of which the kind, the number of members and the end are asked for, without the members. To each of them
    /// members may be added.
    pub rooms: HashSet<ConversationId>,
    /// Members of which the membership is asked for, and who are added, changed or taken out. Their conversations must be asked
    /// for too.
    pub members: HashSet<(ConversationId, UserId)>,
    /// Conversations of which the first members with each role are asked for, once for each write that asks: each may take out
    /// one of them and give another one another role. They must be asked for as rooms too.
    pub first_members: Vec<ConversationId>,
    /// Pairs of which the conversation is asked for.
    pub pairs: HashSet<Pair>,
    /// Members of which the role is asked for, where not all members are.
    pub roles: HashSet<(ConversationId, UserId)>,
    /// Members of which the read mark is asked for. The ends of their conversations must be asked for too.
    pub read_marks: HashSet<(ConversationId, UserId)>,
    /// Messages.
    pub messages: HashSet<MessageId>,
    /// Messages by the client id of their sender.
    pub sends: HashSet<(UserId, ClientId)>,
    /// Messages by their fingerprint.
    pub fingerprints: HashSet<Fingerprint>,
    /// Rows of keyed tables: each that is looked at, put or deleted, unless a range has it.
    pub rows: HashSet<(Table, Vec<u8>)>,
    /// Rows of tables whose keys begin with a conversation that are looked at, put or deleted only where that conversation has a
    /// row in [`Table::RoomRules`]. That row must be asked for too.
    pub ruled_rows: HashSet<(Table, Vec<u8>)>,
    /// Ranges of keyed tables: the table, the prefix of the keys, and the limit. One that is asked for twice stands here twice,
    /// because each of those who ask may delete as many rows.
    pub ranges: Vec<(Table, Vec<u8>, usize)>,
}
