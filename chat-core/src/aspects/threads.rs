//! Threads: messages about one message of the same conversation, the root of the thread.
//!
//! A message in a thread is an ordinary message of its conversation. It has a place in the history and in the log, and counts as
//! unread there. It also says which thread it is in, so that a client can show it there alone. A root is not in a
//! thread itself, so threads have one level.
//!
//! A message in a thread has a row of [`Table::InThread`]. The root has a row of [`Table::Threads`], from which it shows its thread, and for
//! each message in the thread that is not deleted a row of [`Table::ThreadMessages`]. A person who follows a thread, or has
//! stopped, has a row of [`Table::FollowedThreads`]. All of them change in one transaction with the messages. So the number of
//! replies is right whatever is deleted and restored.
//!
//! The deletion of the root changes nothing in the thread, which can be read and continued.

mod list;
mod read;
mod write;

pub use self::write::{DeletedInThread, Follow, SetDeletedInThread, may_follow};
pub(crate) use self::write::{join, name_reads_of_join};

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::context::Notes;
use crate::aspects::OfMessage;
use crate::change::Detail;
use crate::chat::Chat;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{MessageView, Seq};
use crate::store::{Row, StoredMessage, Table};

/// The maximum number of people that a thread shows.
pub const MAX_SHOWN: usize = 5;
/// The people that a thread shows are those who have written one of its last messages, of which so many are looked at.
pub const MAX_LOOKED_AT: usize = 32;
/// The maximum that is counted as unread in a thread; a client shows "100 or more".
pub const MAX_UNREAD: usize = 100;

/// Reads the messages in a thread, the last ones first, page by page. Those that are deleted or that this person has hidden are left
/// out.
#[derive(Debug, Clone, Copy)]
pub struct ReadThread {
    /// The root. It may be deleted, and need not have replies.
    pub root: MessageId,
    /// Only messages before this place in the conversation: the end of the previous page.
    pub before: Option<Seq>,
    /// The maximum number of messages, at least 1.
    pub limit: usize,
}

/// Lists the threads that a person follows, the one with the last reply first. Threads without replies, threads of conversations
/// in which the person is not a member, and those whose roots the person has hidden are left out.
#[derive(Debug, Clone, Copy)]
pub struct ListThreads {
    /// Only threads after this place: the end of the previous page.
    pub after: Option<ThreadCursor>,
    /// The maximum number of threads, at least 1.
    pub limit: usize,
}

/// Follows a thread, or stops following it. If it already is so, this succeeds and changes nothing.
///
/// A person who writes in a thread follows it from then on. The sender of the root follows it from its first reply, unless
/// they have stopped before.
#[derive(Debug, Clone, Copy)]
pub struct FollowThread {
    /// The root.
    pub root: MessageId,
    /// Whether the person follows it afterwards.
    pub following: bool,
}

/// What a root shows of its thread. There is none without a reply that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The number of messages in it that are not deleted. It includes messages that a person has hidden for themselves.
    pub replies: u32,
    /// When the last one of them was sent.
    pub last_at: Timestamp,
    /// Those who have written last, the latest first, at most [`MAX_SHOWN`].
    pub users: Vec<UserId>,
}

/// The thread that a message is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InThread {
    /// Its root.
    pub root: MessageId,
    /// What the root shows of it now.
    pub thread: Option<Thread>,
}

/// What a root shows of its thread has changed because a message in it was deleted or restored. For a new message there is no such
/// change: the message itself shows its thread ([`InThread`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadChange;

impl OfMessage for ThreadChange {
    fn detail(&self) -> Option<Detail> {
        None
    }

    fn from_detail(detail: &[u8]) -> Option<Self> {
        detail.is_empty().then_some(Self)
    }
}

/// A person follows the thread of a root, or has stopped. Only that person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowChange {
    /// Whether the person follows it after the change.
    pub following: bool,
}

impl OfMessage for FollowChange {
    const IS_PERSONAL: bool = true;

    fn detail(&self) -> Option<Detail> {
        Detail::new(&[u8::from(self.following)])
    }

    fn from_detail(detail: &[u8]) -> Option<Self> {
        let [following] = detail else { return None };
        Some(Self { following: *following != 0 })
    }
}

