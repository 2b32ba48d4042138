//! Who may find what: the one place that says so. What is found is what could be read in the history at this moment.

use crate::chat::Chat;
use crate::command::Destination;
use crate::error::Error;
use crate::id::UserId;
use crate::model::Conversation;
use crate::policy;
use crate::store::{SearchProgress, StoredMessage};

/// Whether a person may find a message. The store leaves out what is deleted, and only conversations of the person are
/// searched; yet they may have left one since, and whatever else hides a message from somebody belongs here.
pub(super) fn may_find(actor: UserId, message: &StoredMessage, conversation: &Conversation) -> bool {
    message.deleted.is_none() && policy::must_be_member(actor, conversation).is_ok()
}

impl Chat {
    /// The conversations in which a person finds something, and how far the index of each goes: the one that is asked
    /// about, or all. There is none with a person nobody has talked to yet.
    pub(super) async fn searchable(
        &self,
        actor: UserId,
        within: Option<&Destination>,
    ) -> Result<Vec<SearchProgress>, Error> {
        let Some(within) = within else { return Ok(self.store.search_progress_of(actor).await?) };
        let Some(conversation) = self.find(actor, within).await? else { return Ok(Vec::new()) };
        policy::must_be_member(actor, &conversation)?;
        Ok(self.store.search_progress(conversation.id).await?.into_iter().collect())
    }
}
