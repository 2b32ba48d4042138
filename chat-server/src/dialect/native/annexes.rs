//! The annexes of a message, which are shown beside its content: one field for each aspect that has something to show
//! ([`chat_core::aspects`]).

use chat_core::aspects::Annexes;
use chat_core::aspects::edits::Edited;
use chat_core::aspects::pins::Pinned;
use chat_core::aspects::replies::Quote;
use chat_core::aspects::threads::Thread;
use chat_core::reactions::Reaction;
use schemars::JsonSchema;
use serde::Serialize;

/// What is shown of a message beside its content.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAnnexes")]
pub(super) struct AnnexesObject<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactionObject<'a>>,
    #[serde(flatten)]
    edited: Option<EditedObject>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<QuoteObject<'a>>,
    /// Whether it is a copy of another message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forwarded: bool,
    /// The ids of the people whom it mentions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(flatten)]
    pinned: Option<PinnedObject>,
    /// The message whose thread it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// What there is in its own thread, or else in the one that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<ThreadObject>,
}

pub(super) fn annexes(annexes: &Annexes) -> AnnexesObject<'_> {
    let within = annexes.in_thread.as_ref();
    let of_thread = annexes.thread.as_ref().or(within.and_then(|within| within.thread.as_ref()));
    AnnexesObject {
        reactions: reactions(&annexes.reactions),
        edited: annexes.edited.map(edited),
        reply_to: annexes.reply_to.as_ref().map(quote),
        forwarded: annexes.forwarded,
        mentions: annexes.mentions.iter().map(ToString::to_string).collect(),
        pinned: annexes.pinned.map(pinned),
        thread_id: within.map(|within| within.root.to_string()),
        thread: of_thread.map(thread),
    }
}

/// How many have reacted to a message with one emoji, and who was first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reaction")]
pub(super) struct ReactionObject<'a> {
    emoji: &'a str,
    count: u32,
    user_ids: Vec<String>,
}

/// The reactions to a message.
pub(super) fn reactions(reactions: &[Reaction]) -> Vec<ReactionObject<'_>> {
    let objects = reactions.iter().map(|reaction| ReactionObject {
        emoji: reaction.emoji.as_str(),
        count: reaction.count,
        user_ids: reaction.users.iter().map(ToString::to_string).collect(),
    });
    objects.collect()
}

/// How often a message was edited.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Edited")]
pub(super) struct EditedObject {
    /// When last, in milliseconds since 1970.
    edited_at: i64,
    edits: u32,
}

fn edited(edited: Edited) -> EditedObject {
    EditedObject { edited_at: edited.at.as_millis(), edits: edited.count }
}

/// The message that another one answers, as it is now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Quote")]
pub(super) struct QuoteObject<'a> {
    message_id: String,
    sender_id: String,
    /// Its place in the conversation.
    seq: u32,
    /// The beginning of its text, at most 200 characters. It is missing when the message is deleted or is a text file, and
    /// where too much is quoted on one page.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    /// A message with a file or an image is `media`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["text", "media"]))]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
    deleted: bool,
}

fn quote(quote: &Quote) -> QuoteObject<'_> {
    let is_media = quote.file_name.is_some() || quote.has_image;
    QuoteObject {
        message_id: quote.message.to_string(),
        sender_id: quote.sender.to_string(),
        seq: quote.seq.0,
        content: quote.text.as_deref(),
        kind: if is_media { "media" } else { "text" },
        file_name: quote.file_name.as_deref(),
        deleted: quote.deleted,
    }
}

/// Who has pinned a message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Pinned")]
pub(super) struct PinnedObject {
    /// When, in milliseconds since 1970.
    pinned_at: i64,
    pinned_by: String,
}

fn pinned(pinned: Pinned) -> PinnedObject {
    PinnedObject { pinned_at: pinned.at.as_millis(), pinned_by: pinned.by.to_string() }
}

/// What there is in a thread. Deleted messages do not count.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Thread")]
pub(super) struct ThreadObject {
    /// The number of messages.
    replies: u32,
    /// When the last one was sent, in milliseconds since 1970.
    last_reply_at: i64,
    /// Those who have written last, the latest first, at most five.
    user_ids: Vec<String>,
}

pub(super) fn thread(thread: &Thread) -> ThreadObject {
    ThreadObject {
        replies: thread.replies,
        last_reply_at: thread.last_at.as_millis(),
        user_ids: thread.users.iter().map(ToString::to_string).collect(),
    }
}
