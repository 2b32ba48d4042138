//! Settings of a user for conversations. Only the user's own devices receive them.
//!
//! ```text
//! ann > chat.set {"roomId":"…","mutedUntil":1700000000000,"archived":false,"pinned":true,"draft":"dear bob"} (ack)
//!     {"ok":true,"success":true,"roomId":"…","mutedUntil":1700000000000,"archived":false,"pinned":true,"draft":"dear bob"}
//! ann > chat.settings {"limit":100} (ack)      {"ok":true,"success":true,"chats":[{"roomId":"…",…}],"next":null}
//! ann < chatSettingsChanged {"roomId":"…","mutedUntil":null,"archived":false,"pinned":false,"draft":""}
//! ```
//! Fields that are not given stay as they are. A `mutedUntil` in the past, such as 0, ends the muting.

use chat_core::clock::Timestamp;
use chat_core::command::{ChatSet, ChatSetPage, Command, ListChatSettings, SetChatSettings};
use chat_core::id::ConversationId;
use chat_core::model::{ChatSettings, ChatSettingsPatch};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use crate::dialect::DecodeError;

/// The maximum number of conversations in one answer.
pub(super) const MAX: usize = 1_000;

pub(super) fn set(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let patch = ChatSettingsPatch {
        muted_until: moment(arguments, "mutedUntil")?,
        archived: arguments.flag("archived")?,
        pinned: arguments.flag("pinned")?,
        draft: arguments.text("draft")?.map(Into::into),
    };
    if patch == ChatSettingsPatch::default() {
        return Err(DecodeError::Missing("mutedUntil, archived, pinned or draft"));
    }
    Ok(SetChatSettings { of: arguments.required_place()?, patch }.into())
}

fn moment(arguments: &Arguments<'_>, field: &'static str) -> Result<Option<Timestamp>, DecodeError> {
    let Some(millis) = arguments.count(field)? else { return Ok(None) };
    let millis = i64::try_from(millis).map_err(|_| arguments.wrong(field))?;
    Ok(Some(Timestamp::from_millis(millis)))
}

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListChatSettings { after: arguments.id("cursor")?, limit: arguments.limit()? }.into())
}

/// A conversation, and one's settings for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChatSettings")]
pub(super) struct SettingsObject<'a> {
    room_id: String,
    /// Milliseconds since 1970; null when the conversation is not muted. The time may have passed.
    muted_until: Option<i64>,
    archived: bool,
    pinned: bool,
    draft: &'a str,
}

pub(super) fn settings(of: ConversationId, settings: &ChatSettings) -> SettingsObject<'_> {
    let ChatSettings { muted_until, archived, pinned, draft } = settings;
    let muted_until = muted_until.map(Timestamp::as_millis);
    SettingsObject { room_id: of.to_string(), muted_until, archived: *archived, pinned: *pinned, draft }
}

pub(super) fn set_to(set: &ChatSet) -> SettingsObject<'_> {
    settings(set.conversation, &set.settings)
}

/// A page of conversations.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatSettingsPage")]
pub(super) struct PageObject<'a> {
    chats: Vec<SettingsObject<'a>>,
    /// The `cursor` of the next page; null when this is the last.
    next: Option<String>,
}

pub(super) fn page(page: &ChatSetPage) -> PageObject<'_> {
    PageObject {
        chats: page.chats.iter().map(set_to).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}
