//! Tests for [`token`](super).

use chat_core::id::UserId;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn tokens(secret: &str) -> Tokens {
    Tokens::new(&Secret::new(secret.into()), Duration::from_secs(60))
}

fn dialect(name: &str) -> Registered {
    Dialects::built_in().find(name).unwrap().clone()
}

fn ann() -> User {
    User {
        id: UserId::from_bytes([7; 12]),
        username: Some("ann".into()),
        email: None,
        full_name: "Ann".into(),
        picture: String::new(),
        created_at: NOW,
        updated_at: NOW,
        last_seen: None,
    }
}

fn signed(claims: &serde_json::Value, header: &Header, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    // The provider of the library, because ours supports only one algorithm.
    let sign = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.signer_factory;
    let part = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let head = part(serde_json::to_vec(header).unwrap());
    let message = format!("{head}.{}", part(serde_json::to_vec(claims).unwrap()));
    let signature = sign(&header.alg, &key).unwrap().try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", part(signature))
}

#[test]
fn what_is_issued_is_good_until_it_expires() {
    let tokens = tokens("s");
    let token = tokens.issue(&ann(), &dialect("camel"), NOW);
    let identity = tokens.verify(&token, NOW).unwrap();
    assert_eq!(identity.user, UserKey::Id(ann().id));
    assert_eq!(identity.dialect.as_deref(), Some("camel"));
    assert!(tokens.verify(&token, NOW.after(Duration::from_secs(59))).is_some());
    assert!(tokens.verify(&token, NOW.after(Duration::from_secs(60))).is_none());
    assert_ne!(token, tokens.issue(&ann(), &dialect("camel"), NOW));
}

#[test]
fn a_token_of_a_session_is_short_lived_and_names_it() {
    let tokens = tokens("s").with_access_life(Duration::from_secs(20));
    let session = LoginSessionId::from_bytes([3; 12]);
    let token = tokens.issue_in_session(&ann(), &dialect("native"), session, NOW);
    let identity = tokens.verify(&token, NOW).unwrap();
    assert_eq!(
        (identity.session, identity.expires_at),
        (Some(session), Some(NOW.after(Duration::from_secs(20))))
    );
    assert_eq!(identity.session_revocation(), Some(session.revocation(ann().id)));
    assert!(tokens.verify(&token, NOW.after(Duration::from_secs(20))).is_none());
    let without = tokens.verify(&tokens.issue(&ann(), &dialect("native"), NOW), NOW).unwrap();
    assert_eq!((without.session, without.session_revocation()), (None, None));
    // The session of another backend is not one of ours.
    let id = ann().id.to_string();
    let foreign = serde_json::json!({ "userId": id, "type": "access", "sid": session.to_string() });
    let foreign = signed(&foreign, &Header::default(), "s");
    assert_eq!(tokens.verify(&foreign, NOW).unwrap().session, None);
}

#[test]
fn tokens_of_the_old_backends_are_good() {
    let tokens = tokens("s");
    let id = ann().id.to_string();
    for claim in ["id", "userId", "_id", "sub"] {
        let token = signed(&serde_json::json!({claim: id, "iat": 1}), &Header::default(), "s");
        assert_eq!(tokens.verify(&token, NOW).unwrap().user, UserKey::Id(ann().id), "{claim}");
    }
    let token = signed(&serde_json::json!({"username": "ann"}), &Header::default(), "s");
    let identity = tokens.verify(&token, NOW).unwrap();
    assert_eq!(identity.user, UserKey::Username("ann".into()));
    assert!(identity.dialect.is_none() && identity.is_named_alone);
    assert_eq!(Dialects::built_in().told_by(&identity).unwrap().name(), "camel");
}

fn head_of(token: &str) -> Header {
    jsonwebtoken::decode_header(token).unwrap()
}

fn secrets(secrets: &[&str]) -> Vec<Secret> {
    secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect()
}

