//! Documents to records.

use mongodb::bson::RawDocument;

use super::super::fields::{Reading, as_bytes, as_id, as_int, as_moment, as_seq, as_text};
use super::{Entry, read_pair, read_role, read_visibility};
use crate::change::{ChangeKind, Detail, Fields};
use crate::clock::Timestamp;
use crate::codec::{Blob, Encoding};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, ConversationKind, Fingerprint, JoinOrder, Member, Members, NewUser, PasswordHash, Position,
    RoomInfo, Seq, Tombstone, User,
};
use crate::store::{Facets, StoreError, StoredMessage};

pub(in super::super) fn read_user(doc: &RawDocument) -> Result<(User, PasswordHash), StoreError> {
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
pub(in super::super) fn read_account(doc: &RawDocument) -> Result<NewUser, StoreError> {
    let (user, password_hash) = read_user(doc)?;
    let name_key = Reading::new("user", doc).field("name_key", as_text)?;
    Ok(NewUser { user, password_hash, name_key })
}

/// A conversation without its members.
pub(in super::super) fn read_conversation(doc: &RawDocument) -> Result<Conversation, StoreError> {
    let fields = Reading::new("conversation", doc);
    let kind = match fields.field("pair", |value| read_pair(as_bytes(value)?))? {
        Some(pair) => ConversationKind::Direct { pair },
        None => {
            let visibility = fields.required("visibility", |value| read_visibility(value.as_str()?))?;
            ConversationKind::Room(RoomInfo::new(fields.text("name")?, visibility))
        }
    };
    Ok(Conversation {
        id: ConversationId::from_bytes(fields.id("_id")?),
        kind,
        members: Members::default(),
        created_at: fields.moment("created_at")?,
    })
}

/// The id of a conversation and its last seq.
pub(in super::super) fn read_end(doc: &RawDocument) -> Result<(ConversationId, Seq), StoreError> {
    let fields = Reading::new("conversation", doc);
    let seq = u32::try_from(fields.int("last_seq")?).map_err(|_| fields.corrupt("last_seq"))?;
    Ok((ConversationId::from_bytes(fields.id("_id")?), Seq(seq)))
}

/// Who of the two in a direct conversation blocks the other one.
pub(in super::super) fn read_blockers(doc: &RawDocument) -> Result<Vec<UserId>, StoreError> {
    let ids = Reading::new("conversation", doc).field("blockers", |value| {
        let (ids, []) = as_bytes(value)?.as_chunks() else { return None };
        Some(ids.iter().copied().map(UserId::from_bytes).collect())
    })?;
    Ok(ids.unwrap_or_default())
}

/// How many members a conversation has; none in a document from before that was noted.
pub(in super::super) fn read_member_count(doc: &RawDocument) -> Result<Option<usize>, StoreError> {
    let fields = Reading::new("conversation", doc);
    let count = fields.field("member_count", as_int)?;
    count.map(|count| usize::try_from(count).map_err(|_| fields.corrupt("member_count"))).transpose()
}

/// Where a member with this place stands in the order of joining: places begin with 0, which is before everybody there.
pub(in super::super) fn join_order(place: i64) -> JoinOrder {
    JoinOrder(place.unsigned_abs().saturating_add(1))
}

/// A member, of what, and their place in the order of joining.
pub(in super::super) fn read_member(doc: &RawDocument) -> Result<(ConversationId, Member, i64), StoreError> {
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
pub(in super::super) fn read_mark(
    doc: &RawDocument,
) -> Result<(ConversationId, UserId, Option<Seq>), StoreError> {
    let fields = Reading::new("member", doc);
    let id = Reading::new("member", fields.document("_id")?);
    let (conversation, user) =
        (ConversationId::from_bytes(id.id("conversation")?), UserId::from_bytes(id.id("user")?));
    Ok((conversation, user, fields.field("read_seq", as_seq)?))
}

/// The seq of a message of which only that is known.
pub(in super::super) fn read_seq(doc: &RawDocument) -> Result<Seq, StoreError> {
    Reading::new("message", doc).required("seq", as_seq)
}

/// A message as it is stored, and what only the store knows of it.
pub(in super::super) struct MessageDocument {
    pub(in super::super) message: StoredMessage,
    /// Where the log says that it was sent.
    pub(in super::super) position: Position,
    pub(in super::super) send_key: Option<Vec<u8>>,
    pub(in super::super) fingerprint: Option<Fingerprint>,
}

/// Messages are read by the thousand, so their fields are visited once, in the order in which they lie there.
pub(in super::super) fn read_message(doc: &RawDocument) -> Result<MessageDocument, StoreError> {
    let fields = Reading::new("message", doc);
    let (mut id, mut conversation, mut sender, mut deleted_by) = (None, None, None, None);
    let (mut seq, mut position, mut encoding, mut body) = (None, None, None, None);
    let (mut file_name, mut image, mut send_key, mut fingerprint) = (None, None, None, None);
    let (mut created_at, mut updated_at, mut deleted_at) = (None, None, None);
    let mut facets = Facets::default();
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
            "facets" => facets = as_int(value).map(Facets::from_bits).unwrap_or_default(),
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
        facets,
    };
    let position = Position(position.ok_or_else(|| fields.corrupt("position"))?);
    Ok(MessageDocument { message, position, send_key: send_key.map(<[u8]>::to_vec), fingerprint })
}

/// The numbers that [`read_encoding`] knows.
pub(in super::super) fn encodings() -> Vec<i32> {
    let known = (0..=u8::MAX).filter(|code| Encoding::try_from(*code).is_ok());
    known.map(i32::from).collect()
}

fn read_encoding(code: i64) -> Option<Encoding> {
    u8::try_from(code).ok().and_then(|code| Encoding::try_from(code).ok())
}

pub(in super::super) fn read_entry(doc: &RawDocument) -> Result<Entry, StoreError> {
    let fields = Reading::new("log entry", doc);
    let position = u64::try_from(fields.int("_id")?).map_err(|_| fields.corrupt("_id"))?;
    // It is not asked for here, but must be readable like the rest.
    fields.moment("at")?;
    let kind = fields.required("kind", |value| ChangeKind::from_name(value.as_str()?))?;
    let fields = Fields {
        message: fields.field("message", as_id)?.map(MessageId::from_bytes),
        room: fields.field("room", as_id)?.map(ConversationId::from_bytes),
        user: fields.field("user", as_id)?.map(UserId::from_bytes),
        role: fields.field("role", |value| read_role(value.as_str()?))?,
        seq: fields.field("seq", as_seq)?,
        detail: fields.field("detail", |value| Detail::new(as_bytes(value)?))?,
    };
    Ok(Entry { position: Position(position), kind, fields })
}

pub(in super::super) fn read_revocation(doc: &RawDocument) -> Result<([u8; 32], Timestamp), StoreError> {
    let fields = Reading::new("revoked token", doc);
    let fingerprint = fields.required("_id", |value| as_bytes(value)?.try_into().ok())?;
    Ok((fingerprint, Timestamp::from_millis(fields.int("until_millis")?)))
}
