//! What a person can ask for, and what is answered.

use std::sync::Arc;

use crate::epoch::{Epoch, LogPosition};
use crate::event::Delivery;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Content, Conversation, Fingerprint, MessageView, Position, ProfilePatch, Role, Seq, User,
    UserKey, Visibility,
};
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

/// How far something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadUpTo {
    /// Up to the last message there is.
    TheLast,
    /// Up to this place. Beyond the last message it means that one.
    Seq(Seq),
    /// Up to this message, which must be of that conversation; it may be deleted.
    Message(MessageId),
    /// Up to the last of these that is of that conversation; one must be.
    Messages(Vec<MessageId>),
}

/// A request of a person. [`Chat::execute`](crate::chat::Chat::execute) carries it out; which [`Reply`] answers it is said
/// at each.
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
/// let send = Command::Send {
///     to: bob(),
///     content: Content::text("Did you get this?"),
///     client_id: ClientId::new("ann-42"),
///     fingerprint: None,
/// };
/// for _ in 0..2 {
///     chat.execute(&Actor { user: ann.id }, send.clone()).await?;
/// }
/// let read = Command::History { of: bob(), window: Window::Latest { limit: 50 }, include_deleted: false };
/// let Reply::Messages(history) = chat.execute(&Actor { user: ann.id }, read).await?.reply else {
///     unreachable!("a history is answered with messages")
/// };
/// assert_eq!(history.messages.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub enum Command {
    /// Say something. Answered with [`Reply::Message`].
    Send {
        /// Where.
        to: Destination,
        /// What.
        content: Content,
        /// The client's own name for this send; a repeated one answers the first message again.
        client_id: Option<ClientId>,
        /// What a repeated send is known by when it has no name: the first message is answered again, as long as it is
        /// remembered ([`NewMessage::fingerprint`](crate::store::NewMessage::fingerprint)).
        fingerprint: Option<Fingerprint>,
    },
    /// Delete a message so that it can be restored. Deleting a deleted one succeeds and changes nothing.
    /// Answered with [`Reply::Message`].
    Delete {
        /// Which.
        message: MessageId,
    },
    /// Undo a deletion. Restoring what is not deleted succeeds and changes nothing.
    /// Answered with [`Reply::Message`].
    Restore {
        /// Which.
        message: MessageId,
    },
    /// Read what was said. Answered with [`Reply::Messages`].
    History {
        /// Where. With a person nobody has talked to yet the answer is empty.
        of: Destination,
        /// Which part.
        window: Window,
        /// Whether deleted messages are part of it.
        include_deleted: bool,
    },
    /// Note how far one has read. The mark only moves forward: if it is there already or farther, this succeeds and
    /// changes nothing. Only members have a mark. Answered with [`Reply::Read`].
    MarkRead {
        /// Where. With a person nobody has talked to yet there is nothing to note.
        of: Destination,
        /// How far.
        up_to: ReadUpTo,
    },
    /// The conversations in which something is unread, the one with the latest message first. Answered with
    /// [`Reply::Unread`].
    ListUnread {
        /// At most so many.
        limit: usize,
    },
    /// Everybody but oneself, in the order of their accounts. Answered with [`Reply::Users`].
    ListUsers {
        /// At most so many.
        limit: usize,
    },
    /// The people one has talked with directly, the latest first. Answered with [`Reply::Users`].
    ListChatPartners {
        /// At most so many.
        limit: usize,
    },
    /// Read on in the log: every change that one is told of. Answered with [`Reply::Changes`].
    Sync {
        /// What came after this; none to learn where to begin.
        since: Option<LogPosition>,
        /// At most so many.
        limit: usize,
    },
    /// Look for messages by their words, in the conversations one is a member of. Answered with [`Reply::Found`].
    Search(Search),
    /// Change the own profile. Answered with [`Reply::User`].
    UpdateProfile(ProfilePatch),
    /// Tell the others that one is typing, or has stopped. Answered with [`Reply::Done`].
    SetTyping {
        /// Where.
        to: Destination,
        /// Typing or not.
        typing: bool,
    },
    /// Make a room, as its admin. Answered with [`Reply::Conversation`].
    CreateRoom {
        /// Its name.
        name: String,
        /// Who may join by themselves.
        visibility: Visibility,
        /// Who is in besides oneself.
        members: Vec<UserId>,
    },
    /// Bring somebody into a room (or oneself into a public one). Answered with [`Reply::Conversation`].
    AddMember {
        /// The room.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Take somebody out of a room, or leave it. Answered with [`Reply::Conversation`].
    RemoveMember {
        /// The room.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Change what a member may do. Answered with [`Reply::Conversation`].
    SetRole {
        /// The room.
        room: ConversationId,
        /// Who.
        user: UserId,
        /// The new role.
        role: Role,
    },
}

/// What came of a command that was carried out.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The answer to the one who asked.
    pub reply: Reply,
    /// What others (and the asker's other devices) are to be told. Everything in it is stored already.
    pub deliveries: Vec<Delivery>,
}

/// The answer to a command.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Carried out; there is nothing more to say.
    Done,
    /// The message it was about.
    Message(MessageView),
    /// A part of a history.
    Messages(History),
    /// People.
    Users(Vec<Arc<User>>),
    /// One person.
    User(Arc<User>),
    /// The conversation it was about.
    Conversation(Arc<Conversation>),
    /// How far the conversation is read; none when nobody has talked there yet.
    Read(Option<ReadMark>),
    /// What is unread.
    Unread(Vec<Unread>),
    /// What happened.
    Changes(Changes),
    /// What was found.
    Found(Found),
}

/// How far somebody has read a conversation.
#[derive(Debug, Clone)]
pub struct ReadMark {
    /// Which.
    pub conversation: Arc<Conversation>,
    /// The last message that they have read; 0 when they have read none.
    pub seq: Seq,
}

/// A conversation in which something is unread.
#[derive(Debug, Clone)]
pub struct Unread {
    /// Which.
    pub conversation: Arc<Conversation>,
    /// In a direct conversation the other one; none in rooms.
    pub other: Option<Arc<User>>,
    /// Of the last message.
    pub last_seq: Seq,
    /// How far it is read.
    pub read_seq: Seq,
    /// How many messages of others after that are not deleted, counted up to
    /// [`UNREAD_MOST`](crate::store::UNREAD_MOST). This is not the distance between the two: that would count one's own
    /// messages and deleted ones.
    pub unread: u32,
}

/// A part of the log, as far as it concerns one person.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The changes in order, as they were delivered then; messages, rooms and people as they are now.
    pub deliveries: Vec<Delivery>,
    /// Where to go on.
    pub next: Position,
    /// Of which epoch all these positions are.
    pub epoch: Option<Epoch>,
    /// Whether there is more of the log, though perhaps nothing for this person.
    pub more: bool,
    /// What was asked for is not known any more: everything has to be loaded afresh, and then followed from
    /// [`Self::next`].
    pub reset: bool,
}

/// A part of a conversation's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The messages, the oldest first.
    pub messages: Vec<MessageView>,
    /// Whether there are more beyond the window's open end.
    pub has_more: bool,
}

impl History {
    /// Of a window at the end or before a place: before what the next page is; none when there is none.
    pub fn next_before(&self) -> Option<Seq> {
        self.messages.first().filter(|_| self.has_more).map(|view| view.message.seq)
    }
}
