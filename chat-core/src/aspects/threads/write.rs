//! What changes about threads, in the transactions of their messages.

use super::{
    FOLLOWS, FollowChange, HAS_STOPPED, MAX_LOOKED_AT, Reply, Root, Thread, ThreadChange, follow_key,
    reply_key, root_in,
};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Position, Role, Seq};
use crate::policy::Refusal;
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::{Effect, SetDeleted};
use crate::store::{StoredMessage, Table};

/// Names what [`join`] looks at, for a new message with this value of its row of [`Table::InThread`].
pub(crate) fn name_reads_of_join(
    reads: &mut Reads,
    (sender, conversation): (UserId, ConversationId),
    value: &[u8],
) {
    let Some(root) = Root::from_value(value) else { return };
    name_reads_of_thread(reads, root.id);
    for user in [sender, root.sender] {
        reads.rows.insert((Table::FollowedThreads, follow_key(user, conversation, root.id)));
    }
}

fn name_reads_of_thread(reads: &mut Reads, root: MessageId) {
    reads.messages.insert(root);
    reads.rows.insert((Table::Threads, root.as_bytes().to_vec()));
    // One more is looked at, because one may be deleted.
    reads.ranges.push((Table::ThreadMessages, root.as_bytes().to_vec(), MAX_LOOKED_AT + 1));
}

/// Adds a new message to the thread that its row of [`Table::InThread`] names. Its sender follows the thread from then on, and so
/// does the sender of the root, unless that one has stopped.
pub(crate) fn join<T: Tx>(tx: &mut T, message: &StoredMessage, value: &[u8]) -> Result<(), T::Error> {
    let Some(root) = Root::from_value(value) else { return Ok(()) };
    let conversation = message.conversation;
    let stored = tx.message(root.id)?.filter(|stored| stored.conversation == conversation);
    let Some(stored) = stored else { return Ok(()) };
    tx.put_row(Table::ThreadMessages, &reply_key(root.id, message.seq), &Reply::of(message).to_value())?;
    let replies = count(tx, root.id)?.saturating_add(1);
    show(tx, stored, replies)?;
    let own = follow_key(message.sender, conversation, root.id);
    if tx.row(Table::FollowedThreads, &own)?.as_deref() != Some(FOLLOWS) {
        tx.put_row(Table::FollowedThreads, &own, FOLLOWS)?;
    }
    let theirs = follow_key(root.sender, conversation, root.id);
    if tx.row(Table::FollowedThreads, &theirs)?.is_none() {
        tx.put_row(Table::FollowedThreads, &theirs, FOLLOWS)?;
    }
    Ok(())
}

/// The number of messages in a thread.
fn count<T: Tx>(tx: &mut T, root: MessageId) -> Result<u32, T::Error> {
    let value = tx.row(Table::Threads, root.as_bytes())?;
    Ok(value.as_deref().and_then(Thread::from_value).map_or(0, |thread| thread.replies))
}

/// Has a root show what there is in its thread.
fn show<T: Tx>(tx: &mut T, mut root: StoredMessage, replies: u32) -> Result<(), T::Error> {
    let rows = tx.rows(Table::ThreadMessages, root.id.as_bytes(), MAX_LOOKED_AT)?;
    let thread = Thread::of(replies, &rows);
    match &thread {
        Some(thread) => tx.put_row(Table::Threads, root.id.as_bytes(), &thread.to_value())?,
        None => tx.delete_row(Table::Threads, root.id.as_bytes())?,
    }
    let before = root.facets;
    for table in [Table::Threads, Table::ThreadMessages] {
        root.facets = root.facets.with(table, thread.is_some());
    }
    if root.facets != before {
        tx.set_facets(&root)?;
    }
    Ok(())
}

/// Deletes or restores a message in a thread, as [`SetDeleted`] does, and has the root show what there is since. Logs
/// [`ThreadChange`] of the root after the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetDeletedInThread {
    /// The deletion.
    pub set: SetDeleted,
    /// The place of the message. It never changes, so the caller that has looked the message up knows it.
    pub seq: Seq,
    /// The root of its thread. Messages stay in their threads.
    pub root: MessageId,
}

