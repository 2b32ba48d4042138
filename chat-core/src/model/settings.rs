//! The settings of one member for one conversation.

use std::fmt;

use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::store::Row;

/// The settings of a member for a conversation. Only the member receives them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChatSettings {
    /// The conversation does not notify the member before this time; `None` when it is not muted. The time may have
    /// passed.
    pub muted_until: Option<Timestamp>,
    /// Whether the conversation is archived.
    pub archived: bool,
    /// Whether the conversation comes before those that are not pinned.
    pub pinned: bool,
    /// The text that the member has begun to write, on any device; empty when there is none.
    pub draft: String,
}

/// A change of the settings of a conversation; `None` leaves a field as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChatSettingsPatch {
    /// The time until which the conversation is muted; a time in the past, such as 0, ends the muting.
    pub muted_until: Option<Timestamp>,
    /// Whether the conversation is archived.
    pub archived: Option<bool>,
    /// Whether the conversation is pinned.
    pub pinned: Option<bool>,
    /// The new draft; an empty text removes it.
    pub draft: Option<String>,
}

// A draft must not reach the server log.
impl fmt::Debug for ChatSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { muted_until, archived, pinned, draft } = self;
        let mut shown = f.debug_struct("ChatSettings");
        shown.field("muted_until", muted_until).field("archived", archived).field("pinned", pinned);
        shown.field("draft_bytes", &draft.len()).finish()
    }
}

impl fmt::Debug for ChatSettingsPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { muted_until, archived, pinned, draft } = self;
        let mut shown = f.debug_struct("ChatSettingsPatch");
        shown.field("muted_until", muted_until).field("archived", archived).field("pinned", pinned);
        shown.field("draft_bytes", &draft.as_ref().map(String::len)).finish()
    }
}

impl ChatSettings {
    /// The maximum size of a draft in bytes.
    pub const MAX_DRAFT_BYTES: usize = 16 << 10;

    const ARCHIVED: u8 = 1;
    const PINNED: u8 = 2;

    /// The settings after a change at the time `at`.
    #[must_use]
    pub fn with(&self, patch: &ChatSettingsPatch, at: Timestamp) -> Self {
        let muted_until = patch.muted_until.map_or(self.muted_until, Some);
        Self {
            muted_until: muted_until.filter(|until| *until > at || patch.muted_until.is_none()),
            archived: patch.archived.unwrap_or(self.archived),
            pinned: patch.pinned.unwrap_or(self.pinned),
            draft: patch.draft.clone().unwrap_or_else(|| self.draft.clone()),
        }
    }

    /// The conversation and the settings in a row; `None` when the row is damaged.
    pub(crate) fn of_row(row: &Row) -> Option<(ConversationId, Self)> {
        let id = row.key.get(12..)?.try_into().ok()?;
        Some((ConversationId::from_bytes(id), Self::from_value(&row.value)?))
    }

    /// The key of the row that holds the settings.
    pub(crate) fn key(of: UserId, conversation: ConversationId) -> Vec<u8> {
        [of.as_bytes().as_slice(), conversation.as_bytes()].concat()
    }

    /// The value of the row.
    pub(crate) fn to_value(&self) -> Vec<u8> {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let mut value = vec![flag(self.archived, Self::ARCHIVED) | flag(self.pinned, Self::PINNED)];
        value.extend(self.muted_until.map_or(0, Timestamp::as_millis).to_be_bytes());
        value.extend(self.draft.as_bytes());
        value
    }

    /// The settings in the value of a row; `None` when the value is damaged.
    pub(crate) fn from_value(value: &[u8]) -> Option<Self> {
        let (flags, rest) = value.split_first()?;
        let (until, draft) = rest.split_first_chunk()?;
        let until = i64::from_be_bytes(*until);
        Some(Self {
            muted_until: (until != 0).then(|| Timestamp::from_millis(until)),
            archived: flags & Self::ARCHIVED != 0,
            pinned: flags & Self::PINNED != 0,
            draft: std::str::from_utf8(draft).ok()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let all =
            ChatSettings {
                muted_until: Some(at(7)), archived: true, pinned: true, draft: "well, …".into()
            };
        let pinned = ChatSettings { pinned: true, ..ChatSettings::default() };
        for settings in [ChatSettings::default(), pinned, all] {
            assert_eq!(ChatSettings::from_value(&settings.to_value()), Some(settings));
        }
        assert_eq!(ChatSettings::from_value(&[0; 8]), None);
        assert_eq!(ChatSettings::from_value(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]), None);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let before = ChatSettings { draft: "x".into(), archived: true, ..ChatSettings::default() };
        let patch = ChatSettingsPatch { muted_until: Some(at(9)), ..ChatSettingsPatch::default() };
        let muted = before.with(&patch, at(5));
        assert_eq!(muted, ChatSettings { muted_until: Some(at(9)), ..before.clone() });
        let pin = ChatSettingsPatch { pinned: Some(true), ..ChatSettingsPatch::default() };
        assert_eq!(
            muted.with(&pin, at(20)).muted_until,
            Some(at(9)),
            "that has passed is for readers to see"
        );
        assert_eq!(muted.with(&patch, at(9)), before, "a moment that has passed lifts it");
    }
}
