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
        value: String,
    },
    Restart,
    /// Somebody does or sees something.
    Does {
        who: String,
        what: Deed,
    },
}

pub(super) enum Deed {
    /// Makes an account of a dialect, with what its fixture asks for.
    Account {
        dialect: String,
        words: Vec<String>,
    },
    /// Logs in to one.
    LogIn {
        dialect: String,
        words: Vec<String>,
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
    let lines: Vec<Line> = joined.into_iter().map(parse).collect::<Result<_, _>>()?;
    if !lines.iter().any(|line| line.step.expects()) {
        return Err((1, "nothing is expected here, so nothing could fail".to_owned()));
    }
    Ok(lines)
}

impl Step {
    /// Whether it can fail because of what the server does.
    fn expects(&self) -> bool {
        match self {
            Self::Does { what: Deed::Sees(_) | Deed::IsRefused { .. }, .. } => true,
            Self::Configure { .. } | Self::Restart | Self::Does { .. } => false,
        }
    }
}

fn step(line: &str) -> Result<Step, String> {
    if line == "restart" {
        return Ok(Step::Restart);
    }
    if let Some(option) = line.strip_prefix("server ") {
        let (option, value) = option.split_once('=').ok_or("an option looks like name=number")?;
        return Ok(Step::Configure { option: option.trim().to_owned(), value: value.trim().to_owned() });
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
    let words = words(account)?;
    let (kind, words) = words.split_first().ok_or("not an account")?;
    let of = |dialect: &str| (dialect.to_owned(), words.to_vec());
    let named = || words.split_first().map(|(dialect, words)| (dialect.clone(), words.to_vec()));
    let account = |(dialect, words)| Deed::Account { dialect, words };
    let log_in = |(dialect, words)| Deed::LogIn { dialect, words };
    match (kind.as_str(), words) {
        ("stranger", []) => Ok(Deed::HoldsToken(None)),
        ("token", [token]) => Ok(Deed::HoldsToken(Some(token.clone()))),
        ("account", _) => named().map(account).ok_or_else(|| "of which dialect?".to_owned()),
        ("log-in", _) => named().map(log_in).ok_or_else(|| "of which dialect?".to_owned()),
        ("register", _) => Ok(account(of("camel"))),
        ("signup", _) => Ok(account(of("push"))),
        ("login", [_]) => Ok(log_in(of("camel"))),
        ("login", _) => Ok(log_in(of("push"))),
        _ => Err("not an account".to_owned()),
    }
}

/// All words, of which those with white space stand in quotes.
fn words(mut text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    while !text.is_empty() {
        let (word, rest) = word(text)?;
        words.push(word);
        text = rest;
    }
    Ok(words)
}

fn does(action: &str) -> Result<Deed, String> {
    let (first, rest) = action.split_once(' ').unwrap_or((action, ""));
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&first) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_expects_nothing_is_refused() {
        for nothing in [
            "",
            "# A comment.",
            "ann = register secret1",
            "server login_limit=2\nann = stranger\nann connects",
        ] {
            assert!(lines(nothing).is_err(), "{nothing}");
        }
        for something in ["ann = stranger\nann is refused \"no\"", "ann > GET /api/x\nann < 404"] {
            assert!(lines(something).is_ok(), "{something}");
        }
    }

    #[test]
    fn accounts_are_of_any_dialect() {
        let read = |line: &str| match holds(line) {
            Ok(Deed::Account { dialect, words }) => format!("account of {dialect}: {}", words.join("|")),
            Ok(Deed::LogIn { dialect, words }) => format!("log-in of {dialect}: {}", words.join("|")),
            Ok(_) => "something else".to_owned(),
            Err(problem) => problem,
        };
        assert_eq!(read("account spaced \"Ann B\" a@b.c secret1"), "account of spaced: Ann B|a@b.c|secret1");
        assert_eq!(read("register secret1"), "account of camel: secret1");
        assert_eq!(read("signup \"Bob\" b@b.c secret1"), "account of push: Bob|b@b.c|secret1");
        assert_eq!(read("login secret1"), "log-in of camel: secret1");
        assert_eq!(read("login b@b.c secret1"), "log-in of push: b@b.c|secret1");
        assert_eq!(read("log-in native secret1"), "log-in of native: secret1");
        assert_eq!(
            (read("account"), read("guess secret1")),
            ("of which dialect?".into(), "not an account".into())
        );
    }
}