/// What came of [`SetDeletedInThread`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedInThread {
    /// The position of the deletion in the log; none if nothing changed.
    pub position: Option<Position>,
    /// The message after it.
    pub message: StoredMessage,
    /// The position of the change of the root; none if nothing changed.
    pub of_root: Option<Position>,
}

impl Effect for SetDeletedInThread {
    fn reads(&self, reads: &mut Reads) {
        self.set.reads(reads);
        reads.rows.insert((Table::InThread, self.set.message.as_bytes().to_vec()));
        reads.rows.insert((Table::ThreadMessages, reply_key(self.root, self.seq)));
        name_reads_of_thread(reads, self.root);
    }

    fn most_logged(&self) -> u64 {
        2
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { set, seq, root } = *self;
        let row = tx.row(Table::InThread, set.message.as_bytes())?;
        let is_in = row.as_deref().and_then(root_in) == Some(root);
        if !is_in || tx.message(set.message)?.is_none_or(|message| message.seq != seq) {
            return Ok(Err(Refusal::MessageNotFound));
        }
        let (position, message) = match set.apply(tx)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let stored = tx.message(root)?.filter(|stored| stored.conversation == message.conversation);
        let (Some(_), Some(stored)) = (position, stored) else {
            return Ok(Ok(DeletedInThread { position, message, of_root: None }));
        };
        let (key, replies) = (reply_key(root, seq), count(tx, root)?);
        let replies = if set.delete {
            tx.delete_row(Table::ThreadMessages, &key)?;
            replies.saturating_sub(1)
        } else {
            tx.put_row(Table::ThreadMessages, &key, &Reply::of(&message).to_value())?;
            replies.saturating_add(1)
        };
        let reference = stored.reference();
        show(tx, stored, replies)?;
        let change = Change::MessageChanged { message: reference, by: set.by, what: ThreadChange.into() };
        let of_root = Some(tx.log(set.at, change)?);
        Ok(Ok(DeletedInThread { position, message, of_root }))
    }
}

/// Checks whether a person may follow a thread: every member may. `role` is the person's role at that moment; none if the
/// person is not a member.
///
/// # Errors
/// [`Refusal::MessageNotFound`] if the person is not a member.
pub fn may_follow(role: Option<Role>) -> Result<(), Refusal> {
    role.map(drop).ok_or(Refusal::MessageNotFound)
}

/// Has a person follow a thread or stop, and logs [`FollowChange`] for this person. The result has no position if nothing changed.
/// [`may_follow`] decides whether it is allowed, from the role at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    /// The root.
    pub root: MessageId,
    /// Its conversation. Messages never move, so the caller that has looked the message up knows it.
    pub conversation: ConversationId,
    /// The person.
    pub by: UserId,
    /// Whether the person follows the thread afterwards.
    pub following: bool,
    /// The time of the change.
    pub at: Timestamp,
}

impl Effect for Follow {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.root);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
        reads.rows.insert((Table::FollowedThreads, follow_key(self.by, self.conversation, self.root)));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { root, conversation, by, following, at } = *self;
        let stored = tx.message(root)?.filter(|stored| stored.conversation == conversation);
        let Some(stored) = stored else { return Ok(Err(Refusal::MessageNotFound)) };
        if let Err(refusal) = may_follow(tx.role(conversation, by)?) {
            return Ok(Err(refusal));
        }
        if stored.facets.contains(Table::InThread) {
            return Ok(Err(Refusal::Forbidden("This message is itself in a thread")));
        }
        let key = follow_key(by, conversation, root);
        let value = if following { FOLLOWS } else { HAS_STOPPED };
        // A person who stops before the first reply does not follow when it comes.
        if tx.row(Table::FollowedThreads, &key)?.as_deref() == Some(value) {
            return Ok(Ok((None, stored)));
        }
        tx.put_row(Table::FollowedThreads, &key, value)?;
        let what = FollowChange { following }.into();
        let change = Change::MessageChanged { message: stored.reference(), by, what };
        let position = tx.log(at, change)?;
        Ok(Ok((Some(position), stored)))
    }
}