/// A page of a thread.
#[derive(Debug, Clone)]
pub struct ThreadHistory {
    /// The root; none if the person has hidden it.
    pub root: Option<Box<MessageView>>,
    /// Whether the person follows the thread.
    pub following: bool,
    /// The messages, oldest first.
    pub messages: Vec<MessageView>,
    /// The place before which the next page ends; none if there is no next page.
    pub next: Option<Seq>,
}

/// A thread that a person follows.
#[derive(Debug, Clone)]
pub struct FollowedThread {
    /// The root.
    pub root: MessageView,
    /// What there is in it, also if the root is deleted.
    pub thread: Thread,
    /// The number of messages of others in it that the person has not read, counted among its last [`MAX_UNREAD`].
    pub unread: u32,
}

/// A page of the threads that a person follows.
#[derive(Debug, Clone, Default)]
pub struct ThreadPage {
    /// The threads. There may be fewer than the limit although more follow, when the messages are long.
    pub threads: Vec<FollowedThread>,
    /// The end of this page; none on the last page.
    pub next: Option<ThreadCursor>,
}

/// A place in the list of followed threads. Clients receive it as a text and send it back for the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadCursor {
    last_at: Timestamp,
    root: MessageId,
}

impl fmt::Display for ThreadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.last_at.as_millis(), self.root)
    }
}

/// The text of a cursor is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place in the list of threads")]
pub struct InvalidThreadCursor;

impl FromStr for ThreadCursor {
    type Err = InvalidThreadCursor;

    fn from_str(text: &str) -> Result<Self, InvalidThreadCursor> {
        let (millis, root) = text.split_once('-').map_or((text, None), |(at, root)| (at, Some(root)));
        let is_number = millis.bytes().all(|byte| byte.is_ascii_digit());
        let millis = millis.parse().ok().filter(|_| is_number).ok_or(InvalidThreadCursor)?;
        let root = match root {
            Some(root) => root.parse().map_err(|_| InvalidThreadCursor)?,
            // No message has this id, so the list continues with older threads.
            None => MessageId::from_bytes([0; 12]),
        };
        Ok(Self { last_at: Timestamp::from_millis(millis), root })
    }
}

impl Thread {
    /// The thread with this number of messages, from the rows of its last ones. None if there is no row.
    fn of(replies: u32, rows: &[Row]) -> Option<Self> {
        let last: Vec<_> = rows.iter().filter_map(Reply::from_row).collect();
        let last_at = last.first()?.at;
        let mut users = Vec::with_capacity(MAX_SHOWN);
        for reply in &last {
            if users.len() < MAX_SHOWN && !users.contains(&reply.sender) {
                users.push(reply.sender);
            }
        }
        Some(Self { replies, last_at, users })
    }

    fn to_value(&self) -> Vec<u8> {
        let mut value = self.replies.to_be_bytes().to_vec();
        value.extend(self.last_at.as_millis().to_be_bytes());
        value.extend(self.users.iter().flat_map(UserId::as_bytes));
        value
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let (replies, rest) = value.split_first_chunk()?;
        let (at, users) = rest.split_first_chunk()?;
        let (users, []) = users.as_chunks() else { return None };
        Some(Self {
            replies: u32::from_be_bytes(*replies),
            last_at: Timestamp::from_millis(i64::from_be_bytes(*at)),
            users: users.iter().copied().map(UserId::from_bytes).collect(),
        })
    }
}

/// A message in a thread, as a row of [`Table::ThreadMessages`] says it.
struct Reply {
    message: MessageId,
    seq: Seq,
    sender: UserId,
    at: Timestamp,
}

impl Reply {
    fn of(message: &StoredMessage) -> Self {
        Self { message: message.id, seq: message.seq, sender: message.sender, at: message.created_at }
    }

    fn to_value(&self) -> Vec<u8> {
        let at = self.at.as_millis().to_be_bytes();
        [&self.message.as_bytes()[..], self.sender.as_bytes(), &at].concat()
    }

    fn from_row(row: &Row) -> Option<Self> {
        let (message, rest) = row.value.split_first_chunk()?;
        let (sender, at) = rest.split_first_chunk()?;
        Some(Self {
            message: MessageId::from_bytes(*message),
            seq: seq_in(&row.key)?,
            sender: UserId::from_bytes(*sender),
            at: Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?)),
        })
    }
}

/// The key of the row of a message in a thread. Later messages come first.
fn reply_key(root: MessageId, seq: Seq) -> Vec<u8> {
    [root.as_bytes(), format!("{:08x}", u32::MAX - seq.0).as_bytes()].concat()
}

