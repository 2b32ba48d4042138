//! Documents to records and back. What the fields mean stands in the documentation of the module above.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::CStr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    DateTime, Document, RawArrayBuf, RawBinaryRef, RawDocument, RawDocumentBuf, cstr, doc, rawdoc,
};

use super::fields::{Reading, as_bytes, as_id, as_int, as_moment, as_seq, as_text};
use crate::clock::Timestamp;
use crate::codec::{Blob, Encoding};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, RoomInfo, Seq, Tombstone, User, Visibility,
};
use crate::store::read_marks::counted_after;
use crate::store::{NewMessage, NewRoom, StoreError, StoredMessage};

/// `log.kind`. Words are never given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    MessageDeleted,
    MessageRestored,
    RoomCreated,
    MemberAdded,
    MemberRemoved,
    RoleChanged,
    ProfileUpdated,
    ReadMarked,
}

impl Kind {
    const WORDS: [(Self, &'static str); 8] = [
        (Self::MessageDeleted, "message_deleted"),
        (Self::MessageRestored, "message_restored"),
        (Self::RoomCreated, "room_created"),
        (Self::MemberAdded, "member_added"),
        (Self::MemberRemoved, "member_removed"),
        (Self::RoleChanged, "role_changed"),
        (Self::ProfileUpdated, "profile_updated"),
        (Self::ReadMarked, "read_marked"),
    ];

    pub(super) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    pub(super) fn is_about_message(self) -> bool {
        matches!(self, Self::MessageDeleted | Self::MessageRestored)
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}

/// The place of an account in the order of accounts is the number of the batch that made it, and in so many bits its place
/// there.
pub(super) const PLACE_BITS: u32 = 16;

/// An entry of the log that is not the sending of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) message: Option<MessageId>,
    pub(super) room: Option<ConversationId>,
    pub(super) user: Option<UserId>,
    pub(super) role: Option<Role>,
    pub(super) seq: Option<Seq>,
}

pub(super) fn object_id(bytes: &[u8; 12]) -> ObjectId {
    ObjectId::from_bytes(*bytes)
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The first and the last moment that every driver and tool can show as a date: years 1 to 9999.
const DATES: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A moment: a date, or where that would not be readable elsewhere, the number of milliseconds.
fn append_moment(doc: &mut RawDocumentBuf, field: &CStr, moment: Timestamp) {
    let millis = moment.as_millis();
    if DATES.contains(&millis) {
        doc.append(field, DateTime::from_millis(millis));
    } else {
        doc.append(field, millis);
    }
}

/// The moment as a date, or the nearest date there is.
fn nearest_date(moment: Timestamp) -> DateTime {
    DateTime::from_millis(moment.as_millis().clamp(*DATES.start(), *DATES.end()))
}

/// The condition that a field holds this moment or a later one. Numbers and dates are never equal to each other, so each
/// is compared with its own kind.
pub(super) fn at_or_after(field: &str, moment: Timestamp) -> Document {
    let millis = moment.as_millis();
    let mut ways = vec![doc! { field: { "$gte": millis } }];
    if millis <= *DATES.end() {
        ways.push(doc! { field: { "$gte": nearest_date(moment) } });
    }
    doc! { "$or": ways }
}

fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Generic, bytes }
}

pub(super) fn pair_bytes(pair: Pair) -> [u8; 24] {
    let (low, high) = pair.both();
    let mut bytes = [0; 24];
    bytes[..12].copy_from_slice(low.as_bytes());
    bytes[12..].copy_from_slice(high.as_bytes());
    bytes
}

fn read_pair(bytes: &[u8]) -> Option<Pair> {
    let half = |at: usize| bytes.get(at..at + 12)?.try_into().ok().map(UserId::from_bytes);
    if bytes.len() == 24 { Some(Pair::new(half(0)?, half(12)?)) } else { None }
}

/// What tells a send from all others: the sender and the client's own name for it.
pub(super) fn send_key(sender: UserId, client_id: &ClientId) -> Vec<u8> {
    [sender.as_bytes(), client_id.as_str().as_bytes()].concat()
}

/// MongoDB's integers have a sign.
pub(super) fn fingerprint_number(fingerprint: Fingerprint) -> i64 {
    fingerprint.0.cast_signed()
}

pub(super) fn any_of_bytes<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> RawDocumentBuf {
    let mut list = RawArrayBuf::new();
    for key in keys {
        list.push(binary(key));
    }
    rawdoc! { "$in": list }
}

