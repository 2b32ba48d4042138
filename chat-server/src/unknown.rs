//! Routes and events that a page asked for and nobody serves: its owner learns what does not work, and what is nearest to it.
//!
//! Each is logged once, so that nobody floods the log, and only so many at all: strangers may ask for any route. What is
//! logged is no more than the words of an interface. A path may hold a name, a search or a token, so only those of its parts
//! are shown that are such words, and of an event's name no part that looks like an id.

use std::collections::HashSet;

use axum::http::Method;
use parking_lot::Mutex;
use serde::Serialize;

use crate::dialect::{Dialects, Registered};
use crate::http::route_names::RouteNames;

/// Most names of each kind that are logged and remembered.
const MAX_NAMES: usize = 100;
/// Most characters of a name that are shown.
const MAX_SHOWN: usize = 64;
/// Names that have less in common than this (of 1) are not near each other.
const MIN_LIKENESS: f64 = 0.6;
/// Longest name that is looked at.
const MAX_BYTES: usize = 512;

/// Words that stand in the paths of chat servers, beside those of the routes that are served.
const WORDS: &[&str] = &[
    "accept",
    "account",
    "add",
    "admin",
    "all",
    "archive",
    "auth",
    "avatar",
    "block",
    "blocked",
    "call",
    "calls",
    "change",
    "channel",
    "channels",
    "chat",
    "chats",
    "check",
    "clear",
    "contact",
    "contacts",
    "conversation",
    "conversations",
    "count",
    "create",
    "decline",
    "delete",
    "deleted",
    "delivered",
    "details",
    "device",
    "devices",
    "direct",
    "download",
    "edit",
    "email",
    "favorite",
    "fetch",
    "file",
    "files",
    "find",
    "follow",
    "forgot",
    "forward",
    "friend",
    "friends",
    "get",
    "group",
    "groups",
    "health",
    "history",
    "image",
    "images",
    "info",
    "invite",
    "join",
    "last",
    "latest",
    "leave",
    "list",
    "login",
    "logout",
    "mark",
    "me",
    "media",
    "member",
    "members",
    "message",
    "messages",
    "mute",
    "new",
    "notification",
    "notifications",
    "one",
    "online",
    "password",
    "photo",
    "pin",
    "ping",
    "pinned",
    "poll",
    "private",
    "profile",
    "public",
    "push",
    "react",
    "reaction",
    "reactions",
    "read",
    "receive",
    "received",
    "recent",
    "refresh",
    "register",
    "reject",
    "remove",
    "rename",
    "reply",
    "report",
    "request",
    "requests",
    "resend",
    "reset",
    "restore",
    "room",
    "rooms",
    "search",
    "seen",
    "send",
    "session",
    "set",
    "settings",
    "signin",
    "signout",
    "signup",
    "socket",
    "star",
    "starred",
    "status",
    "stories",
    "story",
    "subscribe",
    "theme",
    "thread",
    "threads",
    "token",
    "two",
    "typing",
    "unarchive",
    "unblock",
    "unfollow",
    "unfriend",
    "unmute",
    "unpin",
    "unread",
    "unseen",
    "unsend",
    "update",
    "upload",
    "uploads",
    "user",
    "username",
    "users",
    "v1",
    "v2",
    "validate",
    "verify",
    "video",
    "voice",
];

/// What was asked for, as far as it was logged.
pub(crate) struct Unknown {
    served: RouteNames,
    routes: Mutex<HashSet<String>>,
    events: Mutex<HashSet<String>>,
}

/// The answer to a request for a route that is not served.
#[derive(Serialize)]
pub(crate) struct NotServed {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<String>,
}

impl Unknown {
    /// With the routes of these dialects.
    pub(crate) fn new(dialects: &Dialects) -> Self {
        Self { served: RouteNames::of(dialects), routes: Mutex::default(), events: Mutex::default() }
    }

    /// A request came for what is not served, below `/api`. Answers what its page is told; `plainly` if there is nothing near.
    pub(crate) fn route(&self, method: &Method, path: &str, plainly: &'static str) -> NotServed {
        let served = || self.served.iter();
        let asked = route_name(method, path, served);
        let nearest = nearest_route(&asked, served());
        if first_time(&self.routes, &asked) {
            let nearest = nearest.unwrap_or("nothing like it");
            tracing::info!(asked, nearest, "a page asks for a route that is not served");
        }
        match nearest {
            Some(known) => {
                let message = format!("{plainly}: there is no {asked}, but {known}");
                NotServed { message, nearest: Some(known.to_owned()) }
            }
            None => NotServed { message: plainly.to_owned(), nearest: None },
        }
    }

    /// An event came that is not understood.
    pub(crate) fn event(&self, dialect: &Registered, event: &str) {
        let asked = event_name(event);
        // One name is one line, whatever is spoken.
        if !first_time(&self.events, &asked) {
            return;
        }
        let known = dialect.events().iter().copied().chain(dialect.native().events().iter().copied());
        let nearest = nearest(&asked, known).unwrap_or("nothing like it");
        tracing::info!(asked, nearest, dialect = dialect.name(), "a page sends an event that is not served");
    }
}

