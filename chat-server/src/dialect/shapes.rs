//! Objects that several families share.

use chat_core::model::User;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A person as the id-naming families know them: every spelling of every field in one object.
pub struct UserObject<'a> {
    /// The person.
    pub user: &'a User,
    /// Whether they are connected, where it is known.
    pub online: Option<bool>,
}

/// The fields of a person.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushUser")]
pub(crate) struct UserFields<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    username: &'a str,
    full_name: &'a str,
    name: &'a str,
    email: &'a str,
    profile_pic: &'a str,
    pic: &'a str,
    avatar: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["online", "offline"]))]
    status: Option<&'static str>,
    last_seen: Option<&'a str>,
    is_admin: bool,
    created_at: &'a str,
    updated_at: &'a str,
}

impl Serialize for UserObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { user, online } = self;
        let (created_at, updated_at) = (user.created_at.iso(), user.updated_at.iso());
        let last_seen = user.last_seen.map(chat_core::clock::Timestamp::iso);
        let picture = &*user.picture;
        UserFields {
            id: user.id.hex().as_str(),
            username: &user.handle(),
            full_name: &user.full_name,
            name: &user.full_name,
            email: user.email.as_deref().unwrap_or_default(),
            profile_pic: picture,
            pic: picture,
            avatar: picture,
            online: *online,
            status: online.map(|online| if online { "online" } else { "offline" }),
            last_seen: last_seen.as_ref().map(chat_core::clock::IsoTime::as_str),
            is_admin: false,
            created_at: created_at.as_str(),
            updated_at: updated_at.as_str(),
        }
        .serialize(serializer)
    }
}
