//! Which of the tokens that others have signed with our secret log somebody in.
//!
//! An old backend signs more than log-ins with its one secret: refresh tokens, confirmations of mail addresses, resets
//! of passwords. Such a token travels by mail or waits in another place than a log-in, so it must not be as good as
//! one. What we issue says so in its header (`typ: at+jwt`, RFC 9068). Of all other tokens those are taken that look
//! like the log-in tokens of the families and their forks: they name the user, and beyond that they say nothing but
//! what such tokens say. A claim that nobody knows could mean anything, so it means no.
//!
//! A token for something else that carries exactly the claims of a log-in token cannot be told from one. An owner whose
//! old backend made such tokens takes a new secret, and waits with the old one until they have expired.

use serde_json::{Map, Value};

/// The payload of a token.
pub(super) type Claims = Map<String, Value>;

/// Claims that say what a token is for, without case, `_` and `-`.
const PURPOSES: &[&str] = &[
    "action",
    "aud",
    "for",
    "intent",
    "kind",
    "purpose",
    "scope",
    "scp",
    "tokentype",
    "tokenuse",
    "typ",
    "type",
    "usage",
    "use",
];

/// What they say in a token that logs in, written in the same way.
const LOG_IN: &[&str] =
    &["access", "accesstoken", "auth", "authentication", "bearer", "login", "session", "signin"];

/// What a token that logs in may carry besides.
const HARMLESS: &[&str] = &[
    // Who it is.
    "id",
    "sub",
    "userid",
    "username", // and how they are shown.
    "avatar",
    "displayname",
    "firstname",
    "fullname",
    "lastname",
    "name",
    "pic",
    "picture",
    "profilepic",
    // What they may do at the old backend; nothing here.
    "admin",
    "isadmin",
    "role",
    "roles", // Who has issued it, and when.
    "exp",
    "iat",
    "iss",
    "nbf",
];

/// What refresh tokens carry, and tokens for the mail; a token that says that it logs in may carry it too.
const DOUBTFUL: &[&str] = &["deviceid", "jti", "permissions", "sessionid", "sid", "tokenversion", "version"];

/// Whether a token that we have not issued, of this type (`typ`) and with these claims, logs somebody in. `dialects` are the
/// names of those there are.
pub(super) fn is_log_in(typ: Option<&str>, claims: &Claims, dialects: &[String]) -> bool {
    let typ = typ.map(str::to_ascii_lowercase);
    if !matches!(typ.as_deref(), None | Some("jwt" | "at+jwt" | "application/at+jwt")) {
        return false;
    }
    let mut says_so = false;
    let mut doubtful = false;
    for (name, value) in claims.iter().filter(|(_, value)| !value.is_null()) {
        let name = plain(name);
        let name = name.as_str();
        if PURPOSES.contains(&name) {
            if !is_for_log_in(value) {
                return false;
            }
            says_so = true;
        } else if name == "dialect" {
            // As we have issued tokens before they had a type of their own.
            if !value.as_str().is_some_and(|name| dialects.iter().any(|known| known == name)) {
                return false;
            }
            says_so = true;
        } else if DOUBTFUL.contains(&name) {
            doubtful = true;
        } else if name == "email" {
            // Beside an id it belongs to the profile. What goes by names knows no addresses: there it is the mail's.
            if !names_an_id(claims) {
                return false;
            }
        } else if !HARMLESS.contains(&name) {
            return false;
        }
    }
    says_so || !doubtful
}

/// Whether every word of a purpose means logging in.
fn is_for_log_in(value: &Value) -> bool {
    let words_are = |text: &str| {
        !text.trim().is_empty() && text.split_whitespace().all(|word| LOG_IN.contains(&plain(word).as_str()))
    };
    match value {
        Value::String(text) => words_are(text),
        Value::Array(all) => !all.is_empty() && all.iter().all(|one| one.as_str().is_some_and(words_are)),
        _ => false,
    }
}

fn names_an_id(claims: &Claims) -> bool {
    ["userId", "id", "_id"].into_iter().any(|name| claims.get(name).is_some_and(Value::is_string))
}

/// A name without case, `_` and `-`, in which backends differ.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
