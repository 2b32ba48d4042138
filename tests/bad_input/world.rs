//! People in a room and around it, new for each command that is tried.

use std::collections::HashMap;
use std::sync::OnceLock;

use chat::{Http, MountedServer, Socket};
use chat_core::chat::Registration;
use chat_core::id::UserId;
use chat_core::model::{PasswordHash, User};
use chat_core::store::{Row, Table};
use chat_server::describe::commands::{Command, CommandField, FieldKind, all};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::asking::{Outcome, Way};

/// An id that nothing has.
pub(crate) const NOBODY: &str = "fedcba9876543210fedcba98";

/// What a field is given, by name.
pub(crate) type Arguments = Map<String, Value>;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// An admin of the room, who wrote the message.
    Admin,
    /// A member without any rights over others.
    Member,
    /// A member who may not speak.
    Muted,
    /// Who was a member.
    Removed,
    /// Who was put out of the room and may not come back.
    Banned,
    /// Who was never in it.
    Stranger,
    /// Somebody with whom the admin has talked, and whom they block since. They ask for that conversation.
    Blocked,
    /// An admin whose token has expired.
    Expired,
}

impl Caller {
    /// All of them, as far as there are commands that make one of them.
    pub(crate) fn all() -> Vec<Self> {
        let all = [
            Self::Admin,
            Self::Member,
            Self::Muted,
            Self::Removed,
            Self::Banned,
            Self::Stranger,
            Self::Blocked,
            Self::Expired,
        ];
        all.into_iter()
            .filter(|caller| caller.made_by().is_none_or(|event| command(event).is_some()))
            .collect()
    }

    /// The command of an admin that makes somebody this one.
    fn made_by(self) -> Option<&'static str> {
        match self {
            Self::Muted => Some("mute.add"),
            Self::Banned => Some("ban.add"),
            _ => None,
        }
    }

    /// Whether they may not know that the room exists.
    pub(crate) fn is_outside(self) -> bool {
        matches!(self, Self::Removed | Self::Banned | Self::Stranger)
    }
}

fn command(event: &str) -> Option<Command> {
    all().into_iter().find(|command| command.event == event)
}

/// A private room, a message in it, a login session and a direct conversation, all of Ann, and those who ask for them.
pub(crate) struct World<'a> {
    server: &'a MountedServer,
    ann: Person,
    people: HashMap<Caller, Person>,
    /// Who is in the room, beside Ann and those who ask.
    other: UserId,
    room: String,
    message: String,
    direct: String,
    said_directly: String,
    session: String,
}

struct Person {
    id: UserId,
    http: Http,
    socket: Option<Socket>,
}

impl<'a> World<'a> {
    /// A new world with these callers.
    pub(crate) async fn new(server: &'a MountedServer, number: usize, callers: &[Caller]) -> Self {
        let mut ann = person(server, number, "ann").await;
        let other = person(server, number, "other").await.id;
        let mut people = HashMap::new();
        for caller in callers {
            people.insert(*caller, person(server, number, &format!("{caller:?}")).await);
        }
        let inside =
            people.iter().filter(|(caller, _)| **caller != Caller::Stranger && **caller != Caller::Blocked);
        let mut members: Vec<_> = inside.map(|(_, person)| person.id.to_string()).collect();
        members.push(other.to_string());
        let made = post(&mut ann, "/api/v1/rooms", json!({ "name": "tea", "members": members })).await;
        let room = text(&made, "/room/roomId");
        for (caller, person) in &people {
            if matches!(caller, Caller::Admin | Caller::Expired) {
                let path = format!("/api/v1/rooms/{room}/members/{}", person.id);
                must(&mut ann, Method::PATCH, &path, Some(json!({ "role": "admin" }))).await;
            }
        }
        // An admin asks for what they wrote themselves.
        let author = people.get_mut(&Caller::Admin).unwrap_or(&mut ann);
        let said = post(author, "/api/v1/messages", json!({ "roomId": room, "content": "milk" })).await;
        let author = author.id;
        let (mut direct, mut said_directly) = (String::new(), String::new());
        let callers: Vec<_> = people.keys().copied().collect();
        for caller in callers {
            let id = people[&caller].id;
            match caller {
                Caller::Removed => {
                    let path = format!("/api/v1/rooms/{room}/members/{id}");
                    must(&mut ann, Method::DELETE, &path, None).await;
                }
                Caller::Blocked => {
                    let greeting = json!({ "userId": id.to_string(), "content": "hello" });
                    let said = post(&mut ann, "/api/v1/messages", greeting).await;
                    (direct, said_directly) =
                        (text(&said, "/message/roomId"), text(&said, "/message/messageId"));
                    must(&mut ann, Method::PUT, &format!("/api/v1/blocks/{id}"), None).await;
                }
                _ => {}
            }
            if let Some(command) = caller.made_by().and_then(command) {
                let arguments = of_required(&command, |field| match field.name {
                    "roomId" => Some(json!(room)),
                    "userId" => Some(json!(id.to_string())),
                    _ => None,
                });
                let request = crate::asking::request(&command, &arguments).expect("it can be sent");
                must(&mut ann, request.0, &request.1, request.2).await;
            }
        }
        let session = server.app.chat.start_session(author, "desk", first_token(), lives()).await;
        let session = session.expect("it starts").reply.id.to_string();
        let message = text(&said, "/message/messageId");
        let mut world = Self { server, ann, people, other, room, message, direct, said_directly, session };
        world.connect().await;
        world
    }

