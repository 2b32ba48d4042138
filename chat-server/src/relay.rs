//! Events that are passed on as they are: the signalling of calls, and whatever else pages say to each other through the server.
//!
//! Nothing of it is stored or logged. It reaches the connections that are there at the moment and speak the same dialect, on
//! every node; a client that lags does not get it. Only the person who is meant gets it, or the members of a conversation that
//! its sender is in, and nobody whom the sender blocks or who blocks them. It is as dear as a change, and more so the more people it is for.

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

/// Most bytes of what is passed on; the description of a call takes some 10 KB.
pub(crate) const MAX_BYTES: usize = 64 << 10;
/// When so many receive it, that is one change more.
const TOLD: usize = 50;

/// Passes an event on.
///
/// # Errors
/// When it is too large, when its sender has said too much lately, or when it is for nobody that they may say something to.
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

/// Tells those who are connected here of what another node passes on.
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

/// Tells a connection, if it speaks the same dialect.
fn teller(dialect: &Registered, event: &'static str, payload: &RawValue) -> impl FnMut(&Arc<Session>) {
    let frames: Frames = smallvec![(To::All, Frame::new(event, &payload))];
    move |session| {
        if session.dialect == *dialect {
            session.ephemeral(&frames);
        }
    }
}

/// Whom it is for.
enum Recipients {
    One(UserId),
    /// The members of a conversation but for the sender, who is one.
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

/// The person who is meant, or the other members of the conversation.
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
