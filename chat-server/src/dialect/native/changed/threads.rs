//! Threads. A message in a thread is sent by `message.send` with `threadId`.
//!
//! ```text
//! bob > thread.history {"threadId":"…","before":41,"limit":50} (ack)
//!     {…,"message":{…,"thread":{"replies":2,"lastReplyAt":…,"userIds":["ANN","BOB"]}},"following":true,"messages":[{…,"threadId":"…"}],"next":null}
//! bob > thread.list {"limit":20} (ack)      {…,"threads":[{"message":{…},"thread":{…},"unread":1}],"next":null}
//! bob > thread.follow {"threadId":"…"}, thread.unfollow {the same} (ack)      {…,"message":{…}}
//! all < threadUpdated {"roomId":"…","threadId":"…","seq":7,"thread":{…}}
//! bob's devices < threadFollowed, threadUnfollowed {"roomId":"…","threadId":"…","seq":7}
//! ```

use axum::http::Method;
use chat_core::aspects::threads::{
    FollowChange, FollowThread, ListThreads, ReadThread, ThreadHistory, ThreadPage,
};
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use chat_core::model::Seq;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::DecodeError;
use crate::dialect::field::shown;
use crate::dialect::native::annexes::{ThreadObject, thread};
use crate::dialect::native::arguments::Arguments;
use crate::dialect::native::fields::{BEFORE, CHAT_CURSOR, THREAD_ID, limit};
use crate::dialect::native::row::{Row, row};
use crate::dialect::native::shapes::{MessageObject, OfMessage, message};

/// The maximum number of messages and of threads in one answer.
const MAX_MESSAGES: usize = 1_000;
const MAX_THREADS: usize = 100;

pub(super) const ROWS: &[Row] = &[
    row(
        "thread.history",
        Method::GET,
        "/api/v1/threads/:threadId",
        "Reads the messages in a thread, the oldest first; the latest of them when nothing is said.",
        &[THREAD_ID, BEFORE, limit(50, MAX_MESSAGES)],
        shown::<HistoryObject<'_>>,
        read,
    ),
    row(
        "thread.list",
        Method::GET,
        "/api/v1/threads",
        "Lists the threads that one follows, the one with the last reply first.",
        &[CHAT_CURSOR, limit(20, MAX_THREADS)],
        shown::<PageObject<'_>>,
        list,
    )
    .optional(),
    row(
        "thread.follow",
        Method::POST,
        "/api/v1/threads/:threadId/follow",
        "Follows a thread, as those do who write in it.",
        &[THREAD_ID],
        shown::<OfMessage<'_>>,
        |arguments| follow(arguments, true),
    ),
    row(
        "thread.unfollow",
        Method::DELETE,
        "/api/v1/threads/:threadId/follow",
        "Stops following a thread.",
        &[THREAD_ID],
        shown::<OfMessage<'_>>,
        |arguments| follow(arguments, false),
    ),
];

fn read(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let before = arguments.count("before")?;
    let before = before.map(|seq| Seq(u32::try_from(seq).unwrap_or(u32::MAX)));
    Ok(ReadThread { root: arguments.required_id("threadId")?, before, limit: arguments.limit()? }.into())
}

fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListThreads { after: arguments.id("cursor")?, limit: arguments.limit()? }.into())
}

fn follow(arguments: &Arguments<'_>, following: bool) -> Result<Command, DecodeError> {
    Ok(FollowThread { root: arguments.required_id("threadId")?, following }.into())
}

/// A part of a thread.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ThreadHistory")]
pub(in crate::dialect::native) struct HistoryObject<'a> {
    /// The message that the thread is about; null if one has hidden it.
    message: Option<MessageObject<'a>>,
    /// Whether one follows the thread.
    following: bool,
    messages: Vec<MessageObject<'a>>,
    /// The `before` of the page before this one; null when there is none.
    next: Option<u32>,
}

pub(in crate::dialect::native) fn history(history: &ThreadHistory) -> HistoryObject<'_> {
    HistoryObject {
        message: history.root.as_ref().map(|view| message(&view.message)),
        following: history.following,
        messages: history.messages.iter().map(|view| message(&view.message)).collect(),
        next: history.next.map(|seq| seq.0),
    }
}

/// A page of the threads that one follows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ThreadPage")]
pub(in crate::dialect::native) struct PageObject<'a> {
    threads: Vec<FollowedObject<'a>>,
    /// The `cursor` of the next page; null when this is the last.
    next: Option<String>,
}

/// A thread that one follows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FollowedThread")]
struct FollowedObject<'a> {
    /// The message that the thread is about.
    message: MessageObject<'a>,
    thread: ThreadObject,
    /// How many messages of others in it are unread, at most 100.
    unread: u32,
}

pub(in crate::dialect::native) fn page(page: &ThreadPage) -> PageObject<'_> {
    let threads = page.threads.iter().map(|of| FollowedObject {
        message: message(&of.root.message),
        thread: thread(&of.thread),
        unread: of.unread,
    });
    PageObject { threads: threads.collect(), next: page.next.map(|next| next.to_string()) }
}

/// What there is in a thread since a message in it was deleted or restored.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ThreadUpdated")]
pub(in crate::dialect::native) struct Updated {
    room_id: String,
    thread_id: String,
    /// The place of the message that the thread is about.
    seq: u32,
    /// Null when nothing is left in it, or when the message that it is about is deleted.
    thread: Option<ThreadObject>,
}

pub(super) fn updated(changed: &MessageChanged) -> Updated {
    Updated {
        room_id: changed.message.conversation.to_string(),
        thread_id: changed.message.id.to_string(),
        seq: changed.message.seq.0,
        thread: changed.annexes.thread.as_ref().map(thread),
    }
}

/// Which thread one follows since, or does not.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ThreadFollowed")]
pub(in crate::dialect::native) struct Followed {
    room_id: String,
    thread_id: String,
    /// The place of the message that the thread is about.
    seq: u32,
}

pub(super) fn name(change: &FollowChange) -> &'static str {
    if change.following { "threadFollowed" } else { "threadUnfollowed" }
}

pub(super) fn followed(changed: &MessageChanged) -> Followed {
    Followed {
        room_id: changed.message.conversation.to_string(),
        thread_id: changed.message.id.to_string(),
        seq: changed.message.seq.0,
    }
}