pub(super) fn any_of_ids<'a>(ids: impl IntoIterator<Item = &'a [u8; 12]>) -> RawDocumentBuf {
    let mut list = RawArrayBuf::new();
    for id in ids {
        list.push(object_id(id));
    }
    rawdoc! { "$in": list }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Admin => "admin",
    }
}

fn read_role(word: &str) -> Option<Role> {
    [Role::Member, Role::Moderator, Role::Admin].into_iter().find(|role| role_word(*role) == word)
}

fn visibility_word(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
    }
}

fn read_visibility(word: &str) -> Option<Visibility> {
    [Visibility::Public, Visibility::Private].into_iter().find(|known| visibility_word(*known) == word)
}

/// A name or an address in the form in which it is unique.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}

// ---- Records to documents --------------------------------------------------------------------------------

pub(super) fn user_document(new: &NewUser, place: i64) -> RawDocumentBuf {
    let user = &new.user;
    let mut doc = rawdoc! { "_id": object_id(user.id.as_bytes()), "place": place };
    if let Some(username) = &user.username {
        doc.append(cstr!("username"), username.as_str());
        doc.append(cstr!("username_folded"), folded(username).as_str());
    }
    if let Some(email) = &user.email {
        doc.append(cstr!("email"), email.as_str());
        doc.append(cstr!("email_folded"), folded(email).as_str());
    }
    if let Some(name_key) = &new.name_key {
        doc.append(cstr!("name_key"), name_key.as_str());
    }
    doc.append(cstr!("full_name"), user.full_name.as_str());
    doc.append(cstr!("picture"), user.picture.as_str());
    doc.append(cstr!("password_hash"), new.password_hash.expose());
    append_moment(&mut doc, cstr!("created_at"), user.created_at);
    append_moment(&mut doc, cstr!("updated_at"), user.updated_at);
    if let Some(last_seen) = user.last_seen {
        append_moment(&mut doc, cstr!("last_seen"), last_seen);
    }
    doc
}

/// The statement that brings an account's document up to date; `profile` is where its profile was changed now, if it was.
pub(super) fn user_update(user: &User, profile: Option<Position>) -> RawDocumentBuf {
    let mut set = rawdoc! { "full_name": user.full_name.as_str(), "picture": user.picture.as_str() };
    append_moment(&mut set, cstr!("updated_at"), user.updated_at);
    if let Some(last_seen) = user.last_seen {
        append_moment(&mut set, cstr!("last_seen"), last_seen);
    }
    if let Some(Position(position)) = profile {
        set.append(cstr!("profile_position"), number(position));
    }
    rawdoc! { "q": { "_id": object_id(user.id.as_bytes()) }, "u": { "$set": set } }
}

/// The statement that changes a password's hash.
pub(super) fn password_update(user: UserId, hash: &PasswordHash) -> RawDocumentBuf {
    rawdoc! { "q": { "_id": object_id(user.as_bytes()) }, "u": { "$set": { "password_hash": hash.expose() } } }
}

/// The statement that gives an account from before there were keys of names its key.
pub(super) fn name_key_update(user: UserId, name_key: &str) -> RawDocumentBuf {
    rawdoc! {
        "q": { "_id": object_id(user.as_bytes()), "name_key": { "$exists": false } },
        "u": { "$set": { "name_key": name_key } },
    }
}

pub(super) fn direct_document(id: ConversationId, pair: Pair, at: Timestamp, last: Seq) -> RawDocumentBuf {
    let mut doc = rawdoc! { "_id": object_id(id.as_bytes()) };
    doc.append(cstr!("pair"), binary(&pair_bytes(pair)));
    append_moment(&mut doc, cstr!("created_at"), at);
    doc.append(cstr!("last_seq"), i64::from(last.0));
    doc
}

pub(super) fn room_document(room: &NewRoom, last: Seq) -> RawDocumentBuf {
    let mut doc = rawdoc! {
        "_id": object_id(room.id.as_bytes()),
        "name": room.info.name.as_str(),
        "visibility": visibility_word(room.info.visibility),
    };
    append_moment(&mut doc, cstr!("created_at"), room.at);
    doc.append(cstr!("last_seq"), i64::from(last.0));
    doc
}

/// Adds to a conversation's document where its last message that is not deleted stands in the log.
#[cfg(feature = "sqlite")]
pub(super) fn append_latest(conversation: &mut RawDocumentBuf, latest: Option<Position>) {
    if let Some(Position(position)) = latest {
        conversation.append(cstr!("latest"), number(position));
    }
}

pub(super) fn member_id(conversation: ConversationId, user: UserId) -> RawDocumentBuf {
    rawdoc! { "conversation": object_id(conversation.as_bytes()), "user": object_id(user.as_bytes()) }
}

