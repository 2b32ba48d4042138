//! A dialect of your own, from outside the server's crates: its events, routes, words and log-in.
//!
//! ```text
//! PORT=3000 cargo run --example seventh_dialect
//! curl -d '{"nick":"ann","phrase":"correct horse"}' -H content-type:application/json http://localhost:3000/corner/enter
//! ```
//!
//! The pages of this family are from an imaginary street corner. What they say on the socket:
//! ```text
//! ann > say "BOB" "hello" {"tempId":7}       several arguments, bare ones among them
//! ann < said {"tempId":7,"id":"…"}           the answer, with what the page wants back, before …
//! ann, bob < heard {"id":"…","from":"ANN","to":"BOB","text":"hello"}
//! ann > recall "ID"                          ann, bob < unheard {"id":"…"}
//! ann > ring "BOB" {"tune":"ding"}           bob < ringing {"by":"ANN","tune":"ding"}: passed on as it is, and stored nowhere
//! ann > wave                                 nothing: the old backend did nothing about it either
//! ann > knock {"pass":"TOKEN"}               who a socket is that came without a log-in: welcome
//! ann < came {"who":"BOB"}, left {"who":"BOB"}   if they have talked with each other
//! ```
//! Everything that it has no word for (`sync`, `read`, `search`, …) is there all the same. Accounts, stores, limits, resuming after a
//! cut and the order of messages are the server's business.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use chat_core::command::ListUsers;
use chat_core::prelude::*;
use chat_server::app::{App, LogIn};
use chat_server::config::{Config, Options};
use chat_server::dialect::handler::RouteRequest;
use chat_server::dialect::native::Native;
use chat_server::dialect::payload::Text;
use chat_server::dialect::route::Names;
use chat_server::dialect::{
    Answer, Asked, Auth, Call, DecodeError, Dialect, Dialects, EventPosition, Failure, Frame, Frames, Hello,
    HttpFailure, Inbound, Limits, PresenceChange, Refusals, Registered, Relay, Request, Roster, Route, To,
    raw,
};
use chat_server::http::{Address, Body, HttpError, json};
use clap::Parser;
use serde_json::value::RawValue;
use serde_json::{Value, json as object};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let config = Config::check_with(&options, Dialects::built_in().with(Corner)?)?;
    let address = (options.host.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), options.port);
    let listener = TcpListener::bind(address).await?;
    let shutdown = async { drop(tokio::signal::ctrl_c().await) };
    Ok(chat_server::serve(listener, config, shutdown).await?)
}

/// The dialect. It may hold state, such as names read from a file; this one needs none.
pub(crate) struct Corner;

impl Dialect for Corner {
    fn name(&self) -> &str {
        "corner"
    }

    fn auth(&self) -> Auth {
        Auth { refusals: Refusals::with("nobody knows you here"), guests: true, ..Auth::default() }
    }

    fn limits(&self) -> Limits {
        Limits { password_min: 10, text_max: Some(280), messages_per_minute: 30 }
    }

    fn routes(&self) -> Vec<Route> {
        vec![
            Route::post("/corner/enter", enter),
            Route::command(Method::GET, "/corner/people", people, answer),
            Route::command(Method::POST, "/corner/say/:who", say, answer),
            // push has this route too: a token tells which of them is meant.
            Route::command(Method::GET, "/api/messages/:who", heard_from, answer).for_ids_of(Names::User),
        ]
    }

    fn events(&self) -> &[&str] {
        &["say", "recall", "ring", "wave", "knock"]
    }

    fn relays(&self) -> &[&'static str] {
        &["ringing"]
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        match &*call.event {
            "say" => {
                let to = call.text_at(0).ok_or(DecodeError::Missing("who"))?;
                let text = call.text_at(1).ok_or(DecodeError::Missing("text"))?;
                let options: Value = call.object_at(2).unwrap_or_default();
                // What is kept for the answer must be short.
                let echo = options.get("tempId").map(raw).filter(|echo| echo.get().len() <= 64);
                Ok(Inbound::Command(send(&to, &text)?, Request { event: "say", echo }))
            }
            "recall" => {
                let id = call.text().and_then(|id| id.parse().ok());
                let message = id.ok_or(DecodeError::WrongType { field: "id", expected: "a message's id" })?;
                Ok(Command::from(DeleteMessage { message }).into())
            }
            "ring" => {
                let to = call.text_at(0).ok_or(DecodeError::Missing("who"))?;
                let mut payload: Value = call.object_at(1)?;
                // Whoever it is from, they do not say so themselves.
                payload["by"] = object!(call.asker().map(|asker| asker.to_string()));
                Ok(Inbound::Relay(Relay { to: person(&to)?, event: "ringing", payload: raw(&payload) }))
            }
            "wave" => Ok(Inbound::Ignored),
            "knock" => {
                #[derive(serde::Deserialize)]
                struct Knock<'a> {
                    #[serde(borrow, default)]
                    pass: Text<'a>,
                }
                let pass = call.object::<Knock<'_>>()?.pass.optional("pass")?;
                let welcome = Frame::without_argument("welcome");
                Ok(Inbound::Hello(Hello { token: pass.map(Into::into), welcome }))
            }
            _ => Err(DecodeError::UnknownEvent),
        }
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        let to_all = |name, told: Value| Frames::from_iter([(To::All, mark.frame(name, &told))]);
        match event {
            Event::MessageSent(view) | Event::MessageRestored(view) => to_all("heard", heard(view)),
            Event::MessageDeleted(view) => to_all("unheard", object!({ "id": view.message.id.to_string() })),
            // A family that has a word for something says so here. What it has none for may be native's, or nothing.
            Event::MessageChanged(_)
            | Event::MessagesRead { .. }
            | Event::ProfileUpdated(_)
            | Event::TypingChanged { .. } => Native.outbound(event, mark),
            Event::RoomCreated { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::RoleChanged { .. }
            | Event::RoomChanged { .. }
            | Event::RelationChanged { .. }
            | Event::ChatSettingsChanged { .. }
            | Event::SessionEnded { .. }
            | Event::UserRegistered(_) => Frames::new(),
        }
    }

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        match (asked.request.event, reply) {
            ("say", Reply::Message(view)) => {
                let said = object!({ "tempId": asked.request.echo, "id": view.message.id.to_string() });
                Answer::done().with_event(Frame::new("said", &said)).with_ack(asked, &said)
            }
            _ => Answer::done(),
        }
    }

    fn answers_first(&self) -> bool {
        true
    }

    fn failure(&self, request: &Request, failure: &Failure) -> Option<Frame> {
        Some(Frame::new("grumble", &object!({ "about": request.event, "why": failure.message })))
    }

    fn error(&self, error: &HttpFailure<'_>) -> (StatusCode, Box<RawValue>) {
        (error.status, raw(&object!({ "why": error.message, "message": error.message })))
    }

    fn roster(&self) -> Roster {
        Roster::Contacts
    }

    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        let name = if change.online { "came" } else { "left" };
        Some(Frame::new(name, &object!({ "who": change.user.to_string() })))
    }
}

