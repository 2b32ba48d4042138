//! How people of each dialect get an account, and log in: one fixture for each. A new dialect adds its own.

use std::pin::Pin;

use reqwest::Method;
use serde_json::{Value, json};

use crate::Http;

type Making<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, String>> + Send + 'a>>;
type LoggingIn<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What a transcript means by an account of a dialect.
pub(super) struct Fixture {
    dialect: &'static str,
    /// Makes an account for the person of this name; answers its id where the dialect tells it.
    pub(super) make: for<'a> fn(&'a mut Http, &'a str, &'a [String]) -> Making<'a>,
    /// Logs in to it.
    pub(super) log_in: for<'a> fn(&'a mut Http, &'a str, &'a [String]) -> LoggingIn<'a>,
}

const FIXTURES: &[Fixture] = &[
    Fixture {
        dialect: "camel",
        make: |http, name, words| {
            Box::pin(async move {
                let [password] = words else { return Err("camel asks for: password".to_owned()) };
                http.register(name, password).await;
                Ok(None)
            })
        },
        log_in: |http, name, words| {
            Box::pin(async move {
                let [password] = words else { return Err("camel asks for: password".to_owned()) };
                enter(http, "/api/login", &json!({ "username": name, "password": password })).await
            })
        },
    },
    Fixture {
        dialect: "push",
        make: |http, _, words| {
            Box::pin(async move {
                let [full_name, email, password] = words else {
                    return Err("push asks for: \"full name\" email password".to_owned());
                };
                Ok(Some(http.sign_up(full_name, email, password).await))
            })
        },
        log_in: |http, _, words| {
            Box::pin(async move {
                let [email, password] = words else { return Err("push asks for: email password".to_owned()) };
                enter(http, "/api/auth/login", &json!({ "email": email, "password": password })).await
            })
        },
    },
    Fixture {
        dialect: "native",
        make: |http, name, words| {
            Box::pin(async move {
                let [password] = words else { return Err("native asks for: password".to_owned()) };
                let form = json!({ "username": name, "password": password });
                let answer = http.request(Method::POST, "/api/v1/auth/register", Some(&form)).await;
                if answer.status != 201 {
                    return Err(format!("got: {} {}", answer.status, answer.text));
                }
                http.token = answer.json()["token"].as_str().map(str::to_owned);
                Ok(answer.json()["user"]["userId"].as_str().map(str::to_owned))
            })
        },
        log_in: |http, name, words| {
            Box::pin(async move {
                let [password] = words else { return Err("native asks for: password".to_owned()) };
                enter(http, "/api/v1/auth/login", &json!({ "username": name, "password": password })).await
            })
        },
    },
];

/// The fixture of a dialect.
///
/// # Errors
/// When it has none.
pub(super) fn fixture(dialect: &str) -> Result<&'static Fixture, String> {
    let found = FIXTURES.iter().find(|fixture| fixture.dialect == dialect);
    found.ok_or_else(|| {
        format!("the dialect {dialect} has no fixture in tests/support/transcript/accounts.rs")
    })
}

async fn enter(http: &mut Http, path: &str, form: &Value) -> Result<(), String> {
    let answer = http.request(Method::POST, path, Some(form)).await;
    if answer.status != 200 {
        return Err(format!("got: {} {}", answer.status, answer.text));
    }
    http.token = answer.json()["token"].as_str().map(str::to_owned);
    Ok(())
}
