//! Does what the lines say, one after the other.

use std::collections::HashMap;

use serde_json::Value;

use super::accounts;
use super::parse::{Body, Deed, Line, Sight, Step};
use super::pattern::{Values, fits, short};
use crate::{Answer, Http, Packet, Socket, TestServer};

/// How long what a line expects may take. Shorter than the patience of other tests: the lines tell of single events.
const TEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs a file.
///
/// # Errors
/// The line that failed, and why.
pub(super) async fn run(lines: &[Line]) -> Result<(), (&Line, String)> {
    let options: Vec<_> = lines
        .iter()
        .map_while(|line| match &line.step {
            Step::Configure { option, value } => Some((line, option.as_str(), value.as_str())),
            Step::Restart | Step::Does { .. } => None,
        })
        .collect();
    let mut problem = None;
    let server = TestServer::start(|to| {
        for (line, name, value) in &options {
            let limit = match *name {
                "dialects" => {
                    to.dialects = value.split(',').map(str::to_owned).collect();
                    continue;
                }
                "login_limit" => &mut to.login_limit,
                "login_address_limit" => &mut to.login_address_limit,
                "signup_limit" => &mut to.signup_limit,
                "message_limit" => &mut to.message_limit,
                "search_limit" => &mut to.search_limit,
                _ => {
                    problem = Some((*line, format!("there is no option {name}")));
                    continue;
                }
            };
            match value.parse() {
                Ok(value) => *limit = value,
                Err(_) => problem = Some((*line, format!("{name} is a number"))),
            }
        }
    })
    .await;
    let mut stage = Stage {
        server: Some(server),
        people: HashMap::new(),
        sockets: HashMap::new(),
        values: Values::default(),
    };
    if problem.is_none() {
        for line in &lines[options.len()..] {
            if let Err(why) = stage.step(&line.step).await {
                problem = Some((line, why));
                break;
            }
        }
    }
    if problem.is_none() {
        let last = lines.last().expect("no transcript is empty");
        problem =
            stage.nothing_is_left().await.err().map(|why| (last, format!("after the last line: {why}")));
    }
    stage.sockets.clear();
    if let Some(server) = stage.server {
        server.stop().await;
    }
    problem.map_or(Ok(()), Err)
}

struct Stage {
    server: Option<TestServer>,
    people: HashMap<String, Person>,
    sockets: HashMap<String, Connection>,
    values: Values,
}

struct Person {
    http: Http,
    answer: Option<Answer>,
}

struct Connection {
    socket: Socket,
    asked: Option<u64>,
}

