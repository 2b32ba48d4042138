//! What clauses share: short names for ids and moments, the usual requests, and a picture of a whole store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Timestamp;
use crate::codec::{Blob, Encoding};
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, Member, NewUser, Pair, PasswordHash, Position, Role, RoomInfo, Seq, User,
    UserKey, Visibility,
};
use crate::store::{
    Activity, AddMember, Appended, ChatSummary, CreatedUser, Facets, LoggedChange, NewMessage, NewRoom,
    PersonalChanges, RemoveMember, RoomChange, Row, SetDeleted, SetRole, Store, StoreError, StoredMessage,
    Table, UnreadCount,
};

/// Strings that some driver might take for something else than data.
pub(super) const ODD_TEXTS: &[&str] = &[
    "%",
    "_",
    "%a%",
    "a_c",
    "abc",
    "'; DROP TABLE users; --",
    "\"quoted\"",
    "`ticks`",
    "back\\slash",
    "tab\there",
    "line\nbreak\r\n",
    "\u{1}\u{1b}[31m\u{7f}",
    "  spaces around  ",
    "spaces around",
    "*?[a-z]{1}",
    "$where",
    "$1 ?1 :name @name",
    "a.b",
    "{\"$gt\":\"\"}",
    "null",
    "0",
    "00",
    "1e3",
    "žofie",
    "zofie",
    "e\u{301}",
    "\u{e9}",
    "日本語",
    "👩‍👩‍👧‍👦",
    "\u{202e}right to left",
    "\u{feff}bom",
    "\u{fffd}",
    "\u{10ffff}",
    "",
];

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Ids that share all bytes but the last two.
const fn bytes(n: u16) -> [u8; 12] {
    let [high, low] = n.to_be_bytes();
    [0x65, 0x53, 0xf1, 0x00, 0xff, 0xfe, 0x00, 0x80, 0x27, 0x25, high, low]
}

pub(super) fn user_id(n: u16) -> UserId {
    UserId::from_bytes(bytes(n))
}

pub(super) fn conversation_id(n: u16) -> ConversationId {
    ConversationId::from_bytes(bytes(n))
}

pub(super) fn message_id(n: u16) -> MessageId {
    MessageId::from_bytes(bytes(n))
}

pub(super) fn client_id(text: &str) -> ClientId {
    ClientId::new(text).expect("a client id of the clauses is well formed")
}

pub(super) fn id(user: UserId) -> UserKey {
    UserKey::Id(user)
}

pub(super) fn username(name: &str) -> UserKey {
    UserKey::Username(name.into())
}

pub(super) fn email(address: &str) -> UserKey {
    UserKey::Email(address.into())
}

pub(super) fn hash(user: UserId) -> PasswordHash {
    PasswordHash::new(format!("$2b$10${user}"))
}

/// An account to be made, with or without a name and an address.
pub(super) fn new_user(n: u16, name: Option<&str>, address: Option<&str>) -> NewUser {
    let user = User {
        id: user_id(n),
        username: name.map(Into::into),
        email: address.map(Into::into),
        full_name: format!("Person {n}"),
        picture: format!("/pictures/{n}.png"),
        created_at: at(1000 + i64::from(n)),
        updated_at: at(2000 + i64::from(n)),
        last_seen: None,
    };
    NewUser { password_hash: hash(user.id), user, name_key: None }
}

/// Makes an account that nobody is in the way of.
pub(super) async fn create(store: &dyn Store, new: NewUser) -> Arc<User> {
    match store.create_user(new).await {
        Ok(CreatedUser::Created(user)) => user,
        other => panic!("an account with a free id, name and address must be made, but: {other:?}"),
    }
}

/// Makes the account of person `n`, called `person-n`.
pub(super) async fn person(store: &dyn Store, n: u16) -> UserId {
    let new = new_user(n, Some(&format!("person-{n}")), Some(&format!("person-{n}@example.org")));
    create(store, new).await.id
}

/// Makes the accounts of these people.
pub(super) async fn people<const N: usize>(store: &dyn Store, numbers: [u16; N]) -> [UserId; N] {
    for n in numbers {
        person(store, n).await;
    }
    numbers.map(user_id)
}

pub(super) fn member(user: UserId, role: Role, joined: i64) -> Member {
    Member { user, role, joined_at: at(joined) }
}

pub(super) fn new_room(n: u16, members: Vec<Member>, by: UserId) -> NewRoom {
    let info = RoomInfo::new(format!("Room {n}"), Visibility::Private);
    NewRoom { id: conversation_id(n), info, members, by, at: at(3000 + i64::from(n)) }
}

/// Makes room `n` with one admin.
pub(super) async fn room(store: &dyn Store, n: u16, admin: UserId) -> ConversationId {
    let members = vec![member(admin, Role::Admin, 10)];
    store
        .create_room(new_room(n, members, admin))
        .await
        .expect("a room must be made")
        .expect("nobody blocks anybody")
        .1
        .id
}

