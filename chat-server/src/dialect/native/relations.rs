//! Blocks, friends, and friend requests.
//!
//! ```text
//! ann > user.block {"userId":"BOB"}, user.unblock {the same} (ack)
//!     {"ok":true,"success":true,"user":{…},"blocked":true,"friendship":"none"}
//! ann > friend.request {"userId":"BOB"} (ack)      {…,"user":{…},"blocked":false,"friendship":"sent"}
//! bob > friend.accept {"userId":"ANN"}, friend.decline, friend.withdraw, friend.remove (ack)      {…,"friendship":"friends"}
//! ann > friend.list {"kind":"received","limit":100} (ack)      {…,"people":[{"user":{…},"blocked":false,"friendship":"received"}],"next":null}
//! ann > block.list (ack)      the same, of the people whom one blocks
//! ```
//! `kind` is `friends` (the default), `received` or `sent`. `next` is the `cursor` of the next page, if there is one.
//! If one user blocks another, neither of them receives anything about the other, and what one sends to the other is
//! refused. A blocked user is not notified of the block.

use chat_core::command::{ChangeRelation, Command, ListRelations, Related, RelatedPage, RelationKind};
use chat_core::model::{Friendship, Relation, RelationAct, User};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::shapes::{UserObject, user};
use crate::dialect::DecodeError;

/// The maximum number of people in one answer.
pub(super) const MAX: usize = 1_000;

pub(super) fn block(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Block)
}

pub(super) fn unblock(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Unblock)
}

pub(super) fn request(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Ask)
}

pub(super) fn accept(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Accept)
}

pub(super) fn decline(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Decline)
}

pub(super) fn withdraw(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Withdraw)
}

pub(super) fn remove(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    change(arguments, RelationAct::Unfriend)
}

fn change(arguments: &Arguments<'_>, act: RelationAct) -> Result<Command, DecodeError> {
    Ok(ChangeRelation { with: arguments.required_id("userId")?, act }.into())
}

pub(super) fn list_blocked(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    list(arguments, RelationKind::Blocked)
}

pub(super) fn list_friends(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let kind = match arguments.text("kind")?.as_deref() {
        None | Some("friends") => RelationKind::Friends,
        Some("received") => RelationKind::Received,
        Some("sent") => RelationKind::Sent,
        Some(_) => return Err(arguments.wrong("kind")),
    };
    list(arguments, kind)
}

fn list(arguments: &Arguments<'_>, kind: RelationKind) -> Result<Command, DecodeError> {
    let after = arguments.id("cursor")?;
    Ok(ListRelations { kind, after, limit: arguments.limit()? }.into())
}

/// Somebody, and what the reader has with them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Related")]
pub(super) struct RelatedObject<'a> {
    user: UserObject<'a>,
    blocked: bool,
    #[schemars(extend("enum" = ["none", "sent", "received", "friends"]))]
    friendship: &'static str,
}

pub(super) fn related(with: &User, relation: Relation) -> RelatedObject<'_> {
    let friendship = match relation.friendship {
        Friendship::None => "none",
        Friendship::Sent => "sent",
        Friendship::Received => "received",
        Friendship::Friends => "friends",
    };
    RelatedObject { user: user(with), blocked: relation.blocks, friendship }
}

/// A page of people.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RelatedPage")]
pub(super) struct PageObject<'a> {
    people: Vec<RelatedObject<'a>>,
    next: Option<String>,
}

pub(super) fn page(page: &RelatedPage) -> PageObject<'_> {
    let people = page.people.iter().map(|Related { user, relation }| related(user, *relation)).collect();
    PageObject { people, next: page.next.map(|next| next.to_string()) }
}
