//! Several commands in one packet.
//!
//! ```text
//! ann > batch {"commands":[{"event":"message.send","data":{…}},{"event":"unread.list"}]} (ack)
//!     {"ok":true,"success":true,"results":[{"ok":true,"success":true,"message":{…}},{"ok":true,"success":true,"unread":[]}]}
//! ```
//! They are carried out in their order, each after the one before, and each has a result, which is the acknowledgement it had
//! alone. One that is refused does not keep those behind it from being carried out. Each counts for all limits as it does alone.
//! Once the results take 4 MiB, the rest is refused with the code `too_large`, so a page of history is asked for again.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use chat_core::command::{Command, Request as _};
use chat_core::id::UserId;
use schemars::JsonSchema;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::arguments::wrong;
use super::fields::COMMANDS;
use super::{Native, table};
use crate::app::App;
use crate::dialect::answer::Refused;
use crate::dialect::described::{Described, Gives};
use crate::dialect::field::{Field, shown};
use crate::dialect::payload::{Text, from_object};
use crate::dialect::{Asked, Call, DecodeError, Dialect, Failure, Registered, Request, Whereabouts, raw};
use crate::limits::Person;
use crate::links::Base;

/// Its event, in every dialect.
pub(crate) const EVENT: &str = "batch";
/// Its route.
pub(super) const PATH: &str = "/api/v1/batch";
/// Most commands in one packet.
const MAX: usize = 20;
/// Most bytes of results, after which nothing more is carried out.
const MAX_RESULTS_BYTES: usize = 4 << 20;

/// The commands of a packet, each as far as it can be meant.
pub(super) type Commands = Vec<Result<(Command, Request), DecodeError>>;

/// The commands as they stand in the packet.
#[derive(Deserialize)]
pub(super) struct Form<'a> {
    #[serde(borrow, default)]
    commands: List<'a>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    event: Text<'a>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Default)]
enum List<'a> {
    #[default]
    Absent,
    Items(Vec<&'a RawValue>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        Ok(match json.get() {
            "null" => Self::Absent,
            list => serde_json::from_str::<Items<'de>>(list).map_or(Self::Other, |items| items.0),
        })
    }
}

struct Items<'a>(List<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Visit<'a> {
            type Value = Items<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'a>, A::Error> {
                let mut items = Vec::new();
                while items.len() < MAX
                    && let Some(item) = seq.next_element()?
                {
                    items.push(item);
                }
                let mut is_longer = false;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    is_longer = true;
                }
                let is_fit = !items.is_empty() && !is_longer;
                Ok(Items(if is_fit { List::Items(items) } else { List::Other }))
            }
        }
        deserializer.deserialize_seq(Visit(std::marker::PhantomData))
    }
}

/// What an event asks for.
pub(super) fn decode(call: &Call<'_>) -> Result<Commands, DecodeError> {
    commands(&call.object()?, call)
}

/// What a packet or body asks for; of `asked` only who it is from counts.
pub(super) fn commands(form: &Form<'_>, asked: &Call<'_>) -> Result<Commands, DecodeError> {
    match &form.commands {
        List::Absent => Err(DecodeError::Missing("commands")),
        List::Other => Err(wrong("commands", "a list of 1 to 20 commands")),
        List::Items(items) => Ok(items.iter().map(|item| one(item.get(), asked)).collect()),
    }
}

fn one(json: &str, asked: &Call<'_>) -> Result<(Command, Request), DecodeError> {
    let item: Item<'_> = from_object(json)?;
    table::decode(&asked.instead(item.event.required("event")?, item.data))
}

/// Its route, for the descriptions of the API.
pub(super) const DESCRIBED: Described = Described {
    event: EVENT,
    answer: (StatusCode::OK, Gives::Accepted(shown::<Results>)),
    refuses_in_full: true,
    ..Described::new(ABOUT, FIELDS, shown::<Results>)
};
/// What it does.
pub(crate) const ABOUT: &str = "Carries several commands out, one after the other.";
/// Its fields.
pub(crate) const FIELDS: &[Field] = &[COMMANDS];

/// The results of a batch, each as it is answered alone.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Results {
    #[schemars(with = "Vec<serde_json::Value>")]
    results: Vec<Box<RawValue>>,
}

/// Carries commands out one after the other. The limits of the first dialect hold, and refusals are as the second one shows them.
pub(crate) async fn carry_out(
    app: &Arc<App>,
    (limits, dialect): (&Registered, &Registered),
    user: UserId,
    base: &Base,
    commands: Commands,
) -> Results {
    let person = app.limits.budgets.of(user, app.chat.now());
    let (mut results, mut bytes) = (Vec::with_capacity(commands.len()), 0);
    for command in commands {
        let result = if bytes >= MAX_RESULTS_BYTES {
            Err(Failure::new("too_large", "the results before it leave no room for this one"))
        } else {
            one_result(app, &person, limits, (user, base), command).await
        };
        let result = result.unwrap_or_else(|failure| raw(&Refused::from(&dialect.refusal(failure))));
        bytes += result.get().len();
        results.push(result);
    }
    Results { results }
}

async fn one_result(
    app: &Arc<App>,
    person: &Person,
    limits: &Registered,
    (user, base): (UserId, &Base),
    command: Result<(Command, Request), DecodeError>,
) -> Result<Box<RawValue>, Failure> {
    let wait = person.may_say_more(app.chat.now()).map_err(|error| Failure::from(&error))?;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let (command, request) = command.map_err(|error| {
        person.was_mistaken(0, app.chat.now());
        Failure::from(&error)
    })?;
    let checked = limits.check(user, command.as_command(), app.chat.now());
    checked.map_err(|error| Failure::from(&error))?;
    let reply = app.dispatch(user, command).await.map_err(|error| Failure::from(&error))?;
    let seen = app.presence.seen_by(&app.chat, user).await;
    let whereabouts = Whereabouts::new(&seen);
    let asked = Asked { user, request: &request, has_ack: true, whereabouts };
    Ok(Native.reply(&asked, &base.reply(reply)).into_ack())
}
