//! Executes commands. Each command is validated, looked up, authorised, encoded and stored; its result says what to
//! deliver to other users. The delivery itself happens elsewhere.

mod chats;
mod decoding;
mod ephemeral;
pub(crate) mod hidden;
mod last_seen;
mod message;
mod newest;
mod people;
mod reading;
mod receipts;
mod relations;
mod room;
mod search;
mod sessions;
mod settings;
mod sync;
mod unreadable;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use self::decoding::Background;
pub(crate) use self::decoding::Budget;
pub use self::decoding::Work;
use self::last_seen::LastSeen;
use self::newest::Newest;
pub use self::people::{Registered, Registration};
pub use self::sessions::{FirstToken, SessionLives, TokenUse};
use self::unreadable::Unreadable;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::codec::{Codec, HuffmanCodec};
use crate::command::{Actor, Answer, Destination, Outcome, Reply, Request};
use crate::directory::Directory;
use crate::epoch::Epoch;
use crate::error::Error;
use crate::id::{ConversationId, IdSource, ObjectIds, UserId};
use crate::model::{Conversation, Pair, UserKey};
use crate::policy::{self, Limits};
use crate::store::{MemoryStore, Store};

/// The chat: executes all commands, over a store.
///
/// # Example
/// ```
/// use chat_core::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Chat::in_memory(); // or `Chat::new(Arc::new(store))`
/// let ann = chat.register(Registration::named("ann", PasswordHash::new("$2b$…"))).await?.user;
/// let bob = chat.register(Registration::named("bob", PasswordHash::new("$2b$…"))).await?.user;
///
/// let command = SendMessage {
///     to: Destination::Person(UserKey::Id(bob.id)),
///     content: Content::text("hello"),
///     client_id: None,
///     fingerprint: None,
///     context: Default::default(),
/// };
/// // When this returns, the message is stored and may be delivered.
/// let outcome = chat.execute(&Actor { user: ann.id }, command).await?;
/// assert_eq!(&*outcome.reply.message.content.text, "hello");
/// let delivery = &outcome.deliveries[0];
/// assert!(delivery.audience.includes(bob.id));
///
/// // A user who was away reads the same deliveries later, from the last position that the user has seen.
/// let missed = chat.changes_after(Position(0), 100).await?.unwrap_or_default();
/// assert_eq!(missed[0].position, delivery.position);
/// # Ok(()) }
/// ```
pub struct Chat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Directory,
    codec: Arc<dyn Codec>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    limits: Limits,
    background: Background,
    last_seen: LastSeen,
    pub(crate) newest: Newest,
    unreadable: Unreadable,
    delivered: receipts::Delivered,
    operators: HashSet<String>,
    epoch: parking_lot::Mutex<Option<Epoch>>,
}

/// A command whose change has been handed to the store.
pub enum Started<'a, T = Reply> {
    /// The change is stored, or there was nothing to store.
    Done(Outcome<T>),
    /// The change is being stored.
    Storing(Storing<'a, T>),
}

/// Resolves to the outcome of a command once its change is stored.
pub type Storing<'a, T = Reply> = Pin<Box<dyn Future<Output = Result<Outcome<T>, Error>> + Send + 'a>>;

impl<'a, T: Answer> Started<'a, T> {
    /// Erases the type of the reply, for callers that do not know which command it is.
    pub(crate) fn any(self) -> Started<'a> {
        match self {
            Self::Done(outcome) => Started::Done(outcome.map(Into::into)),
            Self::Storing(storing) => {
                Started::Storing(Box::pin(async move { Ok(storing.await?.map(Into::into)) }))
            }
        }
    }
}

impl<T> From<Outcome<T>> for Started<'_, T> {
    fn from(outcome: Outcome<T>) -> Self {
        Self::Done(outcome)
    }
}

