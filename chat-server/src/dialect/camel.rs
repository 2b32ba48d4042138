//! The Huffman chat's family: people are named by user name, everything but the log-in goes over the socket.
//!
//! ```text
//! ann > privateMessage {"text":"hello","receiver":"bob","timestamp":"…"}
//! ann < privateMessage {"text":"hello","sender":"ann","receiver":"bob","timestamp":"…","compressed":false,"isFile":false,"fileName":null}
//! bob < privateMessage (the same)
//! bob > getMessageHistory {"otherUser":"ann"}
//! bob < messageHistory [{"text":"hello","sender":"ann",…}]
//! bob > getMessageHistory {"otherUser":"ann","limit":50,"before":51} (ack)
//!     {"ok":true,"success":true,"messages":[…],"hasMore":true,"nextBefore":1}
//! ```
//! A history holds the latest messages, as many as have room in an answer. Pages that ask with `before` and an
//! acknowledgement, which none of the family's does, get to the older ones.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use chat_core::chat::Registration;
use chat_core::codec::{self, Kind};
use chat_core::command::{Command, Destination, ListUsers, ReadHistory, Reply, SendMessage};
use chat_core::event::Event;
use chat_core::history::Window;
use chat_core::model::{Content, Fingerprint, MessageView, PasswordHash, Seq, User, UserKey};
use chat_core::prelude::Error;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use sha2::{Digest, Sha256};
use smallvec::smallvec;

use super::wire::{Call, Count, DecodeError, Failure, Flag, Text, client_id};
use super::{Ack, Dialect, Frame, Frames, Mark, To, raw, read};
use crate::app::{App, LogIn};
use crate::auth::{AuthError, Authenticated};
use crate::http::{Address, Body, HttpError, bearer, json, with_rate};

/// See the module.
pub static DIALECT: Dialect = Dialect {
    name: "camel",
    password_min: 6,
    routes,
    paths: &["POST /api/register", "POST /api/login", "GET /api/users", "GET /api/validate-token"],
    events: &["privateMessage", "getMessageHistory"],
    decode,
    outbound,
    reply,
    ack,
    failure,
    roster: None,
};

fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    match &*call.event {
        "privateMessage" => private_message(call),
        "getMessageHistory" => message_history(call),
        _ => Err(DecodeError::UnknownEvent),
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivateMessage<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    receiver: Text<'a>,
    #[serde(default)]
    is_file: Flag,
    #[serde(borrow, default)]
    file_name: Text<'a>,
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    client_id: Text<'a>,
}

fn private_message(call: &Call<'_>) -> Result<Command, DecodeError> {
    let form: PrivateMessage<'_> = call.object()?;
    let receiver = form.receiver.required("receiver")?.into_owned();
    let text = form.text.required("text")?;
    let file_name = form.file_name.optional("fileName")?;
    let file_name =
        form.is_file.get("isFile")?.then(|| file_name.map_or_else(|| "file.txt".to_owned(), Into::into));
    let client_id = client_id(form.client_id)?;
    let fingerprint = match form.timestamp {
        // Whoever gives a name means that one.
        Text::Text(timestamp) if client_id.is_none() && is_to_the_millisecond(&timestamp) => {
            Some(fingerprint(&receiver, &timestamp, &text, file_name.as_deref()))
        }
        _ => None,
    };
    Ok(Command::SendMessage(SendMessage {
        to: Destination::Person(UserKey::Username(receiver)),
        content: Content { text: text.into(), file_name, image: None },
        client_id,
        fingerprint,
    }))
}

/// Whether this is a moment as `Date.toISOString()` writes it. Anything coarser, or made up, could be the same in two
/// messages that are both meant.
fn is_to_the_millisecond(timestamp: &str) -> bool {
    let form = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    timestamp.len() == 24 && timestamp.bytes().zip(*b"0000-00-00T00:00:00.000Z").all(form)
}

