//! One command from beginning to end: validate, look up, authorise, encode, store; then say what others are to be
//! told. Nothing here tells them.

mod decoding;
mod last_seen;
mod newest;
mod reading;
mod rooms;
mod search;
mod sync;
mod unreadable;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

pub use self::decoding::Work;
use self::decoding::{Background, Budget, take_turns};
use self::last_seen::LastSeen;
use self::newest::Newest;
use self::rooms::room_delivery;
use self::unreadable::Unreadable;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::codec::{Codec, HuffmanCodec, Kind};
use crate::command::{Actor, Command, Destination, History, Outcome, Reply};
use crate::damage;
use crate::directory::Directory;
use crate::epoch::Epoch;
use crate::error::Error;
use crate::event::{Audience, Delivery, Event, Mention};
use crate::history::Window;
use crate::id::{ConversationId, IdSource, MessageId, ObjectIds, UserId};
use crate::model::{
    ClientId, Content, Conversation, Fingerprint, Message, MessageView, NewUser, Pair, PasswordHash,
    Position, ProfilePatch, Tombstone, User, UserKey,
};
use crate::policy::{self, Limits};
use crate::store::{
    Appended, Change, CreatedUser, LoggedChange, MemoryStore, NewMessage, Store, StoredMessage,
};

/// The chat: everything that can be asked of it, over a store.
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
/// let command = Command::Send {
///     to: Destination::Person(UserKey::Id(bob.id)),
///     content: Content::text("hello"),
///     client_id: None,
///     fingerprint: None,
/// };
/// // When this returns, the message is stored; now others may be told of it.
/// let outcome = chat.execute(&Actor { user: ann.id }, command).await?;
/// let delivery = &outcome.deliveries[0];
/// assert!(delivery.audience.includes(bob.id));
///
/// // Whoever was away reads the same deliveries again, from the position they have seen last.
/// let missed = chat.changes_after(Position(0), 100).await?.unwrap_or_default();
/// assert_eq!(missed[0].position, delivery.position);
/// # Ok(()) }
/// ```
pub struct Chat {
    store: Arc<dyn Store>,
    directory: Directory,
    codec: Arc<dyn Codec>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    limits: Limits,
    background: Background,
    last_seen: LastSeen,
    newest: Newest,
    unreadable: Unreadable,
    epoch: parking_lot::Mutex<Option<Epoch>>,
}

/// What somebody gives to get an account. At least one of user name and address is needed.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The unique user name.
    pub username: Option<String>,
    /// The unique e-mail address.
    pub email: Option<String>,
    /// The name to show; the user name when empty.
    pub full_name: String,
    /// What the password was hashed to.
    pub password_hash: PasswordHash,
}

impl Registration {
    /// An account with a user name alone.
    pub fn named(username: impl Into<String>, password_hash: PasswordHash) -> Self {
        Self { username: Some(username.into()), email: None, full_name: String::new(), password_hash }
    }

    /// The same in the form in which it is kept. What looks only at the form itself is refused here, for those who want
    /// to know before they have a password hashed.
    ///
    /// # Errors
    /// When a field has not the form it must have.
    pub fn checked(self) -> Result<Self, Error> {
        let username = self.username.as_deref().map(policy::check_username).transpose()?;
        let email = self.email.as_deref().map(policy::check_email).transpose()?;
        let full_name = match (self.full_name.as_str(), &username) {
            ("", Some(username)) => username.clone(),
            (full_name, _) => policy::check_display_name("fullName", full_name)?.to_owned(),
        };
        if username.is_none() && email.is_none() {
            return Err(Error::Invalid { field: "username", problem: "is missing" });
        }
        Ok(Self { username, email, full_name, password_hash: self.password_hash })
    }
}

/// What came of a registration.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The new person.
    pub user: Arc<User>,
    /// What others are to be told.
    pub deliveries: Vec<Delivery>,
}

/// A command whose change has been handed to the store.
pub enum Started<'a> {
    /// It is stored, or there was nothing to store.
    Done(Outcome),
    /// It is about to be stored.
    Storing(Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send + 'a>>),
}