    async fn connect(&mut self) {
        for (caller, person) in &mut self.people {
            if *caller == Caller::Expired {
                // Nobody with such a token is let in, so there is nothing more to be asked by a socket.
                person.http.token = Some(expired(person.id));
                continue;
            }
            let socket = Socket::connect(self.server.address, &person.http).await;
            person.socket = Some(socket.expect("it is let in"));
        }
    }

    /// A command of this caller with what it needs and no more, good for whoever may.
    pub(crate) fn example(&self, caller: Caller, command: &Command) -> Arguments {
        let is_blocked = caller == Caller::Blocked;
        let target = match caller {
            Caller::Admin | Caller::Expired => self.other,
            _ => self.ann.id,
        };
        of_required(command, |field| {
            Some(match field.name {
                "roomId" => json!(if is_blocked { &self.direct } else { &self.room }),
                "messageId" | "threadId" => {
                    json!(if is_blocked { &self.said_directly } else { &self.message })
                }
                "userId" => json!(target.to_string()),
                "sessionId" => json!(self.session),
                "members" => json!([target.to_string()]),
                _ => return None,
            })
        })
    }

    /// The fields of a command that name something that only some may know of, each with the command that has it.
    pub(crate) fn hidden_fields(&self, command: &Command) -> Vec<(&'static str, Arguments)> {
        let known = [
            ("roomId", &self.room),
            ("messageId", &self.message),
            ("threadId", &self.message),
            ("sessionId", &self.session),
        ];
        let mut hidden = Vec::new();
        for (field, id) in known {
            if command.fields.iter().all(|other| other.name != field) {
                continue;
            }
            let mut arguments = self.example(Caller::Stranger, command);
            for group in command.exclusive.iter().filter(|group| group.contains(&field)) {
                arguments.retain(|name, _| !group.contains(&name.as_str()));
            }
            arguments.insert(field.to_owned(), json!(id));
            hidden.push((field, arguments));
        }
        hidden
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(
        &mut self,
        caller: Caller,
        way: Way,
        command: &Command,
        arguments: Arguments,
    ) -> Outcome {
        let person = self.people.get_mut(&caller).expect("the caller is there");
        match (way, &mut person.socket) {
            (Way::Socket, Some(socket)) => crate::asking::by_socket(socket, command, arguments).await,
            (Way::Socket, None) => {
                let refused = Socket::connect(self.server.address, &person.http).await;
                assert_eq!(refused.err().as_deref(), Some("Authentication error"));
                Outcome::refused("unauthenticated")
            }
            (Way::Http, _) => {
                let asked = crate::asking::by_http(&mut person.http, command, &arguments).await;
                asked.expect("what is good can be sent")
            }
        }
    }

    /// Asks for all of it; none is what cannot be said in that way.
    pub(crate) async fn ask_all(
        &mut self,
        caller: Caller,
        way: Way,
        command: &Command,
        cases: &[crate::cases::Case],
    ) -> Vec<Option<Outcome>> {
        let person = self.people.get_mut(&caller).expect("the caller is there");
        let mut outcomes = Vec::new();
        match (way, &mut person.socket) {
            (Way::Http, _) => {
                for case in cases.iter() {
                    let is_said = case.can_be_said_by_http(command);
                    outcomes.push(match is_said {
                        true => crate::asking::by_http(&mut person.http, command, &case.arguments).await,
                        false => None,
                    });
                }
            }
            (Way::Socket, Some(socket)) => {
                // Not so many at once that they are taken for a flood. Of searches only the last one counts.
                let at_once = if command.event.ends_with(".search") { 1 } else { 20 };
                for cases in cases.chunks(at_once) {
                    let asked: Vec<_> = cases
                        .iter()
                        .map(|case| socket.ask(command.event, &[Value::Object(case.arguments.clone())]))
                        .collect();
                    for asked in asked {
                        outcomes.push(Some(Outcome::of(&socket.answer(asked).await)));
                    }
                }
                socket.drain();
            }
            (Way::Socket, None) => unreachable!("all who are asked for have a socket"),
        }
        outcomes
    }

    /// Asks by HTTP with no token, with one that has expired, and with one that is nonsense.
    pub(crate) async fn ask_without_token(
        &mut self,
        command: &Command,
        arguments: Arguments,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for token in [None, Some(expired(self.ann.id)), Some("x.y.z".to_owned())] {
            let mut http = client(self.server);
            http.token = token;
            outcomes.extend(crate::asking::by_http(&mut http, command, &arguments).await);
        }
        outcomes
    }

    /// Nobody was told anything of what this one was refused.
    pub(crate) async fn told_nothing(&mut self, caller: Caller, event: &str) {
        let Some(socket) = self.people.get_mut(&caller).and_then(|person| person.socket.as_mut()) else {
            return;
        };
        socket.fence().await;
        let told = socket.drain().into_iter().filter(|packet| match packet {
            // Somebody of another world may come and go meanwhile.
            chat::Packet::Event { name, .. } => name != "presence",
            _ => true,
        });
        assert_eq!(told.collect::<Vec<_>>(), [], "{event} of {caller:?}");
    }

    /// Ends its connections.
    pub(crate) async fn close(self) {
        for (_, person) in self.people {
            if let Some(socket) = person.socket {
                socket.disconnect().await;
            }
        }
        self.server.until_sessions(0).await;
    }
}

/// What a refused command could have changed: the log, and the keyed tables. The revoked tokens are not in it, since the ends of
/// connections are noted there too.
pub(crate) async fn stored(server: &MountedServer) -> (u64, Vec<Vec<Row>>) {
    let store = server.app.chat.store();
    let mut rows = Vec::new();
    for table in Table::ALL {
        rows.push(store.rows(*table, &[], None, usize::MAX).await.expect("the store works"));
    }
    let last = store.last_position().await.expect("the store works");
    (last.0, rows)
}

/// What a command must be given: what is required, and the first of each group of which one is. `known` gives what is there.
fn of_required(command: &Command, known: impl Fn(&CommandField) -> Option<Value>) -> Arguments {
    let is_wanted = |field: &CommandField| {
        field.is_required || command.alternatives.iter().any(|group| group.first() == Some(&field.name))
    };
    let fields = command.fields.iter().filter(|field| is_wanted(field));
    fields.map(|field| (field.name.to_owned(), known(field).unwrap_or_else(|| good(field)))).collect()
}

/// A good value of a field that names nothing.
fn good(field: &CommandField) -> Value {
    match (field.name, field.kind) {
        ("emoji", _) => json!("👍"),
        (_, FieldKind::Text(_) | FieldKind::Image) => json!("text"),
        (_, FieldKind::Id) => json!(NOBODY),
        (_, FieldKind::Ids) => json!([]),
        (_, FieldKind::Choice(choices)) => json!(choices[0]),
        (_, FieldKind::Choices(choices)) => json!(choices),
        (_, FieldKind::Flag) => json!(true),
        (_, FieldKind::Number) => json!(1),
        (_, FieldKind::Told) => json!("0"),
        (_, FieldKind::Other) => json!(null),
    }
}

async fn person(server: &MountedServer, number: usize, name: &str) -> Person {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{name}-{number}-{count}").to_lowercase();
    let registered = server.app.chat.register(Registration::named(name, PasswordHash::new("x"))).await;
    let user = registered.expect("it is a new name").user;
    let mut http = client(server);
    http.token = Some(token(server, &user));
    Person { id: user.id, http, socket: None }
}

/// A client without a token. Making one anew takes long.
fn client(server: &MountedServer) -> Http {
    static FIRST: OnceLock<Http> = OnceLock::new();
    FIRST.get_or_init(|| Http::new(server.address)).another(server.address)
}

fn token(server: &MountedServer, user: &User) -> String {
    let native = server.app.config.dialects.find("native").expect("it is there");
    server.app.auth.issue(user, native)
}

/// A token that was good once.
fn expired(user: UserId) -> String {
    let claims = json!({ "userId": user.to_string(), "exp": 1_000 });
    let key = jsonwebtoken::EncodingKey::from_secret(chat::server::SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("it can be signed")
}

fn first_token() -> chat_core::chat::FirstToken {
    let hash = chat_core::model::TokenHash([1; 32]);
    chat_core::chat::FirstToken { family: hash, token: hash }
}

fn lives() -> chat_core::chat::SessionLives {
    let hour = std::time::Duration::from_secs(3_600);
    chat_core::chat::SessionLives { access: hour, refresh: hour }
}

async fn post(person: &mut Person, path: &str, body: Value) -> Value {
    must(person, Method::POST, path, Some(body)).await
}

async fn must(person: &mut Person, method: Method, path: &str, body: Option<Value>) -> Value {
    let what = format!("{method} {path}");
    let answer = person.http.request(method, path, body.as_ref()).await;
    assert!(answer.status.is_success(), "{what}: {} {}", answer.status, answer.text);
    answer.json()
}

fn text(answer: &Value, pointer: &str) -> String {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer}: {answer}"))
        .to_owned()
}