/// What a packet that a client sends again is known by: these pages give their messages no id, but what is sent again
/// is the same to the last letter, the time on the client's clock included. SHA-256, so that it is the same on every
/// node and after every restart; each part with its length, so that no two divisions of a text look alike.
fn fingerprint(receiver: &str, timestamp: &str, text: &str, file_name: Option<&str>) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [receiver, timestamp, text, file_name.unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update([u8::from(file_name.is_some())]);
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    Fingerprint(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetMessageHistory<'a> {
    #[serde(borrow, default)]
    other_user: Text<'a>,
    #[serde(default)]
    limit: Count,
    #[serde(default)]
    before: Count,
}

fn message_history(call: &Call<'_>) -> Result<Command, DecodeError> {
    let form: GetMessageHistory<'_> = call.object()?;
    let other = form.other_user.required("otherUser")?.into_owned();
    let limit = form.limit.optional("limit")?.and_then(|limit| limit.try_into().ok());
    let before = form.before.optional("before")?.map(|seq| Seq(u32::try_from(seq).unwrap_or(u32::MAX)));
    Ok(Command::ReadHistory(ReadHistory {
        of: Destination::Person(UserKey::Username(other)),
        window: Window::before(before, limit.unwrap_or(Window::MAX_LIMIT)),
        include_deleted: false,
    }))
}

fn outbound(event: &Event, mark: Mark) -> Frames {
    match event {
        // The pages of this family know of two people only.
        Event::MessageSent(view) if view.recipient.is_some() => {
            smallvec![(To::All, mark.frame("privateMessage", &MessageObject(view)))]
        }
        Event::MessagesRead { conversation, user, seq, .. } => read::told(conversation, user, *seq, mark),
        Event::MessageSent(_)
        | Event::MessageDeleted(_)
        | Event::MessageRestored(_)
        | Event::RoomCreated { .. }
        | Event::MemberAdded { .. }
        | Event::MemberRemoved { .. }
        | Event::RoleChanged { .. }
        | Event::ProfileUpdated(_)
        | Event::UserRegistered(_)
        | Event::TypingChanged { .. } => Frames::new(),
    }
}

fn reply(reply: &Reply) -> Option<Frame> {
    match reply {
        Reply::Messages(history) => Some(Frame::new("messageHistory", &MessageList(&history.messages))),
        Reply::Done
        | Reply::Message(_)
        | Reply::Users(_)
        | Reply::User(_)
        | Reply::Conversation(_)
        | Reply::Read(_)
        | Reply::Unread(_)
        | Reply::Changes(_)
        | Reply::Found(_) => None,
    }
}

fn ack(reply: &Reply) -> Ack {
    match reply {
        Reply::Messages(history) => vec![
            ("messages", raw(&MessageList(&history.messages))),
            ("hasMore", raw(&history.has_more)),
            ("nextBefore", raw(&history.next_before().map(|seq| seq.0))),
        ],
        Reply::Message(view) => vec![("message", raw(&MessageObject(view)))],
        Reply::Done
        | Reply::Users(_)
        | Reply::User(_)
        | Reply::Conversation(_)
        | Reply::Read(_)
        | Reply::Unread(_)
        | Reply::Changes(_)
        | Reply::Found(_) => Ack::new(),
    }
}

fn failure(failure: &Failure) -> Frame {
    Frame::new("error", failure)
}

struct MessageObject<'a>(&'a MessageView);

impl Serialize for MessageObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields<'a> {
            text: &'a str,
            sender: &'a str,
            receiver: &'a str,
            timestamp: &'a str,
            compressed: bool,
            is_file: bool,
            file_name: Option<&'a str>,
        }
        let MessageView { message, sender, recipient, .. } = self.0;
        let content = &message.content;
        let kind = if content.file_name.is_some() { Kind::File } else { Kind::Message };
        Fields {
            text: &content.text,
            sender: name(sender),
            receiver: recipient.as_deref().map_or("", name),
            timestamp: message.created_at.iso().as_str(),
            compressed: codec::is_compressible_size(kind, content.text.len()),
            is_file: content.file_name.is_some(),
            file_name: content.file_name.as_deref(),
        }
        .serialize(serializer)
    }
}

