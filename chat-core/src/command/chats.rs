//! The command that reads the chat list.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::ConversationId;
use crate::model::{ChatSettings, ConversationKind, Message, Position, Role, Seq, User};

/// Lists the actor's conversations, each with what a client shows of it. Pinned conversations come first; among each
/// kind, the one with the latest message that is not deleted. Conversations without messages come last; direct ones
/// without messages are listed only if the actor has settings for them.
#[derive(Debug, Clone, Copy)]
pub struct ListChats {
    /// Only archived conversations, or only those that are not archived; all when none.
    pub archived: Option<bool>,
    /// Only conversations after this place: the end of the previous page.
    pub after: Option<ChatCursor>,
    /// The maximum number of conversations.
    pub limit: usize,
}

/// A place in the chat list. Clients receive it as a text and send it back for the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChatCursor {
    pub(crate) pinned: bool,
    pub(crate) latest: Position,
    pub(crate) conversation: ConversationId,
}

impl fmt::Display for ChatCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pinned, latest, conversation } = self;
        write!(f, "{}-{conversation}{}", latest.0, if *pinned { "-p" } else { "" })
    }
}

/// The text of a cursor is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place in the chat list")]
pub struct InvalidChatCursor;

impl FromStr for ChatCursor {
    type Err = InvalidChatCursor;

    fn from_str(text: &str) -> Result<Self, InvalidChatCursor> {
        let mut parts = text.split('-');
        let digits = parts.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let latest = digits.and_then(|digits| digits.parse().ok()).map(Position).ok_or(InvalidChatCursor)?;
        let conversation = match parts.next() {
            Some(id) => id.parse().map_err(|_| InvalidChatCursor)?,
            // No conversation has this id, so the list continues with older messages.
            None => ConversationId::from_bytes([0; 12]),
        };
        let pinned = match parts.next() {
            None => false,
            Some("p") => true,
            Some(_) => return Err(InvalidChatCursor),
        };
        if parts.next().is_some() {
            return Err(InvalidChatCursor);
        }
        Ok(Self { pinned, latest, conversation })
    }
}

/// A conversation in the chat list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedChat {
    /// The conversation.
    pub conversation: ConversationId,
    /// Direct or room.
    pub kind: ConversationKind,
    /// The other user of a direct conversation; none for rooms.
    pub other: Option<Arc<User>>,
    /// The number of members.
    pub member_count: usize,
    /// The first members of a room in the order of joining, at most [`MEMBERS_SHOWN`](crate::store::MEMBERS_SHOWN);
    /// empty for direct conversations.
    pub first_members: Vec<(Arc<User>, Role)>,
    /// The last message that is not deleted, if there is one that can be read.
    pub last: Option<Message>,
    /// The seq of the last message, deleted or not; 0 when there is none.
    pub last_seq: Seq,
    /// The actor's read mark.
    pub read_seq: Seq,
    /// The number of unread messages, see [`ChatSummary::unread`](crate::store::ChatSummary::unread).
    pub unread: u32,
    /// How many of them mention the actor, counted up to [`MAX_COUNTED`](crate::aspects::mentions::MAX_COUNTED).
    pub mentions: u32,
    /// The actor's settings.
    pub settings: ChatSettings,
}

/// A page of the chat list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatPage {
    /// The conversations. There may be fewer than the limit although more follow, when the messages are long.
    pub chats: Vec<ListedChat>,
    /// The end of this page; none on the last page.
    pub next: Option<ChatCursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_again_and_nothing_else() {
        let conversation = ConversationId::from_bytes([0xab; 12]);
        for pinned in [false, true] {
            let cursor = ChatCursor { pinned, latest: Position(70), conversation };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let id = "ab".repeat(12);
        for text in ["", "x", "-1", "+7", "7-", "7-x", "7-p", &format!("7-{id}-"), &format!("7-{id}-p-p")] {
            assert_eq!(text.parse::<ChatCursor>(), Err(InvalidChatCursor), "{text}");
        }
    }

    #[test]
    fn pinned_comes_before_later() {
        let cursor = |pinned, latest, n| ChatCursor {
            pinned,
            latest: Position(latest),
            conversation: ConversationId::from_bytes([n; 12]),
        };
        let order = [cursor(true, 1, 0), cursor(false, 9, 1), cursor(false, 9, 0), cursor(false, 0, 7)];
        assert!(order.is_sorted_by(|a, b| a > b));
    }
}
