//! People, whether they are there, and the own profile.
//!
//! ```text
//! ann > user.list {"limit":100} (ack)
//!     {"ok":true,"success":true,"users":[{"userId":"…","username":"bob","fullName":"Bob","avatar":"","status":"online","lastSeen":null}]}
//! ann > user.search {"q":"bo","limit":20} (ack)      {…,"users":[the same],"next":null}
//! ann > chat.partners (ack)      the same, of those one has talked with, the latest first
//! ann > profile.update {"fullName":"Ann Two"} (ack)      {"ok":true,"success":true,"user":{…}}
//! ```

use std::sync::Arc;

use chat_core::command::{Command, ListChatPartners, ListUsers, SearchUsers, UpdateProfile, UserPage};
use chat_core::model::{ProfilePatch, User};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::shapes::{PersonObject, person};
use crate::dialect::{DecodeError, Whereabouts};

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListUsers { limit: arguments.limit()? }.into())
}

pub(super) fn search(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let prefix = arguments.required("q")?.into_owned();
    let after = arguments.text("cursor")?.map(Into::into);
    Ok(SearchUsers { prefix, after, limit: arguments.limit()? }.into())
}

pub(super) fn partners(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListChatPartners { limit: arguments.limit()? }.into())
}

pub(super) fn update_profile(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let full_name = arguments.text("fullName")?.map(Into::into);
    let picture = arguments.image("avatar")?;
    if full_name.is_none() && picture.is_none() {
        return Err(DecodeError::Missing("fullName or avatar"));
    }
    Ok(UpdateProfile { patch: ProfilePatch { full_name, picture } }.into())
}

/// People, and whether they are there.
pub(super) fn listed<'a>(users: &'a [Arc<User>], whereabouts: Whereabouts<'_>) -> Listed<'a> {
    Listed { users: users.iter().map(|user| person(user, whereabouts.of(user))).collect() }
}

/// People whom a search has found. `next` is the `cursor` of the next page.
pub(super) fn page<'a>(page: &'a UserPage, whereabouts: Whereabouts<'_>) -> Page<'a> {
    Page { users: listed(&page.users, whereabouts).users, next: page.next.as_deref() }
}

/// A page of people, and whether they are there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PersonPage")]
pub(super) struct Page<'a> {
    users: Vec<PersonObject<'a>>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<&'a str>,
}

/// People, and whether they are there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PersonList")]
pub(super) struct Listed<'a> {
    users: Vec<PersonObject<'a>>,
}
