//! Decides which tokens that others have signed with our secret are valid for a login.
//!
//! An old backend signs more than logins with its only secret: refresh tokens, confirmations of mail addresses,
//! password resets. Such a token is sent by mail or stored elsewhere, so it must not be accepted as a login. Tokens
//! that we issue have a type of their own in the header (`typ: at+jwt`, RFC 9068). Other tokens are accepted only if
//! they look like the login tokens of the known families and their forks: they name the user and contain no other
//! claims than such tokens do. An unknown claim could mean anything, so a token with one is refused.
//!
//! A token for another purpose that carries exactly the claims of a login token cannot be distinguished from one. If
//! the old backend has issued such tokens, the operator must choose a new secret, and add the old one only after they
//! have expired.

use serde_json::{Map, Value};

/// The payload of a token.
pub(super) type Claims = Map<String, Value>;

/// Claims that state the purpose of a token, in lower case and without `_` and `-`.
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

/// The values of these claims in a login token, normalized in the same way.
const LOG_IN: &[&str] =
    &["access", "accesstoken", "auth", "authentication", "bearer", "login", "session", "signin"];

/// Other claims that a login token may carry.
const HARMLESS: &[&str] = &[
    // The user.
    "id",
    "sub",
    "userid",
    "username", // The profile.
    "avatar",
    "displayname",
    "firstname",
    "fullname",
    "lastname",
    "name",
    "pic",
    "picture",
    "profilepic",
    // Permissions at the old backend, which have no effect here.
    "admin",
    "isadmin",
    "role",
    "roles", // The issuer and the times.
    "exp",
    "iat",
    "iss",
    "nbf",
];

/// Claims of refresh tokens and of tokens sent by mail. They are allowed only if another claim says that the token is a
/// login.
const DOUBTFUL: &[&str] = &["deviceid", "jti", "permissions", "sessionid", "sid", "tokenversion", "version"];

/// Whether a foreign token with this type (`typ`) and these claims is a login token. `dialects` are the names of all
/// known dialects.
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
            // Our own tokens looked like this before they had a type.
            if !value.as_str().is_some_and(|name| dialects.iter().any(|known| known == name)) {
                return false;
            }
            says_so = true;
        } else if DOUBTFUL.contains(&name) {
            doubtful = true;
        } else if name == "email" {
            // Together with an id it is a part of the profile. Login tokens that use names contain no address, so
            // without an id this is a token sent by mail.
            if !names_an_id(claims) {
                return false;
            }
        } else if !HARMLESS.contains(&name) {
            return false;
        }
    }
    says_so || !doubtful
}

/// Whether every word of a purpose means a login.
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

/// A name in lower case and without `_` and `-`, because backends differ in these.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
