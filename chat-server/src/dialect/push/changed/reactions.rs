//! Reactions, with the event and field names of the family's forks.
//!
//! ```text
//! bob > POST /api/messages/ID/react {"emoji":"👍"}      200 the message, with "reactions"
//!       POST /api/messages/ID/reactions, POST and PUT /api/messages/react/ID, addReaction {"messageId":"ID","emoji":"👍"}
//! both < messageReaction, messageReacted {"messageId":"ID","userId":"BOB","emoji":"👍","reactions":[{"emoji":"👍","userId":"BOB"}]}
//! ```
//! The same emoji again removes the reaction. `reactions` has all current reactions to the message, so a page may
//! listen to one of the events or to both. A message without reactions has no `reactions` field.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use chat_core::command::Command;
use chat_core::event::MessageChanged;
use chat_core::id::MessageId;
use chat_core::reactions::{Reacting, Reaction, ReactionChange, SetReaction};
use schemars::JsonSchema;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::dialect::payload::Text;
use crate::dialect::push::described;
use crate::dialect::push::routes::{change, message_not_found};
use crate::dialect::push::shapes::{Id, MessageObject};
use crate::dialect::{Call, DecodeError, EventPosition, Frames, Route, To};
use crate::http::{Body, HttpError, caller, json};
use crate::links::Base;

pub(super) fn routes() -> Vec<Route> {
    [
        Route::post("/api/messages/:id/react", react),
        Route::post("/api/messages/:id/reactions", react),
        Route::post("/api/messages/react/:id", react),
        Route::new(Method::PUT, "/api/messages/react/:id", react),
    ]
    .map(|route| route.described(described::REACT))
    .into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow, default)]
    message_id: Text<'a>,
    #[serde(borrow, default)]
    emoji: Text<'a>,
}

/// Decodes the event, if it is one of this module.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    if &*call.event != "addReaction" {
        return Err(DecodeError::UnknownEvent);
    }
    let form: Form<'_> = call.object()?;
    let id = form.message_id.required("messageId")?;
    let wrong = |_| DecodeError::WrongType { field: "messageId", expected: "a message's id" };
    let message = id.parse().map_err(wrong)?;
    Ok(toggle(message, form.emoji.required("emoji")?.into_owned()).into())
}

fn toggle(message: MessageId, emoji: String) -> SetReaction {
    SetReaction { message, emoji, reacting: Reacting::Toggle }
}

async fn react(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, HttpError> {
    // Authenticate before the body is read.
    caller(&app, &headers).await?;
    let body = Body::read_small(request).await?;
    let form: Form<'_> = body.object()?;
    let emoji = form.emoji.required("emoji")?.into_owned();
    let view = change(&app, &headers, &id, |message| toggle(message, emoji)).await?;
    let view = Base::of(&headers, &app.config).reply(view);
    let message = MessageObject::of(&view).ok_or_else(message_not_found)?;
    Ok(json(StatusCode::OK, &message.in_full()))
}

/// Who has reacted with what.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushReaction")]
pub(super) struct ReactionFields<'a> {
    emoji: &'a str,
    #[schemars(with = "String")]
    user_id: Id,
}

/// Reactions as a flat list with one entry for each emoji and user.
pub(super) struct ReactionList<'a>(pub(super) &'a [Reaction]);

impl Serialize for ReactionList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let each = self.0.iter().flat_map(|reaction| {
            let emoji = reaction.emoji.as_str();
            reaction.users.iter().map(move |user| ReactionFields { emoji, user_id: Id(*user) })
        });
        serializer.collect_seq(each)
    }
}

/// That somebody has reacted, and what stands on the message since.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushReacted")]
pub(in crate::dialect::push) struct Reacted<'a> {
    message_id: &'a str,
    user_id: &'a str,
    emoji: &'a str,
    #[schemars(with = "Vec<ReactionFields<'a>>")]
    reactions: ReactionList<'a>,
}

/// The events that both users receive.
pub(super) fn told(changed: &MessageChanged, change: &ReactionChange, mark: EventPosition) -> Frames {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Reacted<'a> {
        message_id: &'a str,
        user_id: &'a str,
        emoji: &'a str,
        reactions: ReactionList<'a>,
    }
    let (message, user) = (changed.message.id.hex(), changed.by.hex());
    let reacted = Reacted {
        message_id: message.as_str(),
        user_id: user.as_str(),
        emoji: change.emoji.as_str(),
        reactions: ReactionList(&changed.annexes.reactions),
    };
    let mut frames = Frames::new();
    // Only the last event carries the position. If the connection breaks between the two, the client receives both
    // again with the same content.
    frames.push((To::All, EventPosition(None).frame("messageReaction", &reacted)));
    frames.push((To::All, mark.frame("messageReacted", &reacted)));
    frames
}
