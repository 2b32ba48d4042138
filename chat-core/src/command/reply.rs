//! What commands are answered with.

use std::sync::Arc;

use super::{
    Changes, ChatPage, ChatSet, ChatSetPage, EndedSessions, History, MemberPage, ReadMark, ReceiptPage,
    Related, RelatedPage, SessionList, Unread, UserPage,
};
use crate::aspects::threads::{ThreadHistory, ThreadPage};
use crate::model::{Conversation, MessageView, User};
use crate::reports::{Report, ReportPage};
use crate::rooms::BanPage;
use crate::search::Found;

/// The reply to a command of one kind, or [`Reply`], which is any of them.
pub trait Answer: Into<Reply> + Send + Sync + 'static {
    /// The same, for those who look at what is answered before it is told.
    fn as_reply(&self) -> ReplyRef<'_>;
}

/// Makes of the list of replies what needs all of them.
macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident($type:ty);)*) => {
        /// The answer to a command: any of the replies.
        #[derive(Debug, Clone)]
        #[expect(clippy::large_enum_variant, reason = "most replies are messages, and a box would be an allocation for each")]
        pub enum Reply {
            /// Carried out; there is nothing more to say.
            Done,
            $($(#[$doc])* $name($type),)*
        }

        /// An answer that somebody else has.
        #[derive(Debug, Clone, Copy)]
        pub enum ReplyRef<'a> {
            /// Carried out; there is nothing more to say.
            Done,
            $($(#[$doc])* $name(&'a $type),)*
        }

        impl Answer for Reply {
            fn as_reply(&self) -> ReplyRef<'_> {
                match self {
                    Self::Done => ReplyRef::Done,
                    $(Self::$name(reply) => ReplyRef::$name(reply),)*
                }
            }
        }

        impl From<()> for Reply {
            fn from((): ()) -> Self {
                Self::Done
            }
        }

        impl Answer for () {
            fn as_reply(&self) -> ReplyRef<'_> {
                ReplyRef::Done
            }
        }

        $(
            impl From<$type> for Reply {
                fn from(reply: $type) -> Self {
                    Self::$name(reply)
                }
            }

            impl Answer for $type {
                fn as_reply(&self) -> ReplyRef<'_> {
                    ReplyRef::$name(self)
                }
            }
        )*
    };
}

replies! {
    /// The message it was about.
    Message(MessageView);
    /// A part of a history.
    Messages(History);
    /// A part of a thread.
    Thread(ThreadHistory);
    /// Threads that one follows.
    Threads(ThreadPage);
    /// People.
    Users(Vec<Arc<User>>);
    /// A page of people.
    UserPage(UserPage);
    /// One person.
    User(Arc<User>);
    /// What one has with somebody.
    Related(Related);
    /// People one has something with.
    RelatedPage(RelatedPage);
    /// A page of the chat list.
    Chats(ChatPage);
    /// The actor's settings for a conversation.
    ChatSet(ChatSet);
    /// Conversations with settings.
    ChatSetPage(ChatSetPage);
    /// The conversation it was about.
    Conversation(Arc<Conversation>);
    /// Some of the members of a conversation.
    Members(MemberPage);
    /// Some of those who may not come into a room.
    Bans(BanPage);
    /// How far the conversation is read; none when nobody has talked there yet.
    Read(Option<ReadMark>);
    /// A report.
    Report(Report);
    /// Reports in a queue.
    ReportPage(ReportPage);
    /// Who has received and who has read a message.
    Receipts(ReceiptPage);
    /// What is unread.
    Unread(Vec<Unread>);
    /// What happened.
    Changes(Changes);
    /// What was found.
    Found(Found);
    /// The own login sessions.
    Sessions(SessionList);
    /// How many login sessions have ended.
    EndedSessions(EndedSessions);
}
