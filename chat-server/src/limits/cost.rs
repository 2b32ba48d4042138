//! What a command costs, and what was read for it. Without a catch-all arm, so that a new command gets a price.

use chat_core::command::{Command, ReadUpTo, Reply};
use chat_core::event::{Audience, Delivery};
use chat_core::model::MessageView;

/// What a command costs before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// It reads; what it has read is charged when that is known.
    Read,
    /// It says so many bytes.
    Send(u64),
    /// It changes something, or tells others something, so many times.
    Change(u64),
    /// It changes a profile, which everybody is told.
    Profile,
}

/// Bytes that any reading costs, since looking for nothing takes its time too.
pub(crate) const READ: u64 = 4 << 10;
/// Bytes that a message costs beside its text.
const MESSAGE: u64 = 256;
/// Bytes that a person, a conversation or an entry of the log costs.
const ROW: u64 = 400;
/// When so many are told of what is in no log, that is one change more.
const TOLD: usize = 50;

impl Cost {
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Send { content, .. } => Self::Send(content.text.len() as u64),
            Command::History { .. }
            | Command::ListUnread { .. }
            | Command::ListUsers { .. }
            | Command::ListChatPartners { .. }
            | Command::Sync { .. }
            | Command::Search(_) => Self::Read,
            Command::CreateRoom { members, .. } => Self::Change(1 + members.len() as u64),
            Command::Delete { .. }
            | Command::Restore { .. }
            | Command::SetTyping { .. }
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::SetRole { .. } => Self::Change(1),
            // Each message that is named is looked up.
            Command::MarkRead { up_to: ReadUpTo::Messages(ids), .. } => {
                Self::Change(1 + ids.len() as u64 / 20)
            }
            Command::MarkRead { .. } => Self::Change(1),
            Command::UpdateProfile(_) => Self::Profile,
        }
    }
}

/// Writing an answer of more bytes than this takes so long that it is not done on a thread that serves others.
pub(crate) const LONG_ANSWER: u64 = super::LONG_BYTES as u64;

/// How many bytes were read for an answer, about.
pub(crate) fn bytes_read(reply: &Reply) -> u64 {
    let message = |view: &MessageView| MESSAGE + view.message.content.text.len() as u64;
    match reply {
        Reply::Messages(history) => history.messages.iter().map(message).sum(),
        Reply::Found(found) => found.messages.iter().map(message).sum(),
        Reply::Changes(changes) => changes.deliveries.iter().map(delivered).sum(),
        Reply::Users(users) => ROW * users.len() as u64,
        Reply::Unread(unread) => ROW * unread.len() as u64,
        Reply::Message(_) | Reply::Done | Reply::User(_) | Reply::Conversation(_) | Reply::Read(_) => 0,
    }
}

fn delivered(delivery: &Delivery) -> u64 {
    use chat_core::event::Event::{MessageDeleted, MessageRestored, MessageSent};
    match &delivery.event {
        MessageSent(view) | MessageDeleted(view) | MessageRestored(view) => {
            ROW + view.message.content.text.len() as u64
        }
        _ => ROW,
    }
}

/// What telling of something that is in no log costs, by how many are told.
pub(crate) fn of_telling(deliveries: &[Delivery]) -> u64 {
    let told = |delivery: &Delivery| match &delivery.audience {
        Audience::Users(users) if delivery.position.is_none() => users.len() / TOLD,
        _ => 0,
    };
    deliveries.iter().map(told).sum::<usize>() as u64
}