fn name(user: &User) -> &str {
    user.username.as_deref().or(user.email.as_deref()).unwrap_or(&user.full_name)
}

struct MessageList<'a>(&'a [MessageView]);

impl Serialize for MessageList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for view in self.0 {
            list.serialize_element(&MessageObject(view))?;
        }
        list.end()
    }
}

fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/register", post(register))
        .route("/api/login", post(login))
        .route("/api/users", get(users))
        .route("/api/validate-token", get(validate_token))
}

#[derive(serde::Deserialize)]
struct Credentials<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    password: Text<'a>,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    token: &'a str,
    username: &'a str,
}

async fn register(State(app): State<Arc<App>>, address: Address, body: Body) -> Result<Response, HttpError> {
    let form: Credentials<'_> = body.object()?;
    let username = form.username.required("username")?.into_owned();
    let password = form.password.required("password")?.into_owned();
    let password = app.config.auth.passwords.check(password, DIALECT.password_min);
    let password = password.map_err(|problem| HttpError::bad_request(&format!("password {problem}")))?;
    let registration = Registration::named(username, PasswordHash::new(""));
    let user = app.register(address, password, registration).await;
    let user = user.map_err(|error| match error.core() {
        Some(Error::UsernameTaken) => HttpError::bad_request("Username already exists"),
        _ => error,
    });
    with_rate(user.and_then(|user| logged_in(&app, &user)), app.sign_up_rate(address))
}

async fn login(State(app): State<Arc<App>>, address: Address, body: Body) -> Result<Response, HttpError> {
    let form: Credentials<'_> = body.object()?;
    let username = form.username.required("username")?.trim().to_owned();
    let password = form.password.required("password")?.into_owned();
    let key = UserKey::Username(username);
    let answer = match app.log_in(address, key.clone(), password).await {
        Ok(LogIn::Welcome(user)) => logged_in(&app, &user),
        // This family's pages tell the two apart, so the contract does.
        Ok(LogIn::WrongPassword) => Err(HttpError::bad_request("Invalid credentials")),
        Ok(LogIn::Unknown) => Err(HttpError::bad_request("User not found")),
        Err(error) => Err(error),
    };
    with_rate(answer, app.log_in_rate(address, &key))
}

fn logged_in(app: &App, user: &User) -> Result<Response, HttpError> {
    let token = app.auth.issue(user, &DIALECT);
    Ok(json(StatusCode::OK, &LoggedIn { token: &token, username: &user.handle() }))
}

async fn users(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Person {
        #[serde(rename = "_id")]
        id: String,
        username: String,
        online: bool,
        last_seen: String,
    }
    let caller = caller(&app, &headers).await?;
    let users = app.dispatch(caller.user.id, ListUsers { limit: App::MOST_USERS }).await?;
    let people: Vec<_> = users
        .iter()
        .map(|user| Person {
            id: user.id.to_string(),
            username: user.handle(),
            online: app.presence.is_online(user.id),
            last_seen: app
                .presence
                .left_at(user.id)
                .max(user.last_seen)
                .unwrap_or(user.created_at)
                .to_string(),
        })
        .collect();
    Ok(json(StatusCode::OK, &people))
}

async fn validate_token(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpError> {
    caller(&app, &headers).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "valid": true })))
}

async fn caller(app: &Arc<App>, headers: &HeaderMap) -> Result<Authenticated, HttpError> {
    let refused = |status, message: &str| {
        HttpError::with_body(status, &serde_json::json!({ "valid": false, "message": message }))
    };
    let Some(token) = bearer(headers) else {
        return Err(refused(StatusCode::UNAUTHORIZED, "No token provided"));
    };
    app.auth.authenticate(token).await.map_err(|error| match error {
        AuthError::Missing => refused(StatusCode::UNAUTHORIZED, "No token provided"),
        AuthError::Invalid => refused(StatusCode::FORBIDDEN, "Invalid or expired token"),
        AuthError::UserNotFound => refused(StatusCode::UNAUTHORIZED, "User not found"),
        AuthError::Internal(error) => error.into(),
    })
}