/// Remembers a name; answers whether it is to be logged.
fn first_time(names: &Mutex<HashSet<String>>, name: &str) -> bool {
    let mut names = names.lock();
    if names.contains(name) || names.len() > MAX_NAMES {
        return false;
    }
    names.insert(name.to_owned());
    if names.len() > MAX_NAMES {
        tracing::info!("more of what is not served was asked for, and is not logged any more");
        return false;
    }
    true
}

/// A route as it may be shown: what is no word of an interface is `:id`.
fn route_name<'a, I: Iterator<Item = &'a str>>(
    method: &Method,
    path: &str,
    served: impl Fn() -> I,
) -> String {
    let path = path.get(..MAX_BYTES).unwrap_or(path);
    let is_word = |part: &str| {
        let plain = part.to_ascii_lowercase();
        let is_of_a_route = || served().any(|route| route.split(['/', ' ']).any(|word| word == part));
        // Of words that are put together each counts: `mark-as-read`, `markAsRead`, `checkauth`.
        let words = || split_words(part).all(|word| is_made_of_words(&word));
        part == "api" || WORDS.binary_search(&&*plain).is_ok() || is_of_a_route() || words()
    };
    let known_method = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let mut name =
        if known_method.contains(method) { method.as_str().to_owned() } else { "OTHER".to_owned() };
    name.push(' ');
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let shown = if is_word(part) { part } else { ":id" };
        if name.len() + shown.len() > MAX_SHOWN {
            name.push_str("/…");
            break;
        }
        name.push('/');
        name.push_str(shown);
    }
    name
}

/// Whether a text in lower case is a word, or several without anything between them.
fn is_made_of_words(text: &str) -> bool {
    const MAX_LENGTH: usize = 32;
    if text.len() > MAX_LENGTH || !text.is_ascii() {
        return false;
    }
    let is_word =
        |word: &str| WORDS.binary_search(&word).is_ok() || matches!(word, "as" | "by" | "for" | "of");
    // Whether so much of the beginning is made of words.
    let mut made = vec![false; text.len() + 1];
    made[0] = true;
    for end in 1..=text.len() {
        made[end] = (0..end).any(|begin| made[begin] && is_word(&text[begin..end]));
    }
    made[text.len()]
}

/// The words that a name is put together of, in lower case.
fn split_words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if matches!(letter, '-' | '_' | '.' | ':') || letter.is_ascii_uppercase() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(letter.to_ascii_lowercase());
        }
    }
    let is_odd = !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    let words: Vec<_> = if is_odd { vec!["?".to_owned()] } else { words };
    words.into_iter().filter(|word| !word.is_empty())
}

/// The name of an event as it may be shown: plain letters, and nothing that looks like an id.
fn event_name(event: &str) -> String {
    let event: String = event.chars().take(MAX_BYTES).collect();
    let mut shown = String::new();
    // Parts of letters and digits, and what stands between them.
    for part in event.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let looks_like_an_id = word.len() > 24
            || word.bytes().filter(u8::is_ascii_digit).count() > 2
            || (word.len() >= 8 && word.bytes().all(|c| c.is_ascii_hexdigit()));
        shown.push_str(if looks_like_an_id { ":id" } else { word });
        let between = part[word.len()..].chars();
        shown.extend(between.map(|c| if matches!(c, ' ' | '-' | '_' | '.' | ':' | '/') { c } else { '?' }));
        if shown.chars().count() >= MAX_SHOWN {
            break;
        }
    }
    shown.chars().take(MAX_SHOWN).collect()
}

/// The event that is most like the one that was sent, if any is.
fn nearest<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    most_like(known.map(|known| (known, likeness(asked, known))))
}

/// The route that is most like the one that was asked for, if any is. What all have in common makes none alike, and of
/// two that are as near the one with the same method is nearer.
fn nearest_route<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const SAME_METHOD: f64 = 0.01;
    let split = |route: &'a str| route.split_once(" /api/");
    let (method, path) = asked.split_once(" /api/")?;
    // There must be a word to go by.
    path.split('/').find(|part| *part != ":id")?;
    most_like(known.filter_map(|route| {
        let (same, known) = split(route)?;
        let bonus = if same == method { SAME_METHOD } else { 0.0 };
        let likeness = likeness(path, known);
        (likeness >= MIN_LIKENESS).then_some((route, likeness + bonus))
    }))
}

fn most_like<'a>(known: impl Iterator<Item = (&'a str, f64)>) -> Option<&'a str> {
    let likely = known.filter(|(_, likeness)| *likeness >= MIN_LIKENESS);
    likely.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(known, _)| known)
}

/// How alike two names are, from 0 to 1. Spelling is no difference: `send-message`, `sendMessage`, `send message`.
fn likeness(one: &str, other: &str) -> f64 {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '-' | '_' | ' ' | '.')).flat_map(char::to_lowercase).collect()
    };
    strsim::normalized_damerau_levenshtein(&plain(one), &plain(other))
}

#[cfg(test)]
mod tests;
