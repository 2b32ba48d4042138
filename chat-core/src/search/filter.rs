//! Search filters: properties of a message other than its words.

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::model::Content;
use crate::store::StoredMessage;

/// The kind of a message, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// Only a text.
    Text,
    /// An image, with or without a text.
    Image,
    /// A file, whose content is the text of the message.
    File,
}

impl ContentKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Text, Self::Image, Self::File];

    /// The kind of a message that has a file name or an image.
    pub fn new(has_file_name: bool, has_image: bool) -> Self {
        match (has_file_name, has_image) {
            (true, _) => Self::File,
            (false, true) => Self::Image,
            (false, false) => Self::Text,
        }
    }

    /// The kind of this content.
    pub fn of(content: &Content) -> Self {
        Self::new(content.file_name.is_some(), content.image.is_some())
    }
}

/// Selects messages by properties other than their text. The default selects all messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only messages of this user.
    pub author: Option<UserId>,
    /// Only these kinds; all kinds if it is empty.
    pub kinds: Vec<ContentKind>,
    /// Only messages that were sent at or after this time.
    pub from: Option<Timestamp>,
    /// Only messages that were sent before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether it selects every message.
    pub fn is_all(&self) -> bool {
        self.author.is_none() && self.kinds.is_empty() && self.from.is_none() && self.until.is_none()
    }

    /// Whether it selects a message with this author, kind and time.
    pub fn admits(&self, author: UserId, kind: ContentKind, sent_at: Timestamp) -> bool {
        self.author.is_none_or(|only| author == only)
            && (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.from.is_none_or(|from| sent_at >= from)
            && self.until.is_none_or(|until| sent_at < until)
    }

    /// Whether it selects this message.
    pub fn admits_message(&self, message: &StoredMessage) -> bool {
        let kind = ContentKind::new(message.file_name.is_some(), message.image.is_some());
        self.admits(message.sender, kind, message.created_at)
    }
}
