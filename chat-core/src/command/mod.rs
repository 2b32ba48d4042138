//! What a person can ask for, and what is answered.
//!
//! There is one struct per command. The macro `commands!` lists them all, each with its [`Class`], the type of its reply and what
//! carries it out; a command that is not in the list does not exist, and one without a class does not compile. Callers that
//! know which command they have get its own reply ([`Request::Reply`]); those that do not (a packet was decoded) have a
//! [`Command`], which is any of them, and get a [`Reply`].
//!
//! # Adding a command
//! 1. Its struct in the file of its subject, and the type of its reply there or in [`model`](crate::model).
//! 2. One line in the list below, and a method of [`Chat`] in the folder `chat`.
//! 3. If its reply is of a new type, one line in the list of replies. The compiler then names every `match` that has to know it.

mod chats;
mod log;
mod message;
mod people;
mod reading;
mod receipts;
mod relation;
mod reply;
mod room;
mod session;
mod settings;

#[cfg(test)]
mod tests;

pub use self::chats::{ChatCursor, ChatPage, InvalidChatCursor, ListChats, ListedChat};
pub use self::log::{Changes, ReadChanges};
pub use self::message::{DeleteMessage, History, ReadHistory, RestoreMessage, SendMessage, SetTyping};
pub use self::people::{ListChatPartners, ListUsers, SearchUsers, UpdateProfile, UserPage};
pub use self::reading::{ListUnread, MarkRead, ReadMark, ReadUpTo, Unread};
pub use self::receipts::{Arrival, ReadReceipts, ReceiptPage};
pub use self::relation::{ChangeRelation, ListRelations, Related, RelatedPage, RelationKind};
pub use self::reply::{Answer, Reply, ReplyRef};
pub use self::room::{
    AddMember, CreateRoom, MAX_MEMBERS_AT_ONCE, MemberPage, ReadMembers, RemoveMember, SetRole,
};
pub use self::session::{EndOtherSessions, EndSession, EndedSessions, ListSessions, SessionList};
pub use self::settings::{ChatSet, ChatSetPage, ListChatSettings, SetChatSettings};

use std::sync::Arc;

use crate::aspects::edits::{EditMessage, ReadEdits};
use crate::aspects::hiding::HideMessage;
use crate::aspects::pins::{ListPins, PinMessage};
use crate::aspects::threads::{FollowThread, ListThreads, ReadThread, ThreadHistory, ThreadPage};
use crate::chat::{Chat, Started};
use crate::error::Error;
use crate::event::Delivery;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, MessageView, User, UserKey};
use crate::reactions::SetReaction;
use crate::reports::{CreateReport, ListReports, Report, ReportPage, ResolveReport};
use crate::rooms::{BanPage, ListBans, SetBan, SetMute, UpdateRoom};
use crate::search::{Found, Search};

/// Who asks. The edge has checked that they are who they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The person.
    pub user: UserId,
}

/// Where something is said: to a person, or in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The direct conversation with this person, opened if need be.
    Person(UserKey),
    /// This conversation.
    Conversation(ConversationId),
    /// What some pages call a chat: the direct conversation with the person of this id or, if there is no such person, the
    /// conversation of this id.
    Chat([u8; 12]),
    /// The conversation that this message was said in. To those who are no member of it the message does not exist.
    OfMessage(MessageId),
}

/// What a command does, for those who limit, order and retry commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// It reads. When it fails nothing has changed, and asking again does no harm.
    Reads,
    /// It stores something. When it fails for want of an answer the change may have been stored all the same.
    Writes,
    /// It tells others something that is in no log (that somebody types). It is lost when it fails, which does no harm.
    Ephemeral,
}

/// Something that can be asked of [`Chat`]: one of the commands, or [`Command`], which is any of them.
///
/// It cannot be implemented elsewhere, since every command has to be in the one list.
pub trait Request: Sized + Send + Sync + 'static + sealed::Sealed {
    /// What it is answered with.
    type Reply: Answer;

    /// The same, for those who look at what is asked before it is carried out.
    fn as_command(&self) -> CommandRef<'_>;

    /// What it does.
    fn class(&self) -> Class {
        self.as_command().class()
    }

    /// Carries it out as far as [`Chat::start`] says.
    #[doc(hidden)]
    fn start(
        self,
        chat: &Chat,
        actor: UserId,
    ) -> impl Future<Output = Result<Started<'_, Self::Reply>, Error>> + Send;
}

