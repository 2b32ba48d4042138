//! The chat list.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Chat;
use super::decoding::Budget;
use crate::aspects::Annexed;
use crate::command::{ChatCursor, ChatPage, ListChats, ListedChat, Outcome};
use crate::damage;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::model::{ChatSettings, ConversationKind, Message};
use crate::store::{Activity, ChatSummary, Table, UnreadCount};

/// The number of rows with settings that are read at once.
const SETTINGS_AT_ONCE: usize = 200;

/// Drafts are kept in memory up to this many bytes while the order is determined. Those of further conversations are
/// read again for the page.
const MAX_DRAFTS: usize = 1 << 20;

impl Chat {
    pub(crate) async fn list_chats(
        &self,
        actor: UserId,
        command: ListChats,
    ) -> Result<Outcome<ChatPage>, Error> {
        let ListChats { archived, after, limit } = command;
        let mut settings = Settings::of(self, actor).await?;
        let mut order = Vec::new();
        for Activity { latest, conversation, is_direct } in self.store.activity(actor).await? {
            let set = settings.get(conversation);
            let is_begun = latest.0 > 0 || !is_direct || set.is_some();
            let is_wanted = archived.is_none_or(|archived| set.is_some_and(|set| set.archived) == archived);
            if is_begun && is_wanted {
                order.push(ChatCursor { pinned: set.is_some_and(|set| set.pinned), latest, conversation });
            }
        }
        order.retain(|place| after.is_none_or(|after| *place < after));
        order.sort_unstable_by_key(|place| Reverse(*place));
        let mut budget = Budget::new(self.limits.answer_bytes);
        let mut page = ChatPage::default();
        let mut rest = order.as_slice();
        // Conversations that the actor has left meanwhile are replaced by the next ones.
        while !rest.is_empty() && page.chats.len() < limit {
            let (some, behind) = rest.split_at(rest.len().min(limit - page.chats.len()));
            let ids: Vec<_> = some.iter().map(|place| place.conversation).collect();
            let summaries = self.store.summaries(actor, &ids).await?;
            let is_cut = summaries.last().is_some_and(|last| Some(&last.conversation) != ids.last());
            let count = summaries.len();
            let chats = self.chats(actor, summaries, &mut settings, &mut budget).await?;
            let is_full = chats.len() < count;
            page.chats.extend(chats);
            if is_cut || is_full {
                let last = page.chats.last().map(|chat| chat.conversation);
                page.next = some.iter().find(|place| Some(place.conversation) == last).copied();
                return Ok(Outcome::reply_only(page));
            }
            page.next = some.last().filter(|_| !behind.is_empty()).copied();
            rest = behind;
        }
        Ok(Outcome::reply_only(page))
    }

    /// What the list shows of these conversations; fewer when the budget has no room for their messages.
    async fn chats(
        &self,
        actor: UserId,
        mut summaries: Vec<ChatSummary>,
        settings: &mut Settings,
        budget: &mut Budget,
    ) -> Result<Vec<ListedChat>, Error> {
        for summary in &mut summaries {
            let Some(last) = &summary.last else { continue };
            if !self.hidden_from(actor, std::slice::from_ref(last)).await?.is_empty() {
                summary.last = self.last_shown(actor, summary.conversation, last.seq).await?;
            }
        }
        let counts: Vec<_> = summaries.iter().map(count_of).filter(|count| count.unread > 0).collect();
        let hidden = self.hidden_unread(actor, &counts).await?;
        let mentions = self.unread_mentions(actor, &counts).await?;
        let people = summaries.iter().flat_map(|summary| people_of(summary, actor));
        let people = self.directory.users(people).await?;
        let person = |id: &UserId| people.get(id).map(|user| self.shown(user.clone()));
        let (mut chats, mut places, mut annexed, mut looked_at) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for summary in summaries {
            let unread = self.unread_of(actor, &summary, &mut looked_at).await?;
            let unread =
                unread.saturating_sub(hidden.get(&summary.conversation).copied().unwrap_or_default());
            let mentions = mentions.get(&summary.conversation).copied().unwrap_or_default();
            let ChatSummary {
                conversation, kind, member_count, first_members, last, last_seq, read_seq, ..
            } = summary;
            let mut message = None;
            if let Some(stored) = last {
                let (id, seq) = (stored.id, stored.seq);
                let with_annexes = Annexed::of(&stored);
                let decoded = self.decode_within(stored, budget).await.map_err(Error::from);
                match damage::sound(&*self.store, decoded, "messages", &id)? {
                    Some(Some(decoded)) => {
                        if let Some(with_annexes) = with_annexes {
                            places.push(chats.len());
                            annexed.push(with_annexes);
                        }
                        message = Some(decoded);
                    }
                    Some(None) => break,
                    None => self.unreadable.note(conversation, seq, id),
                }
            }
            let other = match &kind {
                ConversationKind::Direct { pair } => pair.other(actor).as_ref().and_then(person),
                ConversationKind::Room(_) => None,
            };
            let first_members = match &kind {
                ConversationKind::Direct { .. } => Vec::new(),
                ConversationKind::Room(_) => first_members
                    .iter()
                    .filter_map(|member| Some((person(&member.user)?, member.role)))
                    .collect(),
            };
            chats.push(ListedChat {
                conversation,
                kind,
                other,
                member_count,
                first_members,
                last: message,
                last_seq,
                read_seq,
                unread,
                mentions,
                settings: settings.take(self, actor, conversation).await?,
            });
        }
        for (place, annexes) in places.into_iter().zip(self.annexes_of_all(&annexed).await?) {
            if let Some(Message { annexes: shown, .. }) = &mut chats[place].last {
                *shown = annexes;
            }
        }
        Ok(chats)
    }

