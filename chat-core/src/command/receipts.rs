//! The command that reads who has received and who has read a message.

use crate::id::{MessageId, UserId};
use crate::model::JoinOrder;

/// Reads who has received and who has read a message: the members of its conversation who were members when it was
/// sent, without its sender, in the order of joining. The actor must be a member, and the message must not be deleted.
#[derive(Debug, Clone, Copy)]
pub struct ReadReceipts {
    /// The message.
    pub message: MessageId,
    /// Only members after this place: the end of the previous page.
    pub after: JoinOrder,
    /// The maximum number of members that are examined, up to
    /// [`MAX_MEMBERS_AT_ONCE`](super::MAX_MEMBERS_AT_ONCE).
    pub limit: usize,
}

/// How far a message has come on its way to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// It was sent. Whether it has arrived is unknown.
    Sent,
    /// It has arrived on one of the member's devices.
    Delivered,
    /// The member has read it.
    Read,
}

/// Who has received and who has read a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptPage {
    /// The message.
    pub message: MessageId,
    /// The members of this page. Users who are cut off from the actor by a block are always [`Arrival::Sent`].
    pub receipts: Vec<(UserId, Arrival)>,
    /// The end of this page; none on the last page.
    pub next: Option<JoinOrder>,
}
