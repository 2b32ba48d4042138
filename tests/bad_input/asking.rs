//! A command by socket and by HTTP, and what comes of it.

use chat::{Http, Socket};
use chat_server::describe::commands::Command;
use reqwest::Method;
use serde_json::Value;

use crate::world::Arguments;

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By an event.
    Socket,
    /// By the route.
    Http,
}

/// The codes that a refusal may have.
const CODES: [&str; 8] = [
    "invalid",
    "too_large",
    "not_found",
    "forbidden",
    "conflict",
    "unauthenticated",
    "unknown_event",
    "expired",
];

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out, and answered with this.
    Done(Value),
    /// It was refused.
    Refused { code: String, message: String, field: Option<String> },
}

impl Outcome {
    /// A refusal of which only the code is known.
    pub(crate) fn refused(code: &str) -> Self {
        Self::Refused { code: code.to_owned(), message: String::new(), field: None }
    }

    /// What an acknowledgement, or the body of an answer, says. It must have the shape that all have.
    pub(crate) fn of(answer: &Value) -> Self {
        let shape = (answer["ok"].as_bool(), answer["success"].as_bool());
        if shape == (Some(true), Some(true)) {
            assert_eq!(answer.get("error"), None, "{answer}");
            return Self::Done(answer.clone());
        }
        assert_eq!(shape, (Some(false), Some(false)), "{answer}");
        let error = &answer["error"];
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        let code = text("code").unwrap_or_else(|| panic!("a code: {answer}"));
        let message = text("message").unwrap_or_else(|| panic!("a message: {answer}"));
        assert!(CODES.contains(&&*code) && !message.is_empty(), "{answer}");
        let known = ["code", "message", "field", "retryAfter"];
        let fields = error.as_object().expect("an object");
        assert!(fields.keys().all(|name| known.contains(&&**name)), "{answer}");
        Self::Refused { code, message, field: text("field") }
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Done(_) => None,
            Self::Refused { code, .. } => Some(code),
        }
    }

    /// The code, and the field that was wrong.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Done(_) => "ok".to_owned(),
            Self::Refused { code, field: None, .. } => code.clone(),
            Self::Refused { code, field: Some(field), .. } => format!("{code} `{field}`"),
        }
    }
}

pub(crate) async fn by_socket(socket: &mut Socket, command: &Command, arguments: Arguments) -> Outcome {
    let asked = socket.ask(command.event, &[Value::Object(arguments)]);
    Outcome::of(&socket.answer(asked).await)
}

/// None when the route does not reach the command with these arguments.
pub(crate) async fn by_http(http: &mut Http, command: &Command, arguments: &Arguments) -> Option<Outcome> {
    let (method, path, body) = request(command, arguments)?;
    let answer = http.request(method, &path, body.as_ref()).await;
    let json = answer.json();
    let outcome = Outcome::of(&json);
    assert_eq!(outcome.is_refused(), !answer.status.is_success(), "{} {answer:?}", command.event);
    assert!(!answer.status.is_server_error(), "{} {answer:?}", command.event);
    if outcome.is_refused() {
        assert_eq!(json["message"], json["error"]["message"], "{} {answer:?}", command.event);
    }
    Some(outcome)
}

/// The request of a command.
pub(crate) fn request(command: &Command, arguments: &Arguments) -> Option<(Method, String, Option<Value>)> {
    let mut rest = arguments.clone();
    let mut path = String::new();
    for part in command.path.split('/').skip(1) {
        path.push('/');
        match part.strip_prefix(':') {
            Some(field) => {
                let value = plain(&rest.remove(field)?);
                // An empty part is another path.
                if value.is_empty() {
                    return None;
                }
                path.push_str(&encoded(&value));
            }
            None => path.push_str(part),
        }
    }
    let method: Method = command.method.parse().expect("a method");
    if matches!(command.method.as_str(), "GET" | "DELETE") {
        let query: Vec<_> =
            rest.iter().map(|(name, value)| format!("{name}={}", encoded(&plain(value)))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        return Some((method, format!("{path}{mark}{}", query.join("&")), None));
    }
    let in_path = command.path.split('/').filter(|part| part.starts_with(':')).count();
    let needs_body = !rest.is_empty() || command.fields.len() > in_path;
    Some((method, path, needs_body.then_some(Value::Object(rest))))
}

/// A value as it stands in a path or query: lists with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