impl Chat {
    /// A chat over this store, with the system's clock, random ids, Huffman compression and the default limits.
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
            epoch: parking_lot::Mutex::default(),
        }
    }

    /// A chat that forgets everything when it is dropped.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStore::new()))
    }

    /// With another clock.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// With another source of ids.
    pub fn with_ids(self, ids: Arc<dyn IdSource>) -> Self {
        Self { ids, ..self }
    }

    /// With another codec. It writes new bodies, and reads old ones: those of every built-in codec ever used.
    pub fn with_codec(self, codec: Arc<dyn Codec>) -> Self {
        Self { codec, ..self }
    }

    /// With other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// With a place for long computations, such as decoding a large file: `run` must run what it is given soon, on a
    /// thread that serves nobody else, or drop it. Without one they run on the thread that asks for them.
    pub fn with_background(self, run: impl Fn(Work) + Send + Sync + 'static) -> Self {
        Self { background: Background::new(run), ..self }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What time it is here.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes an account.
    ///
    /// # Errors
    /// When a field has not the form it must have, or the name or address is taken.
    pub async fn register(&self, registration: Registration) -> Result<Registered, Error> {
        let Registration { username, email, full_name, password_hash } = registration.checked()?;
        let now = self.clock.now();
        let user = User {
            id: UserId::from_bytes(self.ids.next(now)),
            username,
            email,
            full_name,
            picture: String::new(),
            created_at: now,
            updated_at: now,
            last_seen: None,
        };
        match self.store.create_user(NewUser::new(user, password_hash)).await? {
            CreatedUser::Created(user) => {
                let deliveries = vec![registered(user.clone())];
                Ok(Registered { user, deliveries })
            }
            CreatedUser::UsernameTaken => Err(Error::UsernameTaken),
            CreatedUser::EmailTaken => Err(Error::EmailTaken),
        }
    }

    /// Looks a person up together with their password's hash, for the one who verifies passwords.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, Error> {
        let found = self.store.credentials(&key.folded()).await?;
        match key.canonical() {
            Some(canonical) if found.is_none() => Ok(self.store.credentials(&canonical).await?),
            _ => Ok(found),
        }
    }

    /// Puts another hash of the same password in the place of one, if it is still there; answers whether it was.
    /// Nobody is told of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, Error> {
        Ok(self.store.set_password_hash(user, old, new).await?)
    }

    /// Looks a person up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_user(&self, key: &UserKey) -> Result<Option<Arc<User>>, Error> {
        Ok(self.directory.find_user(key).await?.map(|user| self.shown(user)))
    }

    /// Carries out a command. When this returns `Ok`, all of it is stored.
    ///
    /// Run it to its end: a future that is dropped half-way may have stored its change, and then nobody is told of it.
    ///
    /// # Errors
    /// When the command is malformed, not allowed, or the store fails; then nothing has changed.
    pub async fn execute(&self, actor: &Actor, command: Command) -> Result<Outcome, Error> {
        match self.start(actor, command).await? {
            Started::Done(outcome) => Ok(outcome),
            Started::Storing(storing) => storing.await,
        }
    }

    /// Carries out a command as far as handing its change to the store. A [`Command::Send`] then waits to be stored;
    /// whoever starts several in order has them stored and announced in that order, without one waiting for the
    /// other. Every other command is carried out completely.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn start(&self, actor: &Actor, command: Command) -> Result<Started<'_>, Error> {
        let actor = actor.user;
        let outcome = match command {
            Command::Send { to, content, client_id, fingerprint } => {
                return self.start_send(actor, &to, content, (client_id, fingerprint)).await;
            }
            Command::Delete { message } => self.set_deleted(actor, message, true).await,
            Command::Restore { message } => self.set_deleted(actor, message, false).await,
            Command::History { of, window, include_deleted } => {
                self.history(actor, &of, window, include_deleted).await.map(Reply::Messages).map(quietly)
            }
            Command::MarkRead { of, up_to } => self.mark_read(actor, &of, up_to).await,
            Command::ListUnread { limit } => self.unread(actor, limit).await.map(Reply::Unread).map(quietly),
            Command::ListUsers { limit } => {
                let mut users = self.store.users(limit.saturating_add(1)).await?;
                users.retain(|user| user.id != actor);
                users.truncate(limit);
                let users = users.into_iter().map(|user| self.shown(user)).collect();
                Ok(quietly(Reply::Users(users)))
            }
            Command::ListChatPartners { limit } => self.chat_partners(actor, limit).await,
            Command::Sync { since, limit } => {
                self.sync(actor, since, limit).await.map(Reply::Changes).map(quietly)
            }
            Command::Search(search) => self.search(actor, &search).await.map(Reply::Found).map(quietly),
            Command::UpdateProfile(patch) => self.update_profile(actor, patch).await,
            Command::SetTyping { to, typing } => self.set_typing(actor, &to, typing).await,
            Command::CreateRoom { name, visibility, members } => {
                self.create_room(actor, &name, visibility, members).await
            }
            Command::AddMember { room, user } => self.add_member(actor, room, user).await,
            Command::RemoveMember { room, user } => self.remove_member(actor, room, user).await,
            Command::SetRole { room, user, role } => self.set_role(actor, room, user, role).await,
        };
        outcome.map(Started::Done)
    }

    /// What happened after a position, as the same deliveries that [`Self::execute`] returned then, in order and
    /// at most `limit`, and fewer when their texts take more than [`Limits::answer_bytes`], though never none because of
    /// that; none when some of it has been forgotten ([`ChangeLog::forget_before`]). What has meanwhile ceased to be (a
    /// user of a message that cannot be loaded) is an error where it is the first; otherwise what comes before it is answered.
    ///
    /// Another process may have made the changes: what was remembered here of the rooms and people they are about is
    /// looked up again, also for commands that come later. Until this has been called, commands go by what was so
    /// before.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// [`ChangeLog::forget_before`]: crate::store::ChangeLog::forget_before
    pub async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<Delivery>>, Error> {
        let Some(changes) = self.store.changes_after(position, limit).await? else { return Ok(None) };
        for logged in &changes {
            self.directory.forget_changed(&logged.change);
            self.newest.heard(&logged.change);
        }
        let mut deliveries = Vec::with_capacity(changes.len());
        let mut budget = Budget::new(self.limits.answer_bytes);
        for LoggedChange { position, change } in changes {
            match self.delivery(position, change, &mut budget).await {
                Ok(Some(delivery)) => deliveries.push(delivery),
                Ok(None) => break,
                Err(error) => {
                    if damage::is_damage(&error) {
                        damage::report(&self.store.place(), "log", &position.0, &error);
                        // What comes before it is not lost with it.
                        if !deliveries.is_empty() {
                            break;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(Some(deliveries))
    }

    /// What is to be told of something that another node mentioned. None when there is nothing to tell: somebody or
    /// something in it is not known, or the typist is no member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mention(&self, mention: Mention) -> Result<Option<Delivery>, Error> {
        match mention {
            Mention::Registered { user } => {
                Ok(self.directory.find_user(&UserKey::Id(user)).await?.map(registered))
            }
            Mention::Typing { conversation, user, typing } => {
                let Some(conversation) = self.directory.find_conversation(conversation).await? else {
                    return Ok(None);
                };
                if conversation.member(user).is_none() {
                    return Ok(None);
                }
                let user = self.directory.find_user(&UserKey::Id(user)).await?;
                Ok(user.map(|user| typing_changed(conversation, user, typing)))
            }
        }
    }

    /// Forgets what is remembered of a person: another process has noted when they were last seen.
    pub fn forget_user(&self, user: UserId) {
        self.directory.forget_user(user);
    }

    async fn start_send(
        &self,
        actor: UserId,
        to: &Destination,
        content: Content,
        (client_id, fingerprint): (Option<ClientId>, Option<Fingerprint>),
    ) -> Result<Started<'_>, Error> {
        policy::check_content(&content, &self.limits)?;
        let conversation = self.open(actor, to).await?;
        policy::must_be_member(actor, &conversation)?;
        let sender = self.directory.user(actor).await?;
        let recipient = self.directory.recipient(&conversation, actor).await?;

        let kind = if content.file_name.is_some() { Kind::File } else { Kind::Message };
        let body = self.encode_body(kind, &content.text).await;
        let now = self.clock.now();
        // Handed over before the message, so that no message is stored without it.
        let noting = self.last_seen.note(&self.store, actor, now).await;
        let id = MessageId::from_bytes(self.ids.next(now));
        let new = NewMessage {
            id,
            conversation: conversation.id,
            sender: actor,
            body,
            file_name: content.file_name.clone(),
            image: content.image.clone(),
            client_id,
            fingerprint,
            at: now,
        };
        let mut storing = Box::pin(async move {
            let appended = self.store.append(new).await;
            if let Some(noting) = noting
                && let Err(error) = noting.await
            {
                // It is tried again with the next message.
                self.last_seen.is_not_covered(actor);
                crate::log_throttled!(warn, %error, "when a person was last seen could not be stored");
            }
            let (position, seq) = match appended? {
                Appended::New { position, seq } => (position, seq),
                Appended::Repeated(first) => {
                    let conversation = self.directory.conversation(first.conversation).await?;
                    let view = self.view(*first, &conversation).await?;
                    return Ok(quietly(Reply::Message(view)));
                }
            };
            self.newest.said(conversation.id, (seq, id, actor));
            let message = Message {
                id,
                conversation: conversation.id,
                seq,
                sender: actor,
                content,
                created_at: now,
                updated_at: now,
                deleted: None,
            };
            let view = MessageView { message, sender, recipient };
            let deliveries = vec![to_members(position, &conversation, Event::MessageSent(view.clone()))];
            Ok(Outcome { reply: Reply::Message(view), deliveries })
        });
        // The first poll hands the change to the store; see its guarantee "in order of asking".
        match poll_fn(|cx| Poll::Ready(storing.as_mut().poll(cx))).await {
            Poll::Ready(outcome) => outcome.map(Started::Done),
            Poll::Pending => Ok(Started::Storing(storing)),
        }
    }

    async fn set_deleted(&self, actor: UserId, id: MessageId, delete: bool) -> Result<Outcome, Error> {
        let stored = self.store.message(id).await?.ok_or(Error::MessageNotFound)?;
        let conversation = self.directory.conversation(stored.conversation).await?;
        // Before the text is decoded: how long that takes would tell a stranger that there is something.
        policy::must_be_member(actor, &conversation).map_err(|_| Error::MessageNotFound)?;
        let view = self.view(stored, &conversation).await?;
        if delete {
            policy::may_delete(actor, &view.message, &conversation)?;
        } else {
            policy::may_restore(actor, &view.message, &conversation)?;
        }
        let now = self.clock.now();
        let tombstone = delete.then_some(Tombstone { at: now, by: actor });
        let changed = self.store.set_deleted(id, tombstone, now).await?;
        let (position, stored) = changed.ok_or(Error::MessageNotFound)?;
        let message = Message { updated_at: stored.updated_at, deleted: stored.deleted, ..view.message };
        let view = MessageView { message, ..view };
        let event = if delete { Event::MessageDeleted } else { Event::MessageRestored };
        let deliveries = position.map(|position| to_members(position, &conversation, event(view.clone())));
        Ok(Outcome { reply: Reply::Message(view), deliveries: deliveries.into_iter().collect() })
    }

    async fn history(
        &self,
        actor: UserId,
        of: &Destination,
        window: Window,
        include_deleted: bool,
    ) -> Result<History, Error> {
        let Some(conversation) = self.find(actor, of).await? else { return Ok(History::default()) };
        policy::must_be_member(actor, &conversation)?;
        // From the end at which the window begins, so that what finds no room is what the next page begins with.
        let newest_first = !matches!(window, Window::After { .. });
        // A page has few speakers, so each is looked up once. Of some there is no account any more.
        let mut people: Vec<(UserId, Option<Speaker>)> = Vec::new();
        let mut messages = Vec::new();
        let mut budget = Budget::new(self.limits.answer_bytes);
        let mut next = window;
        let has_more = 'pages: loop {
            let (mut stored, has_more) = self.store.history(conversation.id, next, include_deleted).await?;
            if newest_first {
                stored.reverse();
            }
            let (count, mut last) = (stored.len(), None);
            let before = messages.len();
            for stored in stored {
                let (id, seq, sender) = (stored.id, stored.seq, stored.sender);
                last = Some(seq);
                let known =
                    people.iter().find(|(person, _)| *person == sender).map(|(_, known)| known.clone());
                let speaker = match known {
                    Some(known) => known,
                    None => {
                        let found = self.speaker(&conversation, sender).await;
                        let found = damage::sound(&*self.store, found, "messages", &id)?;
                        people.push((sender, found.clone()));
                        found
                    }
                };
                let Some((sender, recipient)) = speaker else {
                    self.unreadable.note(conversation.id, seq, id);
                    continue;
                };
                let decoded = self.decode_within(stored, &mut budget).await.map_err(Error::from);
                match damage::sound(&*self.store, decoded, "messages", &id)? {
                    Some(Some(message)) => messages.push(MessageView { message, sender, recipient }),
                    Some(None) => break 'pages true,
                    None => self.unreadable.note(conversation.id, seq, id),
                }
            }
            let left_out = count - (messages.len() - before);
            let missing = window.limit().saturating_sub(messages.len());
            let Some(last) = last.filter(|_| has_more && left_out > 0 && missing > 0) else { break has_more };
            // What was left out takes nobody's place: a page that ended there would be the last that is asked for.
            next = match window {
                Window::Latest { .. } | Window::Before { .. } => Window::Before { seq: last, limit: missing },
                Window::After { .. } => Window::After { seq: last, limit: missing },
                // These are found by counting, damaged or not.
                Window::Page { .. } => break has_more,
            };
            take_turns().await;
        };
        if newest_first {
            messages.reverse();
        }
        Ok(History { messages, has_more })
    }

    /// Who says something in a conversation, and to whom.
    async fn speaker(&self, conversation: &Conversation, sender: UserId) -> Result<Speaker, Error> {
        let recipient = self.directory.recipient(conversation, sender).await?;
        Ok((self.directory.user(sender).await?, recipient))
    }

    async fn chat_partners(&self, actor: UserId, limit: usize) -> Result<Outcome, Error> {
        let mut users = Vec::new();
        for id in self.store.chat_partners(actor, limit).await? {
            let user = self.directory.user(id).await;
            users.extend(damage::sound(&*self.store, user, "users", &id)?.map(|user| self.shown(user)));
        }
        Ok(quietly(Reply::Users(users)))
    }

    async fn update_profile(&self, actor: UserId, mut patch: ProfilePatch) -> Result<Outcome, Error> {
        if let Some(name) = &patch.full_name {
            patch.full_name = Some(policy::check_display_name("fullName", name)?.to_owned());
        }
        let updated = self.store.update_profile(actor, patch, self.clock.now()).await?;
        let (position, user) = updated.ok_or(Error::UserNotFound)?;
        self.directory.forget_user(actor);
        let user = self.shown(user);
        let event = Event::ProfileUpdated(user.clone());
        let delivery = Delivery { position: Some(position), audience: Audience::Everyone, event };
        Ok(Outcome { reply: Reply::User(user), deliveries: vec![delivery] })
    }

    async fn set_typing(&self, actor: UserId, to: &Destination, typing: bool) -> Result<Outcome, Error> {
        let conversation = self.open(actor, to).await?;
        policy::must_be_member(actor, &conversation)?;
        let user = self.directory.user(actor).await?;
        Ok(Outcome { reply: Reply::Done, deliveries: vec![typing_changed(conversation, user, typing)] })
    }

    /// A conversation as it is; none when nobody has opened it yet.
    async fn find(&self, actor: UserId, of: &Destination) -> Result<Option<Arc<Conversation>>, Error> {
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
                Ok(self.directory.open_direct(pair, fresh).await?)
            }
            Place::There(conversation) => Ok(conversation),
        }
    }

    /// What is meant by a destination.
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

    async fn view(&self, stored: StoredMessage, conversation: &Conversation) -> Result<MessageView, Error> {
        let sender = self.directory.user(stored.sender).await?;
        let recipient = self.directory.recipient(conversation, stored.sender).await?;
        Ok(MessageView { message: self.decode(stored).await?, sender, recipient })
    }

    /// The same as far as the budget goes; none when it has no room.
    async fn view_within(
        &self,
        stored: StoredMessage,
        conversation: &Conversation,
        budget: &mut Budget,
    ) -> Result<Option<MessageView>, Error> {
        let sender = self.directory.user(stored.sender).await?;
        let recipient = self.directory.recipient(conversation, stored.sender).await?;
        let message = self.decode_within(stored, budget).await?;
        Ok(message.map(|message| MessageView { message, sender, recipient }))
    }

    /// What is told of a change; none when the budget has no room for its message.
    async fn delivery(
        &self,
        position: Position,
        change: Change,
        budget: &mut Budget,
    ) -> Result<Option<Delivery>, Error> {
        Ok(Some(match change {
            Change::MessageSent(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageSent).await;
            }
            Change::MessageDeleted(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageDeleted).await;
            }
            Change::MessageRestored(stored) => {
                return self.message_delivery(position, stored, budget, Event::MessageRestored).await;
            }
            Change::RoomCreated { room, by } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::RoomCreated { room, by })
            }
            Change::MemberAdded { room, user } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::MemberAdded { room, user })
            }
            Change::MemberRemoved { room, user } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::MemberRemoved { room, user })
            }
            Change::RoleChanged { room, user, role } => {
                let room = self.directory.conversation(room).await?;
                room_delivery(position, room.clone(), Event::RoleChanged { room, user, role })
            }
            Change::ReadMarked { conversation, user, seq } => {
                self.logged_read(position, (conversation, user, seq)).await?
            }
            Change::ProfileUpdated { user } => Delivery {
                position: Some(position),
                audience: Audience::Everyone,
                event: Event::ProfileUpdated(self.shown(self.directory.user(user).await?)),
            },
        }))
    }

    async fn message_delivery(
        &self,
        position: Position,
        stored: StoredMessage,
        budget: &mut Budget,
        event: impl FnOnce(MessageView) -> Event,
    ) -> Result<Option<Delivery>, Error> {
        let conversation = self.directory.conversation(stored.conversation).await?;
        let view = self.view_within(stored, &conversation, budget).await?;
        Ok(view.map(|view| to_members(position, &conversation, event(view))))
    }
}

/// Somebody, and to whom they speak.
type Speaker = (Arc<User>, Option<Arc<User>>);

/// What is meant by a destination.
enum Place {
    /// The direct conversation of these two, which may not be there yet.
    Direct(Pair),
    /// A conversation.
    There(Arc<Conversation>),
}

fn quietly(reply: Reply) -> Outcome {
    Outcome { reply, deliveries: Vec::new() }
}

fn to_members(position: Position, conversation: &Arc<Conversation>, event: Event) -> Delivery {
    Delivery { position: Some(position), audience: Audience::Members(conversation.clone()), event }
}

fn typing_changed(conversation: Arc<Conversation>, user: Arc<User>, typing: bool) -> Delivery {
    let others = conversation.members.iter().map(|member| member.user).filter(|member| *member != user.id);
    let audience = Audience::Users(others.collect());
    Delivery { position: None, audience, event: Event::TypingChanged { conversation, user, typing } }
}

fn registered(user: Arc<User>) -> Delivery {
    Delivery { position: None, audience: Audience::Everyone, event: Event::UserRegistered(user) }
}

#[cfg(test)]
mod tests;