#[cfg(feature = "sqlite")]
pub(super) fn member_document(
    conversation: ConversationId,
    member: &Member,
    place: i64,
    read: Seq,
) -> RawDocumentBuf {
    let mut doc = rawdoc! { "_id": member_id(conversation, member.user) };
    append_member(&mut doc, member, place, Some(read));
    doc
}

fn append_member(doc: &mut RawDocumentBuf, member: &Member, place: i64, read: Option<Seq>) {
    doc.append(cstr!("role"), role_word(member.role));
    doc.append(cstr!("place"), place);
    append_moment(doc, cstr!("joined_at"), member.joined_at);
    if let Some(read) = read {
        doc.append(cstr!("read_seq"), i64::from(read.0));
    }
}

/// The statement that makes or changes a member's document; `read` is where their mark is now, if it has moved.
pub(super) fn member_update(
    conversation: ConversationId,
    member: &Member,
    place: i64,
    read: Option<Seq>,
) -> RawDocumentBuf {
    let mut set = rawdoc! {};
    append_member(&mut set, member, place, read);
    rawdoc! { "q": { "_id": member_id(conversation, member.user) }, "u": { "$set": set }, "upsert": true }
}

/// The statement that moves a member's mark.
pub(super) fn mark_update(conversation: ConversationId, user: UserId, read: Seq) -> RawDocumentBuf {
    let set = rawdoc! { "read_seq": i64::from(read.0) };
    rawdoc! { "q": { "_id": member_id(conversation, user) }, "u": { "$set": set } }
}

/// The last message that somebody without a mark has read, see `read_up_to` in the documentation of the module above, of
/// those that are looked at when unread messages are counted; to be sorted with the latest first.
pub(super) fn read_without_mark(conversation: ConversationId, last: Seq, read_up_to: Position) -> Document {
    doc! {
        "conversation": object_id(conversation.as_bytes()),
        "seq": { "$gt": i64::from(counted_after(Seq(0), last).0) },
        "position": { "$lte": number(read_up_to.0) },
    }
}

pub(super) fn message_document(new: &NewMessage, seq: Seq, position: Position) -> RawDocumentBuf {
    let mut doc = rawdoc! {
        "_id": object_id(new.id.as_bytes()),
        "conversation": object_id(new.conversation.as_bytes()),
        "seq": i64::from(seq.0),
        "position": number(position.0),
        "sender": object_id(new.sender.as_bytes()),
        "encoding": i32::from(u8::from(new.body.encoding)),
    };
    doc.append(cstr!("body"), binary(&new.body.bytes));
    if let Some(file_name) = &new.file_name {
        doc.append(cstr!("file_name"), file_name.as_str());
    }
    if let Some(image) = &new.image {
        doc.append(cstr!("image"), image.as_str());
    }
    if let Some(client_id) = &new.client_id {
        doc.append(cstr!("send_key"), binary(&send_key(new.sender, client_id)));
    }
    if let Some(fingerprint) = new.fingerprint {
        doc.append(cstr!("fingerprint"), fingerprint_number(fingerprint));
    }
    append_moment(&mut doc, cstr!("created_at"), new.at);
    doc
}

/// Adds what has happened to a message since it was sent.
pub(super) fn append_changes(doc: &mut RawDocumentBuf, message: &StoredMessage) {
    append_moment(doc, cstr!("updated_at"), message.updated_at);
    if let Some(tombstone) = &message.deleted {
        append_moment(doc, cstr!("deleted_at"), tombstone.at);
        doc.append(cstr!("deleted_by"), object_id(tombstone.by.as_bytes()));
    }
}

/// The statement that deletes a message softly or restores it.
pub(super) fn deletion_update(message: &StoredMessage) -> RawDocumentBuf {
    let mut set = rawdoc! {};
    append_changes(&mut set, message);
    let update = match &message.deleted {
        Some(_) => rawdoc! { "$set": set },
        None => rawdoc! { "$set": set, "$unset": { "deleted_at": "", "deleted_by": "" } },
    };
    rawdoc! { "q": { "_id": object_id(message.id.as_bytes()) }, "u": update }
}

pub(super) fn entry_document(entry: &Entry) -> RawDocumentBuf {
    let mut doc = rawdoc! { "_id": number(entry.position.0), "kind": entry.kind.word() };
    append_moment(&mut doc, cstr!("at"), entry.at);
    if let Some(message) = entry.message {
        doc.append(cstr!("message"), object_id(message.as_bytes()));
    }
    if let Some(room) = entry.room {
        doc.append(cstr!("room"), object_id(room.as_bytes()));
    }
    if let Some(user) = entry.user {
        doc.append(cstr!("user"), object_id(user.as_bytes()));
    }
    if let Some(role) = entry.role {
        doc.append(cstr!("role"), role_word(role));
    }
    if let Some(seq) = entry.seq {
        doc.append(cstr!("seq"), i64::from(seq.0));
    }
    doc
}

