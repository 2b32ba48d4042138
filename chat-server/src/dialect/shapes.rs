//! Objects that several families share.

use chat_core::model::User;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A person as the id-naming families know them: every spelling of every field in one object.
pub struct UserObject<'a> {
    /// The person.
    pub user: &'a User,
    /// Whether they are connected, where it is known.
    pub online: Option<bool>,
}

impl Serialize for UserObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { user, online } = self;
        let (created_at, updated_at) = (user.created_at.iso(), user.updated_at.iso());
        let last_seen = user.last_seen.map(chat_core::clock::Timestamp::iso);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", user.id.hex().as_str())?;
        map.serialize_entry("username", &user.handle())?;
        map.serialize_entry("fullName", &user.full_name)?;
        map.serialize_entry("name", &user.full_name)?;
        map.serialize_entry("email", user.email.as_deref().unwrap_or_default())?;
        map.serialize_entry("profilePic", &user.picture)?;
        map.serialize_entry("pic", &user.picture)?;
        map.serialize_entry("avatar", &user.picture)?;
        if let Some(online) = online {
            map.serialize_entry("online", online)?;
            map.serialize_entry("status", if *online { "online" } else { "offline" })?;
        }
        map.serialize_entry("lastSeen", &last_seen.as_ref().map(chat_core::clock::IsoTime::as_str))?;
        map.serialize_entry("isAdmin", &false)?;
        map.serialize_entry("createdAt", created_at.as_str())?;
        map.serialize_entry("updatedAt", updated_at.as_str())?;
        map.end()
    }
}