/// Most members of a room in the clauses.
pub(super) const MAX_MEMBERS: usize = 100;

pub(super) fn adding(room: ConversationId, by: UserId, user: UserId, moment: i64) -> AddMember {
    AddMember { room, by, user, at: at(moment), max_members: MAX_MEMBERS }
}

pub(super) fn removing(room: ConversationId, by: UserId, user: UserId, moment: i64) -> RemoveMember {
    RemoveMember { room, by, user, at: at(moment) }
}

pub(super) fn giving(room: ConversationId, by: UserId, user: UserId, role: Role, moment: i64) -> SetRole {
    SetRole { room, by, user, role, at: at(moment) }
}

/// Brings somebody into a room, as one who may.
pub(super) async fn add(
    store: &dyn Store,
    room: ConversationId,
    by: UserId,
    user: UserId,
    moment: i64,
) -> RoomChange {
    let added = store.add_member(adding(room, by, user, moment)).await.expect("adding a member must work");
    added.expect("the one who adds a member may do so")
}

/// Takes somebody out of a room, as one who may.
pub(super) async fn remove(
    store: &dyn Store,
    room: ConversationId,
    by: UserId,
    user: UserId,
    moment: i64,
) -> RoomChange {
    let removed = store.remove_member(removing(room, by, user, moment)).await;
    removed.expect("removing a member must work").expect("the one who removes a member may do so")
}

/// Gives a member another role, as one who may.
pub(super) async fn give_role(
    store: &dyn Store,
    room: ConversationId,
    by: UserId,
    (user, role): (UserId, Role),
    moment: i64,
) -> RoomChange {
    let changed = store.set_role(giving(room, by, user, role, moment)).await;
    changed.expect("changing a role must work").expect("the one who changes a role may do so")
}

/// Opens the direct conversation `n` of two people.
pub(super) async fn direct(store: &dyn Store, n: u16, a: UserId, b: UserId) -> ConversationId {
    let opened = store.open_direct(Pair::new(a, b), conversation_id(n), at(4000 + i64::from(n))).await;
    opened.expect("a direct conversation must be opened").id
}

/// Message `n`, which says its number.
pub(super) fn new_message(n: u16, conversation: ConversationId, sender: UserId) -> NewMessage {
    NewMessage {
        id: message_id(n),
        conversation,
        sender,
        body: Blob { encoding: Encoding::Stored, bytes: format!("message {n}").into_bytes() },
        file_name: None,
        image: None,
        client_id: None,
        fingerprint: None,
        at: at(10_000 + i64::from(n)),
    }
}

/// What a store has to make of a message.
pub(super) fn stored(new: NewMessage, seq: Seq) -> StoredMessage {
    let NewMessage { id, conversation, sender, body, file_name, image, at, .. } = new;
    StoredMessage {
        id,
        conversation,
        seq,
        sender,
        body,
        file_name,
        image,
        created_at: at,
        updated_at: at,
        deleted: None,
        facets: Facets::default(),
    }
}

/// Appends a message that was not sent before.
pub(super) async fn append(store: &dyn Store, new: NewMessage) -> (Position, Seq) {
    match store.append(new).await {
        Ok(Appended::New { position, seq }) => (position, seq),
        other => panic!("a message that was not sent before must be appended, but: {other:?}"),
    }
}

/// Appends message `n`.
pub(super) async fn say(
    store: &dyn Store,
    n: u16,
    conversation: ConversationId,
    sender: UserId,
) -> MessageId {
    append(store, new_message(n, conversation, sender)).await;
    message_id(n)
}

/// Asks for a message to be deleted or restored.
pub(super) fn deleting(
    message: MessageId,
    conversation: ConversationId,
    by: UserId,
    delete: bool,
    moment: i64,
) -> SetDeleted {
    SetDeleted { message, conversation, by, delete, at: at(moment) }
}

/// Deletes or restores a message that is there, as one who may.
pub(super) async fn set_deleted(
    store: &dyn Store,
    message: MessageId,
    delete: bool,
    moment: i64,
) -> (Option<Position>, StoredMessage) {
    let found = store.message(message).await.expect("a message must be readable").expect("it must be there");
    let by = found.deleted.map_or(found.sender, |tombstone| tombstone.by);
    let by = if delete { found.sender } else { by };
    let changed = store.set_deleted(deleting(message, found.conversation, by, delete, moment)).await;
    changed.expect("the store must work").expect("the one who does it may do so")
}

/// Deletes a message (for which it has to be there and not deleted), as the one who has sent it.
pub(super) async fn delete(store: &dyn Store, message: MessageId) {
    let (position, _) = set_deleted(store, message, true, 20_000).await;
    assert!(position.is_some(), "a message must be deleted that was not");
}

