//! Keyed tables: small rows that belong to something else, such as the reactions to a message. They are the same few
//! statements whatever is in them, so a new effect that needs one adds a line to [`Table`] and changes no driver.
//!
//! A row is a key and a value. Keys begin with the ids of what the row belongs to, in the order in which they are listed in
//! [`Table::layout`], so that all rows of one message (or conversation, or person) are one range. Keys are compared byte by
//! byte; values are opaque to stores.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::StoreError;
use super::write::{WriteStore, make};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Position, Relation};

/// Most bytes of the key of a row.
pub const MAX_KEY_BYTES: usize = 256;

/// Most bytes of the value of a row.
pub const MAX_VALUE_BYTES: usize = 64 << 10;

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// The 12 bytes of a message's id.
    Message,
    /// The 12 bytes of a conversation's id.
    Conversation,
    /// The 12 bytes of a person's id.
    User,
    /// A text of at least one byte, in UTF-8; only as the last part.
    Text,
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])* $table:ident = $code:literal, $name:literal, [$($part:ident),*];)*) => {
        /// The keyed tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[doc = $doc])* $table = $code,)*
        }

        impl Table {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$table),*];

            /// The word that stands for it in a database: lower case letters and `_`. Words are never given another meaning.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
                }
            }

            /// What its keys are made of, in order.
            pub fn layout(self) -> &'static [KeyPart] {
                match self {
                    $(Self::$table => &[$(KeyPart::$part),*],)*
                }
            }
        }
    };
}

tables! {
    /// Reactions: the message, who reacts, and the emoji. The value is empty.
    Reactions = 1, "reactions", [Message, User, Text];
    /// Pinned messages: the conversation and the message. The value says who has pinned it and when.
    Pins = 2, "pins", [Conversation, Message];
    /// What people have with each other: whose it is, and with whom. The value is a byte
    /// ([`Relation::code`](crate::model::Relation::code)) and when it last changed. Each of the two has a row as long as there
    /// is something. A direct conversation also notes who of the two blocks the other one, so rows that are edited and not made by
    /// [`Relate`](super::Relate) count there only if they are there before it is opened.
    Relations = 3, "relations", [User, User];
    /// What stands on messages: the message and the emoji. The value says how many have reacted with it and who was first; see
    /// [`reactions`](crate::reactions).
    ReactionTallies = 4, "reaction_tallies", [Message, Text];
    /// Edits of messages: one row that says how often and when last, and behind it what was said before; see
    /// [`edits`](crate::aspects::edits). A message of which there are some is not as it was sent.
    Edits = 5, "edits", [Message, Text];
    /// Messages whose texts have changed and whose terms have not; see [`reindexing`](super::reindexing). The value says which
    /// change it was.
    Unindexed = 6, "unindexed", [Conversation, Message];
    /// Messages that answer others. The value says which one; see [`replies`](crate::aspects::replies).
    Replies = 7, "replies", [Message];
    /// Messages that people have hidden for themselves: the message and the person. The value is empty.
    Hidden = 8, "hidden", [Message, User];
    /// The same messages by the person and the conversation. A text behind them puts the last one first; the value is the message.
    HiddenBy = 9, "hidden_by", [User, Conversation, Text];
    /// The same as [`Self::Pins`] by the message alone; see [`pins`](crate::aspects::pins).
    Pinned = 10, "pinned", [Message];
    /// Messages that mention people. The value is their ids; see [`mentions`](crate::aspects::mentions).
    Mentioned = 11, "mentioned", [Message];
    /// The same messages by the person and the conversation. A text behind them puts the last one first; the value is the message.
    Mentions = 12, "mentions", [User, Conversation, Text];
    /// Messages that are copies of others. The value is empty; see [`forwarding`](crate::aspects::forwarding).
    Forwarded = 13, "forwarded", [Message];
    /// Messages that are in threads. The value is the root and its sender; see [`threads`](crate::aspects::threads).
    InThread = 14, "in_thread", [Message];
    /// Roots of threads. The value is what they show: the number of messages, the time of the last one, and who has written last.
    Threads = 15, "threads", [Message];
    /// What is in threads: the root, and a text that puts the last message first. The value is the message, its sender and its time.
    /// Deleted messages have no rows.
    ThreadMessages = 16, "thread_messages", [Message, Text];
    /// What holds for those who speak in a room: the room. Only of rooms where something does; see
    /// [`rooms`](crate::rooms).
    RoomRules = 32, "room_rules", [Conversation];
    /// Who may not come into a room: the room and the person. The value says who has decided so and when.
    Bans = 33, "bans", [Conversation, User];
    /// Who may not speak in a room: the room and the person. The value says until when.
    Mutes = 34, "mutes", [Conversation, User];
    /// When plain members have spoken last in rooms where they wait between two messages: the room and the person.
    LastSpoken = 35, "last_spoken", [Conversation, User];
    /// The settings of members for conversations: the member, then the conversation. The value is
    /// [`ChatSettings`](crate::model::ChatSettings). There is a row as long as a setting differs from the default.
    ChatSettings = 64, "chat_settings", [User, Conversation];
    /// Delivered positions ([`ReadMarkStore::note_delivered`](super::ReadMarkStore::note_delivered)): the user. The value
    /// is the position, 8 bytes, the most significant one first.
    Delivered = 65, "delivered", [User];
    /// Reports of messages in rooms: the room, then the report's id in hexadecimal digits. The value is the report; see
    /// [`reports`](crate::reports).
    RoomReports = 66, "room_reports", [Conversation, Text];
    /// All other reports: the report's id in hexadecimal digits.
    Reports = 67, "reports", [Text];
    /// Open reports: who has made it, then what it is about as a text. The value is the report's id.
    OpenReports = 68, "open_reports", [User, Text];
    /// Login sessions: whose it is, and its id in digits. The value holds what is shown of it and the hashes of its refresh tokens
    /// ([`LoginSession`](crate::model::LoginSession)).
    Sessions = 91, "sessions", [User, Text];
    /// Threads that people follow, or have stopped to follow: the person, the conversation, and the root in digits. The value is a
    /// byte, 1 or 0.
    FollowedThreads = 116, "followed_threads", [User, Conversation, Text];
}

