//! The cost of commands and of the data that they read. It depends on the class of a command, so every new command has
//! a cost.

use chat_core::command::{Class, CommandRef, ListedChat, MarkRead, ReadUpTo, ReplyRef};
use chat_core::event::{Audience, Delivery};
use chat_core::model::MessageView;
use chat_core::reports::Report;

/// The cost of a command that is known before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A read. The data is charged when it has been read.
    Read,
    /// A message with a text of this many bytes.
    Send(u64),
    /// This number of changes or notifications.
    Change(u64),
    /// A change of a profile, which is broadcast to all users.
    Profile,
}

/// Bytes charged for any read, because even a read without results takes time.
pub(crate) const READ: u64 = 4 << 10;
/// Bytes charged for a message in addition to its text.
const MESSAGE: u64 = 256;
/// Bytes charged for an account, a conversation or an entry of the log.
const ROW: u64 = 400;
/// Each time an event that is in no log goes to this many recipients, one more change is charged.
const TOLD: usize = 50;

impl Cost {
    pub(crate) fn of(command: CommandRef<'_>) -> Self {
        match command.class() {
            Class::Reads => Self::Read,
            Class::Ephemeral => Self::Change(1),
            Class::Writes => Self::of_write(command),
        }
    }

    /// A write is one change, unless it is listed here.
    fn of_write(command: CommandRef<'_>) -> Self {
        match command {
            CommandRef::SendMessage(send) => Self::Send(send.content.text.len() as u64),
            CommandRef::UpdateProfile(_) => Self::Profile,
            // All of them are read.
            CommandRef::EndOtherSessions(_) => Self::Change(10),
            CommandRef::CreateRoom(room) => Self::Change(1 + room.members.len() as u64),
            // Each message in the list is looked up.
            CommandRef::MarkRead(MarkRead { up_to: ReadUpTo::Messages(ids), .. }) => {
                Self::Change(1 + ids.len() as u64 / 20)
            }
            _ => Self::Change(1),
        }
    }
}

/// Encoding an answer of more bytes than this takes too long for a thread that serves connections.
pub(crate) const LONG_ANSWER: u64 = super::LONG_BYTES as u64;

/// Approximate number of bytes that were read for an answer.
pub(crate) fn bytes_read(reply: ReplyRef<'_>) -> u64 {
    let message = |view: &MessageView| MESSAGE + view.message.content.text.len() as u64;
    match reply {
        ReplyRef::Messages(history) => history.messages.iter().map(message).sum(),
        ReplyRef::Thread(thread) => {
            thread.root.as_deref().into_iter().chain(&thread.messages).map(message).sum()
        }
        ReplyRef::Threads(page) => page.threads.iter().map(|followed| ROW + message(&followed.root)).sum(),
        ReplyRef::Found(found) => found.messages.iter().map(message).sum(),
        ReplyRef::Changes(changes) => changes.deliveries.iter().map(delivered).sum(),
        ReplyRef::UserPage(page) => ROW * page.users.len() as u64,
        ReplyRef::Users(users) => ROW * users.len() as u64,
        ReplyRef::Unread(unread) => ROW * unread.len() as u64,
        ReplyRef::RelatedPage(page) => ROW * page.people.len() as u64,
        ReplyRef::Chats(page) => page.chats.iter().map(listed).sum(),
        ReplyRef::ChatSetPage(page) => {
            page.chats.iter().map(|chat| ROW + chat.settings.draft.len() as u64).sum()
        }
        ReplyRef::ReportPage(page) => page.reports.iter().map(reported).sum(),
        ReplyRef::Receipts(page) => ROW * page.receipts.len() as u64,
        ReplyRef::Members(page) => ROW * page.members.len() as u64,
        ReplyRef::Bans(page) => ROW * page.bans.len() as u64,
        ReplyRef::Sessions(list) => ROW * list.sessions.len() as u64,
        ReplyRef::Message(_)
        | ReplyRef::Done
        | ReplyRef::User(_)
        | ReplyRef::Related(_)
        | ReplyRef::Report(_)
        | ReplyRef::ChatSet(_)
        | ReplyRef::EndedSessions(_)
        | ReplyRef::Conversation(_)
        | ReplyRef::Read(_) => 0,
    }
}

/// A conversation of the chat list, with its members and its last message.
fn listed(chat: &ListedChat) -> u64 {
    let text = chat.last.as_ref().map_or(0, |message| message.content.text.len());
    let rows = 1 + chat.first_members.len() as u64;
    ROW * rows + MESSAGE + (text + chat.settings.draft.len()) as u64
}

/// A report with its texts.
fn reported(report: &Report) -> u64 {
    ROW + (report.text.len() + report.quote.len()) as u64
}

fn delivered(delivery: &Delivery) -> u64 {
    ROW + delivery.event.message().map_or(0, |view| view.message.content.text.len() as u64)
}

/// The cost of events that are in no log, by the number of their recipients.
pub(crate) fn of_telling(deliveries: &[Delivery]) -> u64 {
    let told = |delivery: &Delivery| match &delivery.audience {
        Audience::Users(users) if delivery.position.is_none() => users.len() / TOLD,
        Audience::MembersBut(conversation, _) if delivery.position.is_none() => {
            conversation.members.len() / TOLD
        }
        _ => 0,
    };
    deliveries.iter().map(told).sum::<usize>() as u64
}