/// Restores a message that is deleted, as the one who has deleted it.
pub(super) async fn restore(store: &dyn Store, message: MessageId, moment: i64) {
    let (position, _) = set_deleted(store, message, false, moment).await;
    assert!(position.is_some(), "a message must be restored that was deleted");
}

/// The whole history of a conversation, deleted messages included.
pub(super) async fn whole_history(store: &dyn Store, conversation: ConversationId) -> Vec<StoredMessage> {
    let window = Window::Latest { limit: Window::MAX_LIMIT };
    store.history(conversation, window, true).await.expect("a history must be readable").0
}

/// The whole log, as far as it is kept.
pub(super) async fn whole_log(store: &dyn Store) -> Vec<LoggedChange> {
    let begin = store.log_begin().await.expect("the log's begin must be readable");
    let log = store.changes_after(begin, usize::MAX).await.expect("the log must be readable");
    log.expect("the log must be complete from its begin on")
}

pub(super) async fn last_position(store: &dyn Store) -> Position {
    store.last_position().await.expect("the last position must be readable")
}

/// All that can be seen of a store, to compare two stores, or one store before and after.
#[derive(Debug, PartialEq, Eq)]
pub struct Everything {
    users: Vec<(Arc<User>, Option<PasswordHash>)>,
    conversations: Vec<(Option<Arc<Conversation>>, Vec<StoredMessage>)>,
    chat_partners: Vec<Vec<UserId>>,
    unread: Vec<Vec<UnreadCount>>,
    chats: Vec<Vec<(Activity, ChatSummary)>>,
    told: Vec<Option<PersonalChanges>>,
    rows: Vec<Vec<Row>>,
    last_position: Position,
    log_begin: Position,
    log: Option<Vec<LoggedChange>>,
    revoked: Vec<([u8; 32], Timestamp)>,
}

impl Everything {
    /// Reads all users, the whole log, and these conversations whole. Tokens are asked for as of `now`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of(
        store: &dyn Store,
        conversations: impl IntoIterator<Item = ConversationId>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut seen = Self {
            users: Vec::new(),
            conversations: Vec::new(),
            chat_partners: Vec::new(),
            unread: Vec::new(),
            chats: Vec::new(),
            told: Vec::new(),
            rows: Vec::new(),
            last_position: store.last_position().await?,
            log_begin: store.log_begin().await?,
            log: store.changes_after(store.log_begin().await?, usize::MAX).await?,
            revoked: store.revoked_tokens(now).await?,
        };
        seen.revoked.sort_unstable();
        for user in store.users(usize::MAX).await? {
            let known = store.credentials(&UserKey::Id(user.id)).await?;
            seen.chat_partners.push(store.chat_partners(user.id, usize::MAX).await?);
            seen.unread.push(store.unread(user.id, usize::MAX).await?);
            seen.chats.push(chats(store, user.id).await?);
            seen.told.push(store.changes_for(user.id, seen.log_begin, usize::MAX).await?);
            seen.users.push((user, known.map(|(_, hash)| hash)));
        }
        for table in Table::ALL {
            seen.rows.push(store.rows(*table, &[], None, usize::MAX).await?);
        }
        for id in conversations {
            let (messages, _) = store.history(id, Window::Latest { limit: usize::MAX }, true).await?;
            seen.conversations.push((store.conversation(id).await?, messages));
        }
        Ok(seen)
    }
}

/// The chat list of a user, the latest conversation first.
pub(super) async fn chats(
    store: &dyn Store,
    user: UserId,
) -> Result<Vec<(Activity, ChatSummary)>, StoreError> {
    let mut order = store.activity(user).await?;
    order.sort_unstable_by_key(|activity| std::cmp::Reverse(*activity));
    let mut chats = Vec::new();
    while chats.len() < order.len() {
        let rest = &order[chats.len()..];
        let ids: Vec<_> = rest.iter().map(|activity| activity.conversation).collect();
        let summaries = store.summaries(user, &ids).await?;
        assert!(!summaries.is_empty(), "there is at least one summary");
        chats.extend(rest.iter().copied().zip(summaries));
    }
    for (activity, summary) in &chats {
        assert_eq!(activity.conversation, summary.conversation, "the order is kept, and nothing is left out");
    }
    Ok(chats)
}

/// All there is when only the first few ids of every kind are used.
pub(super) async fn everything(store: &dyn Store) -> Everything {
    Everything::of(store, (0..16).map(conversation_id), at(0)).await.expect("the store must be readable")
}

/// A folder of its own for one test, gone with the value. Clauses are part of the library, which does without a
/// crate for this.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder in the system's folder for temporary files.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The random part is for a folder left over by a process of the same number.
        let name = format!("chat-store-contract-{}-{count}-{:x}", std::process::id(), rand::random::<u64>());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the clause must be made");
        Self(folder)
    }

    /// A path in the folder where nothing is yet.
    pub fn path(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system, which clears that folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
