//! Tests for [`claims`](super).

use serde_json::json;

use super::*;

const ID: &str = "66f0c0ffee0c0ffee0c0ffee";

fn dialects() -> Vec<String> {
    ["camel", "push"].map(str::to_owned).into()
}

#[test]
fn log_in_tokens_of_the_families_and_their_forks_are_good() {
    for (family, claims) in [
        ("camel", json!({ "username": "ann" })),
        ("camel, with an expiry", json!({ "username": "ann", "iat": 1, "exp": 9 })),
        ("camel, by the standard claim", json!({ "sub": "ann", "iat": 1 })),
        ("camel with roles", json!({ "username": "ann", "role": "user", "isAdmin": false })),
        ("spaced and classic", json!({ "id": ID, "iat": 1, "exp": 9 })),
        ("push and kebab", json!({ "userId": ID, "iat": 1, "exp": 9 })),
        ("native", json!({ "userId": ID, "username": "ann", "iat": 1, "exp": 9 })),
        ("native, which has refresh tokens", json!({ "userId": ID, "type": "access", "jti": "x" })),
        ("a fork", json!({ "id": ID, "email": "a@b.c", "name": "Ann", "role": "user", "isAdmin": true })),
        ("a fork", json!({ "_id": ID, "email": "a@b.c", "fullName": "Ann", "profilePic": "" })),
        ("a fork", json!({ "userId": ID, "roles": ["user"], "iss": "my-app", "nbf": 1 })),
        ("a fork with empty fields", json!({ "userId": ID, "type": null, "email": null })),
        ("a fork", json!({ "sub": ID, "token_use": "access", "scope": "access" })),
        ("a fork", json!({ "id": ID, "aud": ["auth"], "sessionId": "x" })),
        (
            "ours before they had a type",
            json!({ "id": ID, "userId": ID, "_id": ID, "sub": ID, "username": "ann", "dialect": "push",
                        "jti": "x", "iat": 1, "exp": 9 }),
        ),
    ] {
        for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt")] {
            assert!(is_log_in(typ, claims.as_object().unwrap(), &dialects()), "{family}: {claims} {typ:?}");
        }
    }
}

#[test]
fn tokens_for_something_else_are_not() {
    for claims in [
        json!({ "userId": ID, "type": "refresh" }),
        json!({ "userId": ID, "tokenType": "refresh" }),
        json!({ "userId": ID, "token_type": "refresh_token" }),
        json!({ "userId": ID, "token_use": "refresh" }),
        json!({ "userId": ID, "typ": "Refresh" }),
        json!({ "userId": ID, "use": "confirm" }),
        json!({ "userId": ID, "refresh": true }),
        json!({ "userId": ID, "isRefreshToken": true }),
        json!({ "userId": ID, "jti": "x" }),
        json!({ "userId": ID, "tokenVersion": 3 }),
        json!({ "userId": ID, "sid": "x", "iat": 1 }),
        json!({ "id": ID, "purpose": "reset" }),
        json!({ "id": ID, "purpose": "password-reset", "type": "access" }),
        json!({ "id": ID, "purpose": { "$ne": "reset" } }),
        json!({ "id": ID, "type": true }),
        json!({ "id": ID, "type": "" }),
        json!({ "id": ID, "scope": "reset" }),
        json!({ "id": ID, "scope": ["access", "reset"] }),
        json!({ "id": ID, "scope": [] }),
        json!({ "id": ID, "scope": "access reset" }),
        json!({ "id": ID, "action": "verify" }),
        json!({ "id": ID, "aud": "email-verification" }),
        json!({ "id": ID, "aud": "https://other.example" }),
        json!({ "id": ID, "reset": true }),
        json!({ "id": ID, "otp": "123456" }),
        json!({ "id": ID, "code": 123456 }),
        json!({ "id": ID, "newEmail": "a@b.c" }),
        json!({ "id": ID, "password": "$2b$10$x" }),
        json!({ "id": ID, "mfa": "pending" }),
        json!({ "id": ID, "room": "x" }),
        json!({ "sub": ID, "nonce": "x", "at_hash": "y" }),
        json!({ "email": "a@b.c" }),
        json!({ "email": "a@b.c", "iat": 1, "exp": 9 }),
        json!({ "username": "ann", "email": "a@b.c" }),
        json!({ "username": "ann", "email": "a@b.c", "password": "x" }),
        json!({ "sub": "ann", "email": "a@b.c" }),
        json!({ "userId": ID, "dialect": "none of ours", "jti": "x" }),
        json!({ "userId": ID, "dialect": 1 }),
    ] {
        assert!(!is_log_in(Some("JWT"), claims.as_object().unwrap(), &dialects()), "{claims}");
    }
    for typ in ["refresh", "rt+jwt", "reset+jwt", "secevent+jwt", ""] {
        assert!(!is_log_in(Some(typ), json!({ "userId": ID }).as_object().unwrap(), &dialects()), "{typ}");
    }
}