#[cfg(feature = "sqlite")]
pub(super) fn revocation_document(fingerprint: &[u8; 32], until: Timestamp) -> RawDocumentBuf {
    let mut doc = rawdoc! {};
    doc.append(cstr!("_id"), binary(fingerprint));
    doc.append(cstr!("until"), nearest_date(until));
    doc.append(cstr!("until_millis"), until.as_millis());
    doc
}

/// The statement that notes a void token, or lengthens the note.
pub(super) fn revocation_update(fingerprint: &[u8; 32], until: Timestamp) -> RawDocumentBuf {
    let mut token = rawdoc! {};
    token.append(cstr!("_id"), binary(fingerprint));
    rawdoc! {
        "q": token,
        "u": { "$max": { "until": nearest_date(until), "until_millis": until.as_millis() } },
        "upsert": true,
    }
}

// ---- Documents to records --------------------------------------------------------------------------------

pub(super) fn read_user(doc: &RawDocument) -> Result<(User, PasswordHash), StoreError> {
    let fields = Reading::new("user", doc);
    let user = User {
        id: UserId::from_bytes(fields.id("_id")?),
        username: fields.field("username", as_text)?,
        email: fields.field("email", as_text)?,
        full_name: fields.text("full_name")?,
        picture: fields.text("picture")?,
        created_at: fields.moment("created_at")?,
        updated_at: fields.moment("updated_at")?,
        last_seen: fields.field("last_seen", as_moment)?,
    };
    Ok((user, PasswordHash::new(fields.text("password_hash")?)))
}

/// An account with all that only the store knows of it.
pub(super) fn read_account(doc: &RawDocument) -> Result<NewUser, StoreError> {
    let (user, password_hash) = read_user(doc)?;
    let name_key = Reading::new("user", doc).field("name_key", as_text)?;
    Ok(NewUser { user, password_hash, name_key })
}

/// A conversation without its members.
pub(super) fn read_conversation(doc: &RawDocument) -> Result<Conversation, StoreError> {
    let fields = Reading::new("conversation", doc);
    let kind = match fields.field("pair", |value| read_pair(as_bytes(value)?))? {
        Some(pair) => ConversationKind::Direct { pair },
        None => ConversationKind::Room(RoomInfo {
            name: fields.text("name")?,
            visibility: fields.required("visibility", |value| read_visibility(value.as_str()?))?,
        }),
    };
    Ok(Conversation {
        id: ConversationId::from_bytes(fields.id("_id")?),
        kind,
        members: Vec::new(),
        created_at: fields.moment("created_at")?,
    })
}

/// The id of a conversation and its last seq.
pub(super) fn read_end(doc: &RawDocument) -> Result<(ConversationId, Seq), StoreError> {
    let fields = Reading::new("conversation", doc);
    let seq = u32::try_from(fields.int("last_seq")?).map_err(|_| fields.corrupt("last_seq"))?;
    Ok((ConversationId::from_bytes(fields.id("_id")?), Seq(seq)))
}

/// A member, of what, and their place in the order of joining.
pub(super) fn read_member(doc: &RawDocument) -> Result<(ConversationId, Member, i64), StoreError> {
    let fields = Reading::new("member", doc);
    let id = Reading::new("member", fields.document("_id")?);
    let member = Member {
        user: UserId::from_bytes(id.id("user")?),
        role: fields.required("role", |value| read_role(value.as_str()?))?,
        joined_at: fields.moment("joined_at")?,
    };
    Ok((ConversationId::from_bytes(id.id("conversation")?), member, fields.int("place")?))
}

/// How far a member has read; none when they have no mark yet.
pub(super) fn read_mark(doc: &RawDocument) -> Result<(ConversationId, UserId, Option<Seq>), StoreError> {
    let fields = Reading::new("member", doc);
    let id = Reading::new("member", fields.document("_id")?);
    let (conversation, user) =
        (ConversationId::from_bytes(id.id("conversation")?), UserId::from_bytes(id.id("user")?));
    Ok((conversation, user, fields.field("read_seq", as_seq)?))
}

/// The seq of a message of which only that is known.
pub(super) fn read_seq(doc: &RawDocument) -> Result<Seq, StoreError> {
    Reading::new("message", doc).required("seq", as_seq)
}

