//! What a command costs, and what was read for it. It goes by the class of a command, so that every new one has a price.

use chat_core::command::{Class, CommandRef, MarkRead, ReadUpTo, ReplyRef};
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
    pub(crate) fn of(command: CommandRef<'_>) -> Self {
        match command.class() {
            Class::Reads => Self::Read,
            Class::Ephemeral => Self::Change(1),
            Class::Writes => Self::of_write(command),
        }
    }

    /// A write is one change, unless it says here that it is more.
    fn of_write(command: CommandRef<'_>) -> Self {
        match command {
            CommandRef::SendMessage(send) => Self::Send(send.content.text.len() as u64),
            CommandRef::UpdateProfile(_) => Self::Profile,
            CommandRef::CreateRoom(room) => Self::Change(1 + room.members.len() as u64),
            // Each message that is named is looked up.
            CommandRef::MarkRead(MarkRead { up_to: ReadUpTo::Messages(ids), .. }) => {
                Self::Change(1 + ids.len() as u64 / 20)
            }
            _ => Self::Change(1),
        }
    }
}

/// Writing an answer of more bytes than this takes so long that it is not done on a thread that serves others.
pub(crate) const LONG_ANSWER: u64 = super::LONG_BYTES as u64;

/// How many bytes were read for an answer, about.
pub(crate) fn bytes_read(reply: ReplyRef<'_>) -> u64 {
    let message = |view: &MessageView| MESSAGE + view.message.content.text.len() as u64;
    match reply {
        ReplyRef::Messages(history) => history.messages.iter().map(message).sum(),
        ReplyRef::Found(found) => found.messages.iter().map(message).sum(),
        ReplyRef::Changes(changes) => changes.deliveries.iter().map(delivered).sum(),
        ReplyRef::Users(users) => ROW * users.len() as u64,
        ReplyRef::Unread(unread) => ROW * unread.len() as u64,
        ReplyRef::Members(page) => ROW * page.members.len() as u64,
        ReplyRef::Bans(page) => ROW * page.bans.len() as u64,
        ReplyRef::Message(_)
        | ReplyRef::Done
        | ReplyRef::User(_)
        | ReplyRef::Conversation(_)
        | ReplyRef::Read(_) => 0,
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
        Audience::MembersBut(conversation, _) if delivery.position.is_none() => {
            conversation.members.len() / TOLD
        }
        _ => 0,
    };
    deliveries.iter().map(told).sum::<usize>() as u64
}
