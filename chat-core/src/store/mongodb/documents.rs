//! Conversion of records to documents, and back in `read`. The module documentation one level up describes the fields.

mod read;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::CStr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{DateTime, Document, RawArrayBuf, RawBinaryRef, RawDocumentBuf, cstr, doc, rawdoc};

pub(super) use self::read::*;
use crate::change::{ChangeKind, Fields};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, Seq, User, Visibility,
};
use crate::search::Terms;
use crate::store::read_marks::counted_after;
use crate::store::{Change, Facets, MessageRef, NewMessage, StoreError, StoredMessage};

/// The place of an account in the order of creation is the number of the batch that created it, followed by this many
/// bits for its place in the batch.
pub(super) const PLACE_BITS: u32 = 16;

/// A log entry that is not a sent message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) kind: ChangeKind,
    pub(super) fields: Fields<MessageId>,
}

impl Entry {
    /// The change that the entry records.
    pub(super) fn change(self) -> Result<Change<MessageId>, StoreError> {
        Change::from_fields(self.kind, self.fields).map_err(|field| StoreError::Corrupt {
            what: "log entry",
            id: format!("{} (field {field})", self.position.0),
        })
    }
}

pub(super) fn object_id(bytes: &[u8; 12]) -> ObjectId {
    ObjectId::from_bytes(*bytes)
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The range of times that every driver and tool can show as a date: years 1 to 9999.
const DATES: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// Appends a time: as a date, or outside the range of dates as a number of milliseconds.
fn append_moment(doc: &mut RawDocumentBuf, field: &CStr, moment: Timestamp) {
    let millis = moment.as_millis();
    if DATES.contains(&millis) {
        doc.append(field, DateTime::from_millis(millis));
    } else {
        doc.append(field, millis);
    }
}

/// The time as a date, or the nearest valid date.
fn nearest_date(moment: Timestamp) -> DateTime {
    DateTime::from_millis(moment.as_millis().clamp(*DATES.start(), *DATES.end()))
}

/// The condition that a field holds this time or a later one. MongoDB never compares numbers with dates, so each type
/// gets its own condition.
pub(super) fn at_or_after(field: &str, moment: Timestamp) -> Document {
    let millis = moment.as_millis();
    let mut ways = vec![doc! { field: { "$gte": millis } }];
    if millis <= *DATES.end() {
        ways.push(doc! { field: { "$gte": nearest_date(moment) } });
    }
    doc! { "$or": ways }
}

pub(super) fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
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

/// The unique key of a send: the sender and the client id.
pub(super) fn send_key(sender: UserId, client_id: &ClientId) -> Vec<u8> {
    [sender.as_bytes(), client_id.as_str().as_bytes()].concat()
}

/// MongoDB's integers are signed.
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

pub(super) fn role_word(role: Role) -> &'static str {
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

/// The form in which a name or an address is unique.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}

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

/// The update of an account's document; `profile` is the position of the profile change, if there is one.
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

/// The update of a password hash.
pub(super) fn password_update(user: UserId, hash: &PasswordHash) -> RawDocumentBuf {
    rawdoc! { "q": { "_id": object_id(user.as_bytes()) }, "u": { "$set": { "password_hash": hash.expose() } } }
}

/// The update that adds a name key to an account from before there were name keys.
pub(super) fn name_key_update(user: UserId, name_key: &str) -> RawDocumentBuf {
    rawdoc! {
        "q": { "_id": object_id(user.as_bytes()), "name_key": { "$exists": false } },
        "u": { "$set": { "name_key": name_key } },
    }
}

/// A conversation without its members; `last` is the seq of its last message.
pub(super) fn conversation_document(conversation: &Conversation, last: Seq) -> RawDocumentBuf {
    let mut doc = rawdoc! { "_id": object_id(conversation.id.as_bytes()) };
    match &conversation.kind {
        ConversationKind::Direct { pair } => doc.append(cstr!("pair"), binary(&pair_bytes(*pair))),
        ConversationKind::Room(info) => {
            doc.append(cstr!("name"), info.name.as_str());
            doc.append(cstr!("visibility"), visibility_word(info.visibility));
        }
    }
    append_moment(&mut doc, cstr!("created_at"), conversation.created_at);
    doc.append(cstr!("last_seq"), i64::from(last.0));
    doc.append(cstr!("member_count"), number(conversation.members.len() as u64));
    doc
}

/// Adds to a conversation's document who of the two people blocks the other one, if one does.
#[cfg(feature = "sqlite")]
pub(super) fn append_blockers(conversation: &mut RawDocumentBuf, blockers: &[UserId]) {
    if !blockers.is_empty() {
        conversation.append(cstr!("blockers"), binary(&ids_bytes(blockers)));
    }
}

/// The update that records in a conversation who of the two people blocks the other one.
pub(super) fn blockers_update(id: ConversationId, blockers: &[UserId]) -> RawDocumentBuf {
    let mut set = rawdoc! {};
    set.append(cstr!("blockers"), binary(&ids_bytes(blockers)));
    rawdoc! { "q": { "_id": object_id(id.as_bytes()) }, "u": { "$set": set } }
}

fn ids_bytes(ids: &[UserId]) -> Vec<u8> {
    ids.iter().flat_map(UserId::as_bytes).copied().collect()
}

/// Adds the log position of the last message that is not deleted to a conversation's document.
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

/// The update that creates or changes a member's document; `read` is the new read mark, if it has moved.
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

/// The update that moves a member's read mark.
pub(super) fn mark_update(conversation: ConversationId, user: UserId, read: Seq) -> RawDocumentBuf {
    let set = rawdoc! { "read_seq": i64::from(read.0) };
    rawdoc! { "q": { "_id": member_id(conversation, user) }, "u": { "$set": set } }
}

/// Finds the last message that a member without a mark has read (see `read_up_to` in the module documentation one level
/// up), among the messages that an unread count examines. Sort the result with the latest first.
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

/// Adds the fields that have changed since the message was sent.
pub(super) fn append_changes(doc: &mut RawDocumentBuf, message: &StoredMessage) {
    append_moment(doc, cstr!("updated_at"), message.updated_at);
    if let Some(tombstone) = &message.deleted {
        append_moment(doc, cstr!("deleted_at"), tombstone.at);
        doc.append(cstr!("deleted_by"), object_id(tombstone.by.as_bytes()));
    }
    if message.facets != Facets::default() {
        doc.append(cstr!("facets"), message.facets.bits());
    }
}

/// The update of the fields of a message that can change: the deletion, the facets and, if the text has changed, the body.
pub(super) fn message_update(message: &StoredMessage, has_other_body: bool) -> RawDocumentBuf {
    let mut set = rawdoc! {};
    append_changes(&mut set, message);
    if has_other_body {
        set.append(cstr!("encoding"), i32::from(u8::from(message.body.encoding)));
        set.append(cstr!("body"), binary(&message.body.bytes));
    }
    let mut unset = rawdoc! {};
    if message.deleted.is_none() {
        unset.append(cstr!("deleted_at"), "");
        unset.append(cstr!("deleted_by"), "");
    }
    if message.facets == Facets::default() {
        unset.append(cstr!("facets"), "");
    }
    let mut update = rawdoc! { "$set": set };
    if !unset.is_empty() {
        update.append(cstr!("$unset"), unset);
    }
    rawdoc! { "q": { "_id": object_id(message.id.as_bytes()) }, "u": update }
}

/// The statement that adds terms of a message to the index.
pub(super) fn terms_update(message: &StoredMessage, position: Position, terms: &Terms) -> RawDocumentBuf {
    let mut texts = RawArrayBuf::new();
    terms.iter().for_each(|term| texts.push(term));
    let update = rawdoc! {
        "$addToSet": { "terms": { "$each": texts } },
        "$setOnInsert": {
            "conversation": object_id(message.conversation.as_bytes()),
            "position": number(position.0),
        },
    };
    rawdoc! { "q": { "_id": object_id(message.id.as_bytes()) }, "u": update, "upsert": true }
}

pub(super) fn entry_document(
    position: Position,
    at: Timestamp,
    change: &Change<MessageRef>,
) -> RawDocumentBuf {
    document_of_fields(position, at, change.kind(), change.fields())
}

fn document_of_fields(
    position: Position,
    at: Timestamp,
    kind: ChangeKind,
    fields: Fields<&MessageRef>,
) -> RawDocumentBuf {
    let Fields { message, room, user, role, seq, detail } = fields;
    let mut doc = rawdoc! { "_id": number(position.0), "kind": kind.name() };
    append_moment(&mut doc, cstr!("at"), at);
    if let Some(message) = message {
        doc.append(cstr!("message"), object_id(message.id.as_bytes()));
    }
    if let Some(room) = room.or(message.map(|message| message.conversation)) {
        doc.append(cstr!("room"), object_id(room.as_bytes()));
    }
    if let Some(user) = user {
        doc.append(cstr!("user"), object_id(user.as_bytes()));
    }
    if let Some(role) = role {
        doc.append(cstr!("role"), role_word(role));
    }
    if let Some(seq) = seq {
        doc.append(cstr!("seq"), i64::from(seq.0));
    }
    if let Some(detail) = detail {
        doc.append(cstr!("detail"), binary(detail.as_bytes()));
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

/// The update that records a revoked token, or extends the record.
pub(super) fn revocation_update(fingerprint: &[u8; 32], until: Timestamp) -> RawDocumentBuf {
    let mut token = rawdoc! {};
    token.append(cstr!("_id"), binary(fingerprint));
    rawdoc! {
        "q": token,
        "u": { "$max": { "until": nearest_date(until), "until_millis": until.as_millis() } },
        "upsert": true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Detail;

    #[test]
    fn a_detail_comes_back_as_it_was_and_old_entries_have_none() {
        let kind = ChangeKind::ProfileUpdated;
        for detail in [None, Detail::new(&[]), Detail::new(&[0, 255]), Detail::new(&[7; 64])] {
            let fields = Fields { user: Some(UserId::from_bytes([1; 12])), detail, ..Fields::default() };
            let doc = document_of_fields(Position(7), Timestamp::from_millis(1), kind, fields);
            assert_eq!(doc.get("detail").unwrap().is_some(), detail.is_some());
            assert_eq!(read_entry(&doc).unwrap().fields.detail, detail);
        }
        let mut doc = rawdoc! { "_id": 7_i64, "kind": kind.name(), "at": 1_i64 };
        doc.append(cstr!("detail"), binary(&[0; 65]));
        assert!(matches!(read_entry(&doc), Err(StoreError::Corrupt { .. })), "too long for one");
    }
}