impl Table {
    /// The number that stands for it in a database. Numbers are never reused.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The table with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.code() == code)
    }

    /// The table with this word, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.name() == name)
    }

    /// Whether drivers know its rows by heart, and which are not there: few, small, and looked at for each message.
    pub fn is_known_by_heart(self) -> bool {
        self == Self::RoomRules
    }

    /// What a key names; none when it is no key of this table.
    pub fn parts(self, key: &[u8]) -> Option<Vec<Named>> {
        let mut rest = key;
        let mut named = Vec::with_capacity(self.layout().len());
        for part in self.layout() {
            if *part == KeyPart::Text {
                let is_text = !rest.is_empty() && std::str::from_utf8(rest).is_ok();
                rest = &[];
                is_text.then_some(())?;
                continue;
            }
            let (id, behind) = rest.split_first_chunk::<12>()?;
            rest = behind;
            named.extend(match part {
                KeyPart::Message => Some(Named::Message(MessageId::from_bytes(*id))),
                KeyPart::Conversation => Some(Named::Conversation(ConversationId::from_bytes(*id))),
                KeyPart::User => Some(Named::User(UserId::from_bytes(*id))),
                KeyPart::Text => None,
            });
        }
        (rest.is_empty() && key.len() <= MAX_KEY_BYTES).then_some(named)
    }
}

/// Which keyed tables hold something of a message, so that nothing is read for messages of which none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Facets(u64);

impl Facets {
    /// Whether a table holds something.
    pub fn contains(self, table: Table) -> bool {
        self.0 & Self::bit(table) != 0
    }

    /// The same with another word about one table.
    pub fn with(self, table: Table, holds: bool) -> Self {
        if holds { Self(self.0 | Self::bit(table)) } else { Self(self.0 & !Self::bit(table)) }
    }

    /// The bits as a database keeps them; 0 when no table holds anything.
    pub fn bits(self) -> i64 {
        self.0.cast_signed()
    }

    /// What these bits say. Those of tables that only a newer version knows are kept.
    pub fn from_bits(bits: i64) -> Self {
        Self(bits.cast_unsigned())
    }

    fn bit(table: Table) -> u64 {
        // Tables of which messages have something are among the first 64; a test sees to that.
        1_u64.checked_shl(u32::from(table.code()) - 1).unwrap_or_default()
    }
}