/// The place of the message in such a key.
fn seq_in(key: &[u8]) -> Option<Seq> {
    let digits = std::str::from_utf8(key.get(12..)?).ok()?;
    Some(Seq(u32::MAX - u32::from_str_radix(digits, 16).ok()?))
}

/// The key of the row that says whether a person follows a thread.
fn follow_key(user: UserId, conversation: ConversationId, root: MessageId) -> Vec<u8> {
    [user.as_bytes(), &conversation.as_bytes()[..], root.hex().as_str().as_bytes()].concat()
}

/// The values of the row that says whether a person follows a thread.
const FOLLOWS: &[u8] = &[1];
const HAS_STOPPED: &[u8] = &[0];

/// The root of the thread that a message is in, and its sender: the value of a row of [`Table::InThread`].
#[derive(Clone, Copy)]
struct Root {
    id: MessageId,
    sender: UserId,
}

impl Root {
    fn to_value(self) -> Vec<u8> {
        [self.id.as_bytes(), &self.sender.as_bytes()[..]].concat()
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let (id, sender) = value.split_first_chunk()?;
        Some(Self { id: MessageId::from_bytes(*id), sender: UserId::from_bytes(sender.try_into().ok()?) })
    }
}

/// The row that puts a new message into the thread of a root, which was sent by `root_sender`. It is stored with the message
/// ([`AppendWith`](super::context::AppendWith)).
pub fn row_of(message: MessageId, root: MessageId, root_sender: UserId) -> (Table, Row) {
    let value = Root { id: root, sender: root_sender }.to_value();
    (Table::InThread, Row { key: message.as_bytes().to_vec(), value })
}

/// The root that the value of such a row names; none if the value is damaged.
pub fn root_in(value: &[u8]) -> Option<MessageId> {
    Root::from_value(value).map(|root| root.id)
}

/// The threads that these messages are in.
pub(crate) async fn in_threads(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Option<InThread>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows = chat.store.rows_of(Table::InThread, &prefixes, 1).await?;
    let root = |rows: &Vec<Row>| root_in(&rows.first()?.value);
    let roots: Vec<Option<MessageId>> = rows.iter().map(root).collect();
    let mut ids: Vec<_> = roots.iter().flatten().copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let threads: HashMap<_, _> = ids.iter().copied().zip(threads_of(chat, &ids).await?).collect();
    let in_thread = |root| InThread { root, thread: threads.get(&root).cloned().flatten() };
    Ok(roots.into_iter().map(|root| root.map(in_thread)).collect())
}

/// The threads of these roots.
pub(crate) async fn threads_of(chat: &Chat, roots: &[MessageId]) -> Result<Vec<Option<Thread>>, Error> {
    let keys: Vec<_> = roots.iter().map(|id| id.as_bytes().to_vec()).collect();
    let values = chat.store.values(Table::Threads, &keys).await?;
    Ok(values.iter().map(|value| Thread::from_value(value.as_deref()?)).collect())
}

impl Chat {
    /// Adds to a new message that it is in the thread of a root.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is no message of this conversation, or is itself in a thread. It may be deleted.
    pub(crate) async fn note_thread(
        &self,
        id: MessageId,
        conversation: ConversationId,
        root: MessageId,
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let stored = self.store.message(root).await?.filter(|stored| stored.conversation == conversation);
        let unknown = Error::Invalid { field: "thread", problem: "is no message of this conversation" };
        let stored = must_be_root(stored.ok_or(unknown)?)?;
        notes.rows.push(row_of(id, root, stored.sender));
        notes.annexes.in_thread = Some(InThread { root, thread: None });
        Ok(())
    }

    /// The thread of a message that was just stored, if it is in one.
    pub(crate) async fn joined_thread(&self, noted: Option<InThread>) -> Result<Option<InThread>, Error> {
        let Some(InThread { root, .. }) = noted else { return Ok(None) };
        let thread = threads_of(self, &[root]).await?.pop().flatten();
        Ok(Some(InThread { root, thread }))
    }
}

/// Checks that a message is not itself in a thread.
fn must_be_root(stored: StoredMessage) -> Result<StoredMessage, Error> {
    if stored.facets.contains(Table::InThread) {
        return Err(Error::Invalid { field: "thread", problem: "is itself in a thread" });
    }
    Ok(stored)
}

#[cfg(test)]
mod tests;
