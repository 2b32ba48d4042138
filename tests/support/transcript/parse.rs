//! Reads the lines of a transcript; what they mean is described in [`super`].

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A line, with the lines that continue it.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) step: Step,
}

pub(super) enum Step {
    Configure {
        option: String,
        value: u32,
    },
    Restart,
    /// Somebody does or sees something.
    Does {
        who: String,
        what: Deed,
    },
}

pub(super) enum Deed {
    Register {
        password: String,
    },
    SignUp {
        full_name: String,
        email: String,
        password: String,
    },
    /// By user name, or by the e-mail address if there is one.
    LogIn {
        email: Option<String>,
        password: String,
    },
    HoldsToken(Option<String>),
    Connects,
    IsRefused {
        message: String,
    },
    Disconnects,
    Emits {
        event: String,
        arguments: Vec<Value>,
        asks: bool,
    },
    Requests {
        method: Method,
        path: String,
        body: Option<Value>,
    },
    Sees(Sight),
}

pub(super) enum Sight {
    Event { name: String, argument: Option<Value> },
    Ack(Value),
    Status { status: StatusCode, body: Body },
    Header { name: String, pattern: String },
    Nothing,
    Disconnect,
}

pub(super) enum Body {
    Any,
    Json(Value),
    OfType(String),
}

/// Reads a file.
///
/// # Errors
/// The number of the line and what is wrong with it.
pub(super) fn lines(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match joined.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some((_, before)) => *before = format!("{before} {}", line.trim()),
            None => joined.push((index + 1, line.trim().to_owned())),
        }
    }
    let parse = |(number, text): (usize, String)| match step(&text) {
        Ok(step) => Ok(Line { number, text, step }),
        Err(problem) => Err((number, format!("{text}: {problem}"))),
    };
    joined.into_iter().map(parse).collect()
}

fn step(line: &str) -> Result<Step, String> {
    if line == "restart" {
        return Ok(Step::Restart);
    }
    if let Some(option) = line.strip_prefix("server ") {
        let (option, value) = option.split_once('=').ok_or("an option looks like name=number")?;
        let value = value.trim().parse().map_err(|_| "options are numbers")?;
        return Ok(Step::Configure { option: option.trim().to_owned(), value });
    }
    let (who, rest) = line.split_once(' ').ok_or("who does what?")?;
    let rest = rest.trim();
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let rest = rest.trim();
    let what = match (verb, rest) {
        ("=", account) => holds(account)?,
        ("connects", "") => Deed::Connects,
        ("disconnects", "") => Deed::Disconnects,
        ("is", refused) => {
            let message = refused.strip_prefix("refused ").ok_or("nobody can be anything but refused")?;
            Deed::IsRefused { message: json(message)?.as_str().ok_or("with which words?")?.to_owned() }
        }
        (">", action) => does(action)?,
        (">?", event) => emits(event, true)?,
        ("<?", answer) => Deed::Sees(Sight::Ack(json(answer)?)),
        ("<", sight) => Deed::Sees(sees(sight)?),
        _ => return Err(format!("nobody knows how to {verb:?}")),
    };
    Ok(Step::Does { who: who.to_owned(), what })
}

fn holds(account: &str) -> Result<Deed, String> {
    let (kind, rest) = account.split_once(' ').unwrap_or((account, ""));
    let (name, words) = word(rest)?;
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    match (kind, name, &words[..]) {
        ("stranger", name, []) if name.is_empty() => Ok(Deed::HoldsToken(None)),
        ("token", token, []) => Ok(Deed::HoldsToken(Some(token))),
        ("register", password, []) => Ok(Deed::Register { password }),
        ("login", password, []) => Ok(Deed::LogIn { email: None, password }),
        ("login", email, [password]) => Ok(Deed::LogIn { email: Some(email), password: password.clone() }),
        ("signup", full_name, [email, password]) => {
            Ok(Deed::SignUp { full_name, email: email.clone(), password: password.clone() })
        }
        _ => Err("not an account".to_owned()),
    }
}

fn does(action: &str) -> Result<Deed, String> {
    let (first, rest) = action.split_once(' ').unwrap_or((action, ""));
    if !["GET", "POST", "PUT", "DELETE"].contains(&first) {
        return emits(action, false);
    }
    let (path, body) = rest.trim().split_once(' ').unwrap_or((rest, ""));
    let method = first.parse().map_err(|_| "not a method")?;
    Ok(Deed::Requests { method, path: path.to_owned(), body: optional_json(body)? })
}

fn emits(event: &str, asks: bool) -> Result<Deed, String> {
    let (event, arguments) = word(event)?;
    Ok(Deed::Emits { event, arguments: several_json(arguments)?, asks })
}

fn sees(sight: &str) -> Result<Sight, String> {
    let (first, rest) = word(sight)?;
    match first.as_str() {
        "nothing" if rest.is_empty() => return Ok(Sight::Nothing),
        "disconnect" if rest.is_empty() => return Ok(Sight::Disconnect),
        "header" => {
            let (name, pattern) = rest.split_once(':').ok_or("a header looks like name: value")?;
            return Ok(Sight::Header { name: name.trim().to_owned(), pattern: pattern.trim().to_owned() });
        }
        _ => {}
    }
    if first.len() == 3
        && let Ok(status) = first.parse()
    {
        let body = match rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(content_type) => Body::OfType(content_type.to_owned()),
            None => optional_json(rest)?.map_or(Body::Any, Body::Json),
        };
        return Ok(Sight::Status { status, body });
    }
    Ok(Sight::Event { name: first, argument: optional_json(rest)? })
}

/// The first word, which stands in quotes when it holds white space, and the rest.
fn word(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start();
    if !text.starts_with('"') {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok((word.to_owned(), rest.trim()));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let word = values.next().ok_or("a word is missing")?.map_err(|error| error.to_string())?;
    Ok((word, text[values.byte_offset()..].trim()))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn optional_json(text: &str) -> Result<Option<Value>, String> {
    (!text.trim().is_empty()).then(|| json(text)).transpose()
}

fn several_json(text: &str) -> Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.collect::<Result<_, _>>().map_err(|error| error.to_string())
}