    /// The number of unread messages without those that are known to be unreadable.
    async fn unread_of(
        &self,
        actor: UserId,
        summary: &ChatSummary,
        looked_at: &mut usize,
    ) -> Result<u32, Error> {
        let ChatSummary { conversation, unread, .. } = *summary;
        if unread == 0 || !self.unreadable.knows(conversation) {
            return Ok(unread);
        }
        let count = count_of(summary);
        let conversation = self.directory.conversation(conversation).await?;
        self.shown_of(&count, actor, &conversation, looked_at).await
    }
}

/// The unread messages of a conversation as the store counts them.
fn count_of(summary: &ChatSummary) -> UnreadCount {
    let ChatSummary { conversation, last_seq, read_seq, unread, .. } = *summary;
    UnreadCount { conversation, last_seq, read_seq, unread }
}

/// The users whom the list shows with a conversation.
fn people_of(summary: &ChatSummary, actor: UserId) -> Vec<UserId> {
    match &summary.kind {
        ConversationKind::Direct { pair } => pair.other(actor).into_iter().collect(),
        ConversationKind::Room(_) => summary.first_members.iter().map(|member| member.user).collect(),
    }
}

/// The actor's settings for all conversations.
struct Settings {
    known: HashMap<ConversationId, ChatSettings>,
    /// The conversations whose drafts are not in memory.
    without_draft: Vec<ConversationId>,
}

impl Settings {
    async fn of(chat: &Chat, actor: UserId) -> Result<Self, Error> {
        let mut all = Self { known: HashMap::new(), without_draft: Vec::new() };
        let (mut after, mut bytes) = (None, 0);
        loop {
            let prefix = actor.as_bytes();
            let rows =
                chat.store.rows(Table::ChatSettings, prefix, after.as_deref(), SETTINGS_AT_ONCE).await?;
            for row in &rows {
                let Some((conversation, mut settings)) = ChatSettings::of_row(row) else { continue };
                bytes += settings.draft.len();
                if bytes > MAX_DRAFTS && !settings.draft.is_empty() {
                    settings.draft = String::new();
                    all.without_draft.push(conversation);
                }
                all.known.insert(conversation, settings);
            }
            if rows.len() < SETTINGS_AT_ONCE {
                return Ok(all);
            }
            after = rows.into_iter().last().map(|row| row.key);
        }
    }

    fn get(&self, of: ConversationId) -> Option<&ChatSettings> {
        self.known.get(&of)
    }

    /// The settings for a conversation of the page, with the draft.
    async fn take(&mut self, chat: &Chat, actor: UserId, of: ConversationId) -> Result<ChatSettings, Error> {
        if self.without_draft.contains(&of) {
            return chat.chat_settings(actor, of).await;
        }
        Ok(self.known.remove(&of).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
