//! Messages.

use std::sync::Arc;

use super::Seq;
use super::conversation::Conversation;
use super::user::User;
use crate::aspects::Annexes;
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};

/// A message as its readers get it: the text decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Never changes.
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// What was said.
    pub content: Content,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while it is deleted.
    pub deleted: Option<Tombstone>,
    /// What is shown of it beside its content. Nothing while it is deleted.
    pub annexes: Annexes,
    /// Whether some person has hidden it for themselves, who is then told nothing of it.
    pub is_hidden: bool,
}

/// What a message consists of.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The text, or the whole text of a file. May be empty when there is an image.
    pub text: Arc<str>,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
}

impl Content {
    /// A plain text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), file_name: None, image: None }
    }
}

// Message texts never reach a log, so a message that is logged by mistake shows only its size.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("text_bytes", &self.text.len())
            .field("is_file", &self.file_name.is_some())
            .field("has_image", &self.image.is_some())
            .finish()
    }
}

/// What is left of a deleted message while it can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// When it was deleted.
    pub at: Timestamp,
    /// By whom.
    pub by: UserId,
}

/// A message together with what an edge needs to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message: Message,
    /// Where it was said.
    pub conversation: Arc<Conversation>,
    /// Who sent it.
    pub sender: Arc<User>,
    /// In a direct conversation whom it was sent to (the sender, in notes to oneself); none in rooms.
    pub recipient: Option<Arc<User>>,
}

/// A client's own name for a send, unique per user: the same one twice is the same message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Most bytes of a client id.
    pub const MAX_BYTES: usize = 128;

    /// Takes a client's id; none when it is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        (!id.is_empty() && id.len() <= Self::MAX_BYTES).then_some(Self(id))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a packet that was sent again from a new one, where clients give their sends no name: a hash of all that a
/// client wrote into it, the time on its own clock included. Compared only among messages of one sender in one
/// conversation, and only for a while; see [`NewMessage::fingerprint`](crate::store::NewMessage::fingerprint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);