impl Chat {
    /// Creates a chat over this store, with the system's clock, random ids, Huffman compression and the default
    /// limits.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            directory: Directory::new(store.clone()),
            store,
            codec: Arc::new(HuffmanCodec::new()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(ObjectIds::new()),
            limits: Limits::default(),
            background: Background::default(),
            last_seen: LastSeen::default(),
            newest: Newest::default(),
            unreadable: Unreadable::default(),
            delivered: receipts::Delivered::default(),
            operators: HashSet::new(),
            epoch: parking_lot::Mutex::default(),
        }
    }

    /// Names the operators, by user name or e-mail address: the users who see the [reports](crate::reports) that are not
    /// for the moderators of a room.
    pub fn with_operators(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { operators: names.into_iter().map(|name| name.to_lowercase()).collect(), ..self }
    }

    /// Whether a user is an operator.
    pub(crate) async fn is_operator(&self, user: UserId) -> Result<bool, Error> {
        if self.operators.is_empty() {
            return Ok(false);
        }
        let user = self.directory.user(user).await?;
        let names = [&user.username, &user.email].into_iter().flatten();
        Ok(names.into_iter().any(|name| self.operators.contains(&name.to_lowercase())))
    }

    /// A new id.
    pub(crate) fn next_id(&self, at: Timestamp) -> [u8; 12] {
        self.ids.next(at)
    }

    /// Creates a chat that keeps its data in memory only.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStore::new()))
    }

    /// Uses another clock.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Uses another source of ids.
    pub fn with_ids(self, ids: Arc<dyn IdSource>) -> Self {
        Self { ids, ..self }
    }

    /// Uses another codec for new bodies. It must also read all old bodies: those of every built-in codec that was
    /// ever used.
    pub fn with_codec(self, codec: Arc<dyn Codec>) -> Self {
        Self { codec, ..self }
    }

    /// Uses other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets where long computations run, such as decoding a large file. `run` must either run the work soon, on a
    /// thread that may block, or drop it. By default they run on the calling thread.
    pub fn with_background(self, run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self { background: Background::new(run), ..self }
    }

    /// The underlying store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The current time of the chat's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Executes a command. When this returns `Ok`, its change is completely stored.
    ///
    /// Poll the future to completion. If it is dropped before that, its change may be stored although no delivery is
    /// made for it.
    ///
    /// # Errors
    /// When the command is malformed or not allowed, or the store fails; then nothing has changed.
    pub async fn execute<R: Request>(&self, actor: &Actor, request: R) -> Result<Outcome<R::Reply>, Error> {
        match self.start(actor, request).await? {
            Started::Done(outcome) => Ok(outcome),
            Started::Storing(storing) => storing.await,
        }
    }

    /// Executes a command up to the point where its change is handed to the store. A
    /// [`SendMessage`](crate::command::SendMessage) then waits to be stored. A caller that starts several in order
    /// has them stored and announced in that order, without waiting for one before the next. Every other command is
    /// executed completely.
    ///
    /// # Errors
    /// The same as [`Self::execute`].
    pub async fn start<R: Request>(&self, actor: &Actor, request: R) -> Result<Started<'_, R::Reply>, Error> {
        request.start(self, actor.user).await
    }

    /// A new unique id of something that is created at this time.
    pub(crate) fn new_id(&self, at: Timestamp) -> [u8; 12] {
        self.ids.next(at)
    }

    /// The conversation in its current state; none when it has not been opened yet.
    pub(crate) async fn find(
        &self,
        actor: UserId,
        of: &Destination,
    ) -> Result<Option<Arc<Conversation>>, Error> {
        match self.place(actor, of).await? {
            Place::Direct(pair) => Ok(self.directory.find_direct(pair).await?),
            Place::There(conversation) => Ok(Some(conversation)),
        }
    }

    async fn open(&self, actor: UserId, to: &Destination) -> Result<Arc<Conversation>, Error> {
        match self.place(actor, to).await? {
            Place::Direct(pair) => {
                let fresh = || {
                    let now = self.clock.now();
                    (ConversationId::from_bytes(self.ids.next(now)), now)
                };
                if let Some(found) = self.directory.find_direct(pair).await? {
                    return Ok(found);
                }
                // A blocked user must not cause a conversation to be opened.
                if let Some(peer) = pair.other(actor).filter(|peer| *peer != actor) {
                    policy::may_reach(self.relation(actor, peer).await?)?;
                }
                Ok(self.directory.open_direct(pair, fresh).await?)
            }
            Place::There(conversation) => Ok(conversation),
        }
    }

    /// Resolves a destination.
    async fn place(&self, actor: UserId, of: &Destination) -> Result<Place, Error> {
        match of {
            Destination::Person(key) => {
                let person = self.directory.find_user(key).await?.ok_or(Error::UserNotFound)?;
                Ok(Place::Direct(Pair::new(actor, person.id)))
            }
            Destination::Conversation(id) => self.directory.conversation(*id).await.map(Place::There),
            Destination::Chat(id) => {
                let person = UserKey::Id(UserId::from_bytes(*id));
                if let Some(person) = self.directory.find_user(&person).await? {
                    return Ok(Place::Direct(Pair::new(actor, person.id)));
                }
                self.directory.conversation(ConversationId::from_bytes(*id)).await.map(Place::There)
            }
            Destination::OfMessage(id) => {
                let message = self.store.message(*id).await?.ok_or(Error::MessageNotFound)?;
                let conversation = self.directory.conversation(message.conversation).await?;
                policy::must_be_member(actor, &conversation).map_err(|_| Error::MessageNotFound)?;
                Ok(Place::There(conversation))
            }
        }
    }
}

/// A resolved destination.
enum Place {
    /// The direct conversation of these two users, which may not exist yet.
    Direct(Pair),
    /// An existing conversation.
    There(Arc<Conversation>),
}

#[cfg(test)]
mod tests;