#[test]
fn old_keys_verify_and_the_new_one_signs() {
    let push = &dialect("push");
    let before = tokens("old").issue(&ann(), push, NOW);
    let foreign = signed(&serde_json::json!({"userId": ann().id.to_string()}), &Header::default(), "older");
    let rotated = tokens("new").with_old(&secrets(&["old", "older"]));
    for token in [&before, &foreign] {
        assert_eq!(rotated.verify(token, NOW).unwrap().user, UserKey::Id(ann().id));
        assert!(tokens("new").verify(token, NOW).is_none(), "without the old keys");
    }
    let after = rotated.issue(&ann(), push, NOW);
    assert!(tokens("new").verify(&after, NOW).is_some() && tokens("old").verify(&after, NOW).is_none());

    let [before, after] = [before, after].map(|token| head_of(&token));
    assert_eq!((after.typ.as_deref(), after.alg), (Some("at+jwt"), Algorithm::HS256));
    assert_ne!(before.kid, after.kid);
    assert_eq!(after.kid, head_of(&tokens("new").issue(&ann(), push, NOW)).kid, "the same on every node");
    assert_eq!(after.kid.map(|kid| kid.len()), Some(16), "not the secret");
}

#[test]
fn a_key_is_named_and_no_other_is_tried() {
    let rotated = tokens("new").with_old(&secrets(&["old"]));
    let name = head_of(&rotated.issue(&ann(), &dialect("push"), NOW)).kid;
    let claims = serde_json::json!({"userId": ann().id.to_string()});
    let token = |kid: Option<&str>, key: &str| {
        signed(&claims, &Header { kid: kid.map(str::to_owned), ..Header::default() }, key)
    };
    assert!(rotated.verify(&token(name.as_deref(), "new"), NOW).is_some());
    assert!(rotated.verify(&token(name.as_deref(), "old"), NOW).is_none(), "it is not that key's");
    // Old backends use arbitrary key ids.
    assert!(rotated.verify(&token(Some("my-key-1"), "old"), NOW).is_some());
    assert!(rotated.verify(&token(None, "old"), NOW).is_some());
    assert!(rotated.verify(&token(None, "older"), NOW).is_none());
}

#[test]
fn tokens_for_something_else_do_not_log_in() {
    let tokens = tokens("s");
    let id = ann().id.to_string();
    let verified = |claims: &serde_json::Value, header: &Header| {
        tokens.verify(&signed(claims, header, "s"), NOW).map(|identity| identity.user)
    };
    let plain = Header::default();
    for claims in [
        serde_json::json!({"userId": id, "type": "refresh"}),
        serde_json::json!({"id": id, "purpose": "reset"}),
        serde_json::json!({"email": "a@b.c"}),
        serde_json::json!({"sub": "a@b.c"}),
        serde_json::json!({"userId": id, "id": "66f0c0ffee0c0ffee0c0ffee"}),
        serde_json::json!({"userId": id, "username": 1}),
        serde_json::json!({"userId": id, "exp": "never"}),
    ] {
        assert_eq!(verified(&claims, &plain), None, "{claims}");
        // Our token type alone does not make a token ours.
        let header = Header { typ: Some(TYPE.into()), kid: Some("x".into()), ..Header::default() };
        assert_eq!(verified(&claims, &header), None, "{claims}");
    }
    let good = serde_json::json!({"userId": id, "id": id, "email": "a@b.c", "role": "user"});
    assert_eq!(verified(&good, &plain), Some(UserKey::Id(ann().id)));
    for header in [
        Header { typ: Some("refresh".into()), ..Header::default() },
        Header { crit: Some(vec!["exp".into()]), ..Header::default() },
    ] {
        assert_eq!(verified(&good, &header), None, "{header:?}");
    }
    let name = "n".repeat(MAX_TOKEN_BYTES);
    assert_eq!(verified(&serde_json::json!({"userId": id, "name": name}), &plain), None, "too long");
}

#[test]
fn what_is_not_ours_is_refused() {
    let tokens = tokens("s");
    let claims = serde_json::json!({"userId": ann().id.to_string()});
    let good = signed(&claims, &Header::default(), "s");
    let body = good.split('.').nth(1).unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let cases = [
        signed(&claims, &Header::default(), "other"),
        signed(&claims, &Header::new(Algorithm::HS384), "s"),
        format!("{none}.{body}."),
        format!("{none}.{body}.{}", good.rsplit('.').next().unwrap()),
        signed(&serde_json::json!({}), &Header::default(), "s"),
        signed(&serde_json::json!({"userId": {"$gt": ""}}), &Header::default(), "s"),
        String::new(),
        "a.b.c".into(),
    ];
    for token in cases {
        assert!(tokens.verify(&token, NOW).is_none(), "{token}");
    }
}
