//! Relayed events: the signalling of calls, and other events that pages send to each other through the server.
//!
//! The server neither stores nor logs them. A relayed event reaches the recipients' open connections that speak the
//! same dialect, on every node; a client that lags does not receive it. Its recipient is one user, or the members of
//! a conversation that the sender is a member of. It never reaches a user whom the sender blocks or who blocks the
//! sender. A relayed event costs as much of the sender's budget as a change, and more for many recipients.

use std::sync::Arc;

use chat_core::command::Destination;
use chat_core::error::Error;
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Conversation, UserKey};
use serde_json::value::RawValue;
use smallvec::smallvec;

use crate::app::App;
use crate::cluster::relayed::Relayed;
use crate::dialect::{Frame, Frames, Registered, Relay, To};
use crate::limits::Cost;
use crate::session::Session;

/// The maximum size of a relayed payload; the description of a call has about 10 KB.
pub(crate) const MAX_BYTES: usize = 64 << 10;
/// For each full group of this many recipients, the event costs as much as one more change.
const TOLD: usize = 50;

/// Relays an event.
///
/// # Errors
/// When the event is too large, the sender has exceeded the rate limit, or the recipient does not exist or must not
/// receive events from the sender.
pub(crate) async fn pass_on(
    app: &Arc<App>,
    dialect: &Registered,
    sender: UserId,
    relay: Relay,
) -> Result<(), Error> {
    let Relay { to, event, payload } = relay;
    if payload.get().len() > MAX_BYTES {
        return Err(Error::TooLarge { field: event, limit: MAX_BYTES, unit: "bytes" });
    }
    let person = app.limits.budgets.of(sender, app.chat.now());
    let wait = person.admit(Cost::Change(1), app.chat.now())?;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let to = recipients(app, sender, to).await?;
    let cut_off = app.chat.cut_off(sender).await?;
    person.has_told((to.count() / TOLD) as u64, app.chat.now());
    let mut tell = teller(dialect, event, &payload);
    match &to {
        Recipients::One(user) if cut_off.contains(user) => {
            return Err(Error::Forbidden("This person cannot be reached"));
        }
        Recipients::One(user) => app.sessions.for_user(*user, &mut tell),
        Recipients::Others(conversation) => {
            let mut tell_others = |session: &Arc<Session>| {
                if session.user != sender && !cut_off.contains(&session.user) {
                    tell(session);
                }
            };
            app.sessions.for_members(&conversation.members, &mut tell_others);
        }
    }
    app.outbox(|outbox| {
        let mut elsewhere = to.list(sender);
        elsewhere.retain(|user| !cut_off.contains(user));
        outbox.relayed(Relayed {
            dialect: dialect.name().to_owned(),
            event: event.to_owned(),
            payload: payload.get().to_owned(),
            to: elsewhere,
        });
    });
    Ok(())
}

/// Delivers an event that another node relays to the recipients connected to this node.
pub(crate) fn hear(app: &App, relayed: &Relayed) {
    // A node of another version may know another dialect, or other events of it.
    let Some(dialect) = app.config.dialects.find(&relayed.dialect) else { return };
    let Some(event) = dialect.relays().iter().find(|event| **event == relayed.event) else { return };
    let Ok(payload) = RawValue::from_string(relayed.payload.clone()) else { return };
    let mut tell = teller(dialect, event, &payload);
    for user in &relayed.to {
        app.sessions.for_user(*user, &mut tell);
    }
}

/// Returns a function that sends the event to a connection if it speaks the same dialect.
fn teller(dialect: &Registered, event: &'static str, payload: &RawValue) -> impl FnMut(&Arc<Session>) {
    let frames: Frames = smallvec![(To::All, Frame::new(event, &payload))];
    move |session| {
        if session.dialect == *dialect {
            session.ephemeral(&frames);
        }
    }
}

/// The recipients of an event.
enum Recipients {
    One(UserId),
    /// The members of a conversation except the sender, who is one of them.
    Others(Arc<Conversation>),
}

impl Recipients {
    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Others(conversation) => conversation.members.len() - 1,
        }
    }

    fn list(&self, sender: UserId) -> Vec<UserId> {
        match self {
            Self::One(user) => vec![*user],
            Self::Others(conversation) => {
                let members = conversation.members.iter().map(|member| member.user);
                members.filter(|user| *user != sender).collect()
            }
        }
    }
}

/// The recipients that a destination names: a user, or the other members of a conversation.
async fn recipients(app: &App, sender: UserId, to: Destination) -> Result<Recipients, Error> {
    let conversation = match to {
        Destination::Person(key) => {
            let person = app.chat.find_user(&key).await?.ok_or(Error::UserNotFound)?;
            return Ok(Recipients::One(person.id));
        }
        Destination::Chat(id) => {
            if let Some(person) = app.chat.find_user(&UserKey::Id(UserId::from_bytes(id))).await? {
                return Ok(Recipients::One(person.id));
            }
            ConversationId::from_bytes(id)
        }
        Destination::Conversation(id) => id,
        Destination::OfMessage(id) => {
            app.chat.store().message(id).await?.ok_or(Error::MessageNotFound)?.conversation
        }
    };
    app.chat.conversation(sender, conversation).await.map(Recipients::Others)
}
