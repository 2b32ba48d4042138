//! Commands about the settings of a member for conversations.

use super::Destination;
use crate::id::ConversationId;
use crate::model::{ChatSettings, ChatSettingsPatch};

/// Changes the actor's settings for a conversation. Only the actor's devices receive the event.
#[derive(Debug, Clone)]
pub struct SetChatSettings {
    /// The conversation. A direct conversation is created if it does not exist yet.
    pub of: Destination,
    /// The change.
    pub patch: ChatSettingsPatch,
}

/// Lists the conversations for which the actor has settings, sorted by id.
#[derive(Debug, Clone, Copy)]
pub struct ListChatSettings {
    /// Only conversations after this one: the end of the previous page.
    pub after: Option<ConversationId>,
    /// The maximum number of conversations.
    pub limit: usize,
}

/// A conversation and the actor's settings for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSet {
    /// The conversation.
    pub conversation: ConversationId,
    /// The settings.
    pub settings: ChatSettings,
}

/// A page of conversations with settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatSetPage {
    /// The conversations.
    pub chats: Vec<ChatSet>,
    /// The end of this page; `None` on the last page.
    pub next: Option<ConversationId>,
}