mod sealed {
    /// Keeps [`Request`](super::Request) to the commands of the list.
    pub trait Sealed {}
}

/// Makes of the list of commands what needs all of them.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident: $class:ident -> $reply:ty = $method:ident;)*) => {
        /// A request of a person: any of the commands. [`Chat::execute`](crate::chat::Chat::execute) carries it out. Whoever
        /// knows which command it is passes that one, and gets its own reply.
        ///
        /// # Example
        /// ```
        /// use chat_core::prelude::*;
        ///
        /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let chat = Chat::in_memory();
        /// # let ann = chat.register(Registration::named("ann", PasswordHash::new("…"))).await?.user;
        /// # chat.register(Registration::named("bob", PasswordHash::new("…"))).await?;
        /// let bob = || Destination::Person(UserKey::Username("bob".into()));
        /// // A client that is not sure sends again under the same name; nobody is told twice.
        /// let send = SendMessage {
        ///     to: bob(),
        ///     content: Content::text("Did you get this?"),
        ///     client_id: ClientId::new("ann-42"),
        ///     fingerprint: None,
        ///     context: Default::default(),
        /// };
        /// for _ in 0..2 {
        ///     chat.execute(&Actor { user: ann.id }, send.clone()).await?;
        /// }
        /// let read = ReadHistory { of: bob(), window: Window::Latest { limit: 50 }, include_deleted: false };
        /// let history = chat.execute(&Actor { user: ann.id }, read.clone()).await?.reply;
        /// assert_eq!(history.messages.len(), 1);
        ///
        /// // Where it is not known which command it is, any reply may come.
        /// let any: Command = read.into();
        /// match chat.execute(&Actor { user: ann.id }, any).await?.reply {
        ///     Reply::Messages(history) => assert_eq!(history.messages.len(), 1),
        ///     other => panic!("{other:?}"),
        /// }
        /// # Ok(()) }
        /// ```
        #[derive(Debug, Clone)]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        /// A command that somebody else has.
        #[derive(Debug, Clone, Copy)]
        pub enum CommandRef<'a> {
            $($(#[$doc])* $name(&'a $name),)*
        }

        impl CommandRef<'_> {
            /// What it does.
            pub fn class(self) -> Class {
                match self {
                    $(Self::$name(_) => Class::$class,)*
                }
            }

            /// Its name, the same as that of its struct: for logs and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }

        impl sealed::Sealed for Command {}

        impl Request for Command {
            type Reply = Reply;

            fn as_command(&self) -> CommandRef<'_> {
                match self {
                    $(Self::$name(command) => CommandRef::$name(command),)*
                }
            }

            async fn start(self, chat: &Chat, actor: UserId) -> Result<Started<'_, Reply>, Error> {
                match self {
                    $(Self::$name(command) => command.start(chat, actor).await.map(Started::any),)*
                }
            }
        }

        $(
            impl From<$name> for Command {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }

            impl sealed::Sealed for $name {}

            impl Request for $name {
                type Reply = $reply;

                fn as_command(&self) -> CommandRef<'_> {
                    CommandRef::$name(self)
                }

                async fn start(self, chat: &Chat, actor: UserId) -> Result<Started<'_, $reply>, Error> {
                    chat.$method(actor, self).await.map(Into::into)
                }
            }
        )*

        /// The names of all commands, to test that none is left out.
        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name),)*];
    };
}

