//! What of a message matters for a search besides its words.

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::model::Content;
use crate::store::StoredMessage;

/// What a message is, by what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// A text and nothing else.
    Text,
    /// An image, with a text or without.
    Image,
    /// A file, whose text is that of the message.
    File,
}

impl ContentKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Text, Self::Image, Self::File];

    /// The kind of a message that has a file name or an image.
    pub fn new(has_file_name: bool, has_image: bool) -> Self {
        match (has_file_name, has_image) {
            (true, _) => Self::File,
            (false, true) => Self::Image,
            (false, false) => Self::Text,
        }
    }

    /// The kind of this.
    pub fn of(content: &Content) -> Self {
        Self::new(content.file_name.is_some(), content.image.is_some())
    }
}

/// Which messages count, by what is known of them without their texts. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what this person wrote.
    pub author: Option<UserId>,
    /// Only these kinds; all when it is empty.
    pub kinds: Vec<ContentKind>,
    /// Only what was sent at this moment or later.
    pub from: Option<Timestamp>,
    /// Only what was sent before this moment.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether every message counts.
    pub fn is_all(&self) -> bool {
        self.author.is_none() && self.kinds.is_empty() && self.from.is_none() && self.until.is_none()
    }

    /// Whether a message of this author, of this kind and of this moment counts.
    pub fn admits(&self, author: UserId, kind: ContentKind, sent_at: Timestamp) -> bool {
        self.author.is_none_or(|only| author == only)
            && (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.from.is_none_or(|from| sent_at >= from)
            && self.until.is_none_or(|until| sent_at < until)
    }

    /// Whether this one does.
    pub fn admits_message(&self, message: &StoredMessage) -> bool {
        let kind = ContentKind::new(message.file_name.is_some(), message.image.is_some());
        self.admits(message.sender, kind, message.created_at)
    }
}