/// Something that the key of a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A message.
    Message(MessageId),
    /// A conversation.
    Conversation(ConversationId),
    /// A person.
    User(UserId),
}

/// A row of a keyed table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// See [`Table::layout`].
    pub key: Vec<u8>,
    /// What it holds.
    pub value: Vec<u8>,
}

impl Row {
    /// The row of [`Table::Relations`] of what `of` has with `with` since then.
    pub(crate) fn of_relation(of: UserId, with: UserId, relation: Relation, since: Timestamp) -> Self {
        let mut value = vec![relation.code()];
        value.extend(since.as_millis().to_be_bytes());
        Self { key: Relation::key(of, with), value }
    }

    /// With whom a row of [`Table::Relations`] is, and what it says; none when it is not what was written.
    pub(crate) fn relation(&self) -> Option<(UserId, Relation)> {
        let with = self.key.get(12..)?.try_into().ok()?;
        Some((UserId::from_bytes(with), relation_in(&self.value)?))
    }
}

/// What the value of a row of [`Table::Relations`] says.
pub(crate) fn relation_in(value: &[u8]) -> Option<Relation> {
    Relation::from_code(*value.first()?)
}

/// The position in the value of a row of [`Table::Delivered`]; `None` when the value is damaged.
pub(crate) fn delivered_in(value: &[u8]) -> Option<Position> {
    value.try_into().ok().map(u64::from_be_bytes).map(Position)
}

/// Rows of keyed tables.
///
/// # Guarantees
/// Rows come in the order of their keys, byte by byte. Rows of one table are never met in another. A row that is not what was
/// written is left out.
#[async_trait]
pub trait KeyedStore: WriteStore {
    /// The rows of a table whose keys begin with `prefix` and, where `after` is given, come behind that key; at most `limit`.
    async fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// The same for many prefixes at once, such as those of all messages of a page: for each, in the same order, its first rows,
    /// at most `limit` of each.
    async fn rows_of(
        &self,
        table: Table,
        prefixes: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Vec<Row>>, StoreError>;

    /// The values of rows by their keys, in the same order; `None` where there is no row.
    async fn values(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Puts and deletes rows as they are given, all or none, and logs nothing. Messages to which rows of the table belong know
    /// since whether there are some ([`StoredMessage::facets`](super::StoredMessage::facets)). No rule about what is in them stands behind it: it
    /// is for whoever brings data along from elsewhere. Keys that are none of their table and what is longer than
    /// [`MAX_KEY_BYTES`] and [`MAX_VALUE_BYTES`] are refused.
    async fn edit_rows(&self, edit: EditRows) -> Result<EditedRows, StoreError> {
        make(self, edit).await
    }
}

/// See [`KeyedStore::edit_rows`].
#[derive(Clone, PartialEq, Eq)]
pub struct EditRows {
    /// The table.
    pub table: Table,
    /// Keys and their new values, none to delete a row. They are done in order.
    pub edits: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The beginning of the keys of the rows that are answered, and how many at most.
    pub then: Option<(Vec<u8>, usize)>,
}

// What is in rows has no place in a log.
impl fmt::Debug for EditRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EditRows").field("table", &self.table).field("edits", &self.edits.len()).finish()
    }
}

/// What came of [`EditRows`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedRows {
    /// The value that each key had before, in the order of the edits.
    pub before: Vec<Option<Vec<u8>>>,
    /// The rows that were asked for, as they are since.
    pub then: Vec<Row>,
}

/// Rows in memory, by table and key.
pub(super) type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Where a range begins: nothing less has the prefix and comes behind the key.
pub(super) fn start_of(prefix: &[u8], after: Option<&[u8]>) -> Vec<u8> {
    // The least key behind another one is that key and a zero.
    let behind = after.map(|after| [after, &[0]].concat()).unwrap_or_default();
    behind.max(prefix.to_vec())
}

/// The rows of a range.
pub(super) fn range<'a>(
    rows: &'a Rows,
    table: Table,
    prefix: &'a [u8],
    after: Option<&[u8]>,
) -> impl Iterator<Item = Row> + 'a {
    let from = rows.range((table, start_of(prefix, after))..);
    let inside = from.take_while(move |((of, key), _)| *of == table && key.starts_with(prefix));
    inside.map(|((_, key), value)| Row { key: key.clone(), value: value.clone() })
}

#[cfg(test)]
mod tests;