fn person(id: &str) -> Result<Destination, DecodeError> {
    let id = id.parse().map_err(|_| DecodeError::WrongType { field: "who", expected: "a person's id" })?;
    Ok(Destination::Person(UserKey::Id(id)))
}

fn send(to: &str, text: &str) -> Result<Command, DecodeError> {
    let to = person(to)?;
    Ok(SendMessage {
        to,
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    }
    .into())
}

fn heard(view: &MessageView) -> Value {
    object!({
        "id": view.message.id.to_string(),
        "from": view.sender.id.to_string(),
        "to": view.recipient.as_ref().map(|recipient| recipient.id.to_string()),
        "text": &*view.message.content.text,
    })
}

/// Signs up and logs in alike: the server's limits of both, and its rules for passwords, hold here too.
async fn enter(
    State(app): State<Arc<App>>,
    dialect: Registered,
    address: Address,
    body: Body,
) -> Result<Response, HttpError> {
    #[derive(serde::Deserialize)]
    struct Form<'a> {
        #[serde(borrow, default)]
        nick: Text<'a>,
        #[serde(borrow, default)]
        phrase: Text<'a>,
    }
    let form: Form<'_> = body.object()?;
    let nick = form.nick.required("nick")?.into_owned();
    let phrase = form.phrase.required("phrase")?.into_owned();
    let user = match app.log_in(address, UserKey::Username(nick.clone()), phrase.clone()).await? {
        LogIn::Welcome(user) => user,
        LogIn::WrongPassword => return Err(HttpError::bad_request("that is not what you said before")),
        LogIn::Unknown => {
            let phrase = app.config.auth.passwords.check(phrase, dialect.limits().password_min);
            let phrase = phrase.map_err(|problem| HttpError::bad_request(&format!("phrase {problem}")))?;
            app.register(address, phrase, Registration::named(nick, PasswordHash::new(""))).await?
        }
    };
    let pass = app.auth.issue(&user, &dialect);
    Ok(json(StatusCode::OK, &object!({ "pass": pass, "you": user.id.to_string() })))
}

fn people(_: &RouteRequest<'_>) -> Result<Command, HttpError> {
    Ok(ListUsers { limit: 100 }.into())
}

fn say(request: &RouteRequest<'_>) -> Result<Command, HttpError> {
    #[derive(serde::Deserialize)]
    struct Form<'a> {
        #[serde(borrow, default)]
        text: Text<'a>,
    }
    let body = request.body.ok_or_else(HttpError::internal)?;
    let text = body.object::<Form<'_>>()?.text.required("text")?;
    Ok(send(request.parameters.first().map_or("", String::as_str), &text)?)
}

fn heard_from(request: &RouteRequest<'_>) -> Result<Command, HttpError> {
    let who = request.parameters.first().and_then(|id| id.parse().ok());
    let who = who.ok_or_else(|| HttpError::bad_request("who must be a person's id"))?;
    let window = Window::Latest { limit: 50 };
    let of = Destination::Person(UserKey::Id(who));
    Ok(ReadHistory { of, window, include_deleted: false }.into())
}

fn answer(_: UserId, reply: &Reply) -> Result<Response, HttpError> {
    let body = match reply {
        Reply::Message(view) => heard(view),
        Reply::Messages(history) => {
            object!({ "heard": history.messages.iter().map(heard).collect::<Vec<_>>() })
        }
        Reply::Users(users) => {
            let person = |user: &Arc<User>| object!({ "who": user.id.to_string(), "nick": user.handle() });
            object!({ "people": users.iter().map(person).collect::<Vec<_>>() })
        }
        _ => object!({}),
    };
    Ok(json(StatusCode::OK, &body))
}
