//! Tests for [`auth`](super).

use chat_core::chat::Registration;
use chat_core::clock::ManualClock;
use chat_core::model::PasswordHash;
use jsonwebtoken::{EncodingKey, Header};

use super::*;
use crate::secret::Secret;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_500);

#[tokio::test]
async fn a_token_with_a_name_alone_is_not_good_for_a_later_account() {
    let chat = Chat::in_memory().with_clock(Arc::new(ManualClock::at(NOW)));
    let chat = Arc::new(chat);
    chat.register(Registration::named("ann", PasswordHash::new(""))).await.unwrap();
    let tokens = Tokens::new(&Secret::new("s".into()), Duration::from_secs(60));
    let auth = Authenticator::load(chat, tokens).await.unwrap();
    let token = |claims: serde_json::Value| {
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"s")).unwrap()
    };
    for (issued_at, good) in [(1_699_999_999, false), (1_700_000_000, true), (1_700_000_009, true)] {
        let token = token(serde_json::json!({ "username": "ann", "iat": issued_at }));
        assert_eq!(auth.authenticate(&token).await.is_ok(), good, "{issued_at}");
    }
    let unknown = token(serde_json::json!({ "username": "bob" }));
    assert!(matches!(auth.authenticate(&unknown).await, Err(AuthError::UserNotFound)));
}

#[tokio::test]
async fn a_revoked_token_stays_revoked() {
    let chat = Arc::new(Chat::in_memory().with_clock(Arc::new(ManualClock::at(NOW))));
    let ann = chat.register(Registration::named("ann", PasswordHash::new(""))).await.unwrap().user;
    let secret = Secret::new("s".into());
    let tokens = || Tokens::new(&secret, Duration::from_secs(60));
    let auth = Authenticator::load(chat.clone(), tokens()).await.unwrap();
    let dialects = crate::dialect::Dialects::built_in();
    let camel = dialects.find("camel").unwrap();
    let (first, second) = (auth.issue(&ann, camel), auth.issue(&ann, camel));
    assert!(auth.revoke(&first).await.unwrap().is_some());
    assert!(auth.revoke("nonsense").await.unwrap().is_none());
    // After a restart, too.
    for auth in [auth, Authenticator::load(chat, tokens()).await.unwrap()] {
        assert!(matches!(auth.authenticate(&first).await, Err(AuthError::Invalid)));
        assert!(auth.authenticate(&second).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_heard_is_bounded_and_the_rest_is_read() {
    let chat = Arc::new(Chat::in_memory().with_clock(Arc::new(ManualClock::at(NOW))));
    let tokens = Tokens::new(&Secret::new("s".into()), Duration::from_secs(60));
    let auth = Authenticator::load(chat.clone(), tokens).await.unwrap();
    let token = |n: usize| {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&n.to_be_bytes());
        token
    };
    let until = NOW.after(Duration::from_secs(60));
    assert!(auth.note_revoked(token(0), NOW) && !auth.is_revoked(&token(0)), "it has expired anyway");
    for n in 0..MAX_HEARD {
        assert!(auth.note_revoked(token(n), until), "{n}");
    }
    for n in MAX_HEARD..2 * MAX_HEARD {
        assert!(!auth.note_revoked(token(n), until), "{n}");
    }
    assert!(auth.note_revoked(token(7), until), "it is known");
    assert!(!auth.is_revoked(&token(MAX_HEARD)), "it cannot be known yet");
    for n in [3, MAX_HEARD] {
        chat.store().revoke_token(token(n), until).await.unwrap();
    }
    assert_eq!(auth.reload_revoked().await.unwrap(), [token(MAX_HEARD)], "the other one was heard");
    for n in [0, 3, 7, MAX_HEARD - 1, MAX_HEARD] {
        assert!(auth.is_revoked(&token(n)), "{n}");
    }
    assert!(auth.note_revoked(token(MAX_HEARD + 1), until), "what was read makes room");
    let revoked = auth.revoked.read();
    assert_eq!((revoked.stored.len(), revoked.heard.len()), (2, MAX_HEARD));
}