commands! {
    /// Say something.
    SendMessage: Writes -> MessageView = send_message;
    /// Delete a message so that it can be restored.
    DeleteMessage: Writes -> MessageView = delete_message;
    /// Undo a deletion.
    RestoreMessage: Writes -> MessageView = restore_message;
    /// Give a message another text.
    EditMessage: Writes -> MessageView = edit_message;
    /// Read what a message said before it was edited.
    ReadEdits: Reads -> History = read_edits;
    /// Hide a message from oneself, or show it again.
    HideMessage: Writes -> MessageView = hide_message;
    /// Pin a message, or unpin it.
    PinMessage: Writes -> MessageView = pin_message;
    /// Read the pinned messages of a conversation.
    ListPins: Reads -> History = list_pins;
    /// Read what is in a thread.
    ReadThread: Reads -> ThreadHistory = read_thread;
    /// The threads that one follows.
    ListThreads: Reads -> ThreadPage = list_threads;
    /// Follow a thread, or stop.
    FollowThread: Writes -> MessageView = follow_thread;
    /// React to a message, or take a reaction back.
    SetReaction: Writes -> MessageView = set_reaction;
    /// Read what was said.
    ReadHistory: Reads -> History = history;
    /// Note how far one has read.
    MarkRead: Writes -> Option<ReadMark> = mark_read;
    /// The conversations in which something is unread.
    ListUnread: Reads -> Vec<Unread> = unread;
    /// Everybody but oneself.
    ListUsers: Reads -> Vec<Arc<User>> = users;
    /// People by the beginning of their user names.
    SearchUsers: Reads -> UserPage = search_users;
    /// The people one has talked with directly.
    ListChatPartners: Reads -> Vec<Arc<User>> = chat_partners;
    /// Read on in the log.
    ReadChanges: Reads -> Changes = read_changes;
    /// Look for messages by their words.
    Search: Reads -> Found = search;
    /// Change the own profile.
    UpdateProfile: Writes -> Arc<User> = update_profile;
    /// Block somebody, or change how far one is friends with them.
    ChangeRelation: Writes -> Related = change_relation;
    /// The people one blocks, friends, and requests for friendship.
    ListRelations: Reads -> RelatedPage = list_relations;
    /// Report a message or a person.
    CreateReport: Writes -> Report = create_report;
    /// The reports in a queue.
    ListReports: Reads -> ReportPage = list_reports;
    /// Note what was done about a report.
    ResolveReport: Writes -> Report = resolve_report;
    /// Who has received and who has read a message.
    ReadReceipts: Reads -> ReceiptPage = read_receipts;
    /// The conversations of the actor, the latest first.
    ListChats: Reads -> ChatPage = list_chats;
    /// Change one's settings for a conversation: muted, archived, pinned, draft.
    SetChatSettings: Writes -> ChatSet = set_chat_settings;
    /// The conversations for which one has settings.
    ListChatSettings: Reads -> ChatSetPage = list_chat_settings;
    /// Tell the others that one is typing, or has stopped.
    SetTyping: Ephemeral -> () = set_typing;
    /// Make a room.
    CreateRoom: Writes -> Arc<Conversation> = create_room;
    /// Bring somebody into a room.
    AddMember: Writes -> Arc<Conversation> = add_member;
    /// Take somebody out of a room.
    RemoveMember: Writes -> Arc<Conversation> = remove_member;
    /// Change what a member may do.
    SetRole: Writes -> Arc<Conversation> = set_role;
    /// Change what is said of a room, and its settings.
    UpdateRoom: Writes -> Arc<Conversation> = update_room;
    /// Keep somebody out of a room, or let them come in again.
    SetBan: Writes -> Arc<Conversation> = set_ban;
    /// Read who may not come into a room.
    ListBans: Reads -> BanPage = list_bans;
    /// Keep a member from speaking, or let them speak again.
    SetMute: Writes -> Arc<Conversation> = set_mute;
    /// Read who is in a conversation.
    ReadMembers: Reads -> MemberPage = read_members;
    /// The own login sessions.
    ListSessions: Reads -> SessionList = list_sessions;
    /// End one of them.
    EndSession: Writes -> EndedSessions = end_session;
    /// End all but one.
    EndOtherSessions: Writes -> EndedSessions = end_other_sessions;
}

/// What came of a command that was carried out.
#[derive(Debug, Clone)]
pub struct Outcome<T = Reply> {
    /// The answer to the one who asked.
    pub reply: T,
    /// What others (and the asker's other devices) are to be told. Everything in it is stored already.
    pub deliveries: Vec<Delivery>,
}

impl<T> Outcome<T> {
    /// An answer of which nobody else is told.
    pub(crate) fn reply_only(reply: T) -> Self {
        Self { reply, deliveries: Vec::new() }
    }

    /// The same with another answer.
    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { reply: map(self.reply), deliveries: self.deliveries }
    }
}