/// A message as it is stored, and what only the store knows of it.
pub(super) struct MessageDocument {
    pub(super) message: StoredMessage,
    /// Where the log says that it was sent.
    pub(super) position: Position,
    pub(super) send_key: Option<Vec<u8>>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Messages are read by the thousand, so their fields are visited once, in the order in which they lie there.
pub(super) fn read_message(doc: &RawDocument) -> Result<MessageDocument, StoreError> {
    let fields = Reading::new("message", doc);
    let (mut id, mut conversation, mut sender, mut deleted_by) = (None, None, None, None);
    let (mut seq, mut position, mut encoding, mut body) = (None, None, None, None);
    let (mut file_name, mut image, mut send_key, mut fingerprint) = (None, None, None, None);
    let (mut created_at, mut updated_at, mut deleted_at) = (None, None, None);
    for field in doc {
        let (name, value) = field.map_err(|_| fields.corrupt("that cannot be read"))?;
        match name.as_str() {
            "_id" => id = as_id(value),
            "conversation" => conversation = as_id(value),
            "seq" => seq = as_int(value).and_then(|seq| u32::try_from(seq).ok()),
            "position" => position = as_int(value).and_then(|position| u64::try_from(position).ok()),
            "sender" => sender = as_id(value),
            "encoding" => encoding = as_int(value).and_then(read_encoding),
            "body" => body = as_bytes(value),
            "file_name" => file_name = as_text(value),
            "image" => image = as_text(value),
            "send_key" => send_key = as_bytes(value),
            "fingerprint" => fingerprint = as_int(value).map(|number| Fingerprint(number.cast_unsigned())),
            "created_at" => created_at = as_moment(value),
            "updated_at" => updated_at = as_moment(value),
            "deleted_at" => deleted_at = as_moment(value),
            "deleted_by" => deleted_by = as_id(value),
            _ => {}
        }
    }
    let created_at = created_at.ok_or_else(|| fields.corrupt("created_at"))?;
    let message = StoredMessage {
        id: MessageId::from_bytes(id.ok_or_else(|| fields.corrupt("_id"))?),
        conversation: ConversationId::from_bytes(conversation.ok_or_else(|| fields.corrupt("conversation"))?),
        seq: Seq(seq.ok_or_else(|| fields.corrupt("seq"))?),
        sender: UserId::from_bytes(sender.ok_or_else(|| fields.corrupt("sender"))?),
        body: Blob {
            encoding: encoding.ok_or_else(|| fields.corrupt("encoding"))?,
            bytes: body.ok_or_else(|| fields.corrupt("body"))?.to_vec(),
        },
        file_name,
        image,
        created_at,
        updated_at: updated_at.unwrap_or(created_at),
        deleted: deleted_at.zip(deleted_by).map(|(at, by)| Tombstone { at, by: UserId::from_bytes(by) }),
    };
    let position = Position(position.ok_or_else(|| fields.corrupt("position"))?);
    Ok(MessageDocument { message, position, send_key: send_key.map(<[u8]>::to_vec), fingerprint })
}

/// The numbers that [`read_encoding`] knows.
pub(super) fn encodings() -> Vec<i32> {
    let known = (0..=u8::MAX).filter(|code| Encoding::try_from(*code).is_ok());
    known.map(i32::from).collect()
}

fn read_encoding(code: i64) -> Option<Encoding> {
    u8::try_from(code).ok().and_then(|code| Encoding::try_from(code).ok())
}

pub(super) fn read_entry(doc: &RawDocument) -> Result<Entry, StoreError> {
    let fields = Reading::new("log entry", doc);
    let position = u64::try_from(fields.int("_id")?).map_err(|_| fields.corrupt("_id"))?;
    Ok(Entry {
        position: Position(position),
        at: fields.moment("at")?,
        kind: fields.required("kind", |value| Kind::from_word(value.as_str()?))?,
        message: fields.field("message", as_id)?.map(MessageId::from_bytes),
        room: fields.field("room", as_id)?.map(ConversationId::from_bytes),
        user: fields.field("user", as_id)?.map(UserId::from_bytes),
        role: fields.field("role", |value| read_role(value.as_str()?))?,
        seq: fields.field("seq", as_seq)?,
    })
}

pub(super) fn read_revocation(doc: &RawDocument) -> Result<([u8; 32], Timestamp), StoreError> {
    let fields = Reading::new("void token", doc);
    let fingerprint = fields.required("_id", |value| as_bytes(value)?.try_into().ok())?;
    Ok((fingerprint, Timestamp::from_millis(fields.int("until_millis")?)))
}