impl Stage {
    fn server(&self) -> &TestServer {
        self.server.as_ref().expect("only a restart takes it out")
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Configure { .. } => Err("options come first".to_owned()),
            Step::Restart => self.restart().await,
            Step::Does { who, what } => self.does(who, what).await,
        }
    }

    async fn restart(&mut self) -> Result<(), String> {
        self.nothing_is_left().await?;
        let server = self.server.take().expect("there is always one");
        self.server = Some(server.restart().await);
        for (who, mut connection) in self.sockets.drain() {
            // A goodbye would keep clients away.
            if let Some(packet) = connection.socket.rest().await.into_iter().find(|packet| !is_state(packet))
            {
                return Err(format!("{who} got {} when the server stopped", shown(&packet)));
            }
        }
        Ok(())
    }

    async fn does(&mut self, who: &str, what: &Deed) -> Result<(), String> {
        match what {
            Deed::Account { dialect, words } => {
                let fixture = accounts::fixture(dialect)?;
                if let Some(id) = (fixture.make)(self.http(who), name(who), words).await? {
                    self.values.set(&format!("$id:{}", name(who)), id.into());
                }
                Ok(())
            }
            Deed::LogIn { dialect, words } => {
                let fixture = accounts::fixture(dialect)?;
                (fixture.log_in)(self.http(who), name(who), words).await
            }
            Deed::HoldsToken(token) => {
                let token = token.as_ref().map(|token| self.values.fill_path(token)).transpose()?;
                self.http(who).token = token;
                Ok(())
            }
            Deed::Connects => {
                let socket = Socket::connect(self.server().address, self.person(who)?).await;
                let socket = socket.map_err(|message| format!("refused: {message}"))?;
                self.sockets.insert(who.to_owned(), Connection { socket, asked: None });
                Ok(())
            }
            Deed::IsRefused { message } => {
                self.server.as_mut().expect("only a restart takes it out").turned_away += 1;
                match Socket::connect(self.server().address, self.person(who)?).await {
                    Ok(_) => Err("let in".to_owned()),
                    Err(refusal) if refusal == *message => Ok(()),
                    Err(refusal) => Err(format!("refused with {refusal:?}")),
                }
            }
            Deed::Disconnects => {
                self.nothing_for(who).await?;
                let connection = self.sockets.remove(who).ok_or("not connected")?;
                connection.socket.disconnect().await;
                Ok(())
            }
            Deed::Emits { event, arguments, asks } => {
                let arguments = arguments.iter().map(|argument| self.values.fill(argument));
                let arguments: Vec<_> = arguments.collect::<Result<_, _>>()?;
                let connection = self.connection(who)?;
                match asks {
                    true => connection.asked = Some(connection.socket.ask(event, &arguments)),
                    false => connection.socket.emit_all(event, &arguments),
                }
                Ok(())
            }
            Deed::Requests { method, path, body } => {
                let path = self.values.fill_path(path)?;
                let body = body.as_ref().map(|body| self.values.fill(body)).transpose()?;
                self.http(who);
                let person = self.people.get_mut(&self.login_of(who)).ok_or("nobody")?;
                person.answer = Some(person.http.request(method.clone(), &path, body.as_ref()).await);
                Ok(())
            }
            Deed::Sees(Sight::Event { name, argument }) => {
                self.sees_event(who, name, argument.as_ref()).await
            }
            Deed::Sees(Sight::Ack(expected)) => {
                let connection = self.connection(who)?;
                let asked = connection.asked.take().ok_or("nothing was asked with >?")?;
                let answer = tokio::time::timeout(TEST_TIMEOUT, connection.socket.answer(asked)).await;
                let answer = answer.map_err(|_| "no answer came")?;
                self.values
                    .compare(expected, &answer)
                    .map_err(|why| format!("{why}\n got: {}", short(&answer)))
            }
            Deed::Sees(Sight::Status { status, body }) => {
                let answer = self.answer(who)?;
                let got = format!("got: {} {}", answer.status, short(&answer.text.as_str().into()));
                if answer.status != *status {
                    return Err(got);
                }
                match body {
                    Body::Any => Ok(()),
                    Body::Json(expected) => {
                        let json =
                            serde_json::from_str(&answer.text).map_err(|why| format!("{why}\n {got}"))?;
                        self.values.compare(expected, &json).map_err(|why| format!("{why}\n {got}"))
                    }
                    Body::OfType(expected) => match answer.header(reqwest::header::CONTENT_TYPE) {
                        it if it == expected => Ok(()),
                        other => Err(format!("the type is {other}")),
                    },
                }
            }
            Deed::Sees(Sight::Header { name, pattern }) => {
                let answer = self.answer(who)?;
                let got = answer.headers.get(name).ok_or_else(|| format!("there is no header {name}"))?;
                let got = got.to_str().unwrap_or_default();
                if fits(pattern, got) { Ok(()) } else { Err(format!("got: {got}")) }
            }
            Deed::Sees(Sight::Nothing) => self.nothing_for(who).await,
            Deed::Sees(Sight::Disconnect) => {
                let mut connection = self.sockets.remove(who).ok_or("not connected")?;
                let mut rest = connection.socket.rest().await;
                rest.retain(|packet| !is_state(packet));
                match &rest[..] {
                    [Packet::Disconnect] => Ok(()),
                    other => Err(format!("got: {other:?}")),
                }
            }
        }
    }

    /// The log-in a device uses: its own, or else that of its owner.
    fn login_of(&self, who: &str) -> String {
        if self.people.contains_key(who) { who.to_owned() } else { name(who).to_owned() }
    }

    fn person(&self, who: &str) -> Result<&Http, String> {
        let person = self.people.get(&self.login_of(who));
        person.map(|person| &person.http).ok_or_else(|| format!("nobody is called {who}"))
    }

    fn answer(&self, who: &str) -> Result<Answer, String> {
        let answer = self.people.get(&self.login_of(who)).and_then(|person| person.answer.clone());
        answer.ok_or_else(|| "nothing was asked".to_owned())
    }

    /// The person's client, new if need be.
    fn http(&mut self, who: &str) -> &mut Http {
        let address = self.server().address;
        let new = || Person { http: Http::new(address), answer: None };
        &mut self.people.entry(who.to_owned()).or_insert_with(new).http
    }

    fn connection(&mut self, who: &str) -> Result<&mut Connection, String> {
        self.sockets.get_mut(who).ok_or_else(|| format!("{who} is not connected"))
    }

    async fn sees_event(&mut self, who: &str, wanted: &str, expected: Option<&Value>) -> Result<(), String> {
        let mut passed = String::new();
        loop {
            let next = tokio::time::timeout(TEST_TIMEOUT, self.connection(who)?.socket.next()).await;
            let packet = next.map_err(|_| format!("nothing more came{passed}"))?;
            let outcome = match &packet {
                Packet::Event { name, arguments } if name == wanted => {
                    self.compare_event(wanted, expected, arguments)
                }
                _ => Err("something else came".to_owned()),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(_) if is_state(&packet) => passed = format!("\n last state: {}", shown(&packet)),
                Err(why) => return Err(format!("{why}\n got: {}", shown(&packet))),
            }
        }
    }

    fn compare_event(&mut self, name: &str, expected: Option<&Value>, got: &[Value]) -> Result<(), String> {
        let got = match (got, expected) {
            ([got], Some(_)) => got,
            ([], None) => return Ok(()),
            _ => return Err("another number of arguments came".to_owned()),
        };
        let expected = expected.unwrap_or(&Value::Null);
        match super::is_state(name) {
            true => self.values.compare_state(expected, got),
            false => self.values.compare(expected, got),
        }
    }

    /// Whatever anybody has sent is done, and all that it led to has come.
    async fn fence(&mut self) -> Result<(), String> {
        for (who, connection) in &mut self.sockets {
            let fence = tokio::time::timeout(TEST_TIMEOUT, connection.socket.fence()).await;
            fence.map_err(|_| format!("the server does not answer {who}"))?;
        }
        Ok(())
    }

    async fn nothing_for(&mut self, who: &str) -> Result<(), String> {
        // The first for what others still have to do, the second for what that leads to here.
        self.fence().await?;
        let connection = self.connection(who)?;
        connection.socket.fence().await;
        match connection.socket.drain().into_iter().find(|packet| !is_state(packet)) {
            Some(packet) => Err(format!("{who} got {}", shown(&packet))),
            None => Ok(()),
        }
    }

    async fn nothing_is_left(&mut self) -> Result<(), String> {
        let mut all: Vec<_> = self.sockets.keys().cloned().collect();
        all.sort();
        for who in all {
            self.nothing_for(&who).await?;
        }
        Ok(())
    }
}

fn name(who: &str) -> &str {
    who.split_once('@').map_or(who, |(name, _)| name)
}

fn is_state(packet: &Packet) -> bool {
    matches!(packet, Packet::Event { name, .. } if super::is_state(name))
}

fn shown(packet: &Packet) -> String {
    match packet {
        Packet::Event { name, arguments } => {
            let arguments: Vec<_> = arguments.iter().map(short).collect();
            format!("{name} {}", arguments.join(" "))
        }
        other => format!("{other:?}"),
    }
}
